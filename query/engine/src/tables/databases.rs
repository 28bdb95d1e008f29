//! `catalog.catalogs`, `databases`, `database_properties`, `functions`, `privileges`.

use std::sync::Arc;

use skep_catalog::model::DatabaseName;

use super::walk::{self, Place};
use crate::chunk::{Chunk, Tests};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Rows, Value, seconds};
use crate::spec::TableSpec;

pub fn catalogs(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in &pinned.snapshot.metastores {
            for catalog in &metastore.catalogs {
                let [synced_at, source_event_id] = stamp_values(&catalog.stamp);
                rows.push(&[
                    (&metastore.name).into(),
                    (&catalog.name).into(),
                    catalog.id.to_string().into(),
                    catalog.object.location.as_ref().into(),
                    catalog.object.description.as_ref().into(),
                    catalog.object.create_time.and_then(seconds).into(),
                    catalog.databases.len().into(),
                    synced_at,
                    source_event_id,
                    pinned.sync_status(metastore, None, None).into(),
                ]);
            }
        }
        rows.finish()
    })
}

/// One chunk with the rows of all databases that pass.
fn all_databases(
    pinned: &Arc<Pinned>,
    tests: &Tests,
    spec: &'static TableSpec,
    push: impl Fn(&Pinned, &Place, &str, &mut Rows) + Send + Sync + 'static,
) -> Vec<Chunk> {
    let tests = tests.clone();
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for place in walk::places(pinned, &tests) {
            let sync_status = if rows.wants("sync_status") {
                pinned.sync_status(&place.metastore, Some(&place.name()), None)
            } else {
                ""
            };
            push(pinned, &place, sync_status, &mut rows);
        }
        rows.finish()
    })
}

pub fn databases(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    all_databases(pinned, tests, spec, |_, place, sync_status, rows| {
        let [metastore, catalog, name] = place.keys();
        let database = &place.database;
        let object = &database.object;
        let [synced_at, source_event_id] = stamp_values(&database.stamp);
        let sizes = database.tables.iter().filter_map(|t| super::hive_tables::Sums::of(t).total_size_bytes);
        rows.push(&[
            metastore,
            catalog,
            name,
            database.id.to_string().into(),
            object.location.as_ref().into(),
            object.managed_location.as_ref().into(),
            object.owner_name.as_ref().into(),
            object.owner_type.map(|t| t.as_str()).into(),
            object.description.as_ref().into(),
            database.tables.len().into(),
            database.totals.partition_count.into(),
            sizes.reduce(i64::saturating_add).into(),
            object.create_time.and_then(seconds).into(),
            database.changed_at.into(),
            Value::Map(&object.parameters),
            synced_at,
            source_event_id,
            sync_status.into(),
        ]);
    })
}

pub fn database_properties(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    all_databases(pinned, tests, spec, |_, place, sync_status, rows| {
        for (key, value) in &place.database.object.parameters {
            let [metastore, catalog, name] = place.keys();
            let [synced_at, source_event_id] = stamp_values(&place.database.stamp);
            rows.push(&[
                metastore,
                catalog,
                name,
                key.into(),
                value.into(),
                synced_at,
                source_event_id,
                sync_status.into(),
            ]);
        }
    })
}

pub fn functions(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    walk::per_database(
        pinned,
        tests,
        |_| None,
        move |pinned, place, _, wanted| {
            let mut rows = Rows::new(spec, wanted);
            let sync_status = pinned.sync_status(&place.metastore, Some(&place.name()), None);
            for (item, stamp) in pinned.snapshot.load_functions(&place.database)? {
                let [metastore, catalog, name] = place.keys();
                let [synced_at, source_event_id] = stamp_values(&stamp);
                let function = &item.value;
                rows.push(&[
                    metastore,
                    catalog,
                    name,
                    (&function.name).into(),
                    function.class_name.as_ref().into(),
                    function.owner_name.as_ref().into(),
                    function.owner_type.map(|t| t.as_str()).into(),
                    Value::OwnedList(function.resources.iter().map(|(_, uri)| uri.clone()).collect()),
                    seconds(function.create_time).into(),
                    synced_at,
                    source_event_id,
                    sync_status.into(),
                ]);
            }
            rows.finish()
        },
    )
}

pub fn privileges(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let tests = tests.clone();
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in walk::metastores(pinned, &tests) {
            let sync_status = pinned.sync_status(metastore, None, None);
            for (item, stamp) in pinned.snapshot.load_privileges(metastore)? {
                let grant = &item.value;
                let [synced_at, source_event_id] = stamp_values(&stamp);
                let database: Option<&DatabaseName> = grant.database.as_ref();
                rows.push(&[
                    (&metastore.name).into(),
                    database.map(|d| &d.catalog).into(),
                    database.map(|d| &d.database).into(),
                    grant.table_name.as_ref().into(),
                    Value::List(&grant.partition_values),
                    grant.column_name.as_ref().into(),
                    grant.object_kind.into(),
                    (&grant.principal_name).into(),
                    grant.principal_type.map(|t| t.as_str()).into(),
                    (&grant.privilege).into(),
                    grant.grantor_name.as_ref().into(),
                    seconds(grant.granted_time).into(),
                    grant.has_grant_option.into(),
                    synced_at,
                    source_event_id,
                    sync_status.into(),
                ]);
            }
        }
        rows.finish()
    })
}
