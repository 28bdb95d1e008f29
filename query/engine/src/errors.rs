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
            other => failed(&other.to_string()),
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
        DataFusionError::NotImplemented(text) => unsupported(text),
        DataFusionError::Internal(text) => internal(text),
        DataFusionError::ResourcesExhausted(text) => {
            let text = one_line(text);
            // Who else holds memory is DataFusion's business.
            let why = text.split(" with top memory consumers").next().unwrap_or(&text);
            Fault::new(Code::SQL_MEMORY, "statement ended", why)
        }
        DataFusionError::Execution(text) => failed(text),
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
    failed(&error.to_string())
}

/// A statement that was planned and could not be computed, mostly because of its constants.
fn failed(text: &str) -> Fault {
    let text = one_line(text);
    regular_expression(&text).unwrap_or_else(|| Fault::new(Code::SQL_FAILED, "statement failed", text))
}

fn unsupported(text: &str) -> Fault {
    // What follows is the expression as DataFusion prints it for itself.
    const LEFT_OVER: &str = "Physical plan does not support logical expression ScalarSubquery";
    if text.contains(LEFT_OVER) {
        let why =
            "a sub-query that uses columns of the query around it stands where it cannot be made a join";
        return Fault::new(Code::SQL_INVALID, "statement cannot be planned", why)
            .with_fix("Compare them with =, or write the sub-query as a JOIN or a WITH.");
    }
    let why = format!("not supported: {}", one_line(text));
    Fault::new(Code::SQL_INVALID, "statement cannot be planned", why)
}

/// DataFusion also calls internal what it lacks, and errors of expressions that it computes early.
fn internal(text: &str) -> Fault {
    let line = one_line(text);
    if let Some(fault) = regular_expression(&line) {
        return fault;
    }
    if line.contains("not implemented") || line.contains("not supported") {
        return unsupported(&line);
    }
    Fault::internal("statement failed", line)
}

/// The fault when the text is about a regular expression that cannot be compiled.
fn regular_expression(line: &str) -> Option<Fault> {
    const MARKS: [&str; 2] = ["regex parse error:", "Regular expression did not compile:"];
    let details = MARKS.iter().find_map(|mark| line.split_once(mark)).map(|(_, details)| details)?;
    let reason = details.rsplit_once("error: ").map_or(details, |(_, reason)| reason);
    let reason = reason.trim_matches(|c: char| c == '~' || c == ')' || c.is_whitespace());
    let why = format!("a regular expression cannot be read: {reason}");
    let fix = "Write a backslash before ( [ { * + ? . ^ $ | where the sign itself is meant.";
    Some(Fault::new(Code::SQL_INVALID, "statement failed", why).with_fix(fix))
}

/// The text on one line, without what DataFusion says about itself.
fn one_line(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split("This issue was likely caused by a bug in DataFusion").next().unwrap_or(text);
    let text = text.replace("Internal error: ", "").replace("Error during planning: ", "");
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
            _ if names.is_empty() => fault.with_fix("There is no FROM: add the table that has it."),
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
    let fault = fault(format!("no table is named {}.{table}", schema.unwrap_or(DEFAULT_SCHEMA)));
    // The schema that was named is looked through before the others.
    let here = TABLES.iter().filter(|t| Some(t.schema) == schema).map(|t| (t.name, t.full_name()));
    let anywhere = TABLES.iter().map(|t| (t.name, t.full_name()));
    let near = nearest_of(table, here).or_else(|| nearest_of(table, anywhere));
    match near {
        Some(near) => fault.with_fix(format!("Did you mean {near}?")),
        None => fault
            .with_fix("docs.tables lists the tables of skep; mirrored tables are rows of catalog.tables."),
    }
}

/// The most similar name, if any is similar.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    nearest_of(name, names.iter().map(|name| (*name, *name)))
}

/// What stands beside the most similar name, if any is similar; the first of several.
fn nearest_of<'a, T>(name: &str, names: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    let name = name.to_lowercase();
    names
        .map(|(candidate, beside)| (strsim::jaro_winkler(&name, candidate), beside))
        .filter(|(likeness, _)| 0.85 <= *likeness)
        .reduce(|best, other| if best.0 < other.0 { other } else { best })
        .map(|(_, beside)| beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tables_get_a_suggestion() {
        assert_eq!(unknown_table(None, "tabels").fix(), "Did you mean catalog.tables?");
        assert_eq!(unknown_table(None, "status").fix(), "Did you mean sync.status?");
        assert_eq!(unknown_table(Some("catlog"), "tables").fix(), "Did you mean catalog.tables?");
        assert_eq!(unknown_table(None, "metastores_x").fix(), "Did you mean federation.metastores?");
        assert_eq!(
            unknown_table(Some("catalog"), "metastores_x").fix(),
            "Did you mean federation.metastores?"
        );
        assert_eq!(unknown_table(Some("catalog"), "partition").fix(), "Did you mean catalog.partitions?");
        assert_eq!(unknown_table(Some("sync"), "statuss").fix(), "Did you mean sync.status?");
        assert_eq!(unknown_table(None, "table").fix(), "Did you mean catalog.tables?");
        assert!(unknown_table(None, "zebra").fix().contains("docs.tables"));
        assert!(unknown_table(Some("sales"), "orders").fix().contains("catalog.databases"));
    }
}
