//! Prints results: one writer per format, rows as they come, never more in memory than it says.

mod cells;
mod csv;
mod json;
mod markdown;
mod table;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use skep_catalog::fault::Fault;

pub use table::TableStyle;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns; at most 10,000 rows.
    Table,
    /// RFC 4180 with a header line and LF; NULL is empty, an empty text is "".
    Csv,
    /// One JSON array per result, one row per line.
    Json,
    /// A Markdown table.
    Markdown,
}

impl Format {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Table, Self::Csv, Self::Json, Self::Markdown];

    /// As typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "markdown",
        }
    }

    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|format| format.as_str() == name).copied()
    }
}

/// Why a result could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Standard output went away or is full.
    #[error("writing the result: {0}")]
    Io(#[from] io::Error),
    /// A value could not be shown.
    #[error("showing the result: {0}")]
    Value(#[from] arrow::error::ArrowError),
    /// The rows could not be had.
    #[error(transparent)]
    Query(#[from] Fault),
}

impl PrintError {
    /// Whether whoever read standard output has left (`| head`), which is no failure.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<PrintError> for Fault {
    fn from(error: PrintError) -> Self {
        let why = match error {
            PrintError::Io(error) => error.to_string(),
            PrintError::Value(error) => error.to_string(),
            PrintError::Query(fault) => return fault,
        };
        Self::new(skep_catalog::fault::Code::SQL_FAILED, "result cannot be printed", why)
    }
}

/// Writes one result.
trait ResultWriter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), PrintError>;
    fn end(&mut self, out: &mut dyn Write) -> Result<(), PrintError>;
    /// What was left out, in a sentence.
    fn left_out(&self) -> Option<String> {
        None
    }
}

/// Prints one result, batch by batch.
pub struct Printer<'o> {
    writer: Box<dyn ResultWriter>,
    out: &'o mut dyn Write,
    row_count: u64,
}

impl<'o> Printer<'o> {
    /// For rows of `schema`. `style` is for [`Format::Table`] only.
    pub fn new(
        format: Format,
        style: TableStyle,
        schema: &SchemaRef,
        out: &'o mut dyn Write,
    ) -> Result<Self, PrintError> {
        let writer: Box<dyn ResultWriter> = match format {
            Format::Table => Box::new(table::TableWriter::new(schema, style)),
            Format::Csv => Box::new(csv::CsvWriter::begin(schema, out)?),
            Format::Json => Box::new(json::JsonWriter::new(schema)),
            Format::Markdown => Box::new(markdown::MarkdownWriter::begin(schema, out)?),
        };
        Ok(Self { writer, out, row_count: 0 })
    }

    /// Some rows.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), PrintError> {
        self.row_count += batch.num_rows() as u64;
        self.writer.batch(batch, self.out)
    }

    /// The last row is printed. Gives the number of rows, and what was left out, if anything.
    pub fn end(mut self) -> Result<(u64, Option<String>), PrintError> {
        self.writer.end(self.out)?;
        self.out.flush()?;
        Ok((self.row_count, self.writer.left_out()))
    }
}

/// A number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
