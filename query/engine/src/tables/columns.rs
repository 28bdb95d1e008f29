//! `catalog.columns`. Column names, types and comments of a database are decoded once per
//! generation and kept; which table and how fresh is added for each statement.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use skep_catalog::fault::Fault;
use skep_catalog::model::{Item, Table, TableId};
use skep_catalog::snapshot::TableView;

use super::walk::{self, Built, Place};
use crate::cache::{Kept, Key};
use crate::chunk::{Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Column, Rows, Value, batch, projected_schema};
use crate::spec::TableSpec;

/// Places of what is kept, and of what is not.
const FIRST_KEPT: usize = 4;
const LAST_KEPT: usize = 8;

/// Columns of all tables of a database.
struct Names {
    batch: RecordBatch,
    /// Table and number of its columns, in order.
    runs: Vec<(u64, usize)>,
}

impl Kept for Names {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.batch.get_array_memory_size() + size_of_val(self.runs.as_slice())
    }
}

pub fn columns(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let count = |place: &Place| {
        let column_count = |t: &Arc<TableView>| t.head.column_count as usize + t.head.partition_keys.len();
        Some(walk::tables(&place.database, tests).map(column_count).sum())
    };
    walk::per_database(pinned, tests, count, move |pinned, place, tests, wanted| {
        let tables: Vec<_> = walk::tables(&place.database, tests).collect();
        let kept = kept(spec, pinned, place, &tables)?;
        add_tables(spec, pinned, place, &tables, &kept, wanted)
    })
}

/// Columns of the tables: of the whole database from the cache, or of a few tables alone when the
/// database is not there.
fn kept(
    spec: &'static TableSpec,
    pinned: &Pinned,
    place: &Place,
    tables: &[&Arc<TableView>],
) -> Result<Arc<Names>, Fault> {
    let database = &place.database;
    let key = Key { id: u64::from(database.id.0), generation: database.tables_generation, index: 0 };
    let is_few = tables.len() * 8 < database.tables.len();
    if is_few && pinned.shared.cache.get::<Names>(key).is_none() {
        let whole = tables.iter().map(|t| Ok((t.id, pinned.snapshot.load_table(database, t)?)));
        return Ok(Arc::new(decode(spec, whole.collect::<Result<_, Fault>>()?)?));
    }
    pinned.shared.cache.get_or_make(key, || decode(spec, pinned.snapshot.load_tables(database)?))
}

fn decode(spec: &'static TableSpec, whole: Vec<(TableId, Item<Table>)>) -> Result<Names, Fault> {
    let mut rows = Rows::new(spec, &(FIRST_KEPT..=LAST_KEPT).collect::<Vec<_>>());
    let mut runs = Vec::with_capacity(whole.len());
    for (id, item) in &whole {
        let table = &item.value;
        let columns = table.storage.columns.iter().map(|c| (c, false));
        let all = columns.chain(table.partition_keys.iter().map(|c| (c, true)));
        let mut count = 0;
        for (index, (column, is_partition_column)) in all.enumerate() {
            count += 1;
            rows.push(&[
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                (&column.name).into(),
                (index + 1).into(),
                (&column.data_type).into(),
                is_partition_column.into(),
                column.comment.as_ref().into(),
                Value::Null,
                Value::Null,
                Value::Null,
            ]);
        }
        runs.push((id.0, count));
    }
    let (schema, mut arrays, count) = rows.finish()?.into_parts();
    arrays.iter_mut().for_each(Array::shrink_to_fit);
    let batch = batch(schema, arrays, count)?;
    Ok(Names { batch, runs })
}

/// The rows of the tables, with the columns that tell which table and how fresh.
fn add_tables(
    spec: &'static TableSpec,
    pinned: &Pinned,
    place: &Place,
    tables: &[&Arc<TableView>],
    kept: &Names,
    wanted: &[usize],
) -> Built {
    let mut slices = Vec::with_capacity(tables.len());
    let mut begin = 0;
    let mut asked = tables.iter().peekable();
    // Both lists are in order of name.
    for (id, count) in &kept.runs {
        if let Some(table) = asked.next_if(|t| t.id.0 == *id) {
            slices.push((*table, begin, *count));
        }
        begin += count;
    }
    let rows = slices.iter().map(|(_, _, count)| count).sum();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(wanted.len());
    for index in wanted {
        if (FIRST_KEPT..=LAST_KEPT).contains(index) {
            let column = kept.batch.column(index - FIRST_KEPT);
            arrays.push(pick(column, &slices, rows)?);
            continue;
        }
        let mut column = Column::new(spec.columns[*index].kind);
        for (table, _, count) in &slices {
            let value = table_value(spec.columns[*index].name, pinned, place, table);
            for _ in 0..*count {
                column.push(&value);
            }
        }
        arrays.push(column.finish());
    }
    batch(projected_schema(spec, wanted), arrays, rows)
}

fn table_value<'a>(column: &str, pinned: &Pinned, place: &Place, table: &'a TableView) -> Value<'a> {
    let [synced_at, source_event_id] = stamp_values(&table.stamp);
    match column {
        "table_name" => (&table.name).into(),
        "synced_at" => synced_at,
        "source_event_id" => source_event_id,
        "sync_status" => pinned.sync_status(&place.metastore, Some(&place.name()), Some(&table.name)).into(),
        _ => Value::Null,
    }
}

fn pick(
    column: &ArrayRef,
    slices: &[(&Arc<TableView>, usize, usize)],
    rows: usize,
) -> Result<ArrayRef, Fault> {
    if rows == column.len() {
        return Ok(Arc::clone(column));
    }
    let parts: Vec<ArrayRef> = slices.iter().map(|(_, begin, count)| column.slice(*begin, *count)).collect();
    match parts.as_slice() {
        [] => Ok(column.slice(0, 0)),
        [one] => Ok(Arc::clone(one)),
        _ => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())
            .map_err(|e| Fault::internal("picking columns", e.to_string())),
    }
}
