//! Patterns: what they find, on texts of any ordinary length, and what becomes of them.

use skep_catalog::fault::Code;

use crate::fixture::fixture;

#[test]
fn operators_of_patterns_find_what_they_are_to_find() {
    let f = fixture();
    for (expression, expected) in [
        ("'abc' ~ 'B'", "false"),
        ("'abc' ~* 'B'", "true"),
        ("'abc' !~ 'B'", "true"),
        ("'abc' !~* 'B'", "false"),
        ("'abc' SIMILAR TO 'a.*'", "true"),
        ("'abc' NOT SIMILAR TO 'a.*'", "false"),
        ("'abc' ~~ 'a%'", "true"),
        ("'abc' !~~* 'A%'", "false"),
        ("'a' ~ NULL", "-"),
        ("CAST(NULL AS TEXT) !~ 'a'", "-"),
        ("'abc' LIKE 'a' || '%'", "true"),
        ("'abc' LIKE CAST(NULL AS TEXT)", "-"),
        ("regexp_like('abc', 'B', 'i')", "true"),
        ("regexp_count('abcABC', '[a-b]', 1, 'i')", "4"),
        ("regexp_replace('abcABC', 'b', '-', 'gi')", "a-cA-C"),
        ("regexp_match('2024-05-01', '(\\d{4})-(\\d{2})')", "[2024, 05]"),
        ("regexp_instr('abc', 'c')", "3"),
    ] {
        assert_eq!(f.rows(&format!("SELECT {expression}")), [[expected]], "{expression}");
    }
}

#[test]
fn operators_of_patterns_keep_their_names_wherever_they_stand() {
    let f = fixture();
    for sql in [
        "SELECT table_name ~ 'x' FROM catalog.tables GROUP BY table_name ~ 'x' ORDER BY table_name ~ 'x'",
        "SELECT count(*) FROM catalog.tables GROUP BY ROLLUP (table_name ~ 'x.')",
        "SELECT DISTINCT table_name !~* 'x.' FROM catalog.tables ORDER BY 1",
        "SELECT count(*) FILTER (WHERE table_name ~ '^o.*s$') FROM catalog.tables",
        "SELECT rank() OVER (PARTITION BY table_name ~ 'a.' ORDER BY table_name SIMILAR TO 'b.') FROM catalog.tables",
        "SELECT * FROM (SELECT table_name ~ 'x.', table_name FROM catalog.tables) AS t",
        "SELECT a.table_name FROM catalog.tables AS a JOIN catalog.tables AS b ON a.table_name ~ '^o.*s$' AND a.table_name LIKE b.table_name || '%'",
        "SELECT CASE WHEN table_name ~ '^o.*s$' THEN 1 END FROM catalog.tables WHERE table_name IN (SELECT table_name FROM catalog.tables WHERE table_name ~ 'o.')",
        "SELECT max(table_name) FROM catalog.tables HAVING max(table_name) ~ 'a.'",
    ] {
        f.rows(sql);
    }
}

#[test]
fn simple_regular_expressions_of_columns_are_tested_without_one() {
    let f = fixture();
    let plan = f.plan("SELECT table_name FROM catalog.tables WHERE table_name ~ '^orders$'");
    assert!(!plan.contains("regexp_like"), "{plan}");
    let plan = f.plan("SELECT table_name FROM catalog.tables WHERE table_name ~ 'ord'");
    assert!(plan.contains("LIKE") && !plan.contains("regexp_like"), "{plan}");
    let plan = f.plan("SELECT table_name FROM catalog.tables WHERE table_name ~ 'o.d'");
    assert!(plan.contains("regexp_like"), "{plan}");
}

#[test]
fn ordinary_patterns_go_through_texts_of_a_hundred_kilobytes() {
    let f = fixture();
    // One text per column that is documented, of 100 kB.
    let texts = "(SELECT repeat('SELECT id, 2024-05-01 FROM sales.orders ', 2500) AS a FROM docs.columns LIMIT 30) AS t";
    for expression in [
        r"a ~ '\w+@\w+'",
        r"a ~ '\d{4}-\d{2}-\d{2}'",
        "a ~* 'phone|email'",
        r"a SIMILAR TO '.*\w{20}.*'",
        r"regexp_count(a, '\d{4}') > 0",
        r"length(regexp_replace(a, '\d{4}', 'year', 'g')) > 0",
        r"regexp_match(a, '(\d{4})-(\d{2})') IS NOT NULL",
        "a LIKE '%sales%orders%'",
    ] {
        let counts = f.rows(&format!("SELECT count(*) FROM {texts} WHERE ({expression}) IS NOT NULL"));
        assert_eq!(counts, [["30"]], "{expression}");
    }
}

#[test]
fn patterns_that_differ_from_row_to_row_are_refused_with_a_way_out() {
    let f = fixture();
    for expression in [
        "table_name ~ database_name",
        "table_name SIMILAR TO database_name",
        "regexp_like(table_name, database_name)",
        "regexp_like(table_name, 'a', left(database_name, 1))",
        "regexp_count(table_name, database_name)",
        "regexp_instr(table_name, database_name)",
        "regexp_match(table_name, database_name)",
        "regexp_replace(table_name, database_name, '')",
    ] {
        let fault = f.fault(&format!("SELECT {expression} FROM catalog.tables"));
        assert_eq!(fault.code, Code::SQL_FORBIDDEN, "{expression}: {fault}");
        assert!(fault.fix().contains("LIKE"), "{expression}: {fault}");
    }
    f.rows("SELECT regexp_like(table_name, concat('a', 'b')) FROM catalog.tables");
}

/// A long call is told to stop between its parts, and gives its place back.
#[test]
fn a_search_ends_with_its_statement() {
    let f = crate::fixture::fixture_with(skep_query::EngineOptions {
        threads: 2,
        statement_timeout_ms: 1_000,
        ..skep_query::EngineOptions::default()
    });
    // Two tables only: what a join of three loads can fill the memory pool before.
    let texts = "(SELECT repeat('01', 2000) || a.column_name || b.column_name AS a FROM docs.columns AS a, docs.columns AS b) AS t";
    let fault = f.fault(&format!("SELECT count(*) FROM {texts} WHERE a ~ '[01]*1[01]{{5000}}$'"));
    assert_eq!(fault.code, Code::SQL_TIMEOUT, "{fault}");
    crate::fixture::eventually("the end of all work", || f.engine.statements_under_way() == 0);
}
