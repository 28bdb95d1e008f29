//! What is told of a CALL by its text alone, before it is parsed.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Whether a statement is a CALL: it has an effect, and is never run as a query.
pub fn is_call(sql: &str) -> bool {
    matches!(words(sql).next(), Some(word) if word == "CALL")
}

/// The text as lists of statements show it: of a CALL, or the EXPLAIN of one, without the values
/// of its arguments, which may be secrets; the audit log has those that are none.
pub fn shown(sql: &str) -> String {
    let mut words = words(sql);
    let is_of_call = match words.next().as_deref() {
        Some("CALL") => true,
        Some("EXPLAIN") => words.take(2).any(|word| word == "CALL"),
        _ => false,
    };
    if is_of_call { without_values(sql) } else { sql.to_owned() }
}

/// What the parser says about a CALL, without the words of it that it quotes.
pub fn without_quotes(message: &str) -> String {
    match (message.split_once("found: "), message.rsplit_once(" at Line")) {
        (Some((before, _)), Some((_, place))) => format!("{}found something else at Line{place}", before),
        (Some((before, _)), None) => format!("{before}found something else"),
        _ => message.to_owned(),
    }
}

/// Words in capitals; the text need not be one that can be parsed.
fn words(sql: &str) -> impl Iterator<Item = String> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
            if let Some(comment) = rest.strip_prefix("--") {
                rest = comment.split_once('\n').map_or("", |(_, after)| after);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                rest = after_comment(comment);
            } else {
                break;
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        (!word.is_empty()).then(|| word.to_uppercase())
    })
}

/// Comments can be nested.
fn after_comment(mut rest: &str) -> &str {
    let mut depth = 1_usize;
    while depth != 0 {
        let Some(at) = rest.find(['*', '/']) else { return "" };
        rest = &rest[at..];
        (depth, rest) = match () {
            () if rest.starts_with("*/") => (depth - 1, &rest[2..]),
            () if rest.starts_with("/*") => (depth + 1, &rest[2..]),
            () => (depth, &rest[1..]),
        };
    }
    rest
}

fn without_values(sql: &str) -> String {
    let dialect = GenericDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, sql).tokenize() else { return "CALL ...".to_owned() };
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let mut shown = String::new();
    let mut depth = 0_usize;
    let mut is_hidden = false;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        let is_name = depth == 1
            && matches!(token, Token::Word(word) if word.quote_style.is_none())
            && matches!(next, Some(Token::RArrow | Token::Assignment));
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            _ => {}
        }
        let text = match token {
            Token::LParen if depth == 1 => "(".to_owned(),
            Token::RParen if depth == 0 => ")".to_owned(),
            Token::Comma if depth == 1 => ", ".to_owned(),
            Token::RArrow | Token::Assignment if depth == 1 => " => ".to_owned(),
            Token::Word(word) if is_name => word.value.clone(),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => {
                let space = if shown.is_empty() || shown.ends_with('.') { "" } else { " " };
                format!("{space}{}", word.value)
            }
            Token::Period if depth == 0 => ".".to_owned(),
            _ if is_hidden => continue,
            _ => {
                is_hidden = true;
                shown.push_str("...");
                continue;
            }
        };
        is_hidden = false;
        shown.push_str(&text);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_first_word() {
        for sql in ["CALL f()", " call f", "-- a\n;/* b /* c */ */ Call f()", "CALL"] {
            assert!(is_call(sql), "{sql}");
        }
        for sql in ["", "SELECT 'CALL'", "EXPLAIN CALL f()", "CALLED f()", "/* CALL", "-- CALL", "'CALL'"] {
            assert!(!is_call(sql), "{sql}");
        }
    }

    #[test]
    fn lists_of_statements_show_no_values_of_calls() {
        for (sql, expected) in [
            ("SELECT 'hunter2'", "SELECT 'hunter2'"),
            ("CALL ops.kill_query(1, 'hunter2')", "CALL ops.kill_query(..., ...)"),
            (
                "call ops.f(name => 'hunter2', b => [hunter2, 'x'], c => g(d => 'hunter2')) -- hunter2",
                "call ops.f(name => ..., b => ..., c => ...)",
            ),
            ("EXPLAIN CALL f(a => \"hunter2\")", "EXPLAIN CALL f(a => ...)"),
            ("EXPLAIN VERBOSE CALL f(hunter2)", "EXPLAIN VERBOSE CALL f(...)"),
            ("CALL f('hunter2", "CALL ..."),
        ] {
            assert_eq!(shown(sql), expected);
        }
    }

    #[test]
    fn what_the_parser_quotes_is_left_out() {
        assert_eq!(
            without_quotes("Expected: ), found: 'hunter2' at Line: 1, Column: 5"),
            "Expected: ), found something else at Line: 1, Column: 5"
        );
        assert_eq!(without_quotes("Expected: ), found: hunter2"), "Expected: ), found something else");
        assert_eq!(without_quotes("recursion"), "recursion");
    }
}
