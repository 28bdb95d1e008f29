//! One hash per facet of an object, over a canonical form with volatile keys left out.
//!
//! The canonical form of a facet is a sequence of entries, each a tag followed by the parts that
//! the tag calls for; text is preceded by its length, lists by their count, an absent value
//! writes no entry. So no two different objects share a canonical form, and the order in which a
//! metastore sends key-value pairs does not matter. Every field counts for exactly one facet;
//! what [`super::volatile`] names counts for the facet of its rule instead. A field that the
//! metastore sent and that no other facet covers counts for `rest`, so an object whose six
//! hashes are all equal is equal in everything but the order of its pairs.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::volatile;
use crate::model::{CatalogObject, Column, Database, Parameters, Partition, StorageDescriptor, Table};
use crate::snapshot::Digests;

/// A side of an object that is compared by itself; see [`Digests`] for what each holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Facet {
    Schema,
    Storage,
    Parameters,
    Location,
    Statistics,
    Rest,
}

const FACETS: usize = Facet::Rest as usize + 1;

/// What an entry of a canonical form is. The numbers are part of every stored digest.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Tag {
    Name = 1,
    Catalog,
    Description,
    Location,
    ManagedLocation,
    OwnerName,
    OwnerType,
    CreateTime,
    LastAccessTime,
    Retention,
    Column,
    PartitionKey,
    PartitionValue,
    ViewOriginalText,
    ViewExpandedText,
    TableType,
    IsRewriteEnabled,
    InputFormat,
    OutputFormat,
    IsCompressed,
    BucketCount,
    BucketColumn,
    SortColumn,
    IsStoredAsSubDirectories,
    SerdeName,
    SerdeLibrary,
    Parameter,
    StorageParameter,
    SerdeParameter,
    Skewed,
    SkewedColumn,
    SkewedValue,
    SkewedLocation,
    Unknown,
    UnknownOfStorage,
}

/// Facet hashes of a database.
pub fn database(value: &Database) -> Digests {
    let Database {
        name,
        catalog_name,
        description,
        location,
        owner_name,
        owner_type,
        create_time,
        managed_location,
        parameters,
        unknown_hash,
    } = value;
    canonical(|form| {
        form.text(Facet::Rest, Tag::Name, name);
        form.optional(Facet::Rest, Tag::Catalog, catalog_name);
        form.optional(Facet::Parameters, Tag::Description, description);
        form.optional(Facet::Location, Tag::Location, location);
        form.optional(Facet::Location, Tag::ManagedLocation, managed_location);
        form.optional(Facet::Parameters, Tag::OwnerName, owner_name);
        form.optional(Facet::Parameters, Tag::OwnerType, &owner_type.map(|kind| kind.as_str()));
        if let Some(seconds) = create_time {
            form.number(Facet::Rest, Tag::CreateTime, *seconds);
        }
        form.parameters(Facet::Parameters, Tag::Parameter, parameters);
        form.unknown(Tag::Unknown, *unknown_hash);
    })
}

/// Facet hashes of a table.
pub fn table(value: &Table) -> Digests {
    let Table {
        name,
        owner_name,
        owner_type,
        create_time,
        last_access_time,
        retention,
        storage,
        partition_keys,
        parameters,
        view_original_text,
        view_expanded_text,
        table_type,
        is_rewrite_enabled,
        unknown_hash,
    } = value;
    canonical(|form| {
        form.text(Facet::Rest, Tag::Name, name);
        form.optional(Facet::Parameters, Tag::OwnerName, owner_name);
        form.optional(Facet::Parameters, Tag::OwnerType, &owner_type.map(|kind| kind.as_str()));
        form.number(Facet::Rest, Tag::CreateTime, *create_time);
        form.number(Facet::Rest, Tag::LastAccessTime, *last_access_time);
        form.number(Facet::Parameters, Tag::Retention, *retention);
        form.storage(storage);
        form.columns(Tag::PartitionKey, partition_keys);
        form.parameters(Facet::Parameters, Tag::Parameter, parameters);
        form.optional(Facet::Schema, Tag::ViewOriginalText, view_original_text);
        form.optional(Facet::Schema, Tag::ViewExpandedText, view_expanded_text);
        form.text(Facet::Storage, Tag::TableType, table_type);
        form.flag(Facet::Storage, Tag::IsRewriteEnabled, *is_rewrite_enabled);
        form.unknown(Tag::Unknown, *unknown_hash);
    })
}

/// Facet hashes of a partition.
pub fn partition(value: &Partition) -> Digests {
    let Partition { values, create_time, last_access_time, storage, parameters, unknown_hash } = value;
    canonical(|form| {
        for value in values {
            form.text(Facet::Schema, Tag::PartitionValue, value);
        }
        form.number(Facet::Rest, Tag::CreateTime, *create_time);
        form.number(Facet::Rest, Tag::LastAccessTime, *last_access_time);
        form.storage(storage);
        form.parameters(Facet::Parameters, Tag::Parameter, parameters);
        form.unknown(Tag::Unknown, *unknown_hash);
    })
}

/// Facet hashes of a catalog.
pub fn catalog(value: &CatalogObject) -> Digests {
    let CatalogObject { name, description, location, create_time, unknown_hash } = value;
    canonical(|form| {
        form.text(Facet::Rest, Tag::Name, name);
        form.optional(Facet::Parameters, Tag::Description, description);
        form.optional(Facet::Location, Tag::Location, location);
        if let Some(seconds) = create_time {
            form.number(Facet::Rest, Tag::CreateTime, *seconds);
        }
        form.unknown(Tag::Unknown, *unknown_hash);
    })
}

/// The canonical form under construction: one run of entries per facet.
#[derive(Default)]
struct Form {
    facets: [Vec<u8>; FACETS],
    /// Shared columns met last, with their entries: the next partition mostly has the same.
    columns: Option<(Arc<Vec<Column>>, Vec<u8>)>,
}

thread_local! {
    /// Kept between objects: a partition's form is built and hashed a hundred thousand times a
    /// second, and must not allocate.
    static FORM: RefCell<Form> = RefCell::default();
}

fn canonical(build: impl FnOnce(&mut Form)) -> Digests {
    FORM.with_borrow_mut(|form| {
        form.facets.iter_mut().for_each(Vec::clear);
        build(form);
        let hash = |facet: Facet| xxh3_64(&form.facets[facet as usize]);
        Digests {
            schema: hash(Facet::Schema),
            storage: hash(Facet::Storage),
            parameters: hash(Facet::Parameters),
            location: hash(Facet::Location),
            statistics: hash(Facet::Statistics),
            rest: hash(Facet::Rest),
        }
    })
}

impl Form {
    fn begin(&mut self, facet: Facet, tag: Tag) -> &mut Vec<u8> {
        let out = &mut self.facets[facet as usize];
        out.push(tag as u8);
        out
    }

    fn text(&mut self, facet: Facet, tag: Tag, text: &str) {
        push_text(self.begin(facet, tag), text);
    }

    fn optional(&mut self, facet: Facet, tag: Tag, text: &Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(facet, tag, text.as_ref());
        }
    }

    fn number(&mut self, facet: Facet, tag: Tag, number: i64) {
        self.begin(facet, tag).extend_from_slice(&number.to_le_bytes());
    }

    fn flag(&mut self, facet: Facet, tag: Tag, flag: bool) {
        self.begin(facet, tag).push(u8::from(flag));
    }

    fn unknown(&mut self, tag: Tag, hash: u64) {
        self.begin(Facet::Rest, tag).extend_from_slice(&hash.to_le_bytes());
    }

    fn shared_columns(&mut self, columns: &Arc<Vec<Column>>) {
        if let Some((known, entries)) = &self.columns
            && Arc::ptr_eq(known, columns)
        {
            self.facets[Facet::Schema as usize].extend_from_slice(entries);
            return;
        }
        let start = self.facets[Facet::Schema as usize].len();
        self.columns(Tag::Column, columns);
        let entries = &self.facets[Facet::Schema as usize][start..];
        let (known, kept) = self.columns.get_or_insert_with(|| (columns.clone(), Vec::new()));
        known.clone_from(columns);
        kept.clear();
        kept.extend_from_slice(entries);
    }

    fn columns(&mut self, tag: Tag, columns: &[Column]) {
        for Column { name, data_type, comment } in columns {
            let out = self.begin(Facet::Schema, tag);
            push_text(out, name);
            push_text(out, data_type);
            out.push(u8::from(comment.is_some()));
            if let Some(comment) = comment {
                push_text(out, comment);
            }
        }
    }

    /// Pairs count for `facet`, or for the facet that the key's rule names.
    fn parameters(&mut self, facet: Facet, tag: Tag, parameters: &Parameters) {
        for (key, value) in in_order(parameters).iter() {
            let facet = volatile::rule(key).map_or(facet, |rule| rule.facet);
            let out = self.begin(facet, tag);
            push_text(out, key);
            push_text(out, value);
        }
    }

    fn storage(&mut self, storage: &StorageDescriptor) {
        let StorageDescriptor {
            columns,
            location,
            input_format,
            output_format,
            is_compressed,
            bucket_count,
            serde,
            bucket_columns,
            sort_columns,
            parameters,
            skewed,
            is_stored_as_sub_directories,
            unknown_hash,
        } = storage;
        self.shared_columns(columns);
        self.optional(Facet::Location, Tag::Location, location);
        self.optional(Facet::Storage, Tag::InputFormat, input_format);
        self.optional(Facet::Storage, Tag::OutputFormat, output_format);
        self.flag(Facet::Storage, Tag::IsCompressed, *is_compressed);
        self.number(Facet::Storage, Tag::BucketCount, i64::from(*bucket_count));
        self.optional(Facet::Storage, Tag::SerdeName, &serde.name);
        self.optional(Facet::Storage, Tag::SerdeLibrary, &serde.library);
        self.parameters(Facet::Storage, Tag::SerdeParameter, &serde.parameters);
        for column in bucket_columns {
            self.text(Facet::Storage, Tag::BucketColumn, column);
        }
        for (column, order) in sort_columns {
            let out = self.begin(Facet::Storage, Tag::SortColumn);
            push_text(out, column);
            out.extend_from_slice(&order.to_le_bytes());
        }
        self.parameters(Facet::Storage, Tag::StorageParameter, parameters);
        if let Some(skewed) = skewed {
            self.begin(Facet::Storage, Tag::Skewed);
            for column in &skewed.columns {
                self.text(Facet::Storage, Tag::SkewedColumn, column);
            }
            for tuple in &skewed.values {
                push_texts(self.begin(Facet::Storage, Tag::SkewedValue), tuple);
            }
            for (tuple, location) in in_order(&skewed.locations).iter() {
                let out = self.begin(Facet::Location, Tag::SkewedLocation);
                push_texts(out, tuple);
                push_text(out, location);
            }
        }
        self.flag(Facet::Storage, Tag::IsStoredAsSubDirectories, *is_stored_as_sub_directories);
        self.unknown(Tag::UnknownOfStorage, *unknown_hash);
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_texts(out: &mut Vec<u8>, texts: &[String]) {
    out.extend_from_slice(&(texts.len() as u64).to_le_bytes());
    texts.iter().for_each(|text| push_text(out, text));
}

/// Pairs are sorted by contract; sorting again costs one look and keeps a broken promise from
/// showing as a change.
fn in_order<T: Ord + Clone>(pairs: &[T]) -> Cow<'_, [T]> {
    if pairs.is_sorted() {
        return Cow::Borrowed(pairs);
    }
    let mut pairs = pairs.to_vec();
    pairs.sort();
    Cow::Owned(pairs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::mirror::volatile::VOLATILE_KEYS;
    use crate::model::{PrincipalType, SerdeInfo, SkewedInfo};

    fn changed(left: Digests, right: Digests) -> Vec<Facet> {
        [
            (Facet::Schema, left.schema != right.schema),
            (Facet::Storage, left.storage != right.storage),
            (Facet::Parameters, left.parameters != right.parameters),
            (Facet::Location, left.location != right.location),
            (Facet::Statistics, left.statistics != right.statistics),
            (Facet::Rest, left.rest != right.rest),
        ]
        .into_iter()
        .filter_map(|(facet, differs)| differs.then_some(facet))
        .collect()
    }

    fn text() -> impl Strategy<Value = String> {
        "[a-c]{0,3}"
    }
    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(text(), 0..3)
    }
    fn maybe() -> impl Strategy<Value = Option<String>> {
        prop::option::of(text())
    }
    fn pairs() -> impl Strategy<Value = Parameters> {
        let any_key = prop_oneof![
            text(),
            prop::sample::select(VOLATILE_KEYS.iter().map(|rule| rule.key.to_string()).collect::<Vec<_>>()),
        ];
        prop::collection::btree_map(any_key, text(), 0..5).prop_map(|map| map.into_iter().collect())
    }
    fn owner_type() -> impl Strategy<Value = Option<PrincipalType>> {
        prop::option::of(prop_oneof![
            Just(PrincipalType::User),
            Just(PrincipalType::Role),
            Just(PrincipalType::Group)
        ])
    }
    fn column() -> impl Strategy<Value = Column> {
        (text(), text(), maybe()).prop_map(|(name, data_type, comment)| Column { name, data_type, comment })
    }
    fn columns() -> impl Strategy<Value = Vec<Column>> {
        prop::collection::vec(column(), 0..3)
    }
    fn skewed() -> impl Strategy<Value = Option<SkewedInfo>> {
        let locations = prop::collection::btree_map(texts(), text(), 0..3)
            .prop_map(|map| map.into_iter().collect::<Vec<_>>());
        prop::option::of(
            (texts(), prop::collection::vec(texts(), 0..3), locations)
                .prop_map(|(columns, values, locations)| SkewedInfo { columns, values, locations }),
        )
    }
    fn storage() -> impl Strategy<Value = StorageDescriptor> {
        (
            (columns(), maybe(), maybe(), maybe(), any::<bool>(), any::<i32>()),
            (maybe(), maybe(), pairs()),
            (texts(), prop::collection::vec((text(), 0..2i32), 0..3), pairs(), skewed()),
            (any::<bool>(), 0..3u64),
        )
            .prop_map(|(first, serde, second, third)| StorageDescriptor {
                columns: first.0.into(),
                location: first.1,
                input_format: first.2,
                output_format: first.3,
                is_compressed: first.4,
                bucket_count: first.5,
                serde: SerdeInfo { name: serde.0, library: serde.1, parameters: serde.2 },
                bucket_columns: second.0,
                sort_columns: second.1,
                parameters: second.2,
                skewed: second.3,
                is_stored_as_sub_directories: third.0,
                unknown_hash: third.1,
            })
    }
    fn any_table() -> impl Strategy<Value = Table> {
        (
            (text(), maybe(), owner_type(), 0..3i64, 0..3i64, 0..3i64),
            storage(),
            columns(),
            pairs(),
            (maybe(), maybe(), text(), any::<bool>(), 0..3u64),
        )
            .prop_map(|(first, storage, partition_keys, parameters, last)| Table {
                name: first.0,
                owner_name: first.1,
                owner_type: first.2,
                create_time: first.3,
                last_access_time: first.4,
                retention: first.5,
                storage,
                partition_keys,
                parameters,
                view_original_text: last.0,
                view_expanded_text: last.1,
                table_type: last.2,
                is_rewrite_enabled: last.3,
                unknown_hash: last.4,
            })
    }
    fn any_partition() -> impl Strategy<Value = Partition> {
        (texts(), 0..3i64, 0..3i64, storage(), pairs(), 0..3u64).prop_map(|fields| Partition {
            values: fields.0,
            create_time: fields.1,
            last_access_time: fields.2,
            storage: fields.3,
            parameters: fields.4,
            unknown_hash: fields.5,
        })
    }
    fn any_database() -> impl Strategy<Value = Database> {
        (
            (text(), maybe(), maybe(), maybe(), maybe()),
            (owner_type(), prop::option::of(0..3i64), maybe(), pairs(), 0..3u64),
        )
            .prop_map(|(first, second)| Database {
                name: first.0,
                catalog_name: first.1,
                description: first.2,
                location: first.3,
                owner_name: first.4,
                owner_type: second.0,
                create_time: second.1,
                managed_location: second.2,
                parameters: second.3,
                unknown_hash: second.4,
            })
    }

    fn longer(text: &mut Option<String>) {
        text.get_or_insert_default().push('x');
    }
    fn with(parameters: &mut Parameters, key: &str) {
        match parameters.binary_search_by(|(k, _)| k.as_str().cmp(key)) {
            Ok(index) => parameters[index].1.push('x'),
            Err(index) => parameters.insert(index, (key.to_string(), String::new())),
        }
    }
    fn other_type(owner_type: &mut Option<PrincipalType>) {
        *owner_type = match owner_type {
            None => Some(PrincipalType::User),
            Some(PrincipalType::User) => Some(PrincipalType::Role),
            Some(_) => None,
        };
    }
    fn one_more(columns: &mut Vec<Column>) {
        columns.push(Column { name: "x".into(), data_type: "int".into(), comment: None });
    }

    type Change<T> = (Facet, fn(&mut T));

    const STORAGE: &[Change<StorageDescriptor>] = &[
        (Facet::Schema, |s| one_more(Arc::make_mut(&mut s.columns))),
        (Facet::Schema, |s| match Arc::make_mut(&mut s.columns).first_mut() {
            Some(column) => longer(&mut column.comment),
            None => one_more(Arc::make_mut(&mut s.columns)),
        }),
        (Facet::Location, |s| longer(&mut s.location)),
        (Facet::Location, |s| s.location = s.location.is_none().then(String::new)),
        (Facet::Storage, |s| longer(&mut s.input_format)),
        (Facet::Storage, |s| longer(&mut s.output_format)),
        (Facet::Storage, |s| s.is_compressed = !s.is_compressed),
        (Facet::Storage, |s| s.bucket_count = s.bucket_count.wrapping_add(1)),
        (Facet::Storage, |s| longer(&mut s.serde.name)),
        (Facet::Storage, |s| longer(&mut s.serde.library)),
        (Facet::Storage, |s| with(&mut s.serde.parameters, "field.delim")),
        (Facet::Location, |s| with(&mut s.serde.parameters, "path")),
        (Facet::Storage, |s| s.bucket_columns.push(String::new())),
        (Facet::Storage, |s| s.sort_columns.push((String::new(), 1))),
        (Facet::Storage, |s| with(&mut s.parameters, "x")),
        (Facet::Storage, |s| s.skewed.get_or_insert_default().columns.push(String::new())),
        (Facet::Storage, |s| s.skewed.get_or_insert_default().values.push(Vec::new())),
        (Facet::Storage, |s| s.is_stored_as_sub_directories = !s.is_stored_as_sub_directories),
        (Facet::Rest, |s| s.unknown_hash += 1),
    ];
    const TABLE: &[Change<Table>] = &[
        (Facet::Rest, |t| t.name.push('x')),
        (Facet::Parameters, |t| longer(&mut t.owner_name)),
        (Facet::Parameters, |t| other_type(&mut t.owner_type)),
        (Facet::Rest, |t| t.create_time += 1),
        (Facet::Rest, |t| t.last_access_time += 1),
        (Facet::Parameters, |t| t.retention += 1),
        (Facet::Schema, |t| one_more(&mut t.partition_keys)),
        (Facet::Parameters, |t| with(&mut t.parameters, "x")),
        (Facet::Schema, |t| longer(&mut t.view_original_text)),
        (Facet::Schema, |t| longer(&mut t.view_expanded_text)),
        (Facet::Storage, |t| t.table_type.push('x')),
        (Facet::Storage, |t| t.is_rewrite_enabled = !t.is_rewrite_enabled),
        (Facet::Rest, |t| t.unknown_hash += 1),
    ];
    const PARTITION: &[Change<Partition>] = &[
        (Facet::Schema, |p| p.values.push(String::new())),
        (Facet::Rest, |p| p.create_time += 1),
        (Facet::Rest, |p| p.last_access_time += 1),
        (Facet::Parameters, |p| with(&mut p.parameters, "x")),
        (Facet::Rest, |p| p.unknown_hash += 1),
    ];
    const DATABASE: &[Change<Database>] = &[
        (Facet::Rest, |d| d.name.push('x')),
        (Facet::Rest, |d| longer(&mut d.catalog_name)),
        (Facet::Parameters, |d| longer(&mut d.description)),
        (Facet::Location, |d| longer(&mut d.location)),
        (Facet::Parameters, |d| longer(&mut d.owner_name)),
        (Facet::Parameters, |d| other_type(&mut d.owner_type)),
        (Facet::Rest, |d| d.create_time = d.create_time.map_or(Some(0), |t| Some(t + 1))),
        (Facet::Location, |d| longer(&mut d.managed_location)),
        (Facet::Parameters, |d| with(&mut d.parameters, "x")),
        (Facet::Rest, |d| d.unknown_hash += 1),
    ];

    fn each_counts_once<T: Clone>(value: &T, changes: &[Change<T>], digest: fn(&T) -> Digests) {
        for (index, (facet, change)) in changes.iter().enumerate() {
            let mut other = value.clone();
            change(&mut other);
            assert_eq!(changed(digest(value), digest(&other)), [*facet], "change {index}");
        }
    }

    fn each_rule_counts_once<T: Clone>(
        value: &T,
        parameters: fn(&mut T) -> &mut Parameters,
        digest: fn(&T) -> Digests,
    ) {
        for rule in VOLATILE_KEYS {
            let mut other = value.clone();
            with(parameters(&mut other), rule.key);
            assert_eq!(changed(digest(value), digest(&other)), [rule.facet], "{}", rule.key);
        }
    }

    proptest! {
        #[test]
        fn each_field_of_a_table_counts_for_its_facet_alone(value in any_table()) {
            each_counts_once(&value, TABLE, table);
            each_rule_counts_once(&value, |t| &mut t.parameters, table);
            for (index, (facet, change)) in STORAGE.iter().enumerate() {
                let mut other = value.clone();
                change(&mut other.storage);
                prop_assert_eq!(changed(table(&value), table(&other)), [*facet], "change {}", index);
            }
        }

        #[test]
        fn each_field_of_a_partition_counts_for_its_facet_alone(value in any_partition()) {
            each_counts_once(&value, PARTITION, partition);
            each_rule_counts_once(&value, |p| &mut p.parameters, partition);
            for (index, (facet, change)) in STORAGE.iter().enumerate() {
                let mut other = value.clone();
                change(&mut other.storage);
                prop_assert_eq!(changed(partition(&value), partition(&other)), [*facet], "change {}", index);
            }
        }

        #[test]
        fn each_field_of_a_database_counts_for_its_facet_alone(value in any_database()) {
            each_counts_once(&value, DATABASE, database);
            each_rule_counts_once(&value, |d| &mut d.parameters, database);
        }

        #[test]
        fn the_order_of_pairs_does_not_count(value in any_table(), seed in any::<u64>()) {
            let mut other = value.clone();
            let shuffle = |list: &mut Parameters| {
                let middle = if list.is_empty() { 0 } else { seed as usize % list.len() };
                list.rotate_left(middle);
                list.reverse();
            };
            shuffle(&mut other.parameters);
            shuffle(&mut other.storage.parameters);
            shuffle(&mut other.storage.serde.parameters);
            if let Some(skewed) = &mut other.storage.skewed {
                skewed.locations.reverse();
            }
            prop_assert_eq!(table(&value), table(&other));
        }

        #[test]
        fn equal_digests_mean_equal_tables(left in any_table(), right in any_table()) {
            prop_assert_eq!(left == right, table(&left) == table(&right));
        }
    }

    /// Texts moved over the border of two neighbouring fields.
    #[test]
    fn neighbouring_texts_do_not_run_together() {
        let column = |name: &str, data_type: &str| {
            let column = Column { name: name.into(), data_type: data_type.into(), comment: None };
            table(&Table { partition_keys: vec![column], ..Table::default() })
        };
        assert_ne!(column("ab", "c"), column("a", "bc"));
        let values = |values: &[&str]| {
            let values = values.iter().map(|value| value.to_string()).collect();
            partition(&Partition { values, ..Partition::default() })
        };
        assert_ne!(values(&["ab"]), values(&["a", "b"]));
        assert_ne!(values(&[]), values(&[""]));
        let column = Column { name: "a".into(), ..Column::default() };
        let key = table(&Table { partition_keys: vec![column.clone()], ..Table::default() });
        let storage = StorageDescriptor { columns: vec![column].into(), ..StorageDescriptor::default() };
        assert_ne!(key, table(&Table { storage, ..Table::default() }));
    }

    #[test]
    fn each_field_of_a_catalog_counts_for_its_facet_alone() {
        let changes: &[Change<CatalogObject>] = &[
            (Facet::Rest, |c| c.name.push('x')),
            (Facet::Parameters, |c| longer(&mut c.description)),
            (Facet::Location, |c| longer(&mut c.location)),
            (Facet::Rest, |c| c.create_time = Some(1)),
            (Facet::Rest, |c| c.unknown_hash += 1),
        ];
        each_counts_once(&CatalogObject::default(), changes, catalog);
    }
}
