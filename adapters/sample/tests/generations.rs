//! What tells the Hive generations apart, over a real socket.

#![allow(clippy::unwrap_used)]

mod wire;

use skep_catalog::model::TableName;
use skep_hms::thrift::{Kind, Protocol, Transport, Wire, Writer};
use skep_sample::{Content, Generation, SampleServer};
use wire::{Answer, Connection, field, serve, text_field};

fn each() -> Vec<(Generation, SampleServer)> {
    Generation::ALL.into_iter().map(|generation| (generation, serve(generation, Content::Company))).collect()
}

fn two(database: &str, table: &str) -> impl FnOnce(&mut Writer) {
    move |w: &mut Writer| {
        w.field_string(1, database);
        w.field_string(2, table);
    }
}

fn request(write: impl FnOnce(&mut Writer)) -> impl FnOnce(&mut Writer) {
    move |w: &mut Writer| w.field_struct(1, write)
}

fn a_partitioned_table(server: &SampleServer) -> TableName {
    server.with(|m| {
        let mut names = m.table_names().into_iter();
        names.find(|name| m.partition_names(name).len() > 10).unwrap()
    })
}

#[test]
fn version_is_told_truly_by_4_only() {
    for (generation, server) in each() {
        let expected = match generation {
            Generation::V2_3 | Generation::V3_1 => "3.0",
            Generation::V4_0 => "4.0.1",
            Generation::V4_2 => "4.2.0",
        };
        let mut connection = Connection::open(&server);
        assert_eq!(connection.call("getVersion", |_| ()).text(), expected);
        assert_eq!(connection.call("getStatus", |_| ()), Answer::Success(Kind::I32, vec![0, 0, 0, 2].into()));
    }
}

#[test]
fn missing_method_is_type_1_and_the_connection_lives() {
    for (generation, server) in each() {
        let mut connection = Connection::open(&server);
        let missing: &[&str] = match generation {
            Generation::V2_3 => {
                &["get_catalogs", "get_database_req", "get_unique_constraints", "create_table_req"]
            }
            Generation::V3_1 => &["get_database_req", "get_partitions_by_names_req", "drop_table_req"],
            Generation::V4_0 => &["get_table", "get_table_objects_by_name", "drop_table_req"],
            Generation::V4_2 => &["get_table", "get_table_objects_by_name"],
        };
        for method in missing.iter().chain(&["no_such_method"]) {
            let expected = Answer::Undeclared(1, format!("Invalid method name: '{method}'"));
            assert_eq!(connection.call(method, |_| ()), expected, "{generation:?}");
        }
        assert!(connection.call("get_all_databases", |_| ()).texts().contains(&"sales".to_owned()));
    }
}

#[test]
fn catalog_mark_is_a_name_to_2_3_and_a_catalog_to_later_ones() {
    for (generation, server) in each() {
        let mut c = Connection::open(&server);
        let all = c.call("get_all_databases", |_| ()).texts();
        let marked = c.call("get_databases", |w| w.field_string(1, "@hive#")).texts();
        let tables = c.call("get_all_tables", |w| w.field_string(1, "@hive#sales")).texts();
        let database = c.call("get_database", |w| w.field_string(1, "@hive#sales"));
        if generation == Generation::V2_3 {
            assert!(marked.is_empty() && tables.is_empty());
            assert!(matches!(database, Answer::Declared(1, _)), "{database:?}");
        } else {
            assert_eq!(marked, all);
            assert!(!tables.is_empty());
            assert_eq!(text_field(&database.success(), 8).unwrap(), "hive");
            assert_eq!(c.call("get_databases", |w| w.field_string(1, "@spark#")).texts(), ["analytics"]);
            assert!(!all.contains(&"analytics".to_owned()));
        }
    }
}

#[test]
fn catalog_name_is_filled_from_3_1_on() {
    for (generation, server) in each() {
        let mut c = Connection::open(&server);
        let table = a_partitioned_table(&server);
        let (database, name) = (table.database.database.as_str(), table.table.as_str());
        let answer = c.call("get_table_req", request(two(database, name))).success();
        let body = field(&answer, 1).unwrap();
        assert_eq!(text_field(&body, 1).unwrap(), name);
        assert_eq!(text_field(&body, 2).unwrap(), database);
        let partitions = c
            .call("get_partitions", |w| {
                two(database, name)(w);
                w.field_i16(3, 3);
            })
            .structs();
        assert_eq!(partitions.len(), 3);
        let expected = generation.has_catalogs().then(|| "hive".to_owned());
        assert_eq!(text_field(&body, 17), expected);
        assert_eq!(text_field(&partitions[0], 9), expected);
    }
}

#[test]
fn missing_objects_are_refused_as_each_generation_does() {
    for (generation, server) in each() {
        let mut c = Connection::open(&server);
        let names = c.call("get_partition_names", |w| {
            two("sales", "nothing")(w);
            w.field_i16(3, -1);
        });
        match generation {
            Generation::V2_3 => {
                let text = "Internal error processing get_partition_names".to_owned();
                assert_eq!(names, Answer::Undeclared(6, text));
            }
            Generation::V3_1 => assert!(matches!(names, Answer::Declared(1, _)), "{names:?}"),
            _ => assert!(names.texts().is_empty()),
        }
        let by_name = c.call("get_partitions_by_names", |w| {
            two("sales", "nothing")(w);
            w.field_strings(3, &["ds=2026-01-01"]);
        });
        let id = if generation < Generation::V4_0 { 2 } else { 3 };
        assert!(matches!(by_name, Answer::Declared(found, _) if found == id), "{by_name:?}");
        let table = c.call("get_table_req", request(two("sales", "nothing")));
        assert!(matches!(table, Answer::Declared(2, _)), "{table:?}");
        assert!(c.call("get_all_tables", |w| w.field_string(1, "nothing")).texts().is_empty());
        let dropped = c.call("drop_table", two("sales", "nothing"));
        assert!(matches!(dropped, Answer::Declared(1, _)), "{dropped:?}");
    }
}

#[test]
fn partitions_are_the_same_by_list_by_name_and_one_by_one() {
    for (generation, server) in each() {
        let mut c = Connection::open(&server);
        let table = a_partitioned_table(&server);
        let (database, name) = (table.database.database.as_str(), table.table.as_str());
        let names = c
            .call("get_partition_names", |w| {
                two(database, name)(w);
                w.field_i16(3, -1);
            })
            .texts();
        assert!(names.is_sorted() && names.len() > 10);
        assert_eq!(names, server.with(|m| m.partition_names(&table)));
        let all = c
            .call("get_partitions", |w| {
                two(database, name)(w);
                w.field_i16(3, -1);
            })
            .structs();
        let mut asked = names.clone();
        asked.push("ds=1999-01-01".to_owned());
        let by_name = c
            .call("get_partitions_by_names", |w| {
                two(database, name)(w);
                w.field_strings(3, &asked);
            })
            .structs();
        assert_eq!(all, by_name);
        let one = c.call("get_partition_by_name", |w| {
            two(database, name)(w);
            w.field_string(3, &names[7]);
        });
        assert_eq!(one.success(), all[7]);
        if generation >= Generation::V4_0 {
            let answer = c.call("get_partitions_by_names_req", |w| {
                w.field_struct(1, |w| {
                    two(database, name)(w);
                    w.field_strings(3, &names);
                });
            });
            assert_eq!(wire::structs(&field(&answer.success(), 1).unwrap()), all);
        }
    }
}

#[test]
fn every_wire_form_is_understood_on_one_port() {
    let server = serve(Generation::V3_1, Content::Company);
    let expected = Connection::open(&server).call("get_all_databases", |_| ()).texts();
    for protocol in [Protocol::Binary, Protocol::Compact] {
        for transport in [Transport::Unframed, Transport::Framed] {
            let mut c = Connection::open_as(&server, Wire { protocol, transport });
            assert_eq!(c.call("get_all_databases", |_| ()).texts(), expected, "{protocol:?} {transport:?}");
            let table = c.call("get_table", two("sales", "customers"));
            assert_eq!(text_field(&table.success(), 1).unwrap(), "customers");
        }
    }
}

#[test]
fn constraints_follow_the_generation() {
    for (generation, server) in each() {
        let mut c = Connection::open(&server);
        let tables = server.with(|m| m.table_names());
        let mut found = [0; 2];
        for table in tables.iter().filter(|table| table.database.catalog == "hive") {
            let (database, name) = (table.database.database.as_str(), table.table.as_str());
            let keys = c.call("get_primary_keys", request(two(database, name))).success();
            found[0] += wire::structs(&field(&keys, 1).unwrap()).len();
            if generation.has_catalogs() {
                let answer = c.call("get_not_null_constraints", |w| {
                    w.field_struct(1, |w| {
                        w.field_string(1, "hive");
                        w.field_string(2, database);
                        w.field_string(3, name);
                    });
                });
                found[1] += wire::structs(&field(&answer.success(), 1).unwrap()).len();
            }
        }
        assert!(found[0] > 20, "{generation:?}: {} primary keys", found[0]);
        assert_eq!(found[1] > 20, generation.has_catalogs(), "{generation:?}: {} not null", found[1]);
    }
}

#[test]
fn grants_and_functions_are_listed() {
    for (_, server) in each() {
        let mut c = Connection::open(&server);
        let all = c.call("list_privileges", |w| w.field_struct(3, |_| ())).structs();
        assert!(all.len() > 20);
        let global = c.call("list_privileges", |w| w.field_struct(3, |w| w.field_i32(1, 1))).structs();
        assert_eq!(global.len(), 1);
        let answer = c.call("get_all_functions", |_| ()).success();
        assert!(!wire::structs(&field(&answer, 1).unwrap()).is_empty());
    }
}

#[test]
fn set_ugi_answers_the_groups() {
    let server = serve(Generation::V2_3, Content::Empty);
    let mut c = Connection::open(&server);
    let answer = c.call("set_ugi", |w| {
        w.field_string(1, "alice");
        w.field_strings(2, &["etl"]);
    });
    assert_eq!(answer.texts(), ["etl"]);
    assert_eq!(server.calls().get("set_ugi"), Some(&1));
}

#[test]
fn config_values_are_guarded_by_prefix() {
    let server = serve(Generation::V3_1, Content::Empty);
    let mut c = Connection::open(&server);
    assert_eq!(c.call("get_config_value", two("hive.exec.x", "fallback")).text(), "fallback");
    let refused = c.call("get_config_value", two("javax.jdo.option.ConnectionPassword", ""));
    assert!(matches!(refused, Answer::Declared(1, _)), "{refused:?}");
}
