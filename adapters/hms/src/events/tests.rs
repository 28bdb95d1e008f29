#![allow(clippy::unwrap_used)]

use std::io::Write;

use proptest::prelude::*;
use skep_catalog::model::{Column, Partition, Table};

use super::*;
use crate::objects::{encode_partition, encode_table};
use crate::thrift::{Writer, to_tjson};

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A `Table` as TJSON in a JSON string.
fn table_json(catalog: Option<&str>, database: &str, name: &str) -> String {
    let key = |name: &str| Column { name: name.to_owned(), data_type: "string".to_owned(), comment: None };
    let table = Table {
        name: name.to_owned(),
        partition_keys: vec![key("ds"), key("area")],
        parameters: vec![("quote\"".to_owned(), "ü\n".to_owned())],
        ..Table::default()
    };
    quoted(&to_tjson(&encode_table(catalog, database, &table)).unwrap())
}

fn partition_json(values: &[&str]) -> String {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let partition = Partition { values, ..Partition::default() };
    quoted(&to_tjson(&encode_partition(None, "db", "t", &partition)).unwrap())
}

fn gzip(text: &str) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
}

/// The subject, which must not depend on how the message is packed.
fn subject_of(event_type: &str, catalog: Option<&str>, table: Option<&str>, message: &str) -> EventSubject {
    let packed = gzip(message);
    let of = |message| {
        let event = RawEvent {
            event_id: 1,
            event_time: 2,
            event_type,
            database: Some("db"),
            table,
            message,
            catalog,
        };
        subject(&event)
    };
    assert_eq!(of(message), of(&packed));
    of(message)
}

fn table(name: &str) -> TableName {
    DatabaseName::new("hive", "db").table(name)
}

#[test]
fn a_rename_names_both_tables() {
    let message = |from: &str, to: &str| {
        format!(
            r#"{{"server":"","table":"old","tableObjBeforeJson":{from},"tableObjAfterJson":{to},"timestamp":1}}"#
        )
    };
    let renamed = message(&table_json(None, "db", "old"), &table_json(None, "other", "new"));
    let to = DatabaseName::new("hive", "other").table("new");
    let expected = EventSubject::TableRenamed { from: table("old"), to };
    assert_eq!(subject_of("ALTER_TABLE", None, Some("new"), &renamed), expected);

    let altered = message(&table_json(Some("spark"), "db", "t"), &table_json(Some("spark"), "db", "t"));
    let expected = EventSubject::TableAltered(DatabaseName::new("spark", "db").table("t"));
    assert_eq!(subject_of("ALTER_TABLE", Some("spark"), Some("t"), &altered), expected);
}

#[test]
fn names_are_those_of_the_metastore_however_the_client_spelled_them() {
    let event = |event_type, message: &str| {
        let (database, table) = (Some("Db"), Some(" Tbl"));
        subject(&RawEvent {
            event_id: 1,
            event_time: 2,
            event_type,
            database,
            table,
            message,
            catalog: Some("Hive"),
        })
    };
    assert_eq!(event("CREATE_DATABASE", "{}"), EventSubject::DatabasePut(DatabaseName::new("hive", "db")));
    assert_eq!(event("CREATE_TABLE", "{}"), EventSubject::TableCreated(table("tbl")));
    let message = format!(
        r#"{{"tableObjBeforeJson":{},"tableObjAfterJson":{}}}"#,
        table_json(None, "DB", "Old"),
        table_json(None, "db", "NEW")
    );
    let renamed = EventSubject::TableRenamed { from: table("old"), to: table("new") };
    assert_eq!(event("ALTER_TABLE", &message), renamed);
    let put = EventSubject::PartitionsPut(table("tbl"), vec!["ds=Value".to_owned()]);
    assert_eq!(event("ADD_PARTITION", r#"{"partitions":[{"DS":"Value"}]}"#), put);
}

#[test]
fn partitions_are_named_in_the_order_of_the_keys() {
    let message = r#"{"table":"t","partitions":[{"ds":"2024-01-01","area":"a/b"},{"ds":"2024-01-02","area":null}],
        "partitionListJson":["{}"],"files":[]}"#;
    let names = ["ds=2024-01-01/area=a%2Fb", "ds=2024-01-02/area=__HIVE_DEFAULT_PARTITION__"];
    let names = names.map(str::to_owned).to_vec();
    for event_type in ["ADD_PARTITION", "ALTER_PARTITIONS"] {
        let expected = EventSubject::PartitionsPut(table("t"), names.clone());
        assert_eq!(subject_of(event_type, None, Some("t"), message), expected);
    }
    let expected = EventSubject::PartitionsDropped(table("t"), names);
    assert_eq!(subject_of("DROP_PARTITION", None, Some("t"), message), expected);
}

#[test]
fn a_partition_is_altered_or_renamed() {
    let message = |before: &[&str], after: &[&str]| {
        let (before, after) = (partition_json(before), partition_json(after));
        format!(
            r#"{{"keyValues":{{"ds":"1","area":"x"}},"partitionObjBeforeJson":{before},"partitionObjAfterJson":{after}}}"#
        )
    };
    let altered = subject_of("ALTER_PARTITION", None, Some("t"), &message(&["1", "x"], &["1", "x"]));
    assert_eq!(altered, EventSubject::PartitionsPut(table("t"), vec!["ds=1/area=x".to_owned()]));
    let renamed = subject_of("ALTER_PARTITION", None, Some("t"), &message(&["1", "x"], &["1", "y"]));
    let (from, to) = ("ds=1/area=x".to_owned(), "ds=1/area=y".to_owned());
    assert_eq!(renamed, EventSubject::PartitionRenamed { table: table("t"), from, to });
    // Without images, as by a server that leaves them out.
    let plain = subject_of("ALTER_PARTITION", None, Some("t"), r#"{"keyValues":{"ds":"1","area":"x"}}"#);
    assert_eq!(plain, EventSubject::PartitionsPut(table("t"), vec!["ds=1/area=x".to_owned()]));
}

#[test]
fn a_foreign_key_belongs_to_the_table_that_refers() {
    let mut writer = Writer::new();
    for (id, text) in [(1, "parents"), (2, "parent"), (3, "id"), (4, "children"), (5, "child"), (6, "id")] {
        writer.field_string(id, text);
    }
    let key = quoted(&to_tjson(&writer.finish_struct()).unwrap());
    let message = format!(r#"{{"foreignKeyListJson":[{key}]}}"#);
    let expected = EventSubject::TableDetails(DatabaseName::new("hive", "children").table("child"));
    assert_eq!(subject_of("ADD_FOREIGNKEY", None, Some("parent"), &message), expected);
}

#[test]
fn statistics_of_a_partition_are_a_change_of_it() {
    let json = table_json(Some("hive"), "db", "t");
    let message = format!(r#"{{"partVals":["1","x"],"tableObjJson":{json}}}"#);
    let expected = EventSubject::PartitionsPut(table("t"), vec!["ds=1/area=x".to_owned()]);
    assert_eq!(subject_of("UPDATE_PART_COL_STAT_EVENT", None, Some("t"), &message), expected);
    let message = r#"{"partName":"ds=1/area=x","partValues":["1","x"]}"#;
    assert_eq!(subject_of("DELETE_PART_COL_STAT_EVENT", None, Some("t"), message), expected);
}

#[test]
fn an_unreadable_message_gives_the_widest_subject_of_its_row() {
    for message in ["", "{", "not json", r#"{"partitions":7}"#, r#"{"tableObjBeforeJson":"{"}"#, "H4sIAAAA"] {
        let found = subject_of("ALTER_TABLE", None, Some("t"), message);
        assert_eq!(found, EventSubject::TableAltered(table("t")), "{message}");
        for event_type in ["ADD_PARTITION", "ALTER_PARTITION", "ALTER_PARTITIONS"] {
            let found = subject_of(event_type, None, Some("t"), message);
            assert_eq!(found, EventSubject::PartitionsPut(table("t"), vec![]), "{event_type} {message}");
        }
    }
    assert_eq!(
        subject_of("ALTER_TABLE", None, None, "{"),
        EventSubject::DatabasePut(DatabaseName::new("hive", "db"))
    );
    assert_eq!(subject_of("OPEN_TXN", None, None, "{"), EventSubject::Nothing);
    assert_eq!(subject_of("SOMETHING_NEW", None, Some("t"), "{}"), EventSubject::Nothing);
}

#[test]
fn rows_alone_tell_most_events() {
    let database = || DatabaseName::new("spark", "db");
    let named = || database().table("t");
    let cases = [
        ("CREATE_DATABASE", EventSubject::DatabasePut(database())),
        ("ALTER_DATABASE", EventSubject::DatabasePut(database())),
        ("DROP_DATABASE", EventSubject::DatabaseDropped(database())),
        ("CREATE_TABLE", EventSubject::TableCreated(named())),
        ("DROP_TABLE", EventSubject::TableDropped(named())),
        ("CREATE_FUNCTION", EventSubject::Functions(database())),
        ("DROP_FUNCTION", EventSubject::Functions(database())),
        ("ADD_NOTNULLCONSTRAINT", EventSubject::TableDetails(named())),
        ("DROP_CONSTRAINT", EventSubject::TableDetails(named())),
        ("UPDATE_TBL_COL_STAT_EVENT", EventSubject::TableDetails(named())),
        ("CREATE_CATALOG", EventSubject::Catalogs),
    ];
    for (event_type, expected) in cases {
        assert_eq!(subject_of(event_type, Some("spark"), Some("t"), "{}"), expected);
    }
}

#[test]
fn inflation_is_bounded() {
    // 33 MiB of spaces in 33 kB: refused, not kept.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![b' '; 1 << 20];
    (0..33).for_each(|_| encoder.write_all(&block).unwrap());
    let message = base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap());
    let event = RawEvent { event_type: "ALTER_TABLE", message: &message, ..RawEvent::default() };
    assert!(event.json().is_none());
}

proptest! {
    #[test]
    fn any_message_is_survived(message in ".{0,200}", event_type in prop::sample::select(vec![
        "ALTER_TABLE", "ADD_PARTITION", "ALTER_PARTITION", "ADD_FOREIGNKEY", "UPDATE_PART_COL_STAT_EVENT",
    ])) {
        let event = RawEvent { event_type, message: &message, table: Some("t"), ..RawEvent::default() };
        subject(&event);
    }
}
