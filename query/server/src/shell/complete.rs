//! Completion from live metadata, and when a statement is whole.

use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};
use skep_query::describe::Names;

use super::split::split;
use super::{Asked, meta};

/// Candidates that are shown at once.
const CANDIDATES_MAX: usize = 200;

const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT JOIN",
    "INNER JOIN",
    "ON",
    "USING",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "IS NULL",
    "IS NOT NULL",
    "DISTINCT",
    "UNION ALL",
    "WITH",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "ASC",
    "DESC",
    "NULLS LAST",
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "INTERVAL",
    "EXPLAIN",
    "SHOW TABLES",
    "DESCRIBE",
];

const COMMANDS: &[&str] =
    &["\\d", "\\dt", "\\dn", "\\l", "\\examples", "\\e", "\\timing", "\\output", "\\x", "\\q", "\\?"];

/// rustyline's helper.
#[derive(Helper, Hinter, Highlighter)]
pub struct Completion {
    asked: Arc<Asked>,
}

impl Completion {
    /// Names come from `asked`, anew at each use.
    pub fn new(asked: Arc<Asked>) -> Self {
        Self { asked }
    }
}

impl Validator for Completion {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let is_whole = meta::of_word(context.input()).is_some() || split(context.input()).rest.is_empty();
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (begin, candidates) = candidates(&self.asked.names(), &line[..at]);
        let pairs = candidates.into_iter().map(|text| Pair { display: text.clone(), replacement: text });
        Ok((begin, pairs.collect()))
    }
}

/// Where the word before the cursor begins, and what it may become.
fn candidates(names: &Names, before: &str) -> (usize, Vec<String>) {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '\\');
    let begin = before
        .rfind(|c| !is_word(c))
        .map_or(0, |place| place + before[place..].chars().next().map_or(1, char::len_utf8));
    let word = before[begin..].to_lowercase();
    let is_quoted = before.matches('\'').count() % 2 == 1;
    let is_command = before.trim_start().starts_with('\\');

    let unqualified = || names.tables.iter().filter_map(|table| table.strip_prefix("catalog."));
    let sources: Vec<Vec<&str>> = if is_quoted {
        vec![names.mirrored.iter().map(String::as_str).collect()]
    } else if word.starts_with('\\') {
        vec![COMMANDS.to_vec()]
    } else if before.trim_start().starts_with("\\output") {
        vec![crate::output::Format::ALL.iter().map(|format| format.as_str()).collect()]
    } else if is_command {
        vec![names.tables.iter().map(String::as_str).chain(unqualified()).collect()]
    } else {
        vec![
            names.columns.iter().map(String::as_str).collect(),
            unqualified().collect(),
            names.tables.iter().map(String::as_str).collect(),
            names.schemas.iter().map(String::as_str).collect(),
            KEYWORDS.to_vec(),
        ]
    };
    let mut found: Vec<String> = sources
        .into_iter()
        .flatten()
        .filter(|name| name.to_lowercase().starts_with(&word))
        .take(CANDIDATES_MAX)
        .map(str::to_owned)
        .collect();
    found.dedup();
    (begin, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(before: &str) -> (usize, Vec<String>) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let names = Names {
            schemas: own(&["catalog", "sync"]),
            tables: own(&["catalog.tables", "sync.status"]),
            columns: own(&["table_name", "state"]),
            mirrored: own(&["orders", "dc1"]),
        };
        candidates(&names, before)
    }

    #[test]
    fn words_complete_from_what_fits_their_place() {
        assert_eq!(complete("SELECT ta"), (7, vec!["table_name".to_owned(), "tables".to_owned()]));
        assert_eq!(complete("SELECT * FROM sync.s"), (14, vec!["sync.status".to_owned()]));
        assert_eq!(complete("WHERE table_name = 'or"), (20, vec!["orders".to_owned()]));
        assert_eq!(complete("sel"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("\\ex"), (0, vec!["\\examples".to_owned()]));
        assert_eq!(complete("\\d sync."), (3, vec!["sync.status".to_owned()]));
        assert_eq!(complete("\\output c"), (8, vec!["csv".to_owned()]));
    }
}
