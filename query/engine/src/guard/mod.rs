//! What happens to a statement before it is planned: planning a hostile one can take for ever or
//! end the process, so its size is bounded first.
//!
//! Order: length of the text, number of tokens, shapes the parser would recurse on, parsing (with
//! its own depth limit, on a thread with a large stack), nodes and depth of the tree.

pub mod bounded;
pub mod concat;
mod digest;
pub mod functions;
pub mod gathered;
mod growth;
mod headers;
pub mod inlined;
mod pattern;
mod show;
mod size;
mod work;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Function, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use skep_catalog::fault::{Code, Fault};

use crate::parameters;
use crate::procedures::text;

/// Bytes of a statement's text.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Nodes of a statement's tree, common table expressions counted at every use.
pub const NODES_MAX: usize = 5_000;
/// Depth of a statement's tree, chains of operators counted.
pub const DEPTH_MAX: usize = 200;
/// A node is rarely more than four tokens; more cannot be within [`NODES_MAX`].
const TOKENS_MAX: usize = 4 * NODES_MAX;
/// The parser descends at most twice for one level of the tree.
const PARSER_DEPTH_MAX: usize = 2 * DEPTH_MAX + 50;

fn refused(code: Code, why: impl Into<String>) -> Fault {
    Fault::new(code, "statement refused", why)
}

fn too_complex(what: &str, limit: usize) -> Fault {
    refused(Code::SQL_TOO_COMPLEX, format!("it has {what} of more than {limit}"))
}

/// Errors: `SQL_TOO_LONG`.
pub fn check_length(sql: &str) -> Result<(), Fault> {
    if sql.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let why = format!("its text has {} bytes, more than {TEXT_BYTES_MAX}", sql.len());
    Err(refused(Code::SQL_TOO_LONG, why))
}

/// What a text says.
pub enum Parsed {
    /// A query, or the EXPLAIN of one.
    Query(Box<Statement>),
    /// A CALL.
    Call(Function),
    /// The EXPLAIN of a CALL.
    ExplainCall(Function),
}

/// Parses one statement that may be planned or called, with its parameters numbered; tables that DESCRIBE
/// names without a schema are in `schema`. To be called on a thread with a large stack, where
/// the statement must also be dropped.
///
/// Errors: `SQL_TOO_LONG`, `SQL_TOO_COMPLEX`, `SQL_SYNTAX`, `SQL_READ_ONLY`, `SQL_FORBIDDEN`,
/// `SQL_INVALID` for its parameters.
pub fn parse(sql: &str, schema: &str) -> Result<Parsed, Fault> {
    check_length(sql)?;
    let parsed = parse_text(sql, schema);
    match parsed {
        // What is quoted may be a secret.
        Err(fault) if fault.code == Code::SQL_SYNTAX && text::shown(sql) != sql => {
            Err(Fault { why: text::without_quotes(&fault.why), ..fault })
        }
        parsed => parsed,
    }
}

fn parse_text(sql: &str, schema: &str) -> Result<Parsed, Fault> {
    let dialect = GenericDialect {};
    let mut located: Vec<TokenWithSpan> = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|e| Fault::new(Code::SQL_SYNTAX, "statement cannot be parsed", e.to_string()))?;
    located.retain(|located| !matches!(located.token, Token::Whitespace(_) | Token::EOF));
    let numbered = parameters::number(sql, &located)?;
    let tokens: Vec<Token> = located.into_iter().map(|located| located.token).collect();
    check_tokens(&tokens)?;
    let rewritten = show::rewrite(&tokens, schema).or(numbered);
    let sql = rewritten.as_deref().unwrap_or(sql);
    let parsed = DFParserBuilder::new(sql)
        .with_dialect(&dialect)
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|e| crate::errors::from_datafusion(&e))?;
    let mut statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => {
            return Err(Fault::new(Code::SQL_SYNTAX, "statement is empty", "there is nothing to do"));
        }
        (Some(_), more) => {
            let why = format!("there are {} statements in one text", more + 1);
            return Err(Fault::new(Code::SQL_SYNTAX, "one statement at a time", why));
        }
    };
    if let Some((call, is_explained)) = call_of(&statement) {
        size::check(call)?;
        if let SqlStatement::Call(call) = call {
            let call = call.clone();
            return Ok(if is_explained { Parsed::ExplainCall(call) } else { Parsed::Call(call) });
        }
    }
    size::check(read_only(&statement)?)?;
    if let Statement::Statement(inner) = &mut statement
        && let SqlStatement::Query(query) = inner.as_mut()
    {
        headers::name(query);
    }
    Ok(Parsed::Query(Box::new(statement)))
}

/// The CALL that a statement is, or explains; and whether it is explained.
fn call_of(statement: &Statement) -> Option<(&SqlStatement, bool)> {
    let is_call = |statement: &SqlStatement| matches!(statement, SqlStatement::Call(_));
    match statement {
        Statement::Statement(inner) => match inner.as_ref() {
            SqlStatement::Explain { statement, .. } if is_call(statement) => Some((statement, true)),
            call if is_call(call) => Some((call, false)),
            _ => None,
        },
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) if is_call(inner) => Some((inner, true)),
            _ => None,
        },
        _ => None,
    }
}

fn check_tokens(tokens: &[Token]) -> Result<(), Fault> {
    if TOKENS_MAX < tokens.len() {
        return Err(too_complex("a number of words and signs", TOKENS_MAX));
    }
    let is_explain = |token: &Token| match token {
        Token::Word(word) => {
            ["EXPLAIN", "DESCRIBE", "DESC"].iter().any(|w| word.value.eq_ignore_ascii_case(w))
        }
        _ => false,
    };
    if 1 < tokens.iter().take(8).filter(|t| is_explain(t)).count() && tokens.first().is_some_and(is_explain) {
        return Err(Fault::new(Code::SQL_SYNTAX, "statement cannot be parsed", "EXPLAIN cannot be nested"));
    }
    let is_word = |token: &Token, expected: &str| match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected),
        _ => false,
    };
    // Brackets, CASE, and types such as array<array<...>>, are what the parser recurses on.
    let (mut open, mut cases, mut typed, mut repeated) = (0_usize, 0_usize, 0_usize, 0_usize);
    for pair in tokens.windows(2) {
        if is_word(&pair[0], "CASE") {
            cases += 1;
        } else if is_word(&pair[0], "END") {
            cases = cases.saturating_sub(1);
        }
        match &pair[0] {
            Token::LParen | Token::LBracket | Token::LBrace => open += 1,
            Token::RParen | Token::RBracket | Token::RBrace => open = open.saturating_sub(1),
            _ => {}
        }
        typed = match (&pair[0], &pair[1]) {
            (Token::Word(_), Token::Lt) => typed + 1,
            (Token::Lt, Token::Word(_)) => typed,
            _ => 0,
        };
        // NOT NOT NOT, - - -: the parser gives up on these with a message about something else.
        repeated = if pair[0] == pair[1] { repeated + 1 } else { 0 };
        if [open, cases, typed, repeated].into_iter().any(|depth| DEPTH_MAX < depth) {
            return Err(too_complex("a nesting", DEPTH_MAX));
        }
    }
    Ok(())
}

/// The query inside a statement, when it is one that changes nothing.
fn read_only(statement: &Statement) -> Result<&SqlStatement, Fault> {
    let is_query = |statement: &SqlStatement| matches!(statement, SqlStatement::Query(_));
    let word = |text: String| text.split_whitespace().next().unwrap_or("statement").to_uppercase();
    match statement {
        Statement::Statement(inner) => match inner.as_ref() {
            SqlStatement::Explain { statement: explained, .. } if is_query(explained) => Ok(explained),
            query if is_query(query) => Ok(query),
            SqlStatement::Use(_) => Err(refused(
                Code::SQL_READ_ONLY,
                "USE is for the statements after it, and a statement leaves nothing behind",
            )
            .with_fix("Write schema.table, or set the session option schema; skep sql knows USE.")),
            other => Err(not_allowed(&word(other.to_string()))),
        },
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) if is_query(inner) => Ok(inner),
            _ => Err(not_allowed("EXPLAIN of anything but a query")),
        },
        other => Err(not_allowed(&word(other.to_string()))),
    }
}

fn not_allowed(what: &str) -> Fault {
    refused(
        Code::SQL_READ_ONLY,
        format!("{what} is not SELECT, VALUES, EXPLAIN, DESCRIBE, CALL or SHOW of something that skep has"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Parses as the engine does: on a thread with a large stack.
    fn code(sql: String) -> Option<Code> {
        std::thread::Builder::new()
            .stack_size(crate::threads::STACK_BYTES)
            .spawn(move || parse(&sql, "catalog").err().map(|f| f.code))
            .unwrap()
            .join()
            .unwrap()
    }

    #[test]
    fn frames_that_overflow_are_refused() {
        for (frame, expected) in [
            ("ROWS BETWEEN 9223372036854775807 PRECEDING AND CURRENT ROW", Some(Code::SQL_INVALID)),
            ("ROWS BETWEEN CURRENT ROW AND 18446744073709551615 FOLLOWING", Some(Code::SQL_INVALID)),
            ("GROUPS 9223372036854775807 PRECEDING", Some(Code::SQL_INVALID)),
            ("ROWS BETWEEN 1000000 PRECEDING AND UNBOUNDED FOLLOWING", None),
        ] {
            let of = |over: &str| format!("SELECT sum(1) OVER {over}");
            let inline = code(of(&format!("(ORDER BY table_name {frame}) FROM catalog.tables")));
            let named = code(of(&format!("w FROM catalog.tables WINDOW w AS (ORDER BY table_name {frame})")));
            assert_eq!((inline, named), (expected, expected), "{frame}");
        }
    }

    #[test]
    fn depth_up_to_the_limit_is_parsed_and_more_is_refused() {
        let nested = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(code(nested(150)), None);
        assert_eq!(code(nested(250)), Some(Code::SQL_TOO_COMPLEX));
        let chain = |n: usize| format!("SELECT {}1", "1+".repeat(n));
        assert_eq!(code(chain(150)), None);
        assert_eq!(code(chain(250)), Some(Code::SQL_TOO_COMPLEX));
        let not = |n: usize| format!("SELECT {} true", "NOT ".repeat(n));
        assert_eq!(code(not(150)), None);
        assert_eq!(code(not(12_000)), Some(Code::SQL_TOO_COMPLEX));
        let case = |n: usize| format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(n), " END".repeat(n));
        assert_eq!(code(case(90)), None);
        assert_eq!(code(case(1_000)), Some(Code::SQL_TOO_COMPLEX));
        let grouped = |by: &str| code(format!("SELECT 1 FROM catalog.tables GROUP BY {by}"));
        let columns =
            |n: usize| (0..n).map(|i| format!("table_name || '{i}'")).collect::<Vec<_>>().join(", ");
        assert_eq!(grouped(&format!("CUBE({})", columns(8))), None);
        for many in [
            format!("CUBE({})", columns(9)),
            format!("CUBE({})", columns(80)),
            format!("CUBE({}), ROLLUP(table_name)", columns(8)),
            format!("{} WITH CUBE", columns(9)),
            format!("ROLLUP({}), ROLLUP({})", columns(16), columns(16)),
            format!("GROUPING SETS ({})", vec!["(table_name)"; 257].join(", ")),
        ] {
            let found = grouped(&many);
            assert!(matches!(found, Some(Code::SQL_TOO_COMPLEX | Code::SQL_SYNTAX)), "{many}: {found:?}");
        }
        assert_eq!(grouped(&format!("CUBE({})", columns(9))), Some(Code::SQL_TOO_COMPLEX));
    }

    #[test]
    fn bombs_of_every_shape_are_refused() {
        let case = "CASE WHEN true THEN ".repeat(1_000) + "1" + &" END".repeat(1_000);
        let bombs = [
            format!("SELECT {}1", "1+".repeat(2_000)),
            format!("SELECT 1 WHERE {}true", "1=1 OR ".repeat(2_000)),
            format!("SELECT 1 WHERE {}true", "a OR ".repeat(12_000)),
            format!("SELECT {case}"),
            format!("SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000)),
            format!("SELECT {}1", "- ".repeat(9_000)),
            format!("SELECT {}1{}", "abs(".repeat(9_000), ")".repeat(9_000)),
            format!("SELECT CAST(NULL AS {}int{})", "array<".repeat(4_000), ">".repeat(4_000)),
            vec!["SELECT 1"; 1_000].join(" UNION ALL "),
            format!("SELECT 1 IN ({})", vec!["1"; 25_000].join(",")),
            format!("SELECT * FROM {}", vec!["t"; 300].join(", ")),
            format!("SELECT * FROM t {}", "JOIN t USING (a) ".repeat(300)),
            format!("{}SELECT 1", "EXPLAIN ".repeat(8_000)),
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(3_000), ")".repeat(3_000)),
            format!("SELECT 'a'{}", "||'a'".repeat(3_000)),
            format!("SELECT a{}", "[1]".repeat(9_000)),
            format!("SELECT a{}", "::int".repeat(9_000)),
        ];
        for bomb in bombs {
            let head: String = bomb.chars().take(40).collect();
            let code = code(bomb).unwrap_or_else(|| panic!("{head} was let through"));
            assert!(matches!(code, Code::SQL_TOO_COMPLEX | Code::SQL_SYNTAX), "{head}: {code:?}");
        }
    }

    #[test]
    fn common_table_expressions_count_at_every_use() {
        let mut sql = "WITH t0 AS (SELECT 1 AS a)".to_owned();
        for i in 1..30 {
            sql += &format!(", t{i} AS (SELECT * FROM t{0} UNION ALL SELECT * FROM t{0})", i - 1);
        }
        assert_eq!(code(sql + " SELECT count(*) FROM t29"), Some(Code::SQL_TOO_COMPLEX));
    }

    #[test]
    fn quotes_hide_no_common_table_expression() {
        for quote in ["", "\"", "`"] {
            for (declared, used) in [("t", "t"), ("t\"\"``x", "t\"\"``x"), ("a.t", "a.t"), ("T", "T")] {
                // A name of several parts is quoted as a whole where it is declared only.
                let quoted = if quote.is_empty() && declared != "t" { "`" } else { quote };
                let user = if used == "a.t" { "" } else { quoted };
                let mut sql = format!("WITH {quoted}{declared}0{quoted} AS (SELECT 1 AS a)");
                for i in 1..24 {
                    let from = format!("SELECT * FROM {user}{used}{}{user}", i - 1);
                    sql += &format!(", {quoted}{declared}{i}{quoted} AS ({from} UNION ALL {from})");
                }
                sql += &format!(" SELECT count(*) FROM {user}{used}23{user}");
                assert_eq!(code(sql.clone()), Some(Code::SQL_TOO_COMPLEX), "{sql}");
            }
        }
    }

    #[test]
    fn chains_of_common_table_expressions_are_depth() {
        let chain = |n: usize| {
            let links = (1..n).map(|i| format!(", t{i} AS (SELECT * FROM t{})", i - 1));
            format!("WITH t0 AS (SELECT 1 AS a){} SELECT * FROM t{}", links.collect::<String>(), n - 1)
        };
        assert_eq!(code(chain(40)), None);
        assert_eq!(code(chain(700)), Some(Code::SQL_TOO_COMPLEX));
    }

    #[test]
    fn sub_queries_in_sub_queries_are_few() {
        let nested = |n: usize| {
            (0..n).fold("SELECT a FROM t".to_owned(), |q, _| format!("SELECT a FROM t WHERE a IN ({q})"))
        };
        assert_eq!(code(nested(6)), None);
        assert_eq!(code(nested(12)), Some(Code::SQL_TOO_COMPLEX));
        let exists = |n: usize| {
            (0..n).fold("SELECT 1 FROM t".to_owned(), |q, _| format!("SELECT 1 FROM t WHERE EXISTS ({q})"))
        };
        assert_eq!(code(exists(12)), Some(Code::SQL_TOO_COMPLEX));
        let chain = |n: usize| {
            let links = (1..n)
                .map(|i| format!(", t{i} AS (SELECT a FROM t WHERE a = (SELECT max(a) FROM t{}))", i - 1));
            format!("WITH t0 AS (SELECT 1 AS a){} SELECT * FROM t{}", links.collect::<String>(), n - 1)
        };
        assert_eq!(code(chain(5)), None);
        assert_eq!(code(chain(20)), Some(Code::SQL_TOO_COMPLEX));
        let beside = vec!["a IN (SELECT a FROM t)"; 40].join(" AND ");
        assert_eq!(code(format!("SELECT a FROM t WHERE {beside}")), None);
    }

    #[test]
    fn quotes_hide_no_function() {
        for sql in [
            "SELECT `array_repeat`('a', 1000000000)",
            "SELECT \"list_repeat\"('a', 1000000000)",
            "SELECT list_resize([1], 1000000000)",
            "SELECT string_agg(a, ',') OVER () FROM t",
            "SELECT `array_agg`(a) OVER (ORDER BY a) FROM t",
            "SELECT median(a) OVER (ORDER BY b) FROM t",
            "SELECT \"median\"(a) OVER (ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) FROM t",
            "SELECT percentile_cont(a, 0.5) OVER w FROM t WINDOW w AS (ORDER BY b)",
            "SELECT sum(DISTINCT a) OVER (ORDER BY b) FROM t",
        ] {
            assert_eq!(code(sql.to_owned()), Some(Code::SQL_FORBIDDEN), "{sql}");
        }
        for sql in [
            "SELECT median(a) OVER (PARTITION BY b) FROM t",
            "SELECT count(DISTINCT a) OVER (ORDER BY b) FROM t",
        ] {
            assert_eq!(code(sql.to_owned()), None, "{sql}");
        }
        let doubling = (0..70).fold("[1]".to_owned(), |inner, _| format!("`list_concat`({inner}, [1])"));
        assert_eq!(code(format!("SELECT {doubling}")), Some(Code::SQL_TOO_COMPLEX));
    }

    #[test]
    fn what_would_change_something_is_refused() {
        for sql in [
            "INSERT INTO catalog.tables VALUES (1)",
            "DROP TABLE catalog.tables",
            "CREATE TABLE t AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "COPY (SELECT 1) TO '/tmp/x'",
            "SET datafusion.execution.batch_size = 1",
            "DELETE FROM catalog.tables",
            "EXPLAIN INSERT INTO t VALUES (1)",
            "CREATE VIEW v AS SELECT 1",
            "PREPARE p AS SELECT 1",
            "BEGIN",
        ] {
            assert_eq!(code(sql.to_owned()), Some(Code::SQL_READ_ONLY), "{sql}");
        }
    }

    #[test]
    fn unbounded_functions_are_refused() {
        for sql in [
            "SELECT * FROM generate_series(1, 100000000)",
            "SELECT unnest(range(1, 100000000))",
            "SELECT array_repeat('a', 1000000000)",
            "SELECT array_replace_all([1, 2], 1, a) FROM t",
            "SELECT list_replace([1, 2], 1, a), list_replace_n([1, 2], 1, a, 2) FROM t",
            "SELECT array_transform([1, 2], x) FROM t",
            "SELECT list_filter([1, 2], x) FROM t",
            "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)')",
            "SELECT CAST(NULL AS INT[1000000][1000000])",
            "SELECT CAST(NULL AS INT[1000000][])",
            "SELECT TRY_CAST(NULL AS ARRAY<INT[1000000]>)",
            "SELECT NULL::STRUCT<a INT[1000000]>",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT struct(a, a) FROM t",
            "SELECT row(a, a) FROM t",
            "SELECT {'k': a, 'l': a} FROM t",
            "SELECT MAP {'k': a} FROM t",
            "SELECT map([a], [a]) FROM t",
            "SELECT (a, a) FROM t",
            "SELECT ((a, a), a) IN ((b, b)) FROM t",
            "SELECT arrays_zip([a], [a]) FROM t",
        ] {
            assert_eq!(code(sql.to_owned()), Some(Code::SQL_FORBIDDEN), "{sql}");
        }
        for sql in ["SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4))", "SELECT (a, b) = (1, 2) FROM t"] {
            assert_eq!(code(sql.to_owned()), None, "{sql}");
        }
    }
}
