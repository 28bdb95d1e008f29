//! Changes over a real socket, and the events that they leave.

#![allow(clippy::unwrap_used)]

mod wire;

use std::io::Read;

use base64::Engine;
use serde_json::Value;
use skep_catalog::model::{Column, DatabaseName, Partition, StorageDescriptor, Table};
use skep_hms::objects::{encode_partition, encode_table};
use skep_hms::thrift::{Reader, Writer};
use skep_sample::{Churn, Content, Generation, SampleServer, SampleSpec, ServerOptions};
use wire::{Answer, Connection, field, i64_field, serve, text_field};

fn string_column(name: &str) -> Column {
    Column { name: name.to_owned(), data_type: "string".to_owned(), comment: None }
}

fn a_table(name: &str) -> Table {
    Table {
        name: name.to_owned(),
        owner_name: Some("alice".to_owned()),
        storage: StorageDescriptor {
            columns: vec![string_column("a"), string_column("b")].into(),
            ..Default::default()
        },
        partition_keys: vec![string_column("ds")],
        table_type: "MANAGED_TABLE".to_owned(),
        ..Default::default()
    }
}

fn a_partition(ds: &str) -> Partition {
    Partition { values: vec![ds.to_owned()], storage: a_table("").storage, ..Default::default() }
}

fn database(name: &str) -> impl FnOnce(&mut Writer) {
    move |w: &mut Writer| w.field_struct(1, |w| w.field_string(1, name))
}

/// Events after an id: type, database, table, message.
fn events(c: &mut Connection, generation: Generation, after: i64) -> Vec<(String, String, String, Value)> {
    let answer = c.call("get_next_notification", |w| {
        w.field_struct(1, |w| {
            w.field_i64(1, after);
            w.field_i32(2, 1_000);
        });
    });
    let list = wire::structs(&field(&answer.success(), 1).unwrap());
    let mut next = after;
    list.iter()
        .map(|event| {
            next += 1;
            assert_eq!(i64_field(event, 1), next);
            assert_eq!(text_field(event, 7).unwrap(), generation.message_format());
            assert_eq!(text_field(event, 8).is_some(), generation.has_catalogs());
            let mut message = text_field(event, 6).unwrap();
            if generation >= Generation::V4_0 {
                let packed = base64::engine::general_purpose::STANDARD.decode(&message).unwrap();
                message = String::new();
                flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut message).unwrap();
            }
            (
                text_field(event, 3).unwrap(),
                text_field(event, 4).unwrap_or_default(),
                text_field(event, 5).unwrap_or_default(),
                serde_json::from_str(&message).unwrap(),
            )
        })
        .collect()
}

fn head(c: &mut Connection) -> i64 {
    i64_field(&c.call("get_current_notificationEventId", |_| ()).success(), 1)
}

fn name_in(json: &Value) -> String {
    let object: Value = serde_json::from_str(json.as_str().unwrap()).unwrap();
    object["1"]["str"].as_str().unwrap().to_owned()
}

#[test]
fn every_change_is_done_and_leaves_its_event() {
    for generation in Generation::ALL {
        let server = serve(generation, Content::Empty);
        let c = &mut Connection::open(&server);
        let start = head(c);
        assert_ne!(start, 0);
        c.call("create_database", database("shop")).void();
        let again = c.call("create_database", database("shop"));
        assert!(matches!(again, Answer::Declared(1, _)), "{again:?}");
        let body = encode_table(None, "shop", &a_table("t"));
        c.call("create_table", |w| w.field_raw_struct(1, &body)).void();
        let again = c.call("create_table", |w| w.field_raw_struct(1, &body));
        assert!(matches!(again, Answer::Declared(1, _)), "{again:?}");
        let partitions = ["2026-01-01", "2026-01-02", "2026-01-03"]
            .map(|ds| encode_partition(None, "shop", "t", &a_partition(ds)));
        let added = c.call("add_partitions", |w| w.field_raw_structs(1, &partitions)).success();
        assert_eq!(Reader::new(&added).i32().unwrap(), 3);
        let again = c.call("add_partitions", |w| w.field_raw_structs(1, &partitions[..1]));
        assert!(matches!(again, Answer::Declared(2, _)), "{again:?}");
        c.call("alter_partitions", |w| {
            w.field_string(1, "shop");
            w.field_string(2, "t");
            w.field_raw_structs(3, &partitions[..2]);
        })
        .void();
        let renamed = encode_table(None, "shop", &a_table("t2"));
        c.call("alter_table", |w| {
            w.field_string(1, "shop");
            w.field_string(2, "t");
            w.field_raw_struct(3, &renamed);
        })
        .void();
        c.call("drop_partition_by_name", |w| {
            w.field_string(1, "shop");
            w.field_string(2, "t2");
            w.field_string(3, "ds=2026-01-02");
        })
        .success();
        let busy = c.call("drop_database", |w| w.field_string(1, "shop"));
        assert!(matches!(busy, Answer::Declared(2, _)), "{busy:?}");
        c.call("drop_database", |w| {
            w.field_string(1, "shop");
            w.field_bool(3, true);
        })
        .void();

        let seen = events(c, generation, start);
        let kinds: Vec<&str> = seen.iter().map(|event| event.0.as_str()).collect();
        let altered: &[&str] = match generation {
            Generation::V4_2 => &["ALTER_PARTITIONS"],
            _ => &["ALTER_PARTITION", "ALTER_PARTITION"],
        };
        let mut expected = vec!["CREATE_DATABASE", "CREATE_TABLE", "ADD_PARTITION"];
        expected.extend(altered);
        expected.extend(["ALTER_TABLE", "DROP_PARTITION", "DROP_TABLE", "DROP_DATABASE"]);
        assert_eq!(kinds, expected, "{generation:?}");
        assert_eq!(head(c), start + expected.len() as i64);

        let of = |kind: &str| seen.iter().find(|event| event.0 == kind).unwrap();
        assert_eq!(name_in(&of("CREATE_TABLE").3["tableObjJson"]), "t");
        let added = &of("ADD_PARTITION").3;
        assert_eq!(added["partitions"][2]["ds"], "2026-01-03");
        assert_eq!(added["partitionListJson"].as_array().unwrap().len(), 3);
        // The row of a rename has the new name, its message the old one.
        let (_, _, row_table, message) = of("ALTER_TABLE");
        assert_eq!((row_table.as_str(), message["table"].as_str()), ("t2", Some("t")));
        assert_eq!(name_in(&message["tableObjBeforeJson"]), "t");
        assert_eq!(name_in(&message["tableObjAfterJson"]), "t2");
        assert_eq!(of("DROP_TABLE").3.get("tableObjJson").is_some(), generation.has_catalogs());
        let altered = &of(altered[0]).3;
        match generation {
            Generation::V4_2 => assert_eq!(altered["partitionListJson"].as_array().unwrap().len(), 2),
            _ => {
                assert_eq!(altered["keyValues"]["ds"], "2026-01-01");
                assert!(altered["partitionObjBeforeJson"].is_string());
                assert!(altered["partitionObjAfterJson"].is_string());
            }
        }
    }
}

#[test]
fn a_managed_table_becomes_external_on_4_only() {
    for generation in Generation::ALL {
        let server = serve(generation, Content::Empty);
        let mut c = Connection::open(&server);
        let body = encode_table(None, "default", &a_table("t"));
        c.call("create_table", |w| w.field_raw_struct(1, &body)).void();
        let answer = c.call("get_table_req", |w| {
            w.field_struct(1, |w| {
                w.field_string(1, "default");
                w.field_string(2, "t");
            });
        });
        let table = field(&answer.success(), 1).unwrap();
        let expected = if generation >= Generation::V4_0 { "EXTERNAL_TABLE" } else { "MANAGED_TABLE" };
        assert_eq!(text_field(&table, 12).unwrap(), expected);
        let location = text_field(&field(&table, 7).unwrap(), 2).unwrap();
        assert!(location.ends_with("/default.db/t"), "{location}");
    }
}

#[test]
fn unknown_field_of_a_client_survives() {
    let server = serve(Generation::V3_1, Content::Empty);
    let mut c = Connection::open(&server);
    let mut body = encode_table(None, "default", &a_table("t")).to_vec();
    body.pop();
    let mut extra = Writer::new();
    extra.field_string(97, "from the future");
    body.extend_from_slice(&extra.finish_struct());
    c.call("create_table", |w| w.field_raw_struct(1, &body)).void();
    let table = c.call("get_table", |w| {
        w.field_string(1, "default");
        w.field_string(2, "t");
    });
    assert_eq!(text_field(&table.success(), 97).unwrap(), "from the future");
}

#[test]
fn without_a_listener_there_is_no_log() {
    let spec = SampleSpec::new("dc2", Generation::V3_1, Content::Company).without_events();
    let server = SampleServer::start(&spec, ServerOptions::default()).unwrap();
    let mut c = Connection::open(&server);
    c.call("create_database", database("shop")).void();
    assert_eq!(head(&mut c), 0);
    assert!(events(&mut c, Generation::V3_1, 0).is_empty());
}

#[test]
fn trimmed_log_begins_after_the_gap() {
    let server = serve(Generation::V3_1, Content::Empty);
    let mut c = Connection::open(&server);
    let start = head(&mut c);
    for index in 0..10 {
        c.call("create_database", database(&format!("db_{index}"))).void();
    }
    server.with(|m| m.trim_events(start + 7));
    let answer = c.call("get_next_notification", |w| w.field_struct(1, |w| w.field_i64(1, start)));
    let left = wire::structs(&field(&answer.success(), 1).unwrap());
    let ids: Vec<i64> = left.iter().map(|event| i64_field(event, 1)).collect();
    assert_eq!(ids, [start + 8, start + 9, start + 10]);
}

#[test]
fn churn_makes_the_same_changes_for_the_same_seed() {
    let spec = SampleSpec::new("dc2", Generation::V4_2, Content::Company);
    let run = || {
        let mut metastore = spec.build();
        let before = metastore.head_event_id();
        let mut churn = Churn::new(&metastore, 7, 1_000);
        assert_eq!(churn.run(&mut metastore, 3_000), 3_000);
        assert_eq!(metastore.head_event_id(), before + 3_000);
        let names = metastore.table_names();
        let partitions: Vec<_> = names.iter().map(|name| metastore.partition_names(name)).collect();
        (names, partitions)
    };
    assert_eq!(run(), run());
}

#[test]
fn partitions_keep_their_storage_when_the_table_changes() {
    let server = serve(Generation::V3_1, Content::Company);
    let table = server.with(|m| {
        let mut names = m.table_names().into_iter();
        names.find(|name| m.partition_names(name).len() > 10).unwrap()
    });
    let mut c = Connection::open(&server);
    let mut read = |database: &DatabaseName, name: &str| {
        let answer = c.call("get_partitions", |w| {
            w.field_string(1, &database.database);
            w.field_string(2, name);
            w.field_i16(3, -1);
        });
        answer.structs().iter().map(|p| field(p, 6).unwrap()).collect::<Vec<_>>()
    };
    let before = read(&table.database, &table.table);
    let renamed = table.database.table("renamed");
    server.with(|m| {
        m.set_table_location(&table, "hdfs://elsewhere/t").unwrap();
        m.rename_table(&table, &renamed).unwrap();
    });
    assert_eq!(read(&table.database, "renamed"), before);
}
