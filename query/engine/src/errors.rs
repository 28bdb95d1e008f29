//! Every error of DataFusion as a fault: a stable code, one line, no debug print.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use skep_catalog::fault::{Code, Fault};

use crate::spec::{DEFAULT_SCHEMA, SCHEMAS, TABLES};

/// The fault that an error is.
pub fn from_datafusion(error: &DataFusionError) -> Fault {
    match error {
        DataFusionError::External(inner) => from_any(inner.as_ref()),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_datafusion(inner),
        DataFusionError::Shared(inner) => from_datafusion(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => from_datafusion(first),
            None => Fault::internal("statement", "an empty list of errors"),
        },
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => from_any(inner.as_ref()),
            other => Fault::new(Code::SQL_FAILED, "statement failed", one_line(&other.to_string())),
        },
        DataFusionError::SQL(inner, _) => {
            let text = one_line(&inner.to_string()).replace("sql parser error: ", "");
            if text.contains("recursion limit exceeded") {
                return Fault::new(
                    Code::SQL_TOO_COMPLEX,
                    "statement refused",
                    "its parts are nested too deeply",
                );
            }
            Fault::new(Code::SQL_SYNTAX, "statement cannot be parsed", text)
        }
        DataFusionError::Plan(text) => plan(text),
        DataFusionError::SchemaError(inner, _) => schema(inner),
        DataFusionError::NotImplemented(text) => Fault::new(
            Code::SQL_INVALID,
            "statement cannot be planned",
            format!("not supported: {}", one_line(text)),
        ),
        DataFusionError::ResourcesExhausted(text) => {
            Fault::new(Code::SQL_MEMORY, "statement ended", one_line(text))
        }
        DataFusionError::Execution(text) => Fault::new(Code::SQL_FAILED, "statement failed", one_line(text)),
        DataFusionError::ExecutionJoin(inner) if inner.is_panic() => {
            Fault::internal("statement failed", "a part of it panicked")
        }
        DataFusionError::Configuration(text) => {
            Fault::new(Code::SQL_INVALID, "statement cannot be planned", one_line(text))
        }
        other => Fault::internal("statement failed", one_line(&other.strip_backtrace())),
    }
}

fn from_any(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return from_datafusion(inner);
    }
    Fault::new(Code::SQL_FAILED, "statement failed", one_line(&error.to_string()))
}

/// The text on one line, without what DataFusion says about itself.
fn one_line(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split("This issue was likely caused by a bug in DataFusion").next().unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plan(text: &str) -> Fault {
    let text = one_line(text);
    Fault::new(Code::SQL_INVALID, "statement cannot be planned", text)
}

/// Like DataFusion's own message, with at most the nearest columns.
fn schema(error: &SchemaError) -> Fault {
    if let SchemaError::FieldNotFound { field, valid_fields } = error {
        let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
        let why = format!("no column is named {}", field.flat_name());
        let fault = Fault::new(Code::SQL_INVALID, "statement cannot be planned", why);
        return match nearest(&field.name, &names) {
            Some(near) => fault.with_fix(format!("Did you mean {near}?")),
            None => fault.with_fix(format!("Columns here: {}", shown(&names))),
        };
    }
    Fault::new(Code::SQL_INVALID, "statement cannot be planned", one_line(&error.to_string()))
}

fn shown(names: &[&str]) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for name in names {
        if !unique.contains(name) {
            unique.push(name);
        }
    }
    let more = if 12 < unique.len() { ", ..." } else { "" };
    unique.truncate(12);
    if unique.is_empty() { "none".to_owned() } else { unique.join(", ") + more }
}

/// The fault for a table that does not exist, with the nearest one.
pub fn unknown_table(schema: Option<&str>, table: &str) -> Fault {
    let fault = |why: String| Fault::new(Code::SQL_INVALID, "statement cannot be planned", why);
    let schema_names: Vec<&str> = SCHEMAS.iter().map(|s| s.name).collect();
    if let Some(schema) = schema.filter(|s| !schema_names.contains(s)) {
        let fault = fault(format!("no schema is named {schema}"));
        return match nearest(schema, &schema_names) {
            Some(near) => fault.with_fix(format!("Did you mean {near}.{table}?")),
            None => fault.with_fix(format!(
                "Schemas are {}; mirrored databases are rows of catalog.databases.",
                schema_names.join(", ")
            )),
        };
    }
    let name = format!("{}.{table}", schema.unwrap_or(DEFAULT_SCHEMA));
    let fault = fault(format!("no table is named {name}"));
    // The same name in another schema is nearer than a similar one in this schema.
    if let Some(same) = TABLES.iter().find(|t| t.name == table) {
        return fault.with_fix(format!("Did you mean {}?", same.full_name()));
    }
    let full_names: Vec<String> = TABLES.iter().map(|t| t.full_name()).collect();
    let full_names: Vec<&str> = full_names.iter().map(String::as_str).collect();
    match nearest(&name, &full_names) {
        Some(near) => fault.with_fix(format!("Did you mean {near}?")),
        None => fault
            .with_fix("docs.tables lists the tables of skep; mirrored tables are rows of catalog.tables."),
    }
}

/// The most similar name, if any is similar.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), candidate);
    names
        .iter()
        .map(|candidate| (likeness(candidate), *candidate))
        .filter(|(likeness, _)| 0.85 <= *likeness)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tables_get_a_suggestion() {
        assert_eq!(unknown_table(None, "tabels").fix(), "Did you mean catalog.tables?");
        assert_eq!(unknown_table(None, "status").fix(), "Did you mean sync.status?");
        assert_eq!(unknown_table(Some("catlog"), "tables").fix(), "Did you mean catalog.tables?");
        assert!(unknown_table(Some("sales"), "orders").fix().contains("catalog.databases"));
    }
}
