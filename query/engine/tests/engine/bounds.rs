//! Whatever the statement, it is refused or ends within its bounds, and the process lives.

use std::time::Duration;

use skep_catalog::change::FollowStatus;
use skep_catalog::fault::Code;
use skep_query::EngineOptions;
use skep_query::arrow::array::RecordBatch;

use crate::fixture::{eventually, fixture, fixture_with};

/// Bounds that are reached soon.
fn tight() -> EngineOptions {
    EngineOptions {
        threads: 2,
        memory_pool_bytes: 32 << 20,
        statement_timeout_ms: 3_000,
        result_rows_max: 100_000,
        ..EngineOptions::default()
    }
}

#[test]
fn bombs_are_refused_or_end_within_bounds() {
    // Callers have the small stack of a tokio worker.
    let caller = std::thread::Builder::new().stack_size(2 << 20);
    let bombs = caller.spawn(|| {
        let f = fixture_with(tight());
        let case = "CASE WHEN true THEN ".repeat(1_500) + "1" + &" END".repeat(1_500);
        let doubling = (0..30).fold("SELECT 'aaaaaaaaaa' AS a".to_owned(), |inner, _| {
            format!("SELECT concat(a, a) AS a FROM ({inner}) AS t")
        });
        let bars = (0..30).fold("SELECT 'aaaaaaaaaa' AS a".to_owned(), |inner, _| {
            format!("SELECT a || a AS a FROM ({inner}) AS t")
        });
        let nested = (0..40).fold("SELECT table_name FROM catalog.tables".to_owned(), |inner, _| {
            format!("SELECT table_name FROM catalog.tables WHERE table_name IN ({inner})")
        });
        let bombs = [
            nested,
            format!("SELECT {}1", "1+".repeat(2_000)),
            format!("SELECT 1 WHERE {}true", "1 = 1 OR ".repeat(2_000)),
            format!("SELECT 1 WHERE {}true", "1 = 1 OR ".repeat(20_000)),
            format!("SELECT {case}"),
            format!("SELECT {} true", "NOT ".repeat(5_000)),
            format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            "SELECT repeat(repeat('a', 1000000), 1000000)".to_owned(),
            "SELECT length(repeat(repeat(repeat('abc', 10000), 1000), 1000))".to_owned(),
            "SELECT lpad('a', 2000000000, 'b')".to_owned(),
            "SELECT CAST(NULL AS INT[1000000][1000000])".to_owned(),
            "SELECT arrow_cast(location, 'FixedSizeBinary(2000000000)') FROM catalog.partitions".to_owned(),
            "SELECT rpad('a', 2000000000)".to_owned(),
            "SELECT replace(repeat('a', 1000000), 'a', repeat('b', 1000000))".to_owned(),
            "SELECT * FROM generate_series(1, 100000000)".to_owned(),
            "SELECT count(*) FROM catalog.columns AS a, generate_series(1, 100000000) AS b".to_owned(),
            "SELECT a.column_name FROM catalog.columns AS a, catalog.partitions AS b, catalog.partitions AS c ORDER BY random()".to_owned(),
            format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 50_000].join(",")),
            vec!["SELECT 1"; 1_000].join(" UNION ALL "),
            doubling,
            bars,
            "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT * FROM t".to_owned(),
            "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT b.a FROM t JOIN t AS b ON true) SELECT count(*) FROM t".to_owned(),
            "SELECT max(n) FROM (SELECT a.comment x, b.comment y, c.comment z, last_value(c.comment) OVER () n FROM docs.columns a, docs.columns b, docs.columns c) t WHERE length(x)+length(y)+length(z)>0".to_owned(),
            "SELECT max(n) FROM (SELECT a.comment x, row_number() OVER () n FROM docs.columns a, docs.columns b, docs.columns c) t WHERE length(x) > 0".to_owned(),
            "SELECT max(n) FROM (SELECT last_value(repeat('a', 900000)) OVER () n FROM docs.columns) t".to_owned(),
            "SELECT max(n) FROM (SELECT last_value(x) OVER () n FROM (SELECT repeat(column_name, 50000) x FROM docs.columns LIMIT 20) AS l, docs.columns) t".to_owned(),
            "SELECT string_agg(comment, ',') OVER (ORDER BY comment) FROM docs.columns".to_owned(),
            "SELECT array_agg(comment) OVER (ORDER BY comment) FROM docs.columns".to_owned(),
            "SELECT array_agg(b.partition_name) FROM catalog.partitions AS a, catalog.partitions AS b, catalog.partitions AS c".to_owned(),
        ];
        for bomb in &bombs {
            let fault = f.fault(bomb);
            let head: String = bomb.chars().take(80).collect();
            assert!(fault.code.as_str().starts_with("SQL_"), "{head}: {fault}");
            assert!(fault.to_string().len() < 2_000, "{head}: {fault}");
        }
        eventually("the end of all work", || f.engine.statements_under_way() == 0);
        assert_eq!(f.rows("SELECT count(*) FROM federation.metastores"), [["2"]]);
    });
    bombs.unwrap().join().unwrap();
}

/// Statements that pass the guards and would run for hours, most of them without ever giving a row
/// or waiting for anything.
fn endless() -> Vec<String> {
    let likes: Vec<String> = (0..30).map(|i| format!("a.location || b.location LIKE '%x%{i}%y%'")).collect();
    let cases = (0..30).fold("a.location".to_owned(), |inner, i| {
        format!("CASE WHEN {inner} LIKE '%{i}%' THEN b.location ELSE a.location END")
    });
    let (a, b, c) = ("catalog.partitions AS a", "catalog.partitions AS b", "catalog.partitions AS c");
    vec![
        format!("SELECT count(*) FROM {a}, {b}, {c} WHERE a.location || b.location LIKE '%x%' || c.location || '%y%'"),
        format!("SELECT count(*) FROM {a}, {b}, {c} WHERE {}", likes.join(" OR ")),
        format!("SELECT count(*) FROM {a}, {b}, {c} WHERE regexp_like(a.location || b.location, '(x+x+)+y$')"),
        format!("SELECT count(*) FROM {a}, {b}, {c} WHERE {cases} = c.partition_name"),
        format!("SELECT count(*) FROM {a}, {b}, {c} WHERE a.location < b.location AND b.location < c.location"),
        format!("SELECT count(*) FROM {a}, {b}, {c}, docs.columns AS d"),
        format!("SELECT sum(length(a.location)) FROM {a}, {b}, {c} GROUP BY b.location || c.location"),
        format!("SELECT max(a.location) FROM {a} LEFT JOIN {b} ON a.location > b.location LEFT JOIN {c} ON b.location > c.location"),
        format!("SELECT count(*) FROM {a} JOIN {b} USING (metastore_name) JOIN {c} USING (metastore_name) WHERE a.location || c.location = b.location"),
        format!("SELECT count(*) FROM {a} WHERE EXISTS (SELECT 1 FROM {b}, {c} WHERE a.metastore_name = b.metastore_name AND a.location || b.location = c.location)"),
        format!("SELECT a.location FROM {a}, {b}, {c} ORDER BY reverse(a.location || b.location || c.location) LIMIT 1"),
        format!("SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY a.location) AS n FROM {a}, {b}, {c}) AS t"),
        "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT 1 - a FROM t) SELECT count(*) FROM t WHERE a = 2".to_owned(),
        format!("SELECT count(DISTINCT l) FROM (SELECT unnest(string_to_array(a.location || b.location, '/')) AS l FROM {a}, {b}, {c}) AS t"),
        format!("SELECT DISTINCT a.metastore_name FROM {a}, {b}, {c} UNION SELECT b.metastore_name FROM {a}, {b}, {c}"),
        format!("SELECT (SELECT count(*) FROM {a}, {b}, {c} WHERE a.location || b.location = c.location)"),
    ]
}

#[test]
fn the_work_of_a_statement_ends_soon_after_its_timeout() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 300, ..tight() });
    for sql in endless() {
        let fault = f.fault(&sql);
        assert!(matches!(fault.code, Code::SQL_TIMEOUT | Code::SQL_MEMORY), "{sql}: {fault}");
        eventually(&format!("the end of {sql}"), || f.engine.statements_under_way() == 0);
    }
}

#[test]
fn statements_that_keep_all_threads_busy_stop_no_other() {
    let endless = endless();
    let f = fixture_with(EngineOptions {
        statements_max: endless.len() + 1,
        statement_timeout_ms: 600_000,
        planning_timeout_ms: 600_000,
        ..tight()
    });
    let begin = |sql: &String| futures::executor::block_on(f.engine.query(sql)).unwrap();
    let results: Vec<_> = endless.iter().map(begin).collect();
    assert!(f.engine.options().threads < results.len());
    assert_eq!(f.rows("SELECT 1"), [["1"]]);
    assert_eq!(f.rows("SELECT count(*) FROM catalog.partitions WHERE metastore_name = 'west'"), [["30"]]);
    drop(results);
    eventually("the end of all work", || f.engine.statements_under_way() == 0);
    assert_eq!(f.rows("SELECT 1"), [["1"]]);
}

#[test]
fn a_dropped_engine_stops_its_statements() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    let result = futures::executor::block_on(f.engine.query(&endless()[0])).unwrap();
    let engine = std::sync::Arc::downgrade(&f.engine);
    drop(f);
    assert!(engine.upgrade().is_none());
    let fault = futures::executor::block_on(result.collect()).unwrap_err();
    assert_eq!(fault.code, Code::SQL_CANCELLED);
}

#[test]
fn a_statement_ends_by_its_timeout() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 300, result_rows_max: u64::MAX, ..tight() });
    let endless = "SELECT count(*) FROM catalog.partitions AS a, catalog.partitions AS b, catalog.partitions AS c \
                   WHERE a.location < b.location AND b.location < c.location";
    assert_eq!(f.fault(endless).code, Code::SQL_TIMEOUT);
    let history = f.rows("SELECT state, error_code FROM runtime.query_history ORDER BY query_id");
    assert_eq!(history, [["failed", "SQL_TIMEOUT"]]);
}

#[test]
fn a_result_has_no_more_rows_than_allowed() {
    let f = fixture_with(EngineOptions { result_rows_max: 100, ..tight() });
    assert_eq!(f.fault("SELECT * FROM catalog.partitions").code, Code::SQL_TOO_MANY_ROWS);
    assert_eq!(f.rows("SELECT * FROM catalog.partitions LIMIT 100").len(), 100);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let f = fixture_with(EngineOptions { memory_pool_bytes: 1 << 20, ..tight() });
    let large = "SELECT a.partition_name, b.location FROM catalog.partitions AS a, catalog.partitions AS b ORDER BY 2, 1";
    assert_eq!(f.fault(large).code, Code::SQL_MEMORY);
    assert_eq!(f.rows("SELECT table_name FROM catalog.tables ORDER BY 1 LIMIT 1"), [["fresh"]]);
}

#[test]
fn long_texts_are_repeated_within_bounds_only() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    // Half a megabyte each, beside some hundred columns.
    let long = "(SELECT repeat(column_name, 50000) AS x FROM docs.columns LIMIT 5) AS a";
    let count = f.rows("SELECT count(*) FROM docs.columns")[0][0].parse::<u64>().unwrap();
    let length = f.rows(&format!("SELECT sum(length(x)) FROM {long}"))[0][0].parse::<u64>().unwrap();
    assert_eq!(
        f.rows(&format!("SELECT count(*), sum(length(x) + length(b.comment) - length(b.comment)) FROM {long}, docs.columns AS b")),
        [[(5 * count).to_string(), (length * count).to_string()]]
    );
    for sql in [
        format!("SELECT count(*) FROM {long} JOIN docs.columns AS b ON a.x < b.comment"),
        format!("SELECT sum(length(a.x || b.comment)) FROM {long} JOIN docs.columns AS b ON length(a.x) > length(b.comment)"),
        "SELECT sum(length(t) + length(u)) FROM (SELECT t, unnest(string_to_array(repeat('a,', 10000), ',')) AS u \
         FROM (SELECT repeat(column_name, 20000) AS t FROM docs.columns LIMIT 5) AS s) AS v".to_owned(),
    ] {
        assert_eq!(f.fault(&sql).code, Code::SQL_MEMORY, "{sql}");
    }
}

#[test]
fn joins_and_lists_of_usual_texts_are_not_refused() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    let tables = f.rows("SELECT count(*) FROM catalog.tables")[0][0].clone();
    let joined = "SELECT count(*) FROM catalog.tables AS a LEFT JOIN catalog.tables AS b \
                  USING (metastore_name, catalog_name, database_name, table_name)";
    assert_eq!(f.rows(joined), [[tables.clone()]]);
    let whole = "SELECT count(*) FROM (SELECT a.properties, b.* FROM catalog.tables AS a JOIN catalog.tables AS b \
                 ON a.metastore_name = b.metastore_name AND a.database_name = b.database_name \
                 AND a.table_name = b.table_name AND a.properties = b.properties) AS t";
    assert_eq!(f.rows(whole), [[tables]]);
    let parts = "SELECT count(*) FROM (SELECT location, unnest(string_to_array(location, '/')) AS part FROM catalog.partitions) AS t";
    let expected =
        "SELECT sum(length(location) - length(replace(location, '/', '')) + 1) FROM catalog.partitions";
    assert_eq!(f.rows(parts), f.rows(expected));
}

#[test]
fn a_function_is_refused_for_what_it_makes_and_not_for_what_it_might() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    // Every byte could be a match; few are.
    let replaced = "SELECT sum(length(replace(repeat(location, 30), 'hdfs://', 's3a://a-bucket-with-a-rather-long-name/'))) \
                    FROM catalog.partitions";
    let expected = "SELECT sum(30 * (length(location) - 7 + 39)) FROM catalog.partitions";
    assert_eq!(f.rows(replaced), f.rows(expected));
    let much =
        "SELECT sum(length(replace(repeat(location, 200), '/', repeat('x', 100)))) FROM catalog.partitions";
    assert_eq!(f.fault(much).code, Code::SQL_FORBIDDEN);
}

#[test]
fn many_calls_that_make_texts_are_not_refused_for_their_number() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    let count = f.rows("SELECT count(*) FROM catalog.partitions")[0][0].parse::<usize>().unwrap();
    let joined = |i: usize| format!("concat(location, '{i}', location)");
    let columns: Vec<String> = (0..30).map(joined).collect();
    let rows = f.rows(&format!("SELECT location, {} FROM catalog.partitions", columns.join(", ")));
    assert_eq!(rows.len(), count);
    for row in &rows {
        let (location, texts) = row.split_first().unwrap();
        let expected: Vec<String> = (0..30).map(|i| format!("{location}{i}{location}")).collect();
        assert_eq!(texts, expected);
    }
    let filtered: Vec<String> = (0..30).map(|i| format!("{} <> '{i}'", joined(i))).collect();
    let sql = format!("SELECT count(*) FROM catalog.partitions WHERE {}", filtered.join(" AND "));
    assert_eq!(f.rows(&sql), [[count.to_string()]]);
}

#[test]
fn totals_of_what_is_held_in_one_place_are_those_of_each_grouping() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    let select = "SELECT metastore_name AS m, table_name AS t, count(DISTINCT location) AS l, \
                  count(DISTINCT partition_name) AS p, string_agg(DISTINCT catalog_name, ',') AS c \
                  FROM catalog.partitions GROUP BY";
    let rollup = f.rows(&format!("{select} ROLLUP (metastore_name, table_name) ORDER BY 1, 2"));
    let one_metastore = select.replace("table_name AS t", "NULL AS t");
    let all = one_metastore.replace("metastore_name AS m", "NULL AS m").replace("GROUP BY", "");
    let each = f.rows(&format!("{select} 1, 2 UNION ALL {one_metastore} 1 UNION ALL {all} ORDER BY 1, 2"));
    assert_eq!(rollup, each);
    assert!(3 < rollup.len());
}

#[test]
fn a_function_is_refused_for_the_time_that_long_texts_would_take() {
    let f = fixture_with(EngineOptions { statement_timeout_ms: 600_000, ..tight() });
    let long = ["repeat(location, 2000)", "repeat(reverse(location), 2000)"];
    let lists = long.map(|text| format!("string_to_array({text}, '/')"));
    for call in [
        "levenshtein(repeat('a', 1000000), repeat('b', 1000000))".to_owned(),
        format!("levenshtein({}, {})", long[0], long[1]),
        format!("length(btrim({}, {}))", long[0], long[1]),
        format!("length(trim(LEADING {} FROM {}))", long[0], long[1]),
        format!("strpos({}, {})", long[0], long[1]),
        format!("position({} IN {})", long[0], long[1]),
        format!("array_has_all({}, {})", lists[0], lists[1]),
        format!("array_has_any({}, {})", lists[0], lists[1]),
    ] {
        let some = "(SELECT location FROM catalog.partitions LIMIT 10) AS t";
        let fault = f.fault(&format!("SELECT count({call}) FROM {some}"));
        assert_eq!(fault.code, Code::SQL_FORBIDDEN, "{call}: {fault}");
        assert!(fault.to_string().contains("it would take up to"), "{call}: {fault}");
    }
    eventually("the end of all work", || f.engine.statements_under_way() == 0);
    let count = f.rows("SELECT count(location) FROM catalog.partitions");
    for call in [
        "levenshtein(location, reverse(location))",
        "levenshtein(repeat(location, 10), table_name)",
        "btrim(repeat(location, 100), ' /')",
        "strpos(repeat(location, 100), table_name)",
        "array_has_any(string_to_array(location, '/'), make_array('a', 'b'))",
    ] {
        assert_eq!(f.rows(&format!("SELECT count({call}) FROM catalog.partitions")), count, "{call}");
    }
}

#[test]
fn window_functions_work_within_memory_and_give_it_back() {
    let f = fixture_with(tight());
    for _ in 0..20 {
        let sql = "SELECT table_name, row_number() OVER (PARTITION BY database_name ORDER BY table_name) AS n, \
                   first_value(table_name) OVER (PARTITION BY database_name ORDER BY table_name) AS first, \
                   count(*) OVER () AS c FROM catalog.tables WHERE metastore_name = 'east' AND database_name = 'ops' \
                   ORDER BY table_name";
        assert_eq!(
            f.rows(sql),
            [["fresh", "1", "fresh", "3"], ["logs", "2", "fresh", "3"], ["nothing_yet", "3", "fresh", "3"]]
        );
        let last = "SELECT max(n) FROM (SELECT last_value(location) OVER (ORDER BY location) AS n FROM catalog.partitions) AS t";
        assert_eq!(f.rows(last), f.rows("SELECT max(location) FROM catalog.partitions"));
    }
}

#[test]
fn a_dropped_result_cancels_its_statement() {
    let f =
        fixture_with(EngineOptions { statement_timeout_ms: 600_000, result_rows_max: u64::MAX, ..tight() });
    let endless = "SELECT a.partition_name FROM catalog.partitions AS a, catalog.partitions AS b, catalog.partitions AS c";
    let result = futures::executor::block_on(f.engine.query(endless)).unwrap();
    let id = result.query_id;
    let running = f.rows("SELECT query_id, state FROM runtime.queries ORDER BY 1");
    assert_eq!(running[0], [id.to_string(), "running".to_owned()]);
    drop(result);
    let sql = format!("SELECT state FROM runtime.query_history WHERE query_id = {id}");
    eventually("the end of the statement", || f.rows(&sql) == [["cancelled"]]);
}

#[test]
fn too_many_statements_at_once_are_turned_away() {
    let f = fixture_with(EngineOptions {
        statements_max: 1,
        statement_timeout_ms: 600_000,
        result_rows_max: u64::MAX,
        ..tight()
    });
    let endless = "SELECT a.partition_name FROM catalog.partitions AS a, catalog.partitions AS b, catalog.partitions AS c";
    let result = futures::executor::block_on(f.engine.query(endless)).unwrap();
    assert_eq!(f.fault("SELECT 1").code, Code::SQL_BUSY);
    drop(result);
    eventually("room for another statement", || f.try_rows("SELECT 1").is_ok());
}

#[test]
fn a_statement_sees_one_snapshot() {
    let f = fixture();
    let mut result =
        futures::executor::block_on(f.engine.query("SELECT metastore_name FROM federation.metastores"))
            .unwrap();
    f.catalog.declare(&[]).unwrap();
    std::thread::sleep(Duration::from_millis(1));
    let batch = futures::executor::block_on(result.next()).unwrap().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(f.rows("SELECT count(*) FROM federation.metastores"), [["0"]]);
}

#[test]
fn a_statement_sees_one_state_of_the_followers() {
    let f = fixture();
    let sql = "SELECT metastore_name, state FROM sync.status WHERE metastore_name = 'west' UNION ALL \
               SELECT endpoint_uri, state FROM federation.endpoints WHERE metastore_name = 'west'";
    let before = f.rows(sql);
    let result = futures::executor::block_on(f.engine.query(sql)).unwrap();
    for metastore in &f.catalog.snapshot().metastores {
        f.catalog.update_status(metastore.id, |status| *status = FollowStatus::default());
        f.catalog.set_endpoints(metastore.id, Vec::new());
    }
    let rows: usize =
        futures::executor::block_on(result.collect()).unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, before.len());
    assert_eq!(f.rows(sql).len(), 1);
}

#[test]
fn history_shows_what_ended() {
    let f = fixture();
    f.rows("SELECT 1");
    f.fault("SELECT nothing");
    let rows =
        f.rows("SELECT statement, state, row_count, error_code FROM runtime.query_history ORDER BY query_id");
    assert_eq!(rows, [["SELECT 1", "done", "1", "-"], ["SELECT nothing", "failed", "0", "SQL_INVALID"]]);
}
