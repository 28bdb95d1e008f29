//! Statements that would eat the machine: refused, or ended within their time and memory.

use std::time::Duration;

use super::config::small_server;
use skep_tests::harness::Skep;
use skep_tests::harness::skep::{Outcome, run};

const TIMEOUT: Duration = Duration::from_secs(60);

fn chain(part: &str, count: usize) -> String {
    format!("SELECT 1{}", part.repeat(count))
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth))
}

/// Statements that are refused before they are planned, each with its code.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("long text", format!("SELECT '{}'", "x".repeat(70_000)), "SQL_TOO_LONG"),
        ("long sum", chain("+1", 2_004), "SQL_TOO_COMPLEX"),
        ("long list", format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 20_000].join(",")), "SQL_TOO_COMPLEX"),
        ("parentheses", nested("(", ")", 5_000), "SQL_TOO_COMPLEX"),
        ("nots", nested("NOT (", ")", 2_000), "SQL_TOO_COMPLEX"),
        ("minuses", nested("- (", ")", 2_000), "SQL_TOO_COMPLEX"),
        ("cases", nested("CASE WHEN true THEN ", " END", 1_000), "SQL_TOO_COMPLEX"),
        ("functions", nested("abs(", ")", 3_000), "SQL_TOO_COMPLEX"),
        (
            "sub-queries",
            format!("SELECT * FROM {}docs.tables{}", "(SELECT * FROM ".repeat(500), ")".repeat(500)),
            "SQL_TOO_COMPLEX",
        ),
        ("unions", vec!["SELECT 1"; 3_000].join(" UNION ALL "), "SQL_TOO_COMPLEX"),
        ("a write", "CREATE TABLE t AS SELECT 1".to_owned(), "SQL_READ_ONLY"),
        (
            "huge series",
            "SELECT count(*) FROM generate_series(1, 100000000000) a".to_owned(),
            "SQL_FORBIDDEN",
        ),
        (
            "repeat of a repeat",
            "SELECT length(repeat(repeat('x', 100000), 100000))".to_owned(),
            "SQL_FORBIDDEN",
        ),
        ("sized list", "SELECT CAST(NULL AS INT[1000000][1000000])".to_owned(), "SQL_FORBIDDEN"),
    ]
}

/// Statements that run into the time, the memory or the rows that they may use.
fn bounded() -> Vec<(&'static str, String, &'static [&'static str])> {
    vec![
        ("triple cross join", "SELECT count(*) FROM docs.columns a, docs.columns b, docs.columns c, docs.columns d WHERE a.comment || b.comment < c.comment || d.comment".to_owned(), &["SQL_TIMEOUT", "SQL_MEMORY"]),
        ("big sort", "SELECT a.comment || b.comment || c.comment AS x FROM docs.columns a, docs.columns b, docs.columns c ORDER BY x".to_owned(), &["SQL_TIMEOUT", "SQL_MEMORY"]),
        ("endless recursion", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".to_owned(), &["SQL_TIMEOUT"]),
    ]
}

/// Exit code 2 and one line with one of the codes; no abort, no signal.
fn is_refused(name: &str, outcome: &Outcome, codes: &[&str]) {
    assert_eq!(outcome.code, Some(2), "{name}: {}", shortened(outcome));
    let tells = |line: &str| codes.iter().any(|code| line.starts_with(&format!("{code}: ")));
    assert!(outcome.stderr.lines().any(tells), "{name}: {}", shortened(outcome));
    assert!(!outcome.stderr.contains("panicked"), "{name}: {}", shortened(outcome));
}

fn shortened(outcome: &Outcome) -> String {
    let cut = |text: &str| text.chars().take(600).collect::<String>();
    format!("exit {:?}, stdout {}, stderr {}", outcome.code, cut(&outcome.stdout), cut(&outcome.stderr))
}

#[test]
fn bombs_are_refused_or_bounded_in_sql() {
    let server = small_server();
    let skep = Skep::with_config(&format!(
        "[sql]\nstatement_timeout_ms = 2000\nmemory_pool_bytes = 67108864\n\
         [[metastore]]\nname = \"dc1\"\nuris = [\"{}\"]\n",
        server.uri()
    ));
    skep.sync();
    for (name, sql, code) in refused() {
        // A statement that is too long for an argument comes from a file.
        let file = skep.data_folder().with_file_name("bomb.sql");
        std::fs::write(&file, &sql).unwrap();
        is_refused(name, &skep.run("sql", &["-f", file.to_str().unwrap()], TIMEOUT), &[code]);
    }
    for (name, sql, codes) in bounded() {
        is_refused(name, &skep.run("sql", &["-c", &sql], TIMEOUT), codes);
    }
    // And the next statement is served.
    assert_eq!(skep.rows("SELECT 1 AS one")[0]["one"], 1);
}

#[test]
fn bombs_are_refused_or_bounded_in_demo() {
    for (name, sql, code) in refused() {
        // What is longer is no argument.
        if sql.len() < 100_000 {
            is_refused(name, &run(&["demo", "-c", &sql], TIMEOUT), &[code]);
        }
    }
    // They end by the default limit of 30 s, all at once.
    std::thread::scope(|scope| {
        for (name, sql, codes) in bounded() {
            scope.spawn(move || {
                is_refused(name, &run(&["demo", "-c", &sql], Duration::from_secs(180)), codes);
            });
        }
    });
}
