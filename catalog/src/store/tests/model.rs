//! The store against a naive model: random changes, merges, rebuilds and restarts.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::change::{Change, Stamp};
use crate::model::*;
use crate::snapshot::{Snapshot, Totals};
use crate::store::Catalog;
use crate::store::entry::Sums;
use crate::store::head::own_totals;
use crate::store::testing::*;

/// A metastore as plain maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub databases: BTreeMap<DatabaseName, ModelDatabase>,
    pub privileges: Vec<Item<Privilege>>,
    pub position: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelDatabase {
    pub item: Item<Database>,
    pub tables: BTreeMap<String, ModelTable>,
    pub functions: Vec<Item<Function>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelTable {
    pub item: Item<Table>,
    pub partitions: BTreeMap<String, Item<Partition>>,
    pub details: TableDetails,
}

impl Model {
    fn table(&mut self, name: &TableName) -> Option<&mut ModelTable> {
        self.databases.get_mut(&name.database)?.tables.get_mut(&name.table)
    }

    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::PutDatabase(name, item) => {
                let fresh = ModelDatabase { item: item.clone(), tables: BTreeMap::new(), functions: vec![] };
                self.databases.entry(name).or_insert(fresh).item = item;
            }
            Change::DropDatabase(name) => {
                self.databases.remove(&name);
            }
            Change::PutTable(name, item) => {
                if let Some(database) = self.databases.get_mut(&name.database) {
                    let fresh = ModelTable {
                        item: item.clone(),
                        partitions: BTreeMap::new(),
                        details: TableDetails::default(),
                    };
                    database.tables.entry(name.table).or_insert(fresh).item = item;
                }
            }
            Change::RenameTable { from, to } => {
                if from == to || !self.databases.contains_key(&to.database) || self.table(&from).is_none() {
                    return;
                }
                let old = self.databases.get_mut(&from.database).unwrap();
                let table = old.tables.remove(&from.table).unwrap();
                self.databases.get_mut(&to.database).unwrap().tables.insert(to.table, table);
            }
            Change::DropTable(name) => {
                if let Some(database) = self.databases.get_mut(&name.database) {
                    database.tables.remove(&name.table);
                }
            }
            Change::PutPartitions(name, items) => {
                if let Some(table) = self.table(&name) {
                    table.partitions.extend(items);
                }
            }
            Change::DropPartitions(name, names) => {
                if let Some(table) = self.table(&name) {
                    names.iter().for_each(|name| {
                        table.partitions.remove(name);
                    });
                }
            }
            Change::SetFunctions(name, items, kept) => {
                if let Some(database) = self.databases.get_mut(&name) {
                    database.functions.retain(|item| kept.contains(&item.value.name));
                    database.functions.extend(items);
                    database.functions.sort_by(|a, b| a.value.name.cmp(&b.value.name));
                }
            }
            Change::SetTableDetails(name, details) => {
                if let Some(table) = self.table(&name) {
                    table.details = details;
                }
            }
            Change::SetPrivileges(items) => self.privileges = items,
            Change::SetPosition(position) => self.position = Some(position),
            Change::ClearPosition => self.position = None,
            _ => {}
        }
    }
}

/// What the catalog shows, in the form of the model. Asserts that everything that is shown twice
/// (totals, summaries, digests, hot columns) is the same both times.
pub(crate) fn shown(snapshot: &Snapshot) -> Model {
    let metastore = snapshot.metastore("dc1").unwrap();
    let mut model = Model {
        databases: BTreeMap::new(),
        privileges: without_stamps(snapshot.load_privileges(metastore).unwrap()),
        position: metastore.position,
    };
    for database in metastore.databases() {
        let items: BTreeMap<TableId, Item<Table>> =
            snapshot.load_tables(database).unwrap().into_iter().collect();
        let details = snapshot.load_details(database).unwrap();
        let mut details: BTreeMap<TableId, TableDetails> =
            details.into_iter().map(|(id, details, _)| (id, details)).collect();
        let mut totals = Totals::default();
        let mut tables = BTreeMap::new();
        assert!(database.tables.is_sorted_by(|a, b| a.name < b.name));
        for table in &database.tables {
            totals.add(&table.totals);
            let mut partitions = BTreeMap::new();
            let mut sums = Sums::default();
            let summaries = snapshot.chunk_summaries(table);
            let mut last = String::new();
            for (index, summary) in summaries.iter().enumerate() {
                let chunk = snapshot.load_chunk(table, index).unwrap();
                let whole = snapshot.load_partitions(table, index).unwrap();
                assert_eq!(chunk.names.len(), whole.len());
                let mut chunk_sums = Sums::default();
                for (at, (name, item)) in whole.into_iter().enumerate() {
                    assert!(last < name, "partitions are in order and chunks do not overlap");
                    assert!(*summary.name_min <= *name && *name <= *summary.name_max);
                    assert_eq!(*chunk.names[at], *name);
                    let location = item.value.storage.location.as_deref();
                    assert_eq!(chunk.locations[at].as_deref(), location);
                    if let (Some((min, max)), Some(location)) = (&summary.locations, location) {
                        assert!(**min <= *location && *location <= **max);
                    }
                    assert!(summary.locations.is_none() || location.is_some());
                    let parameters = &item.value.parameters;
                    assert_eq!(chunk.create_times[at], item.value.create_time);
                    assert_eq!(chunk.row_counts[at], parameter_count(parameters, "numRows"));
                    assert_eq!(chunk.total_size_bytes[at], parameter_count(parameters, "totalSize"));
                    assert_eq!(chunk.file_counts[at], parameter_count(parameters, "numFiles"));
                    assert_eq!(
                        chunk.last_ddl_times[at],
                        parameter_count(parameters, "transient_lastDdlTime")
                    );
                    let entry = crate::store::entry::Entry::partition(&name, item.clone(), chunk.stamps[at]);
                    chunk_sums.add(&entry.hot);
                    last.clone_from(&name);
                    partitions.insert(name, item);
                }
                assert_eq!(summary.totals, chunk_sums.totals());
                sums.join(&chunk_sums);
            }
            let is_plain = table.head.partition_keys.is_empty() && partitions.is_empty();
            let expected = if is_plain { own_totals(&table.head) } else { sums.totals() };
            assert_eq!(table.totals, expected);
            assert_eq!(table.partitions_digest, sums.digest);
            let item = items[&table.id].clone();
            assert_eq!(snapshot.load_table(database, table).unwrap(), item);
            assert_eq!(table.digests, crate::mirror::digest::table(&item.value));
            let details = details.remove(&table.id).unwrap_or_default();
            tables.insert(table.name.to_string(), ModelTable { item, partitions, details });
        }
        assert_eq!(database.totals, totals);
        assert!(details.is_empty(), "details of tables that do not exist");
        let functions = without_stamps(snapshot.load_functions(database).unwrap());
        let item = Item { value: database.object.clone(), raw: database.raw.clone() };
        let name = DatabaseName::new(database.catalog_name.as_ref(), database.name.as_ref());
        model.databases.insert(name, ModelDatabase { item, tables, functions });
    }
    model
}

fn without_stamps<T>(loaded: Vec<(Item<T>, Stamp)>) -> Vec<Item<T>> {
    loaded.into_iter().map(|(item, _)| item).collect()
}

fn ids(snapshot: &Snapshot) -> BTreeMap<TableName, TableId> {
    let databases = snapshot.metastores.iter().flat_map(|m| m.databases());
    databases
        .flat_map(|d| {
            let name = DatabaseName::new(d.catalog_name.as_ref(), d.name.as_ref());
            d.tables.iter().map(move |t| (name.table(t.name.as_ref()), t.id))
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Change>),
    Merge,
    Rebuild,
    Reopen,
}

fn table_name() -> impl Strategy<Value = TableName> {
    (0..2u8, 0..4u8).prop_map(|(d, t)| db(&format!("d{d}")).table(format!("t{t}")))
}

fn change() -> impl Strategy<Value = Change> {
    let base = (0..2u8).prop_map(|d| db(&format!("d{d}")));
    let span = (0..2500u32, prop_oneof![1..8u32, 100..900u32], 1..4usize);
    prop_oneof![
        2 => (base.clone(), 0..3u8).prop_map(|(name, v)| {
            let item = database(&name.database, &v.to_string());
            Change::PutDatabase(name, item)
        }),
        1 => base.clone().prop_map(Change::DropDatabase),
        5 => (table_name(), 0..4i64, any::<bool>()).prop_map(|(name, v, p)| {
            let item = table(&name.table, v, p);
            Change::PutTable(name, item)
        }),
        2 => table_name().prop_map(Change::DropTable),
        3 => (table_name(), table_name()).prop_map(|(from, to)| Change::RenameTable { from, to }),
        12 => (table_name(), span.clone(), 0..50i64).prop_map(|(name, (begin, count, step), v)| {
            let items = (begin..begin + count).step_by(step);
            let items = items.map(|i| partition(&name.table, &format!("{i:05}"), i64::from(i) * 7 + v));
            Change::PutPartitions(name.clone(), items.collect())
        }),
        5 => (table_name(), span).prop_map(|(name, (begin, count, step))| {
            let names = (begin..begin + count).step_by(step).map(|i| format!("ds={i:05}"));
            Change::DropPartitions(name, names.collect())
        }),
        2 => (base, 0..3u8, 3..5u8).prop_map(|(name, count, kept)| {
            let functions = (0..count).map(|i| function(&format!("f{i}"), &format!("org.F{count}")));
            let kept = (count..kept).map(|i| format!("f{i}"));
            Change::SetFunctions(name, functions.collect(), kept.collect())
        }),
        3 => (table_name(), 0..3i64).prop_map(|(name, v)| {
            Change::SetTableDetails(name, if v == 0 { TableDetails::default() } else { details(v) })
        }),
        1 => (0..4u8).prop_map(|count| {
            Change::SetPrivileges((0..count).map(|i| privilege(&format!("u{i}"), "SELECT")).collect())
        }),
        1 => (0..1000i64).prop_map(Change::SetPosition),
        1 => Just(Change::ClearPosition),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(change(), 1..6).prop_map(Step::Apply),
        1 => Just(Step::Merge),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Reopen),
    ]
}

fn begin(folder: &std::path::Path) -> (Arc<Catalog>, MetastoreId) {
    let catalog = open(folder);
    let id = catalog.declare(&[settings("dc1")]).unwrap()[0];
    (catalog, id)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_shows_what_a_naive_model_holds(steps in prop::collection::vec(step(), 5..40)) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("store");
        let (mut store, id) = begin(&folder);
        let mut model = Model::default();
        let first = vec![
            Change::PutCatalog(catalog(DEFAULT_CATALOG)),
            Change::PutDatabase(db("d0"), database("d0", "")),
            Change::PutTable(db("d0").table("t0"), table("t0", 0, true)),
        ];
        first.iter().for_each(|change| model.apply(change));
        store.apply(origin(id, 0), first).unwrap();
        // Every older snapshot stays as it was, whatever is rewritten.
        let mut kept: Vec<(Arc<Snapshot>, Model)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Apply(changes) => {
                    changes.iter().for_each(|change| model.apply(change));
                    store.apply(origin(id, 1 + number as i64), changes).unwrap();
                }
                Step::Merge => {
                    store.merge().unwrap();
                }
                Step::Rebuild => {
                    store.rebuild().unwrap();
                }
                Step::Reopen => {
                    let before = ids(&store.snapshot());
                    kept.clear();
                    drop(store);
                    store = begin(&folder).0;
                    prop_assert_eq!(ids(&store.snapshot()), before);
                }
            }
            prop_assert_eq!(&shown(&store.snapshot()), &model);
            if number % 4 == 0 {
                kept.push((store.snapshot(), model.clone()));
            }
        }
        for (snapshot, model) in &kept {
            prop_assert_eq!(&shown(snapshot), model);
        }
        // What nobody holds any more is gone from the store.
        kept.clear();
        store.merge().unwrap();
        let parts = store.snapshot();
        let segments = |kind| store.trees.current().lengths(&crate::store::keys::all(kind)).unwrap().0;
        use crate::store::keys::Record;
        let live = store.facts().segment_count;
        drop(parts);
        prop_assert_eq!((segments(Record::Hot), segments(Record::Raw), segments(Record::Summary)), (live, live, live));
        prop_assert_eq!(segments(Record::Delta), store.facts().delta_count);
    }
}

#[test]
fn equal_content_has_equal_digests_in_any_order() {
    let digest = |order: &[u32]| {
        let folder = tempfile::tempdir().unwrap();
        let (store, id) = begin(&folder.path().join("store"));
        let name = db("d0").table("t0");
        let mut changes = vec![
            Change::PutCatalog(catalog(DEFAULT_CATALOG)),
            Change::PutDatabase(db("d0"), database("d0", "")),
            Change::PutTable(name.clone(), table("t0", 0, true)),
        ];
        for i in order {
            changes.push(Change::PutPartitions(name.clone(), vec![partition("t0", &i.to_string(), 3)]));
        }
        store.apply(origin(id, 1), changes).unwrap();
        let snapshot = store.snapshot();
        let database = snapshot.metastores[0].databases().next().unwrap().clone();
        database.tables[0].partitions_digest
    };
    assert_eq!(digest(&[1, 2, 3]), digest(&[3, 1, 2]));
    assert_ne!(digest(&[1, 2, 3]), digest(&[1, 2, 4]));
}
