#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use skep_catalog::model::*;

use super::*;
use crate::dates::date_text;
use crate::thrift::{Kind, Writer};

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_/:é ]{0,12}"
}

fn parameters() -> impl Strategy<Value = Parameters> {
    prop::collection::btree_map(word(), word(), 0..6).prop_map(|map| map.into_iter().collect())
}

fn principal() -> impl Strategy<Value = Option<PrincipalType>> {
    prop_oneof![
        Just(None),
        Just(Some(PrincipalType::User)),
        Just(Some(PrincipalType::Role)),
        Just(Some(PrincipalType::Group))
    ]
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(word(), 0..4)
}

fn columns() -> impl Strategy<Value = Vec<Column>> {
    let column = (word(), word(), prop::option::of(word())).prop_map(|(name, data_type, comment)| Column {
        name,
        data_type,
        comment,
    });
    prop::collection::vec(column, 0..5)
}

fn skewed() -> impl Strategy<Value = SkewedInfo> {
    let locations = prop::collection::btree_map(words(), word(), 0..3);
    (words(), prop::collection::vec(words(), 0..3), locations).prop_map(|(columns, values, locations)| {
        SkewedInfo { columns, values, locations: locations.into_iter().collect() }
    })
}

fn storage() -> impl Strategy<Value = StorageDescriptor> {
    let option = || prop::option::of(word());
    let serde = (option(), option(), parameters()).prop_map(|(name, library, parameters)| SerdeInfo {
        name,
        library,
        parameters,
    });
    (
        (columns(), option(), option(), option(), any::<bool>(), any::<i32>(), serde),
        (
            words(),
            prop::collection::vec((word(), 0..2i32), 0..3),
            parameters(),
            prop::option::of(skewed()),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((columns, location, input_format, output_format, is_compressed, bucket_count, serde), rest)| {
                let (bucket_columns, sort_columns, parameters, skewed, is_stored_as_sub_directories) = rest;
                StorageDescriptor {
                    columns: columns.into(),
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
                    unknown_hash: 0,
                }
            },
        )
}

fn seconds() -> impl Strategy<Value = i64> {
    any::<i32>().prop_map(i64::from)
}

fn tables() -> impl Strategy<Value = Table> {
    let option = || prop::option::of(word());
    (
        (word(), option(), principal(), seconds(), seconds(), seconds(), storage()),
        (columns(), parameters(), option(), option(), word(), any::<bool>()),
    )
        .prop_map(|((name, owner_name, owner_type, create_time, last_access_time, retention, storage), rest)| {
            let (partition_keys, parameters, view_original_text, view_expanded_text, table_type, rewrite) = rest;
            Table {
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
                is_rewrite_enabled: rewrite,
                unknown_hash: 0,
            }
        })
}

fn read<T>(raw: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> T {
    let mut reader = Reader::new(raw);
    let value = read(&mut reader).unwrap();
    assert_eq!(reader.remaining(), 0);
    value
}

proptest! {
    #[test]
    fn tables_round_trip(table in tables()) {
        let raw = encode_table(Some("hive"), "db", &table);
        let unknown_hash = read(&raw, read_table).unknown_hash;
        prop_assert_ne!(unknown_hash, read(&encode_table(Some("hive"), "moved", &table), read_table).unknown_hash);
        prop_assert_eq!(read(&raw, read_table), Table { unknown_hash, ..table.clone() });
    }

    #[test]
    fn partitions_round_trip(
        values in words(), create_time in seconds(), last_access_time in seconds(), storage in storage(),
        parameters in parameters(),
    ) {
        let partition = Partition { values, create_time, last_access_time, storage, parameters, unknown_hash: 0 };
        let read_in = |table: &str| read(&encode_partition(None, "db", table, &partition), read_partition);
        let unknown_hash = read_in("t").unknown_hash;
        prop_assert_ne!(unknown_hash, read_in("renamed").unknown_hash);
        prop_assert_eq!(read_in("t"), Partition { unknown_hash, ..partition.clone() });
    }

    #[test]
    fn databases_and_catalogs_round_trip(
        name in word(), text in prop::collection::vec(prop::option::of(word()), 5), owner_type in principal(),
        create_time in prop::option::of(seconds()), parameters in parameters(),
    ) {
        let database = Database {
            name: name.clone(),
            catalog_name: text[0].clone(),
            description: text[1].clone(),
            location: text[2].clone(),
            owner_name: text[3].clone(),
            owner_type,
            create_time,
            managed_location: text[4].clone(),
            parameters,
            unknown_hash: 0,
        };
        prop_assert_eq!(read(&encode_database(&database), read_database), database);
        let catalog = CatalogObject {
            name,
            description: text[0].clone(),
            location: text[1].clone(),
            create_time,
            unknown_hash: 0,
        };
        prop_assert_eq!(read(&encode_catalog(&catalog), read_catalog), catalog);
    }

    #[test]
    fn functions_round_trip(
        name in word(), class_name in prop::option::of(word()), owner_type in principal(),
        create_time in seconds(),
        resources in prop::collection::vec((prop::sample::select(vec!["jar", "file", "archive", "9"]), word()), 0..3),
    ) {
        let resources = resources.into_iter().map(|(kind, uri)| (kind.to_owned(), uri)).collect();
        let owner_name = class_name.clone();
        let function =
            Function { name, class_name, owner_name, owner_type, create_time, resources, unknown_hash: 0 };
        prop_assert_eq!(read(&encode_function(Some("hive"), "db", &function), read_function), function);
    }

    #[test]
    fn constraints_round_trip(
        kind in prop::sample::select(ConstraintKind::ALL.to_vec()), name in word(),
        column_name in prop::option::of(word()), sequence: i32, parent in word(), flags: [bool; 3],
        expression in prop::option::of(word()),
    ) {
        let is_key = matches!(kind, ConstraintKind::PrimaryKey | ConstraintKind::ForeignKey | ConstraintKind::Unique);
        let has_expression = matches!(kind, ConstraintKind::Default | ConstraintKind::Check);
        let referenced = (DatabaseTable { database: "p".to_owned(), table: parent.clone() }, parent);
        let column = ConstraintColumn {
            kind,
            name,
            column_name,
            key_sequence: if is_key { sequence } else { 0 },
            referenced: (kind == ConstraintKind::ForeignKey).then_some(referenced),
            expression: expression.filter(|_| has_expression),
            is_enabled: flags[0],
            is_validated: flags[1],
            is_rely: flags[2],
        };
        let raw = encode_constraint(Some("hive"), "db", "t", &column);
        prop_assert_eq!(read(&raw, |reader| read_constraint(kind, reader)), column);
    }

    #[test]
    fn privileges_round_trip(
        object_kind in prop::sample::select(vec!["global", "database", "table", "partition", "column"]),
        database in prop::option::of(word()), table_name in prop::option::of(word()), partition_values in words(),
        principal_name in word(), principal_type in principal(), granted_time in seconds(), has_grant_option: bool,
    ) {
        let privilege = Privilege {
            object_kind,
            database: database.map(|name| DatabaseName::new("spark", name)),
            table_name: table_name.clone(),
            partition_values,
            column_name: table_name.clone(),
            privilege: principal_name.clone(),
            principal_name,
            principal_type,
            grantor_name: table_name,
            granted_time,
            has_grant_option,
        };
        prop_assert_eq!(read(&encode_privilege(true, &privilege), read_privilege), privilege);
    }

    #[test]
    fn numeric_statistics_round_trip(
        low: i64, high: i128, scale in 1..30usize, days in -719_000..3_000_000i64, double in -1e9..1e9f64, nulls: i64,
    ) {
        let digits = format!("{:0>width$}", high.unsigned_abs() / 8, width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let decimal = format!("{whole}.{fraction}");
        for (data_type, min, max) in [
            ("bigint", low.to_string(), "0".to_owned()),
            ("double", double.to_string(), "-0.5".to_owned()),
            ("decimal(38,10)", decimal.clone(), "-12.50".to_owned()),
            ("date", date_text(days), "1969-12-31".to_owned()),
            ("timestamp", statistic::timestamp_text(days * 86_399), "2024-02-29 23:59:59".to_owned()),
        ] {
            let statistic = ColumnStatistic {
                column_name: "c".to_owned(),
                data_type: data_type.to_owned(),
                null_count: Some(nulls),
                distinct_count: Some(3),
                min_value: Some(min),
                max_value: Some(max),
                ..ColumnStatistic::default()
            };
            prop_assert_eq!(read(&encode_column_statistic(&statistic), read_column_statistic), statistic);
        }
    }

    #[test]
    fn text_and_boolean_statistics_round_trip(long: i64, average in 0.0..1e6f64) {
        let base = ColumnStatistic {
            column_name: "c".to_owned(),
            data_type: "boolean".to_owned(),
            null_count: Some(long),
            ..ColumnStatistic::default()
        };
        let boolean = ColumnStatistic { true_count: Some(1), false_count: Some(long), ..base.clone() };
        prop_assert_eq!(read(&encode_column_statistic(&boolean), read_column_statistic), boolean);
        for data_type in ["string", "varchar(10)", "binary"] {
            let text = ColumnStatistic {
                data_type: data_type.to_owned(),
                distinct_count: (data_type != "binary").then_some(7),
                max_length_bytes: Some(long),
                average_length_bytes: Some(average),
                ..base.clone()
            };
            prop_assert_eq!(read(&encode_column_statistic(&text), read_column_statistic), text);
        }
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(date_text(0), "1970-01-01");
    assert_eq!(date_text(19_782), "2024-02-29");
    assert_eq!(date_text(-719_468), "0000-03-01");
    assert_eq!(statistic::timestamp_text(-1), "1969-12-31 23:59:59");
}

#[test]
fn an_unknown_field_counts_and_a_request_field_does_not() {
    let plain = encode_table(Some("hive"), "db", &Table::default());
    let with = |add: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        writer.raw_struct(&plain[..plain.len() - 1]);
        add(&mut writer);
        read(&writer.finish_struct(), read_table).unknown_hash
    };
    let none = with(&|_| {});
    assert_eq!(with(&|w| w.field_i64(19, 77)), none);
    let (one, two) = (with(&|w| w.field_string(99, "a")), with(&|w| w.field_string(99, "b")));
    assert!(one != none && two != none && one != two);
    let both = |ids: [i16; 2]| {
        with(&|w| {
            for id in ids {
                w.field_i16(id, id);
            }
        })
    };
    assert_eq!(both([98, 99]), both([99, 98]));
}

#[test]
fn parameters_are_sorted_and_unique() {
    let mut writer = Writer::new();
    writer.field_string(1, "db");
    writer.field_string_map(4, &[("b", "1"), ("a", "2"), ("b", "3")]);
    let database = read(&writer.finish_struct(), read_database);
    let expected = [("a".to_owned(), "2".to_owned()), ("b".to_owned(), "3".to_owned())];
    assert_eq!(database.parameters, expected);
}

#[test]
fn a_known_field_of_another_type_is_an_error() {
    let mut writer = Writer::new();
    writer.field(Kind::I64, 1);
    writer.i64(5);
    let error = HmsDecoder.table(&writer.finish_struct()).unwrap_err();
    assert_eq!(error.code, Code::STORE_DAMAGED);
    assert!(error.why.contains("String expected, I64 found"), "{error}");
}

#[test]
fn a_count_in_a_kept_struct_allocates_by_the_bytes_that_are_there() {
    let mut writer = Writer::new();
    writer.field_list(1, Kind::String, i32::MAX as usize);
    assert!(HmsDecoder.partition(&writer.finish_struct()).is_err());
}
