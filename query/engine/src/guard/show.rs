//! SHOW and DESCRIBE as the SELECT that they stand for, so that one can learn the table behind.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::procedures::spec as procedures;
use crate::spec::SCHEMAS;

/// The SELECT for a SHOW or DESCRIBE that skep knows; tables without a schema are in `schema`.
pub fn rewrite(tokens: &[Token], schema: &str) -> Option<String> {
    let tokens = match tokens {
        [rest @ .., Token::SemiColon] => rest,
        all => all,
    };
    let (tokens, pattern) = match tokens {
        [rest @ .., Token::Word(like), Token::SingleQuotedString(pattern)]
            if is(like.value.as_str(), "LIKE") =>
        {
            (rest, Some(pattern.as_str()))
        }
        all => (all, None),
    };
    let words: Vec<String> = tokens.iter().map(word).collect::<Option<_>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (column, select) = match words.as_slice() {
        ["SHOW", "METASTORES"] => ("metastore_name", "SELECT * FROM federation.metastores".to_owned()),
        ["SHOW", "SYNC", "STATUS"] => ("metastore_name", "SELECT * FROM sync.status".to_owned()),
        ["SHOW", "CATALOGS"] => {
            ("catalog_name", "SELECT DISTINCT catalog_name FROM information_schema.schemata".to_owned())
        }
        ["SHOW", "SCHEMAS" | "DATABASES"] => {
            ("schema_name", "SELECT schema_name, comment FROM information_schema.schemata".to_owned())
        }
        ["SHOW", "SETTINGS" | "ALL"] => ("name", "SELECT * FROM runtime.settings".to_owned()),
        ["SHOW", "PROCEDURES"] => (
            "procedure_name",
            "SELECT procedure_name, comment, required_role, example FROM docs.procedures".to_owned(),
        ),
        ["SHOW", "EXAMPLES"] => ("question", "SELECT question, statement FROM docs.examples".to_owned()),
        ["SHOW", "TABLES"] => ("table_name", TABLES.to_owned()),
        ["SHOW", "TABLES", "FROM" | "IN", ..] => {
            let [Token::Word(_), Token::Word(_), Token::Word(_), Token::Word(schema)] = tokens else {
                return None;
            };
            let schema = schema.value.to_lowercase();
            if !SCHEMAS.iter().any(|known| known.name == schema) {
                return Some(nothing_like(&[&schema, "tables"]));
            }
            ("table_name", format!("{TABLES} WHERE schema_name = {}", quoted(&schema)))
        }
        ["SHOW", "COLUMNS", "FROM" | "IN", ..] => ("column_name", columns_of(&tokens[3..], schema)?),
        ["DESCRIBE" | "DESC", "PROCEDURE", _, ..] => ("parameter_name", parameters_of(&tokens[2..])?),
        ["DESCRIBE" | "DESC", "TABLE", _, ..] => ("column_name", columns_of(&tokens[2..], schema)?),
        ["DESCRIBE" | "DESC", _, ..] => ("column_name", columns_of(&tokens[1..], schema)?),
        _ => return None,
    };
    Some(match pattern {
        Some(pattern) => format!("SELECT * FROM ({select}) AS shown WHERE {column} LIKE {}", quoted(pattern)),
        None => select,
    })
}

const TABLES: &str = "SELECT schema_name, table_name, table_type, comment FROM docs.tables";

fn parameters_of(name: &[Token]) -> Option<String> {
    let name = match name {
        [Token::Word(name)] => name,
        [Token::Word(schema), Token::Period, Token::Word(name)] if is(&schema.value, procedures::SCHEMA) => {
            name
        }
        _ => return None,
    };
    let name = name.value.to_lowercase();
    // A name that there is not has no rows; what there is, SHOW PROCEDURES tells.
    Some(format!(
        "SELECT parameter_name, data_type, is_required, default_value, comment \
         FROM runtime.procedure_parameters WHERE procedure_name = {} ORDER BY position",
        quoted(&name)
    ))
}

fn columns_of(name: &[Token], schema: &str) -> Option<String> {
    let words: Vec<String> = name
        .iter()
        .map(|token| match token {
            Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
            Token::Word(word) => Some(word.value.to_lowercase()),
            Token::Period => Some(".".to_owned()),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (schema, table) = match words.as_slice() {
        [table] => (schema, *table),
        [schema, ".", table] | [_, ".", schema, ".", table] => (*schema, *table),
        _ => return None,
    };
    if crate::spec::find(schema, table).is_none() {
        let parts: Vec<&str> = words.iter().filter(|word| **word != ".").copied().collect();
        return Some(nothing_like(&parts));
    }
    Some(format!(
        "SELECT column_name, data_type, is_nullable, is_key, comment FROM docs.columns \
         WHERE schema_name = {} AND table_name = {} ORDER BY ordinal_position",
        quoted(schema),
        quoted(table)
    ))
}

/// Planning this tells that there is no such table or schema, and which one is near.
fn nothing_like(name: &[&str]) -> String {
    let parts: Vec<String> = name.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    format!("SELECT * FROM {}", parts.join("."))
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        Token::Period => Some(".".to_owned()),
        _ => None,
    }
}

fn is(word: &str, expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
