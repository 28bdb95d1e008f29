//! One JSON array per result, one row per line.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::{LineDelimited, WriterBuilder};

use super::{PrintError, ResultWriter};

pub struct JsonWriter {
    has_rows: bool,
}

impl JsonWriter {
    pub fn new(_schema: &SchemaRef) -> Self {
        Self { has_rows: false }
    }
}

impl ResultWriter for JsonWriter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), PrintError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
        writer.write(batch)?;
        writer.finish()?;
        // A row never holds a raw line feed: JSON escapes it.
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            out.write_all(if self.has_rows { b",\n" } else { b"[" })?;
            out.write_all(line)?;
            self.has_rows = true;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<(), PrintError> {
        out.write_all(if self.has_rows { b"]\n" } else { b"[]\n" })?;
        Ok(())
    }
}
