//! What real clients do while skep runs appears in SQL: through events, after lost events, and
//! without any events.

use serde_json::Value;
use skep_tests::harness::{Followed, Live, Metastore, MetastoreOptions, Release, Skep, spark};

use crate::equal::assert_equal;

/// Every command of the Ddl client, each with a question and what it must come to.
fn ddl_appears_in_sql(metastore: &Metastore, live: &Live) {
    let mut ddl = metastore.ddl();
    let tables =
        "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM catalog.tables WHERE database_name = ";
    let partitions = "SELECT string_agg(partition_name, ' ' ORDER BY partition_name) FROM catalog.partitions \
        WHERE database_name = 'live' AND table_name = ";
    let mut step = |command: &str, sql: String, expected: Value| {
        ddl.run(command);
        live.becomes(&sql, expected);
    };
    let none = Value::Null;
    let count = |name: &str| format!("SELECT count(*) FROM catalog.databases WHERE database_name = '{name}'");
    step("create_database live", count("live"), 1.into());
    step("create_database other", count("other"), 1.into());
    // Hive before 3.0 writes no event for it: there only a complete pass sees it.
    if metastore.release != Release::V2_3_10 {
        step(
            "alter_database live team night",
            "SELECT property_value FROM catalog.database_properties \
             WHERE database_name = 'live' AND property_key = 'team'"
                .to_owned(),
            "night".into(),
        );
    }
    step("create_table live plain", format!("{tables}'live'"), "plain".into());
    step("create_table live parted dt", format!("{tables}'live'"), "parted plain".into());
    step(
        "add_partitions live parted 0 3",
        format!("{partitions}'parted'"),
        "dt=v000000 dt=v000001 dt=v000002".into(),
    );
    step(
        "set_parameter live plain colour blue",
        "SELECT property_value FROM catalog.table_properties WHERE database_name = 'live' AND property_key = 'colour'".to_owned(),
        "blue".into(),
    );
    step(
        "add_column live plain phone string",
        "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM catalog.columns \
         WHERE database_name = 'live' AND table_name = 'plain'"
            .to_owned(),
        "a b phone".into(),
    );
    step(
        "alter_partition live parted v000001 numRows 77",
        "SELECT row_count FROM catalog.partitions WHERE database_name = 'live' AND partition_name = 'dt=v000001'".to_owned(),
        77.into(),
    );
    step(
        "rename_partition live parted v000002 later",
        format!("{partitions}'parted'"),
        "dt=later dt=v000000 dt=v000001".into(),
    );
    step("drop_partition live parted v000000", format!("{partitions}'parted'"), "dt=later dt=v000001".into());
    step("rename_table live parted live moved", format!("{tables}'live'"), "moved plain".into());
    step("rename_table live moved other moved", format!("{tables}'other'"), "moved".into());
    live.becomes(&format!("{tables}'live'"), "plain");
    live.becomes(
        "SELECT count(*) FROM catalog.partitions WHERE database_name = 'other' AND table_name = 'moved'",
        2,
    );
    let functions = "SELECT count(*) FROM catalog.functions WHERE database_name = 'live'";
    step("create_function live made", functions.to_owned(), 1.into());
    step("drop_function live made", functions.to_owned(), 0.into());
    step("drop_table live plain", format!("{tables}'live'"), none);
    step("drop_database live", count("live"), 0.into());
    live.becomes("SELECT count(*) FROM catalog.dropped_tables WHERE table_name = 'plain'", 1);
}

fn follow(metastore: &Metastore, skep: &Skep) -> Live {
    let live = Live::follow(&skep.data_folder(), &[Followed::new("real", metastore.uri())]);
    live.settles();
    live
}

fn ddl_appears_through_events_in_order(release: Release) {
    let metastore = Metastore::start(release);
    let skep = Skep::of(&[("real", metastore.uri())]);
    let live = follow(&metastore, &skep);
    ddl_appears_in_sql(&metastore, &live);
    live.becomes("SELECT mode FROM sync.status", "events");
    live.settles();
    assert_equal(&live.catalog, "real", &metastore.dump());
    let events = live.rows(
        "SELECT event_id, event_type FROM sync.events WHERE event_id IS NOT NULL ORDER BY applied_at, event_id",
    );
    let ids: Vec<i64> = events.iter().map(|event| event["event_id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let mut types = events.iter().map(|event| event["event_type"].as_str().unwrap());
    for wanted in [
        "CREATE_DATABASE",
        "CREATE_TABLE",
        "ADD_PARTITION",
        "ALTER_TABLE",
        "ALTER_PARTITION",
        "DROP_PARTITION",
        "DROP_TABLE",
        "DROP_DATABASE",
    ] {
        // Hive 4.1 and later write the plural for what their own clients alter.
        assert!(
            types.any(|found| found == wanted || found == format!("{wanted}S")),
            "{wanted} in order in {events:?}"
        );
    }
    let found = live.rows("SELECT * FROM sync.events WHERE event_id IS NULL");
    assert_eq!(found, Vec::<Value>::new(), "nothing had to be found by comparison");
}

#[test]
fn ddl_on_2_3_10_appears_through_events_in_order() {
    ddl_appears_through_events_in_order(Release::V2_3_10);
}

#[test]
fn ddl_on_3_1_3_appears_through_events_in_order() {
    ddl_appears_through_events_in_order(Release::V3_1_3);
}

#[test]
fn ddl_on_4_2_0_appears_through_events_in_order() {
    ddl_appears_through_events_in_order(Release::V4_2_0);
}

#[test]
fn ddl_appears_without_a_listener_by_polling() {
    let options = MetastoreOptions { is_listening: false, ..MetastoreOptions::default() };
    let metastore = Metastore::start_with(Release::V3_1_3, options);
    // An id of 0 tells that there is no log only where there is something.
    metastore.ddl().run("create_database something");
    let skep = Skep::of(&[("real", metastore.uri())]);
    let mut followed = Followed::new("real", metastore.uri());
    followed.mirror.pass_interval_ms = 1_000;
    let live = Live::follow(&skep.data_folder(), &[followed]);
    live.settles();
    assert_eq!(live.value("SELECT mode FROM sync.status"), "polling");
    ddl_appears_in_sql(&metastore, &live);
    // Polling sees a rename as a table gone and another one there.
    live.becomes("SELECT count(*) > 0 FROM sync.events WHERE event_type = 'FOUND_DROPPED'", true);
    let events = live.rows("SELECT * FROM sync.events WHERE event_id IS NOT NULL");
    assert_eq!(events, Vec::<Value>::new());
}

/// The log is trimmed as its cleaner does it, by rows of its table, while the metastore is down
/// for a moment: Derby serves one process.
#[test]
fn changes_whose_events_were_trimmed_are_found() {
    let mut metastore = Metastore::start(Release::V3_1_3);
    let mut ddl = metastore.ddl();
    ddl.run("create_database live");
    for name in ["kept", "altered", "dropped"] {
        ddl.run(&format!("create_table live {name} dt"));
        ddl.run(&format!("add_partitions live {name} 0 5"));
    }
    let skep = Skep::of(&[("real", metastore.uri())]);
    skep.sync();

    ddl.run("set_parameter live altered colour red");
    ddl.run("alter_partition live altered v000003 numRows 5");
    ddl.run("drop_partition live kept v000001");
    ddl.run("drop_table live dropped");
    ddl.run("create_table live created");
    drop(ddl);
    metastore.stop();
    metastore.change_database("DELETE FROM \"APP\".\"NOTIFICATION_LOG\";\n");
    metastore.resume();

    let live = follow(&metastore, &skep);
    live.becomes("SELECT count(*) FROM catalog.tables WHERE table_name = 'created'", 1);
    live.becomes("SELECT count(*) FROM catalog.tables WHERE table_name = 'dropped'", 0);
    live.becomes("SELECT count(*) FROM catalog.partitions WHERE table_name = 'kept'", 4);
    live.becomes("SELECT row_count FROM catalog.partitions WHERE table_name = 'altered' AND partition_name = 'dt=v000003'", 5);
    live.becomes("SELECT count(*) FROM sync.runs WHERE kind = 'repair' AND state = 'done'", 1);
    live.settles();
    assert_equal(&live.catalog, "real", &metastore.dump());
    let found = |kind: &str, table: &str| {
        format!(
            "SELECT count(*) FROM sync.events WHERE event_type = 'FOUND_{kind}' AND table_name = '{table}'"
        )
    };
    live.becomes(&found("NEW", "created"), 1);
    live.becomes(&found("DROPPED", "dropped"), 1);
    // One of its partitions is gone.
    live.becomes(&(found("DROPPED", "kept") + " AND partition_count = 1"), 1);
    live.becomes(&found("CHANGED", "altered"), 2);

    // And from there through events again.
    metastore.ddl().run("create_table live afterwards");
    live.becomes(
        "SELECT count(*) FROM sync.events WHERE table_name = 'afterwards' AND event_type = 'CREATE_TABLE'",
        1,
    );
}

#[test]
fn ddl_of_real_spark_appears_through_events() {
    let metastore = Metastore::start(Release::V2_3_10);
    let skep = Skep::of(&[("real", metastore.uri())]);
    let live = follow(&metastore, &skep);
    spark::run(
        &metastore,
        "CREATE DATABASE lake COMMENT 'of Spark' WITH DBPROPERTIES ('team' = 'data');
         CREATE TABLE lake.orders (id BIGINT, amount DECIMAL(10,2) COMMENT 'gross') USING parquet PARTITIONED BY (dt STRING);
         INSERT INTO lake.orders VALUES (1, 2.50, '2024-01-01'), (2, 3.50, '2024-01-02'), (3, 1, 'a b=c/ü');
         CREATE TABLE lake.hive_style (a INT, b STRING) PARTITIONED BY (p INT) STORED AS ORC;
         ALTER TABLE lake.hive_style ADD PARTITION (p = 1) PARTITION (p = 2);
         ALTER TABLE lake.hive_style DROP PARTITION (p = 1);
         ALTER TABLE lake.orders ADD COLUMNS (note STRING COMMENT 'free text');
         ALTER TABLE lake.orders SET TBLPROPERTIES ('retention' = '30d');
         CREATE VIEW lake.big_orders AS SELECT * FROM lake.orders WHERE amount > 2;
         CREATE TABLE lake.gone AS SELECT 1 AS one;
         DROP TABLE lake.gone;
         ALTER TABLE lake.hive_style RENAME TO lake.renamed;
         ANALYZE TABLE lake.orders COMPUTE STATISTICS;",
    );
    live.becomes(
        "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM catalog.tables WHERE database_name = 'lake'",
        "big_orders orders renamed",
    );
    live.becomes("SELECT count(*) FROM catalog.partitions WHERE table_name = 'orders'", 3);
    live.becomes("SELECT count(*) FROM catalog.partitions WHERE table_name = 'renamed'", 1);
    live.becomes(
        "SELECT property_value FROM catalog.table_properties WHERE property_key = 'retention'",
        "30d",
    );
    live.settles();
    // The grants that a new table brings for its owner come without an event: a pass reads them.
    let mut dump = metastore.dump();
    dump.retain(|object| object.kind != "privilege" || object.database.is_empty());
    assert_equal(&live.catalog, "real", &dump);
    live.becomes(
        "SELECT count(*) FROM sync.events WHERE event_type = 'DROP_TABLE' AND table_name = 'gone'",
        1,
    );
    live.becomes("SELECT count(*) FROM sync.events WHERE event_id IS NULL", 0);
}
