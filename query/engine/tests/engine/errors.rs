//! What is wrong with a statement is told as such, and never as a bug of skep.

use skep_catalog::fault::Code;

use crate::fixture::fixture;

#[test]
fn mistakes_of_a_statement_are_no_internal_errors() {
    let f = fixture();
    let invalid = [
        "$1",
        "regexp_like(table_name, '(')",
        "regexp_like('a', '(')",
        "table_name ~ '('",
        "table_name SIMILAR TO '('",
        "regexp_replace(table_name, '[', 'x')",
        "regexp_match(table_name, '*')",
        "regexp_count(table_name, '(')",
        "regexp_like(table_name, 'a', 'q')",
        "table_name LIKE 'a' ESCAPE 'ab'",
        "max(properties)",
        "sum(table_name)",
        "array_element([1, 2], 'x')",
        "decode('a', 'nonsense')",
        "CAST(1 AS DECIMAL(99, 2))",
        "unnest(table_name)",
        "string_to_array(table_name)",
        "levenshtein('a')",
        "no_such_function(1)",
        "now() AT TIME ZONE 'Nonsense/Zone'",
        "sum(partition_count) OVER (ROWS BETWEEN -1 PRECEDING AND CURRENT ROW)",
        "approx_percentile_cont(2) WITHIN GROUP (ORDER BY partition_count)",
    ];
    let failed = [
        "1 / 0",
        "partition_count / 0",
        "partition_count % (partition_count - partition_count)",
        "-(-9223372036854775808 - partition_count * 0)",
        "abs(-9223372036854775808)",
        "factorial(30)",
        "sqrt(-1)",
        "CAST(table_name AS INT)",
        "CAST(table_name AS TIMESTAMP)",
        "CAST('2024-99-99' AS DATE)",
        "CAST(-1 AS BIGINT UNSIGNED)",
        "CAST(1e300 AS DECIMAL(10, 2))",
        "to_timestamp('abc')",
        "to_timestamp(table_name, '%Q')",
        "to_char(now(), '%Q')",
        "date_trunc('nonsense', now())",
        "extract(nonsense FROM now())",
        "date_bin(INTERVAL '0 day', now())",
        "now() + INTERVAL '9999999 years'",
        "table_name LIKE 'a%' ESCAPE '!'",
        "['a'][-9223372036854775808]",
        "array_slice([1, 2, 3], 1, 2, 0)",
        "properties[1]",
        "decode('zz', 'hex')",
        "chr(-1)",
        "substr(table_name, 1, -1)",
        "split_part('a', ',', 0)",
        "make_date(2024, 13, 1)",
        "ntile(0) OVER ()",
        "(SELECT table_name FROM catalog.tables)",
    ];
    let cases = invalid.map(|sql| (sql, Code::SQL_INVALID));
    for (expression, code) in cases.into_iter().chain(failed.map(|sql| (sql, Code::SQL_FAILED))) {
        let fault = f.fault(&format!("SELECT {expression} FROM catalog.tables"));
        assert_eq!(fault.code, code, "{expression}: {fault}");
        let text = fault.to_string();
        assert!(!text.contains('\n') && !text.contains("Internal") && !text.contains("~~~"), "{text}");
    }
}

#[test]
fn a_sub_query_that_cannot_be_joined_is_told_in_words() {
    let sql = "SELECT table_name, (SELECT count(*) FROM catalog.tables AS u \
               WHERE u.partition_count > t.partition_count) FROM catalog.tables AS t";
    let fault = fixture().fault(sql);
    assert_eq!(fault.code, Code::SQL_INVALID, "{fault}");
    assert!(fault.why.contains("uses columns of the query around it"), "{fault}");
    assert!(fault.fix().contains("JOIN"), "{fault}");
}

#[test]
fn a_bad_regular_expression_is_told_with_its_reason() {
    let f = fixture();
    let text = f.fault("SELECT * FROM catalog.tables WHERE regexp_like(table_name, '(')").to_string();
    assert!(text.contains("a regular expression cannot be read: unclosed group"), "{text}");
    assert!(text.contains("backslash"), "{text}");
    let text = f.fault("SELECT * FROM catalog.tables WHERE table_name SIMILAR TO '('").to_string();
    assert!(text.contains("cannot be read: unclosed group."), "{text}");
}

#[test]
fn a_text_that_is_too_long_is_told_with_its_length() {
    let f = fixture();
    let sql = format!("SELECT '{}'", "x".repeat(70_000));
    let fault = f.fault(&sql);
    assert_eq!(fault.code, Code::SQL_TOO_LONG);
    assert!(fault.message().contains(&format!("{} bytes", sql.len())), "{fault}");
    let history = f.rows("SELECT state, error_code FROM runtime.query_history");
    assert_eq!(history, [["failed", "SQL_TOO_LONG"]]);
}

#[test]
fn every_time_is_printed_with_its_zone() {
    let f = fixture();
    let times = "synced_at, now(), current_timestamp, to_timestamp(0), to_timestamp('2024-01-01T00:00:00'), \
                 CAST('2024-01-01' AS TIMESTAMPTZ), date_trunc('day', now()), now() - INTERVAL '1 day'";
    for row in f.rows(&format!("SELECT {times} FROM catalog.tables")) {
        for time in row {
            assert!(time.ends_with('Z'), "{time}");
        }
    }
}
