//! `catalog.partitions`, `partition_properties`, and the sums that stand in for them.
//!
//! A chunk is at most about 1,000 partitions of one table. Its hot columns are decoded once per
//! generation and kept; whole partitions are decoded when a statement asks for properties.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use skep_catalog::fault::Fault;
use skep_catalog::model::partition_values;
use skep_catalog::snapshot::{PartitionChunk, TableView};

use super::hive_tables::Sums;
use super::walk::{self, Place};
use crate::cache::{Cached, Key};
use crate::chunk::{Bounds, Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Column, Rows, Value, batch, projected_schema, seconds};
use crate::spec::{self, TableSpec};

pub const PARTITION: usize = 4;

/// A chunk of a table's partitions.
#[derive(Clone)]
pub struct PartitionPlace {
    pub place: Place,
    pub table: Arc<TableView>,
    pub index: usize,
}

impl PartitionPlace {
    pub fn constants(&self) -> Vec<(usize, Arc<str>)> {
        let mut constants = self.place.constants();
        constants.push((walk::TABLE, Arc::clone(&self.table.name)));
        constants
    }

    /// `sync_status` of one partition.
    pub fn sync_status(&self, pinned: &Pinned, partition: &str) -> &'static str {
        let (place, table) = (&self.place, &self.table);
        pinned.sync_status(&place.metastore, Some(&place.name()), Some(&table.name), Some(partition))
    }
}

/// What is known of a chunk before it is loaded.
pub struct Summary {
    pub at: PartitionPlace,
    pub row_count: usize,
    pub names: (Box<str>, Box<str>),
    pub locations: Option<(Box<str>, Box<str>)>,
}

/// All chunks whose key columns pass.
pub fn summaries(pinned: &Pinned, tests: &Tests) -> Vec<Summary> {
    let mut summaries = Vec::new();
    for place in walk::places(pinned, tests) {
        for table in walk::tables(&place.database, tests).filter(|t| t.totals.partition_count != 0) {
            for (index, summary) in pinned.snapshot.chunk_summaries(table).into_iter().enumerate() {
                let row_count = usize::try_from(summary.totals.partition_count).unwrap_or(usize::MAX);
                summaries.push(Summary {
                    at: PartitionPlace { place: place.clone(), table: Arc::clone(table), index },
                    row_count,
                    names: (summary.name_min, summary.name_max),
                    locations: summary.locations,
                });
            }
        }
    }
    summaries
}

/// The columns that are kept in memory, by name.
const HOT: [&str; 9] = [
    "partition_name",
    "location",
    "row_count",
    "total_size_bytes",
    "file_count",
    "source_created_at",
    "source_last_ddl_at",
    "synced_at",
    "source_event_id",
];

/// Hot columns of a chunk, from the cache or the store.
pub fn hot(pinned: &Pinned, at: &PartitionPlace) -> Result<Arc<Cached>, Fault> {
    let key = Key {
        kind: "partitions",
        id: at.table.id.0,
        generation: at.table.partitions_generation,
        index: at.index,
    };
    pinned.shared.cache.get_or_make(key, || hot_rows(pinned.snapshot.load_chunk(&at.table, at.index)?))
}

fn hot_rows(chunk: PartitionChunk) -> Result<Cached, Fault> {
    let spec =
        spec::find("catalog", "partitions").ok_or_else(|| Fault::internal("partitions", "not described"))?;
    let wanted: Vec<usize> = HOT.iter().filter_map(|name| spec.index_of(name)).collect();
    let mut columns: Vec<Column> = wanted.iter().map(|i| Column::new(spec.columns[*i].kind)).collect();
    for row in 0..chunk.names.len() {
        let [synced_at, source_event_id] = stamp_values(&chunk.stamps[row]);
        let values = [
            Value::Text(&chunk.names[row]),
            chunk.locations[row].as_deref().into(),
            chunk.row_counts[row].into(),
            chunk.total_size_bytes[row].into(),
            chunk.file_counts[row].into(),
            seconds(chunk.create_times[row]).into(),
            chunk.last_ddl_times[row].and_then(seconds).into(),
            synced_at,
            source_event_id,
        ];
        for (column, value) in columns.iter_mut().zip(&values) {
            column.push(value);
        }
    }
    let arrays: Vec<ArrayRef> = columns.iter_mut().map(Column::finish).collect();
    let rows = chunk.names.len();
    Ok(Cached { batch: batch(projected_schema(spec, &wanted), arrays, rows)?, runs: Vec::new() })
}

/// A text column of the hot columns.
pub fn hot_texts<'a>(hot: &'a Cached, column: &str) -> Result<&'a StringArray, Fault> {
    hot.batch
        .column_by_name(column)
        .and_then(|c| c.as_string_opt::<i32>())
        .ok_or_else(|| Fault::internal("partitions", "a hot column is missing"))
}

pub fn partitions(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let location = spec.index_of("location");
    summaries(pinned, tests)
        .into_iter()
        .map(|summary| {
            let mut bounds = vec![Bounds { column: PARTITION, min: summary.names.0, max: summary.names.1 }];
            if let (Some(column), Some((min, max))) = (location, summary.locations) {
                bounds.push(Bounds { column, min, max });
            }
            let (pinned, at) = (Arc::clone(pinned), summary.at);
            Chunk {
                constants: at.constants(),
                bounds,
                row_count: Some(summary.row_count),
                load: Arc::new(move |wanted| read(spec, &pinned, &at, wanted)),
            }
        })
        .collect()
}

fn read(
    spec: &'static TableSpec,
    pinned: &Pinned,
    at: &PartitionPlace,
    wanted: &[usize],
) -> Result<RecordBatch, Fault> {
    let hot = hot(pinned, at)?;
    let names = hot_texts(&hot, "partition_name")?;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(wanted.len());
    for index in wanted {
        let spec = &spec.columns[*index];
        if let Some(array) = hot.batch.column_by_name(spec.name) {
            arrays.push(Arc::clone(array));
            continue;
        }
        let mut column = Column::new(spec.kind);
        match spec.name {
            "partition_values" => {
                for name in names.iter().flatten() {
                    column.push(&Value::OwnedList(partition_values(name)));
                }
            }
            "sync_status" => {
                for name in names.iter().flatten() {
                    column.push(&at.sync_status(pinned, name).into());
                }
            }
            _ => {
                for (_, item) in pinned.snapshot.load_partitions(&at.table, at.index)? {
                    column.push(&Value::Map(&item.value.parameters));
                }
            }
        }
        arrays.push(column.finish());
    }
    batch(projected_schema(spec, wanted), arrays, names.len())
}

pub fn partition_properties(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    summaries(pinned, tests)
        .into_iter()
        .map(|summary| {
            let (pinned, at) = (Arc::clone(pinned), summary.at);
            let constants = at.constants();
            let load = move |wanted: &[usize]| {
                let hot = hot(&pinned, &at)?;
                let synced_at = hot.batch.column_by_name("synced_at").cloned();
                let event_id = hot.batch.column_by_name("source_event_id").cloned();
                let mut rows = Rows::new(spec, wanted);
                let partitions = pinned.snapshot.load_partitions(&at.table, at.index)?;
                for (row, (name, item)) in partitions.iter().enumerate() {
                    let [metastore, catalog, database] = at.place.keys();
                    let keys = [metastore, catalog, database, (&at.table.name).into(), name.into()];
                    let tail = [
                        synced_at.as_ref().and_then(|a| time_at(a, row)).into(),
                        event_id.as_ref().and_then(|a| int_at(a, row)).into(),
                        at.sync_status(&pinned, name).into(),
                    ];
                    for (key, value) in &item.value.parameters {
                        let property = [key.into(), value.into()];
                        let values: Vec<Value<'_>> =
                            keys.iter().chain(&property).chain(&tail).cloned().collect();
                        rows.push(&values);
                    }
                }
                rows.finish()
            };
            let (min, max) = summary.names;
            Chunk {
                constants,
                bounds: vec![Bounds { column: PARTITION, min, max }],
                row_count: None,
                load: Arc::new(load),
            }
        })
        .collect()
}

/// A time at a row.
pub fn time_at(array: &ArrayRef, row: usize) -> Option<i64> {
    let times = array.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>()?;
    (row < times.len() && times.is_valid(row)).then(|| times.value(row))
}

/// A number at a row.
pub fn int_at(array: &ArrayRef, row: usize) -> Option<i64> {
    let numbers = array.as_primitive_opt::<arrow::datatypes::Int64Type>()?;
    (row < numbers.len() && numbers.is_valid(row)).then(|| numbers.value(row))
}

pub fn partition_totals(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let build =
        move |_: &Pinned, place: &Place, tests: &Tests, wanted: &[usize]| -> Result<RecordBatch, Fault> {
            let mut rows = Rows::new(spec, wanted);
            for table in walk::tables(&place.database, tests).filter(|t| t.totals.partition_count != 0) {
                let [metastore, catalog, database] = place.keys();
                let sums = Sums::of_partitions(&table.totals);
                rows.push(&[
                    metastore,
                    catalog,
                    database,
                    (&table.name).into(),
                    table.totals.partition_count.into(),
                    sums.row_count.into(),
                    sums.total_size_bytes.into(),
                    sums.file_count.into(),
                ]);
            }
            rows.finish()
        };
    let has_partitions =
        |place: &Place| if place.database.totals.partition_count == 0 { Some(0) } else { None };
    walk::per_database(pinned, tests, has_partitions, build)
}
