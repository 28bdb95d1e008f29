//! Tables are what the spec says, pruned and filtered exactly.

use skep_catalog::change::FollowState;
use skep_query::describe::describe;
use skep_query::spec::{SCHEMAS, TABLES};

use crate::fixture::{EAST_ORDERS, LOGS, OLD_EVERY, WEST_ORDERS, fixture};

#[test]
fn every_table_is_what_the_spec_says() {
    let f = fixture();
    // What calls leave is compared where there are some.
    let is_of_calls = |name: String| ["runtime.audit_log", "runtime.jobs"].contains(&name.as_str());
    for table in TABLES.iter().filter(|table| !is_of_calls(table.full_name())) {
        let sql = format!("SELECT * FROM {}", table.full_name());
        let result =
            futures::executor::block_on(f.engine.query(&sql)).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let wanted: Vec<_> =
            table.columns.iter().map(|c| (c.name, c.kind.arrow_type(), c.is_nullable)).collect();
        let schema = result.schema.clone();
        let given: Vec<_> = schema
            .fields()
            .iter()
            .map(|f| (f.name().as_str(), f.data_type().clone(), f.is_nullable()))
            .collect();
        assert_eq!(given, wanted, "{}", table.full_name());
        let batches = futures::executor::block_on(result.collect()).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(batches.iter().any(|b| b.num_rows() != 0), "{} has no rows to compare", table.full_name());
        assert!(batches.iter().all(|b| b.schema() == schema), "{}", table.full_name());
    }
}

#[test]
fn each_column_can_be_asked_for_alone() {
    let f = fixture();
    for table in TABLES.iter() {
        // The history grows while it is read.
        if table.schema == "runtime" {
            continue;
        }
        let all = f.rows(&format!("SELECT * FROM {}", table.full_name()));
        assert_eq!(
            f.rows(&format!("SELECT count(*) FROM {}", table.full_name()))[0][0],
            all.len().to_string()
        );
        for (index, column) in table.columns.iter().enumerate() {
            let mut alone: Vec<String> =
                f.rows(&format!("SELECT {} FROM {}", column.name, table.full_name())).concat();
            let mut expected: Vec<String> = all.iter().map(|row| row[index].clone()).collect();
            alone.sort();
            expected.sort();
            assert_eq!(alone, expected, "{}.{}", table.full_name(), column.name);
        }
    }
}

#[test]
fn filters_on_text_are_exact() {
    let f = fixture();
    // The same filter hidden from the tables behind an expression that they do not know.
    let hidden = |column: &str| format!("reverse(reverse({column}))");
    for (table, column, test) in [
        ("partitions", "partition_name", "= 'ds=2001-05-07'"),
        ("partitions", "partition_name", "IN ('ds=2000-01-01', 'ds=2003-01-01', 'none')"),
        ("partitions", "partition_name", "LIKE 'ds=2002%'"),
        ("partitions", "partition_name", "BETWEEN 'ds=2001-01-03' AND 'ds=2001-02-01'"),
        ("partitions", "partition_name", "> 'ds=2006'"),
        ("partitions", "partition_name", "<= 'ds=2000-01-05'"),
        ("partitions", "partition_name", "<> 'ds=2000-01-01'"),
        ("partitions", "location", "LIKE 'hdfs://old-nn/%'"),
        ("partitions", "location", "LIKE 'hdfs://west/%'"),
        ("partitions", "location", "LIKE '%/ds=2000-01-0_'"),
        ("partitions", "table_name", "LIKE 'lo%'"),
        ("partitions", "metastore_name", "<> 'east'"),
        ("partitions", "metastore_name", "IN ('west', 'north')"),
        ("partitions", "sync_status", "= 'error'"),
        ("tables", "table_name", "= 'orders'"),
        ("tables", "owner_name", "= 'ann'"),
        ("tables", "location", "LIKE 'hdfs://nn/%'"),
        ("columns", "column_name", "LIKE '%phone%'"),
        ("columns", "column_name", "LIKE 'i%'"),
        ("columns", "table_name", "= 'orders'"),
        ("locations", "object_kind", "= 'partition'"),
        ("locations", "object_kind", "<> 'partition'"),
        ("locations", "table_name", "= 'orders'"),
        ("locations", "location", "LIKE 'hdfs://nn/warehouse/sales%'"),
        ("table_properties", "property_key", "= 'transactional'"),
    ] {
        let ask = |column: &str| {
            let mut rows = f.rows(&format!("SELECT * FROM catalog.{table} WHERE {column} {test}"));
            rows.sort();
            rows
        };
        let plain = ask(&hidden(column));
        assert_eq!(ask(column), plain, "{table}.{column} {test}");
        let count = f.rows(&format!("SELECT count(*) FROM catalog.{table} WHERE {column} {test}"));
        assert_eq!(count[0][0], plain.len().to_string(), "{table}.{column} {test}");
    }
}

#[test]
fn one_partition_is_found_without_reading_others() {
    let f = fixture();
    let sql = "SELECT location FROM catalog.partitions WHERE metastore_name = 'east' AND database_name = 'sales' \
               AND table_name = 'orders' AND partition_name = 'ds=2000-01-01'";
    assert_eq!(f.rows(sql), [["hdfs://nn/warehouse/sales.db/orders/ds=2000-01-01"]]);
    let plan = f.plan(sql);
    assert!(plan.contains("chunks=1,"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
}

#[test]
fn counting_needs_no_rows() {
    let f = fixture();
    let all = EAST_ORDERS + WEST_ORDERS + LOGS;
    assert_eq!(f.rows("SELECT count(*) FROM catalog.partitions"), [[all.to_string()]]);
    let plan = f.plan("SELECT count(*) FROM catalog.partitions WHERE location LIKE 'hdfs://west/%'");
    // The one chunk of west is wholly within the prefix.
    assert!(plan.contains("filtered_chunks=0") || plan.contains("PlaceholderRowExec"), "{plan}");
    let old = EAST_ORDERS.div_ceil(OLD_EVERY);
    assert_eq!(
        f.rows("SELECT count(*) FROM catalog.partitions WHERE location LIKE 'hdfs://old-nn/%'"),
        [[old.to_string()]]
    );
}

#[test]
fn limits_end_the_scan() {
    let f = fixture();
    assert_eq!(
        f.rows("SELECT partition_name FROM catalog.partitions WHERE table_name = 'orders' LIMIT 3").len(),
        3
    );
    assert_eq!(f.rows("SELECT 1 FROM catalog.columns LIMIT 2 OFFSET 1").len(), 2);
}

#[test]
fn rows_say_how_fresh_they_are() {
    let f = fixture();
    let sql = "SELECT DISTINCT metastore_name, table_name, sync_status, source_event_id FROM catalog.partitions ORDER BY 1, 2";
    assert_eq!(
        f.rows(sql),
        [["east", "logs", "error", "41"], ["east", "orders", "ok", "41"], ["west", "orders", "stale", "-"]]
    );
    let sql = "SELECT sync_status FROM catalog.tables WHERE metastore_name = 'east' AND table_name = 'logs'";
    assert_eq!(f.rows(sql), [["error"]]);
}

#[test]
fn events_that_wait_are_counted_only_while_somebody_follows() {
    let f = fixture();
    let sql = "SELECT metastore_name, lag_events, lag_ms FROM sync.status ORDER BY metastore_name";
    assert_eq!(f.rows(sql)[0], ["east", "2", "1500"]);
    let east = f.catalog.snapshot().metastore("east").unwrap().id;
    f.catalog.update_status(east, |status| status.state = FollowState::Pending);
    assert_eq!(f.rows(sql)[0], ["east", "-", "1500"]);
}

#[test]
fn show_and_describe_are_selects() {
    let f = fixture();
    assert_eq!(f.rows("SHOW METASTORES").len(), 2);
    assert_eq!(f.rows("show metastores like 'ea%';").len(), 1);
    assert_eq!(f.rows("SHOW SYNC STATUS").len(), 2);
    assert_eq!(f.rows("SHOW CATALOGS"), [["skep"]]);
    assert_eq!(f.rows("SHOW SCHEMAS").len(), SCHEMAS.len());
    assert_eq!(f.rows("SHOW DATABASES"), f.rows("SHOW SCHEMAS"));
    assert_eq!(f.rows("SHOW PROCEDURES").len(), skep_query::procedures::spec::PROCEDURES.len());
    assert_eq!(f.rows("SHOW PROCEDURES LIKE 'kill%'")[0][0], "kill_query");
    for name in ["kill_query", "ops.kill_query", "OPS.Kill_Query"] {
        assert_eq!(
            f.rows(&format!("DESCRIBE PROCEDURE {name}"))[0][..3],
            ["query_id", "BIGINT", "true"],
            "{name}"
        );
    }
    assert_eq!(f.rows("SHOW SCHEMAS LIKE 'sync'").len(), 1);
    assert_eq!(f.rows("SHOW TABLES").len(), TABLES.len());
    let fault = f.fault("SHOW TABLES FROM sales").to_string();
    assert!(fault.contains("no schema is named sales") && fault.contains("catalog.databases"), "{fault}");
    assert_eq!(f.rows("SHOW TABLES FROM sync").len(), TABLES.iter().filter(|t| t.schema == "sync").count());
    assert_eq!(f.rows("DESCRIBE skep.sync.status"), f.rows("SHOW COLUMNS FROM sync.status"));
    assert_eq!(f.rows("DESC tables")[0][0], "metastore_name");
    assert_eq!(f.rows("VALUES (1), (2)").len(), 2);
    assert!(!f.rows("EXPLAIN SELECT 1").is_empty());
}

#[test]
fn errors_name_what_was_meant() {
    let f = fixture();
    let fix = |sql: &str| f.fault(sql).to_string();
    assert!(fix("SELECT * FROM tabels").contains("Did you mean catalog.tables?"));
    assert!(fix("SELECT * FROM catlog.tables").contains("Did you mean catalog.tables?"));
    assert!(fix("SELECT tabel_name FROM tables").contains("Did you mean table_name?"));
    assert!(fix("SELECT * FROM east.sales.orders").contains("catalog.tables"));
    assert!(fix("SELEC 1").starts_with("SQL_SYNTAX: "));
    assert!(fix("SELECT abc(1)").starts_with("SQL_INVALID: "));
    assert!(fix("SELECT 1/0").starts_with("SQL_FAILED: "));
    assert!(fix("SELECT CAST('x' AS INT)").starts_with("SQL_FAILED: "));
    assert!(fix("DESCRIBE tabels").contains("Did you mean catalog.tables?"));
    for sql in
        ["SELECT * FROM tabels", "SELECT x y z", "SELECT sum('a')", "SELECT 1 + ", "SELECT [1][", "TABLE"]
    {
        let text = fix(sql);
        assert!(!text.contains('\n') && !text.contains("Error {") && !text.contains("DataFusion"), "{text}");
    }
}

#[test]
fn names_and_descriptions_serve_the_shell() {
    let f = fixture();
    let names = f.engine.names();
    for name in ["east", "sales", "orders"] {
        assert!(names.mirrored.iter().any(|n| n == name), "{name}");
    }
    assert!(names.tables.iter().any(|n| n == "sync.status"));
    assert!(names.columns.iter().any(|n| n == "metastore_name"));
    assert_eq!(describe("skep.sync.status;").unwrap().name, "status");
    assert_eq!(describe("tables").unwrap().schema, "catalog");
    assert!(describe("tabels").unwrap_err().to_string().contains("Did you mean catalog.tables?"));
}

#[test]
fn explain_analyze_shows_the_operators_of_the_statement() {
    let f = fixture();
    let plan = f.rows("EXPLAIN ANALYZE SELECT table_name FROM catalog.tables ORDER BY 1").concat().join("\n");
    assert!(plan.contains("SortExec") && plan.contains("ChunkExec"), "{plan}");
    assert!(!plan.contains("StopExec"), "{plan}");
}

#[test]
fn columns_are_called_as_they_were_written() {
    let f = fixture();
    let names = |sql: &str| {
        let result = futures::executor::block_on(f.engine.query(sql)).unwrap();
        let names: Vec<String> = result.schema.fields().iter().map(|field| field.name().clone()).collect();
        futures::executor::block_on(result.collect()).unwrap();
        names
    };
    assert_eq!(names("SELECT 1, 'a', 1"), ["1", "'a'", "1 (2)"]);
    assert_eq!(names("SELECT count(1), COUNT(*) FROM catalog.tables"), ["count(1)", "COUNT(*)"]);
    assert_eq!(
        names("SELECT * FROM (SELECT table_name, 2 AS two FROM catalog.tables) AS t"),
        ["table_name", "two"]
    );
    assert_eq!(names("SELECT t.table_name FROM catalog.tables AS t"), ["table_name"]);
    for sql in [
        "SELECT lower(table_name), count(*) FROM catalog.tables GROUP BY lower(table_name) HAVING count(*) > 0 ORDER BY count(*) DESC, lower(table_name)",
        "SELECT DISTINCT lower(table_name) FROM catalog.tables ORDER BY 1",
        "SELECT lower(table_name), max(row_count) FROM catalog.tables GROUP BY 1 ORDER BY 2, 1",
        "SELECT table_name, row_number() OVER (ORDER BY table_name) FROM catalog.tables ORDER BY row_number() OVER (ORDER BY table_name)",
        "SELECT upper(table_name) FROM catalog.tables UNION SELECT 'x' ORDER BY 1",
        "SELECT unnest(string_to_array(location, '/')) FROM catalog.tables",
        "SELECT metastore_name, sum(partition_count) FROM catalog.tables GROUP BY ROLLUP(metastore_name) ORDER BY sum(partition_count)",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH t AS (SELECT 1) SELECT count(*) FROM t",
        "VALUES (1)",
    ] {
        assert!(!f.rows(sql).is_empty(), "{sql}");
    }
    assert_eq!(f.rows("SELECT version()"), [[concat!("skep ", env!("CARGO_PKG_VERSION"))]]);
}

#[test]
fn runtime_store_tells_of_the_last_rebuild_and_answers_are_as_before() {
    let f = fixture();
    let told = "SELECT rebuilt_at IS NULL, rebuild_elapsed_ms IS NULL, rebuild_blocked_ms IS NULL, \
                before_rebuild_bytes, after_rebuild_bytes FROM runtime.store";
    let rows = "SELECT * FROM catalog.partitions ORDER BY 1, 2, 3, 4, 5";
    let before = f.rows(rows);
    let old = f.rows(told).remove(0);
    assert_eq!(old[..3], ["true", "true", "true"]);
    let rebuild = f.catalog.rebuild().unwrap();
    let bytes = [rebuild.before_bytes.to_string(), rebuild.after_bytes.to_string()];
    let new = f.rows(told).remove(0);
    assert_eq!(new[..3], ["false", "false", "false"]);
    assert_eq!(new[3..], bytes);
    assert_eq!(f.rows(rows), before);
}

#[test]
fn runtime_store_tells_why_the_last_rebuild_failed_until_one_succeeds() {
    let f = fixture();
    let told = "SELECT rebuild_error_code, rebuild_error_message, rebuild_error_at IS NULL, \
                rebuilt_at IS NULL FROM runtime.store";
    assert_eq!(f.rows(told), [["-", "-", "true", "true"]]);
    // Where the copy would be is a file.
    std::fs::write(std::path::Path::new(&f.catalog.facts().path).join("tree-1"), "").unwrap();
    let fault = f.catalog.rebuild().unwrap_err();
    assert_eq!(f.rows(told), [["STORE_IO", &fault.message(), "false", "true"]]);
    f.catalog.rebuild().unwrap();
    assert_eq!(f.rows(told), [["-", "-", "true", "false"]]);
}
