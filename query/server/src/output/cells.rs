//! One value as text. Lists and maps are JSON, so that programs can read them too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Times as people read them.
pub const TIMES_FOR_PEOPLE: FormatOptions<'static> =
    FormatOptions::new().with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3fZ"));
/// Times as programs read them (RFC 3339).
pub const TIMES_FOR_PROGRAMS: FormatOptions<'static> = FormatOptions::new();

/// A text as people can be shown it: a terminal obeys control characters, so that they become spaces.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The texts of a batch, column by column; `None` is NULL.
pub fn texts(
    batch: &RecordBatch,
    options: &FormatOptions<'static>,
) -> Result<Vec<Vec<Option<String>>>, ArrowError> {
    batch.columns().iter().map(|column| column_texts(column, options)).collect()
}

fn column_texts(
    column: &ArrayRef,
    options: &FormatOptions<'static>,
) -> Result<Vec<Option<String>>, ArrowError> {
    // Such a column says of no value that it is NULL.
    if column.data_type() == &DataType::Null {
        return Ok(vec![None; column.len()]);
    }
    if is_nested(column.data_type()) {
        return (0..column.len()).map(|row| json_text(&column.slice(row, 1))).collect();
    }
    let formatter = ArrayFormatter::try_new(column.as_ref(), options)?;
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                return Ok(None);
            }
            formatter.value(row).try_to_string().map(Some)
        })
        .collect()
}

fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_nested(value),
        other => other.is_nested(),
    }
}

/// The value of a one-row column as JSON.
fn json_text(value: &ArrayRef) -> Result<Option<String>, ArrowError> {
    if value.is_null(0) {
        return Ok(None);
    }
    let schema = Schema::new(vec![Field::new("v", value.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(value)])?;
    let mut bytes = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(&batch)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end().strip_prefix("{\"v\":").and_then(|text| text.strip_suffix('}'));
    Ok(text.map(str::to_owned))
}
