//! Statements that gather, grow and repeat texts as much as they can.
//!
//! What is asserted: whatever becomes of a statement, the peak memory of this process (`VmHWM` of
//! Linux, reset before each) lies no more than the memory pool and [`MARGIN_BYTES`] above what the
//! process held before the first one; and each is answered by its timeout, give or take [`SLACK`].

#![allow(clippy::unwrap_used)]

#[path = "engine/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use fixture::{eventually_within, fixture_with};
use skep_catalog::fault::{Code, Fault};
use skep_query::{Engine, EngineOptions};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The peak is that of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const POOL_BYTES: usize = 128 << 20;
/// Batches that are on their way between operators, and what the allocator has not given back.
const MARGIN_BYTES: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(2);
/// What an answer may come later than the timeout, on a machine that does other things too.
const SLACK: Duration = Duration::from_secs(10);
/// From a statement's answer to the end of its work, on a machine that does other things too.
const END_MAX: Duration = Duration::from_secs(20);

/// A number of bytes in this process's status.
fn memory_bytes(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

const A: &str = "catalog.partitions AS a";
const B: &str = "catalog.partitions AS b";
const C: &str = "catalog.partitions AS c";
const PAIRS: &str = "FROM catalog.partitions AS a, catalog.partitions AS b";

/// Texts grown by sixty calls, side by side.
fn repeats(call: &str) -> String {
    let calls: Vec<String> = (0..60).map(|i| format!("{call}{i}) AS c{i}")).collect();
    format!("SELECT {} FROM catalog.partitions", calls.join(", "))
}

/// What would grow without a bound, or for ever, and what its fault has to name.
fn forbidden() -> Vec<(&'static str, String)> {
    let (a, pairs) = (A, PAIRS);
    let nested = |grown: &str| {
        let from = |inner, _| format!("SELECT {grown} AS a FROM ({inner}) AS t");
        let first = "SELECT repeat(location, 100) AS a FROM catalog.partitions".to_owned();
        format!("SELECT count(*) FROM ({}) AS t WHERE a IS DISTINCT FROM NULL", (0..30).fold(first, from))
    };
    vec![
        ("its names replaced", nested("a + a").replace("repeat(location, 100)", "random()")),
        ("its names replaced", nested("concat(a, a)")),
        ("function repeat", repeats("repeat(location, 30 + ")),
        ("function ||", "WITH RECURSIVE t AS (SELECT repeat(location, 80) AS a FROM catalog.partitions UNION ALL SELECT a || a FROM t) SELECT max(length(a)) FROM t".to_owned()),
        ("function lpad", "SELECT lpad(location, 1000000000, 'x') FROM catalog.partitions".to_owned()),
        ("function translate", "SELECT sum(length(translate(repeat(location, 300), 'h', repeat('x', 2000)))) FROM catalog.partitions".to_owned()),
        ("function regexp_replace", "SELECT sum(length(regexp_replace(repeat(location, 30), '', repeat('abcdef', 10000), 'g'))) FROM catalog.partitions".to_owned()),
        ("function concat_ws", "SELECT max(length(concat_ws(repeat(location, 400), location, location, location, location))) FROM catalog.partitions".to_owned()),
        ("function overlay", "SELECT sum(length(overlay(location placing repeat('x', 1000000) from 3))) FROM catalog.partitions".to_owned()),
        ("function to_char", "SELECT to_char(now(), repeat('%c', 500000))".to_owned()),
        ("function to_char", "SELECT max(length(to_char(now(), repeat('%c', 500000) || location))) FROM catalog.partitions".to_owned()),
        ("its names replaced", nested("[a, a]")),
        ("its names replaced", nested("[a] || [a]")),
        ("a value of several parts", nested("{'k': a, 'l': a}")),
        ("a value of several parts", nested("struct(a, a)")),
        ("its names replaced", nested("overlay(a PLACING a FROM length(a))")),
        ("its names replaced", nested("substring(a || a FROM 1)")),
        ("function array_repeat", "SELECT array_repeat(array_repeat(location, 100000), 100000) FROM catalog.partitions".to_owned()),
        ("function generate_series", "SELECT unnest(generate_series(1, 10000000000))".to_owned()),
        ("function make_array", format!("SELECT make_array(make_array({0}, {0}), make_array({0}, {0})) FROM {a}", "repeat(location, 200)")),
        ("function array_to_string", "SELECT sum(length(array_to_string(string_to_array(repeat(location, 30), '/'), repeat('x', 10000)))) FROM catalog.partitions".to_owned()),
        ("string_agg OVER", format!("SELECT string_agg(a.location, ',') OVER (ORDER BY b.location ROWS BETWEEN 1000 PRECEDING AND CURRENT ROW) {pairs}")),
        ("the results of max", format!("SELECT max(a.location || b.location) OVER (PARTITION BY a.location ORDER BY b.location) {pairs}")),
        ("function concat_ws", format!("SELECT max(length(concat_ws(repeat(location, 20){}))) FROM catalog.partitions", ", ''".repeat(4_000))),
        ("function concat_ws", format!("SELECT length(concat_ws(repeat('a', 4000){}))", ", ''".repeat(4_000))),
        ("function regexp_match", format!("SELECT max(cardinality(regexp_match(repeat(location, 1000), '{}'))) FROM catalog.partitions", "(.*)".repeat(400))),
        ("pattern or flags are no constants", "SELECT count(*) FROM catalog.partitions WHERE location ~ partition_name".to_owned()),
        ("pattern or flags are no constants", "SELECT count(*) FROM catalog.partitions WHERE location !~* partition_name".to_owned()),
        ("pattern or flags are no constants", "SELECT count(*) FROM catalog.partitions WHERE location NOT SIMILAR TO partition_name".to_owned()),
        ("pattern or flags are no constants", "SELECT regexp_replace(location, 'a', 'b', left(partition_name, 1)) FROM catalog.partitions".to_owned()),
        ("pattern or flags are no constants", "SELECT regexp_instr(location, 'a', 1, 1, left(partition_name, 1)) FROM catalog.partitions".to_owned()),
        ("bytes when compiled", r"SELECT regexp_like(location, '\w{200}') FROM catalog.partitions".to_owned()),
        ("bytes when compiled", r"SELECT location ~ '(((a{100}){100}){100})' FROM catalog.partitions".to_owned()),
        ("function approx_percentile_cont", "SELECT approx_percentile_cont(length(location), 0.5, 1000000000000000) FROM catalog.partitions".to_owned()),
        ("function approx_percentile_cont", "SELECT approx_percentile_cont(0.5, 100000000000 * 10000) WITHIN GROUP (ORDER BY length(location)) FROM catalog.partitions".to_owned()),
        ("function approx_percentile_cont", "SELECT approx_percentile_cont(length(location), 0.5, 1000000000000000) OVER () FROM catalog.partitions".to_owned()),
        ("function approx_percentile_cont_with_weight", "SELECT approx_percentile_cont_with_weight(length(location), 1, 0.5, 1000000000000000) FROM catalog.partitions".to_owned()),
        ("its pattern has", "SELECT location ~* repeat('a|', 100000) FROM catalog.partitions".to_owned()),
        ("its pattern has", "SELECT location LIKE repeat('%a_', 100000) FROM catalog.partitions".to_owned()),
        ("its pattern has", "SELECT location NOT ILIKE repeat(partition_name, 2000) FROM catalog.partitions".to_owned()),
        ("its pattern has", "SELECT repeat('a', 1000000) !~~ repeat('%a_', 300000)".to_owned()),
        ("function regexp_count", "SELECT regexp_count(repeat('01', 500000), '[01]*1[01]{5000}$')".to_owned()),
        ("function regexp_like", "SELECT repeat('01', 500000) ~ '[01]*1[01]{5000}$'".to_owned()),
        ("function regexp_like", "SELECT count(*) FROM (SELECT repeat('01', 500000) AS a) AS t WHERE a SIMILAR TO '[01]*1[01]{5000}$'".to_owned()),
        ("function regexp_count", "SELECT max(regexp_count(repeat(location, 10000), '[^\n]*\n|[a-z]')) FROM catalog.partitions".to_owned()),
    ]
}

fn bombs() -> Vec<String> {
    let (a, b, c, pairs) = (A, B, C, PAIRS);
    // A text of a few megabytes in one row.
    let long = format!("(SELECT string_agg(a.location, ',') AS s FROM {a}, docs.tables AS t) AS l");
    let named =
        |what: &str, n: usize| (0..n).map(|i| format!("{what} AS c{i}")).collect::<Vec<_>>().join(", ");
    let substrings = |n: usize| (2..n).map(|i| format!("substr(s, {i})")).collect::<Vec<_>>().join(", ");
    let grown: Vec<String> = (1..60).map(|i| format!("max(length(repeat(a.location, {i})))")).collect();
    let repeated = repeats("repeat(location, 2 + ");
    let used = |of: &str| (0..60).map(|i| format!("{of}(c{i})")).collect::<Vec<_>>().join(", ");
    vec![
        format!("SELECT length(string_agg(a.location, ',')) {pairs}"),
        format!("SELECT length(string_agg(a.location || b.location, ',')), length(string_agg(b.location, ';')) {pairs}"),
        format!("SELECT max(length(s)) FROM (SELECT a.table_name, string_agg(b.location, ',') AS s {pairs} GROUP BY 1) AS t"),
        format!("SELECT max(length(s)) FROM (SELECT a.location, string_agg(b.location, ',') AS s {pairs} GROUP BY 1) AS t"),
        format!("SELECT length(string_agg(DISTINCT a.location || b.location, ',')) {pairs}"),
        format!("SELECT length(string_agg(DISTINCT a.location || b.location, ',' ORDER BY a.location || b.location)) {pairs}"),
        format!("SELECT length(string_agg(a.location, ',' ORDER BY b.location DESC)) {pairs}"),
        format!("SELECT length(string_agg(repeat(a.location, 100), ',')) {pairs}"),
        format!("SELECT length(string_agg(s, ',')) FROM (SELECT a.location, string_agg(b.location, ',') AS s {pairs} GROUP BY 1) AS t"),
        format!("SELECT length(string_agg(s, ',')) FROM {long}, docs.columns"),
        format!("SELECT cardinality(array_agg(a.location)) {pairs}"),
        format!("SELECT cardinality(array_agg(a.location || b.location)) {pairs}"),
        format!("SELECT cardinality(array_agg(DISTINCT a.location || b.location)) {pairs}"),
        format!("SELECT cardinality(array_agg(a.location ORDER BY b.location DESC)) {pairs}"),
        format!("SELECT max(cardinality(s)) FROM (SELECT a.location, array_agg(b.location) AS s {pairs} GROUP BY 1) AS t"),
        format!("SELECT length(array_to_string(array_agg(a.location), ',')) {pairs}"),
        format!("SELECT cardinality(array_agg(s)) FROM (SELECT a.location, array_agg(b.location) AS s {pairs} GROUP BY 1) AS t"),
        format!("SELECT nth_value(a.location || b.location, 100000000 ORDER BY b.location DESC) {pairs}"),
        format!("SELECT count(DISTINCT a.location || b.location), count(DISTINCT b.location || a.location) {pairs}"),
        format!("SELECT median(length(a.location) + random()), count(DISTINCT random()) {pairs}, docs.tables"),
        format!("SELECT count(*) FROM (SELECT DISTINCT a.location || b.location {pairs}) AS t"),
        format!("SELECT count(*) FROM (SELECT a.location AS x, b.location AS y, min(c.location) FROM {a}, {b}, {c} GROUP BY 1, 2) AS t"),
        format!("SELECT {} FROM {long}", substrings(100)),
        format!("SELECT {} FROM {long}", substrings(900)),
        format!("SELECT {} FROM (SELECT repeat(location, 200) AS s FROM catalog.partitions) AS t", substrings(900)),
        format!("SELECT s FROM {long} ORDER BY {}", substrings(300)),
        format!("SELECT count(*) FROM (SELECT DISTINCT {} FROM {long}) AS t", substrings(300)),
        format!("SELECT {} FROM {a}", grown.join(", ")),
        repeated.clone(),
        repeats("lpad(location, 900 + "),
        format!("SELECT {} FROM ({repeated}) AS t", used("max")),
        format!("SELECT {} FROM ({repeated}) AS t", used("count")),
        format!("WITH t AS ({repeated}) {}", ["SELECT * FROM t"; 8].join(" UNION ALL ")),
        format!("SELECT * FROM ({repeated}) AS t ORDER BY c30 DESC"),
        format!("SELECT upper(s), lower(s), reverse(upper(s)), initcap(s), ltrim(s), translate(s, 'h', 'xy') FROM {long}"),
        "WITH RECURSIVE t AS (SELECT location AS a FROM catalog.partitions UNION ALL SELECT a || 'xxxxxxxx' FROM t) SELECT a FROM t".to_owned(),
        "SELECT rpad(location, 6000, location) FROM catalog.partitions".to_owned(),
        format!("SELECT unnest(string_to_array(repeat(a.location, 1000), '/')) || b.location {pairs}"),
        format!("SELECT lag(a.location, 100000, repeat('x', 500000)) OVER (ORDER BY b.location) {pairs}"),
        format!("SELECT a.location || b.location AS x {pairs} ORDER BY x DESC"),
        format!("SELECT {} FROM (SELECT repeat(location, 20) AS r FROM catalog.partitions) AS t ORDER BY 1", named("r", 800)),
        format!("SELECT {} FROM catalog.partitions ORDER BY 1", named("location", 800)),
        format!("SELECT {} FROM catalog.partitions ORDER BY 1", named("upper(location)", 800)),
        format!("SELECT {} {pairs} ORDER BY 1 LIMIT 100000", named("a.location", 400)),
        format!("SELECT a.properties, b.properties, c.location FROM {a} JOIN {b} ON a.metastore_name <> b.metastore_name JOIN {c} ON c.location <> b.location ORDER BY c.location"),
        format!("SELECT a.location FROM {a} FULL JOIN {b} ON a.location || b.location = b.location || a.location AND a.location <> b.location"),
    ]
}

/// The same for groups, few and many of them, by texts of kilobytes.
fn grouped_bombs() -> Vec<String> {
    let pairs = PAIRS;
    let long = "repeat(b.location, 40)";
    let alone = [
        format!("string_agg({long}, ',')"),
        format!("string_agg({long}, ',' ORDER BY b.location DESC)"),
        format!("string_agg(DISTINCT a.location || {long}, ',')"),
        format!("array_agg({long})"),
        format!("array_agg({long} ORDER BY b.location DESC)"),
        format!("array_agg(DISTINCT a.location || {long})"),
        format!("nth_value({long}, 1000000 ORDER BY b.location DESC)"),
    ];
    let longer = "repeat(b.location, 80)";
    let two = |function: &str| {
        let texts = [format!("a.location || {longer}"), format!("{longer} || a.location")];
        texts.map(|text| function.replace('$', &text))
    };
    let beside = [
        two("count(DISTINCT $)"),
        two("max($)"),
        two("first_value($)"),
        two("approx_distinct($)"),
        ["sum(DISTINCT random())", "avg(DISTINCT random())"].map(str::to_owned),
        ["count(DISTINCT random())", "median(random())"].map(str::to_owned),
        ["percentile_cont(random(), 0.5)", "approx_median(random())"].map(str::to_owned),
    ];
    let one = |values: &String, keys: &str| {
        format!("SELECT count(s) FROM (SELECT {values} AS s {pairs} GROUP BY {keys}) AS t")
    };
    let both = |[x, y]: &[String; 2], keys: &str| {
        format!("SELECT count(s), count(u) FROM (SELECT {x} AS s, {y} AS u {pairs} GROUP BY {keys}) AS t")
    };
    let mut all = Vec::new();
    for keys in ["a.table_name", "a.location"] {
        all.extend(alone.iter().map(|values| one(values, keys)));
        all.extend(beside.iter().map(|values| both(values, keys)));
    }
    for keys in ["a.location, b.location", "ROLLUP (a.table_name, b.table_name)"] {
        all.push(one(&alone[0], keys));
        all.extend(beside.iter().take(3).map(|values| both(values, keys)));
    }
    let computed = format!("(SELECT {long} AS s {pairs} LIMIT 1000000)");
    let nested = format!("(SELECT a.location AS k, string_agg({long}, ',') AS s {pairs} GROUP BY 1)");
    all.extend([
        format!("SELECT count(u) FROM (SELECT string_agg(s, ',') AS u FROM {nested} AS t GROUP BY left(k, 40)) AS v"),
        format!("SELECT count(*) FROM {nested} AS t, {nested} AS u WHERE t.s = u.s || 'x'"),
        format!("SELECT count(s) FROM {computed} AS t WHERE length(s) > random()"),
        format!("SELECT count(*) FROM (SELECT DISTINCT a.location || {longer} {pairs}) AS t"),
        format!("SELECT count(*) FROM {computed} AS t JOIN {computed} AS u ON t.s = u.s || 'x'"),
    ]);
    all
}

/// How a statement may end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It is not begun, or a call in it is not made, because of this.
    Refused(&'static str),
    /// It has all its rows, or no memory or time for more: which of these, the machine decides.
    Bounded,
}

impl End {
    fn includes(self, ended: &Result<usize, Fault>) -> bool {
        match (self, ended) {
            (Self::Refused(what), Err(fault)) => {
                matches!(fault.code, Code::SQL_FORBIDDEN | Code::SQL_TOO_COMPLEX)
                    && fault.to_string().contains(what)
            }
            (Self::Refused(_), Ok(_)) => false,
            (Self::Bounded, Err(fault)) => matches!(fault.code, Code::SQL_MEMORY | Code::SQL_TIMEOUT),
            (Self::Bounded, Ok(_)) => true,
        }
    }
}

#[test]
fn statements_that_would_grow_without_bound_are_refused() {
    assert_bounded(forbidden().into_iter().map(|(what, sql)| (sql, End::Refused(what))));
}

#[test]
fn no_statement_takes_more_memory_than_the_pool_and_a_margin() {
    assert_bounded(bombs().into_iter().map(|sql| (sql, End::Bounded)));
}

#[test]
fn no_groups_take_more_memory_than_the_pool_and_a_margin() {
    assert_bounded(grouped_bombs().into_iter().map(|sql| (sql, End::Bounded)));
}

fn assert_bounded(statements: impl Iterator<Item = (String, End)>) {
    let _alone = ALONE.lock();
    let f = fixture_with(EngineOptions {
        threads: 2,
        memory_pool_bytes: POOL_BYTES,
        statement_timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap(),
        result_rows_max: u64::MAX,
        ..EngineOptions::default()
    });
    // What is kept between statements is there.
    f.rows("SELECT sum(length(location)) FROM catalog.partitions");
    let before = memory_bytes("VmRSS:");
    let mut wrong = Vec::new();
    for (sql, end) in statements {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let begun = Instant::now();
        let ended = run(&f.engine, &sql);
        let is_in_time = begun.elapsed() <= TIMEOUT + SLACK;
        let what = format!("the end of {sql}");
        eventually_within(END_MAX, &what, || f.engine.statements_under_way() == 0);
        let grown = memory_bytes("VmHWM:").saturating_sub(before);
        let is_right = end.includes(&ended);
        let ended = ended.map_or_else(|fault| fault.to_string(), |rows| format!("{rows} rows"));
        let told = format!("{:4} MiB: {sql:.150}: {ended:.150}: {end:?}", grown >> 20);
        println!("{told}");
        if POOL_BYTES + MARGIN_BYTES < grown || !is_right || !is_in_time {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "too much memory or time, or another end:\n{}", wrong.join("\n"));
}

/// The number of rows, none of which is kept.
fn run(engine: &Engine, sql: &str) -> Result<usize, Fault> {
    futures::executor::block_on(async {
        let mut result = engine.query(sql).await?;
        let mut rows = 0;
        while let Some(batch) = result.next().await {
            rows += batch?.num_rows();
        }
        Ok(rows)
    })
}
