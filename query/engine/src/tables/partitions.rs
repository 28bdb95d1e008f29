//! `catalog.partitions`, `partition_properties`, and the sums that stand in for them.
//!
//! A chunk is at most about 1,000 partitions of one table. Its hot columns are decoded once per
//! generation and kept; whole partitions are decoded when a statement asks for properties.

use std::sync::Arc;

use arrow::array::ArrayRef;
use skep_catalog::fault::Fault;
use skep_catalog::model::partition_values;
use skep_catalog::snapshot::TableView;

use super::hive_tables::Sums;
use super::walk::{self, Built, Place};
use crate::cache::Key;
use crate::chunk::{Bounds, Chunk, Test, Tests, tested, tested_later};
use crate::hot::{self, Hot, Picked};
use crate::pinned::{PartitionStatuses, Pinned, stamp_values};
use crate::rows::{Column, Rows, Value, batch, projected_schema};
use crate::spec::{ColumnSpec, TableSpec};

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

    /// `sync_status` of its partitions.
    pub fn statuses<'a>(&self, pinned: &'a Pinned) -> PartitionStatuses<'a> {
        pinned.partition_statuses(&self.place.metastore, &self.place.name(), &self.table.name)
    }
}

/// What is known of a chunk before it is loaded.
pub struct Summary {
    pub at: PartitionPlace,
    pub row_count: usize,
    pub names: (Box<str>, Box<str>),
    pub locations: Option<(Box<str>, Box<str>)>,
}

/// All chunks whose key columns pass, and whose bounds may.
pub fn summaries(pinned: &Pinned, tests: &Tests) -> Vec<Summary> {
    let mut summaries = Vec::new();
    for place in walk::places(pinned, tests) {
        for table in walk::tables(&place.database, tests).filter(|t| t.totals.partition_count != 0) {
            for (index, summary) in pinned.snapshot.chunk_summaries(table).into_iter().enumerate() {
                let locations = summary.locations.as_ref();
                if !tests.may_admit("partition_name", &summary.name_min, &summary.name_max)
                    || locations.is_some_and(|(min, max)| !tests.may_admit("location", min, max))
                {
                    continue;
                }
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

/// Hot columns of a chunk, from the cache or the store.
pub fn hot(pinned: &Pinned, at: &PartitionPlace) -> Result<Arc<Hot>, Fault> {
    let key = Key { id: at.table.id.0, generation: at.table.partitions_generation, index: at.index };
    let make = || Ok(Hot::new(&pinned.snapshot.load_chunk(&at.table, at.index)?));
    pinned.shared.cache.get_or_make(key, make)
}

/// The rows of a chunk that pass the tests of hot columns, and the other tests.
pub fn pick(spec: &TableSpec, hot: &Hot, tests: &[(usize, Test)]) -> (Picked, Vec<(usize, Test)>) {
    let mut picked = hot.all();
    let mut others = Vec::new();
    for (column, test) in tests {
        let name = spec.columns[*column].name;
        if hot::TEXTS.contains(&name) {
            picked = hot.pick(name, test, picked);
        } else {
            others.push((*column, test.clone()));
        }
    }
    (picked, others)
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
                load: Arc::new(move |wanted, tests| read(spec, &pinned, &at, wanted, tests)),
            }
        })
        .collect()
}

fn read(
    spec: &'static TableSpec,
    pinned: &Pinned,
    at: &PartitionPlace,
    wanted: &[usize],
    tests: &[(usize, Test)],
) -> Built {
    let hot = hot(pinned, at)?;
    let (picked, others) = pick(spec, &hot, tests);
    tested(wanted, &others, |wanted| {
        let columns = wanted.iter().map(|index| column(&spec.columns[*index], pinned, at, &hot, &picked));
        batch(projected_schema(spec, wanted), columns.collect::<Result<_, _>>()?, picked.len())
    })
}

/// A column of the picked rows.
fn column(
    spec: &ColumnSpec,
    pinned: &Pinned,
    at: &PartitionPlace,
    hot: &Hot,
    picked: &Picked,
) -> Result<ArrayRef, Fault> {
    if let Some(array) = hot.column(spec.name, picked) {
        return Ok(array);
    }
    let mut column = Column::new(spec.kind);
    match spec.name {
        "partition_values" => picked.each(|row| {
            column.push(&Value::OwnedList(partition_values(hot.name(row))));
        }),
        "sync_status" => {
            let statuses = at.statuses(pinned);
            picked.each(|row| {
                column.push(&statuses.of(hot.name(row)).into());
            });
        }
        _ if picked.len() != 0 => {
            let partitions = pinned.snapshot.load_partitions(&at.table, at.index)?;
            picked.each(|row| {
                column.push(
                    &partitions.get(row).map_or(Value::Null, |(_, item)| Value::Map(&item.value.parameters)),
                );
            });
        }
        _ => {}
    }
    Ok(column.finish())
}

pub fn partition_properties(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    summaries(pinned, tests)
        .into_iter()
        .map(|summary| {
            let (pinned, at) = (Arc::clone(pinned), summary.at);
            let constants = at.constants();
            let load = move |wanted: &[usize]| {
                let partitions = pinned.snapshot.load_partitions(&at.table, at.index)?;
                if wanted.is_empty() {
                    let count = partitions.iter().map(|(_, item)| item.value.parameters.len()).sum();
                    return batch(projected_schema(spec, &[]), Vec::new(), count);
                }
                let hot = hot(&pinned, &at)?;
                let statuses = at.statuses(&pinned);
                let mut rows = Rows::new(spec, wanted);
                for (row, (name, item)) in partitions.iter().enumerate() {
                    let [metastore, catalog, database] = at.place.keys();
                    let keys = [metastore, catalog, database, (&at.table.name).into(), name.into()];
                    let [synced_at, source_event_id] = stamp_values(&hot.stamp(row));
                    let tail = [synced_at, source_event_id, statuses.of(name).into()];
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
                load: tested_later(load),
            }
        })
        .collect()
}

pub fn partition_totals(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let has_partitions =
        |place: &Place| if place.database.totals.partition_count == 0 { Some(0) } else { None };
    walk::per_database(pinned, tests, has_partitions, move |_, place, tests, wanted| {
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
    })
}
