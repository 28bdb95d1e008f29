//! `catalog.tables`, `table_properties`, `views`, `dropped_tables`.

use std::collections::HashMap;
use std::sync::Arc;

use skep_catalog::fault::Fault;
use skep_catalog::model::{Item, Table, TableId};
use skep_catalog::snapshot::{TableHead, TableView, Totals};

use super::walk::{self, Place};
use crate::chunk::{Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Rows, Value, seconds};
use crate::spec::TableSpec;

/// What the metastore's statistics say of a table: over its partitions when it has any, else its
/// own.
pub struct Sums {
    pub row_count: Option<i64>,
    pub total_size_bytes: Option<i64>,
    pub file_count: Option<i64>,
}

impl Sums {
    pub fn of(table: &TableView) -> Self {
        Self::new(&table.head, &table.totals)
    }

    fn new(head: &TableHead, totals: &Totals) -> Self {
        if totals.partition_count == 0 && head.partition_keys.is_empty() {
            return Self {
                row_count: head.row_count,
                total_size_bytes: head.total_size_bytes,
                file_count: head.file_count,
            };
        }
        Self::of_partitions(totals)
    }

    /// Sums over partitions; NULL when none is known, as SQL's sum has it.
    pub fn of_partitions(totals: &Totals) -> Self {
        let known = |sum: i64, count: u64| (0 < count).then_some(sum);
        Self {
            row_count: known(totals.row_count, totals.row_count_known),
            total_size_bytes: known(totals.total_size_bytes, totals.total_size_known),
            file_count: known(totals.file_count, totals.file_count_known),
        }
    }
}

/// Whole objects of the tables named: all of the database at once, or one by one when few.
pub fn load_whole(
    pinned: &Pinned,
    place: &Place,
    tables: &[&Arc<TableView>],
) -> Result<HashMap<TableId, Item<Table>>, Fault> {
    if tables.len() * 8 < place.database.tables.len() {
        let load =
            |table: &&Arc<TableView>| Ok((table.id, pinned.snapshot.load_table(&place.database, table)?));
        return tables.iter().map(load).collect();
    }
    Ok(pinned.snapshot.load_tables(&place.database)?.into_iter().collect())
}

fn row_count(tests: &Tests) -> impl Fn(&Place) -> Option<usize> + '_ {
    move |place| Some(walk::tables(&place.database, tests).count())
}

fn table_status(pinned: &Pinned, place: &Place, table: &TableView) -> &'static str {
    pinned.sync_status(&place.metastore, Some(&place.name()), Some(&table.name))
}

fn digest(hash: u64) -> Value<'static> {
    format!("{hash:016x}").into()
}

pub fn tables(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    walk::per_database(pinned, tests, row_count(tests), move |pinned, place, tests, wanted| {
        let mut rows = Rows::new(spec, wanted);
        let tables: Vec<_> = walk::tables(&place.database, tests).collect();
        let whole =
            if rows.wants("properties") { load_whole(pinned, place, &tables)? } else { HashMap::new() };
        let wants_status = rows.wants("sync_status");
        let wants_digests = spec.columns.iter().any(|c| c.name.ends_with("_digest") && rows.wants(c.name));
        for table in tables {
            let [metastore, catalog, database] = place.keys();
            let head = &table.head;
            let sums = Sums::of(table);
            let digests = &table.digests;
            let [synced_at, source_event_id] = stamp_values(&table.stamp);
            let digest = |hash| if wants_digests { digest(hash) } else { Value::Text("") };
            let partition_columns = || head.partition_keys.iter().map(|c| c.name.clone()).collect();
            let no_properties = Vec::new();
            let properties = whole.get(&table.id).map_or(&no_properties, |item| &item.value.parameters);
            rows.push(&[
                metastore,
                catalog,
                database,
                (&table.name).into(),
                table.id.to_string().into(),
                (&head.table_type).into(),
                (&head.table_format).into(),
                head.owner_name.as_ref().into(),
                head.location.as_ref().into(),
                head.input_format.as_ref().into(),
                head.output_format.as_ref().into(),
                head.serde_library.as_ref().into(),
                head.comment.as_ref().into(),
                u64::from(head.column_count).into(),
                head.partition_keys.len().into(),
                Value::OwnedList(partition_columns()),
                table.totals.partition_count.into(),
                sums.row_count.into(),
                sums.total_size_bytes.into(),
                sums.file_count.into(),
                seconds(head.create_time).into(),
                head.last_ddl_time.and_then(seconds).into(),
                head.last_access_time.and_then(seconds).into(),
                table.changed_at.into(),
                digest(digests.schema),
                digest(digests.storage),
                digest(digests.parameters),
                digest(digests.location),
                digest(table.partitions_digest),
                Value::Map(properties),
                synced_at,
                source_event_id,
                if wants_status { table_status(pinned, place, table) } else { "" }.into(),
            ]);
        }
        rows.finish()
    })
}

pub fn table_properties(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let has_tables = |place: &Place| if place.database.tables.is_empty() { Some(0) } else { None };
    walk::per_database(pinned, tests, has_tables, move |pinned, place, tests, wanted| {
        let mut rows = Rows::new(spec, wanted);
        let tables: Vec<_> = walk::tables(&place.database, tests).collect();
        let whole = load_whole(pinned, place, &tables)?;
        for table in tables {
            let sync_status = if rows.wants("sync_status") { table_status(pinned, place, table) } else { "" };
            for (key, value) in whole.get(&table.id).into_iter().flat_map(|item| &item.value.parameters) {
                let [metastore, catalog, database] = place.keys();
                let [synced_at, source_event_id] = stamp_values(&table.stamp);
                rows.push(&[
                    metastore,
                    catalog,
                    database,
                    (&table.name).into(),
                    key.into(),
                    value.into(),
                    synced_at,
                    source_event_id,
                    sync_status.into(),
                ]);
            }
        }
        rows.finish()
    })
}

fn is_view(table: &TableView) -> bool {
    table.head.table_type.ends_with("_VIEW")
}

pub fn views(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let count = |place: &Place| Some(walk::tables(&place.database, tests).filter(|t| is_view(t)).count());
    walk::per_database(pinned, tests, count, move |pinned, place, tests, wanted| {
        let mut rows = Rows::new(spec, wanted);
        let views: Vec<_> = walk::tables(&place.database, tests).filter(|t| is_view(t)).collect();
        let whole = load_whole(pinned, place, &views)?;
        for view in views {
            let [metastore, catalog, database] = place.keys();
            let [synced_at, source_event_id] = stamp_values(&view.stamp);
            let object = whole.get(&view.id).map(|item| &item.value);
            rows.push(&[
                metastore,
                catalog,
                database,
                (&view.name).into(),
                view.id.to_string().into(),
                (&view.head.table_type).into(),
                view.head.owner_name.as_ref().into(),
                object.and_then(|t| t.view_original_text.as_ref()).into(),
                object.and_then(|t| t.view_expanded_text.as_ref()).into(),
                object.is_some_and(|t| t.is_rewrite_enabled).into(),
                synced_at,
                source_event_id,
                table_status(pinned, place, view).into(),
            ]);
        }
        rows.finish()
    })
}

pub fn dropped_tables(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let tests = tests.clone();
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in walk::metastores(pinned, &tests) {
            for table in metastore.ledger.dropped_tables() {
                let sums = Sums::new(&table.head, &table.totals);
                let [synced_at, source_event_id] = stamp_values(&table.stamp);
                rows.push(&[
                    (&metastore.name).into(),
                    (&table.catalog_name).into(),
                    (&table.database_name).into(),
                    (&table.table_name).into(),
                    table.id.to_string().into(),
                    (&table.head.table_type).into(),
                    (&table.head.table_format).into(),
                    table.head.owner_name.as_ref().into(),
                    table.head.location.as_ref().into(),
                    table.totals.partition_count.into(),
                    sums.total_size_bytes.into(),
                    seconds(table.head.create_time).into(),
                    table.deleted_at.into(),
                    synced_at,
                    source_event_id,
                ]);
            }
        }
        rows.finish()
    })
}
