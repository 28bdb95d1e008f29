//! `catalog.constraints`, `catalog.column_stats`: decoded when asked for.

use std::collections::HashMap;
use std::sync::Arc;

use skep_catalog::fault::Fault;
use skep_catalog::model::TableDetails;
use skep_catalog::snapshot::TableView;

use super::walk::{self, Place};
use crate::chunk::{Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

/// Calls `push` with the first four and the last three values of each table that has details.
fn each_table(
    pinned: &Pinned,
    place: &Place,
    tests: &Tests,
    mut push: impl FnMut(&TableDetails, [Value<'_>; 4], [Value<'_>; 3]),
) -> Result<(), Fault> {
    let tables: HashMap<_, &Arc<TableView>> =
        walk::tables(&place.database, tests).map(|t| (t.id, t)).collect();
    for (id, details, stamp) in pinned.snapshot.load_details(&place.database)? {
        let Some(table) = tables.get(&id) else { continue };
        let [metastore, catalog, database] = place.keys();
        let [synced_at, source_event_id] = stamp_values(&stamp);
        let sync_status = pinned.sync_status(&place.metastore, Some(&place.name()), Some(&table.name));
        push(
            &details,
            [metastore, catalog, database, (&table.name).into()],
            [synced_at, source_event_id, sync_status.into()],
        );
    }
    Ok(())
}

fn push_row(rows: &mut Rows, keys: &[Value<'_>], values: &[Value<'_>], tail: &[Value<'_>]) {
    let row: Vec<Value<'_>> = keys.iter().chain(values).chain(tail).cloned().collect();
    rows.push(&row);
}

pub fn constraints(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    walk::per_database(
        pinned,
        tests,
        |_| None,
        move |pinned, place, tests, wanted| {
            let mut rows = Rows::new(spec, wanted);
            each_table(pinned, place, tests, |details, keys, tail| {
                for item in &details.constraints {
                    let column = &item.value;
                    let (target, target_column) = column.referenced.as_ref().map(|(t, c)| (t, c)).unzip();
                    let values = [
                        column.column_name.as_ref().into(),
                        (&column.name).into(),
                        column.kind.as_str().into(),
                        i64::from(column.key_sequence).into(),
                        target.map(|t| &t.database).into(),
                        target.map(|t| &t.table).into(),
                        target_column.into(),
                        column.expression.as_ref().into(),
                        column.is_enabled.into(),
                        column.is_validated.into(),
                        column.is_rely.into(),
                    ];
                    push_row(&mut rows, &keys, &values, &tail);
                }
            })?;
            rows.finish()
        },
    )
}

pub fn column_stats(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    walk::per_database(
        pinned,
        tests,
        |_| None,
        move |pinned, place, tests, wanted| {
            let mut rows = Rows::new(spec, wanted);
            each_table(pinned, place, tests, |details, keys, tail| {
                for item in &details.column_statistics {
                    let statistic = &item.value;
                    let values = [
                        (&statistic.column_name).into(),
                        (&statistic.data_type).into(),
                        statistic.null_count.into(),
                        statistic.distinct_count.into(),
                        statistic.min_value.as_ref().into(),
                        statistic.max_value.as_ref().into(),
                        statistic.max_length_bytes.into(),
                        statistic.average_length_bytes.into(),
                        statistic.true_count.into(),
                        statistic.false_count.into(),
                    ];
                    push_row(&mut rows, &keys, &values, &tail);
                }
            })?;
            rows.finish()
        },
    )
}
