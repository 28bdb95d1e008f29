//! DuckDB from PyPI, in a process of its own.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Outcome;
use crate::harness::{machine, parts};

const SCRIPT: &str = include_str!("duckdb.py");
/// The release that figures are compared with.
const REQUIREMENT: &str = "duckdb==2.0.0";

/// What a query came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Rows, each value as text, NULL as the empty text.
    pub rows: Vec<Vec<String>>,
    /// First run, without fetching the rows.
    pub cold_ms: f64,
    /// Median of the others, without fetching the rows into Python.
    pub execute_ms: f64,
    /// Median of the others, with the rows as Python values.
    pub fetch_ms: f64,
}

/// What all came to.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Release.
    pub version: String,
    /// Time to make the table.
    pub load_s: f64,
    /// Resident memory of the process at the end.
    pub resident_bytes: u64,
    /// By query.
    pub answers: Vec<Answer>,
}

/// Makes `partitions` of what `rows` selects and runs the queries, `rounds` times after the first.
pub fn run(rows: &str, queries: &[&str], rounds: usize, threads: usize) -> Outcome<Answers> {
    let library = parts::part("python-duckdb-2.0.0", |half| {
        parts::pip("pip must reach PyPI.", &["install", "--target"], half, REQUIREMENT);
    });
    let mut child = Command::new(machine::python())
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let given = json!({"rows": rows, "queries": queries, "rounds": rounds, "threads": threads});
    child.stdin.take().ok_or("no standard input")?.write_all(given.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("DuckDB ended with {}", output.status).into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let times = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let answers = list(&answer["answers"]).into_iter().map(|one| Answer {
        rows: list(&one["rows"]).iter().map(|row| list(row).iter().map(text).collect()).collect(),
        cold_ms: one["cold_ms"].as_f64().unwrap_or(f64::NAN),
        execute_ms: super::median(times(&one["execute_ms"])),
        fetch_ms: super::median(times(&one["fetch_ms"])),
    });
    Ok(Answers {
        version: text(&answer["version"]),
        load_s: answer["load_s"].as_f64().unwrap_or(f64::NAN),
        resident_bytes: answer["resident_bytes"].as_u64().unwrap_or(0),
        answers: answers.collect(),
    })
}
