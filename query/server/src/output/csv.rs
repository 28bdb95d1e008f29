//! CSV after RFC 4180, with a header line and LF.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cells::{TIMES_FOR_PROGRAMS, texts};
use super::{PrintError, ResultWriter};

pub struct CsvWriter;

impl CsvWriter {
    pub fn begin(schema: &SchemaRef, out: &mut dyn Write) -> Result<Self, PrintError> {
        let names = schema.fields().iter().map(|field| quoted(field.name()));
        writeln!(out, "{}", names.collect::<Vec<_>>().join(","))?;
        Ok(Self)
    }
}

impl ResultWriter for CsvWriter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), PrintError> {
        let columns = texts(batch, &TIMES_FOR_PROGRAMS)?;
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index != 0 {
                    out.write_all(b",")?;
                }
                if let Some(text) = &column[row] {
                    out.write_all(quoted(text).as_bytes())?;
                }
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> Result<(), PrintError> {
        Ok(())
    }
}

/// In quotes where it must be. An empty text is quoted too, which tells it from NULL.
fn quoted(text: &str) -> String {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}
