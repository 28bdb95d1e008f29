//! Tests of rows that were made first.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use skep_catalog::fault::Fault;

use super::{Load, Test};

/// A load out of `make`, which makes all rows: those that fail a test are dropped.
pub fn tested_later(make: impl Fn(&[usize]) -> Result<RecordBatch, Fault> + Send + Sync + 'static) -> Load {
    Arc::new(move |wanted, tests| tested(wanted, tests, &make))
}

/// The rows of `make` that pass all tests: of the wanted columns alone, though `make` is asked
/// for the tested ones too.
pub fn tested(
    wanted: &[usize],
    tests: &[(usize, Test)],
    make: impl Fn(&[usize]) -> Result<RecordBatch, Fault>,
) -> Result<RecordBatch, Fault> {
    if tests.is_empty() {
        return make(wanted);
    }
    let mut columns = wanted.to_vec();
    columns.extend(tests.iter().map(|(column, _)| *column).filter(|column| !wanted.contains(column)));
    let rows = make(&columns)?;
    let failed = |why: String| Fault::internal("filtering a chunk", why);
    let mut mask = vec![true; rows.num_rows()];
    for (column, test) in tests {
        let texts = columns
            .iter()
            .position(|place| place == column)
            .and_then(|place| rows.columns().get(place)?.as_string_opt::<i32>())
            .ok_or_else(|| failed("a tested column is no text".to_owned()))?;
        for (row, keep) in mask.iter_mut().enumerate() {
            *keep = *keep && texts.is_valid(row) && test.admits(texts.value(row));
        }
    }
    let places: Vec<usize> = (0..wanted.len()).collect();
    rows.project(&places)
        .and_then(|rows| filter_record_batch(&rows, &BooleanArray::from(mask)))
        .map_err(|e| failed(e.to_string()))
}
