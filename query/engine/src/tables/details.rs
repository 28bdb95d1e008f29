//! `catalog.constraints`, `catalog.column_stats`: decoded when asked for.

use std::collections::HashMap;
use std::sync::Arc;

use skep_catalog::model::TableDetails;
use skep_catalog::snapshot::TableView;

use super::walk;
use crate::chunk::{Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

/// Gives each item of a table's details: its own values.
type Items = fn(&TableDetails, &mut Push<'_>);
/// Takes the values of an item.
type Push<'a> = dyn FnMut(&[Value<'_>]) + 'a;

/// A row per item that `items` gives of a table's details: its own values, between the key before
/// them and what every mirrored row ends with.
fn per_item(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests, items: Items) -> Vec<Chunk> {
    walk::per_database(
        pinned,
        tests,
        |_| None,
        move |pinned, place, tests, wanted| {
            let mut rows = Rows::new(spec, wanted);
            let tables: HashMap<_, &Arc<TableView>> =
                walk::tables(&place.database, tests).map(|t| (t.id, t)).collect();
            for (id, details, stamp) in pinned.snapshot.load_details(&place.database)? {
                let Some(table) = tables.get(&id) else { continue };
                let [metastore, catalog, database] = place.keys();
                let keys = [metastore, catalog, database, (&table.name).into()];
                let [synced_at, source_event_id] = stamp_values(&stamp);
                let sync_status =
                    pinned.sync_status(&place.metastore, Some(&place.name()), Some(&table.name));
                let tail = [synced_at, source_event_id, sync_status.into()];
                items(&details, &mut |values| {
                    let row: Vec<Value<'_>> = keys.iter().chain(values).chain(&tail).cloned().collect();
                    rows.push(&row);
                });
            }
            rows.finish()
        },
    )
}

pub fn constraints(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_item(spec, pinned, tests, |details, push| {
        for item in &details.constraints {
            let column = &item.value;
            let (target, target_column) = column.referenced.as_ref().map(|(t, c)| (t, c)).unzip();
            push(&[
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
            ]);
        }
    })
}

pub fn column_stats(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_item(spec, pinned, tests, |details, push| {
        for item in &details.column_statistics {
            let statistic = &item.value;
            push(&[
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
            ]);
        }
    })
}
