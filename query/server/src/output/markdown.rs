//! A Markdown table.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{TIMES_FOR_PEOPLE, one_line, texts};
use super::{PrintError, ResultWriter};

pub struct MarkdownWriter;

impl MarkdownWriter {
    pub fn begin(schema: &SchemaRef, out: &mut dyn Write) -> Result<Self, PrintError> {
        let names: Vec<String> = schema.fields().iter().map(|field| escaped(field.name())).collect();
        let rules: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| if field.data_type().is_numeric() { "---:" } else { "---" })
            .collect();
        writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "))?;
        Ok(Self)
    }
}

impl ResultWriter for MarkdownWriter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), PrintError> {
        let columns = texts(batch, &TIMES_FOR_PEOPLE)?;
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns
                .iter()
                .map(|column| column[row].as_deref().map(escaped).unwrap_or_default())
                .collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> Result<(), PrintError> {
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('|', "\\|")
}
