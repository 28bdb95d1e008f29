//! What the catalog promises, seen from outside.

#![allow(clippy::unwrap_used)]

mod crash;
mod growth;
mod model;
mod rebuild;

use super::testing::*;
use crate::change::{Change, ObjectError};
use crate::fault::{Code, Fault};
use crate::limits::ERRORS_KEPT_MAX;
use crate::model::*;

fn sample(rows: i64) -> Vec<Change> {
    vec![
        Change::PutCatalog(catalog(DEFAULT_CATALOG)),
        Change::PutDatabase(db("sales"), database("sales", "d")),
        Change::PutTable(db("sales").table("orders"), table("orders", 5, true)),
        Change::PutPartitions(
            db("sales").table("orders"),
            (0..1500).map(|i| partition("orders", &format!("{i:05}"), i + rows)).collect(),
        ),
        Change::SetTableDetails(db("sales").table("orders"), details(3)),
        Change::SetFunctions(db("sales"), vec![function("f", "org.F")], vec![]),
        Change::SetPrivileges(vec![privilege("bob", "SELECT")]),
    ]
}

#[test]
fn what_was_put_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path());
    let id = catalog.declare(&[settings("dc1")]).unwrap()[0];
    let applied = catalog.apply(origin(id, 7), sample(1)).unwrap();
    assert_eq!((applied.created_count, applied.unchanged_count), (1506, 0));
    let snapshot = catalog.snapshot();
    let metastore = snapshot.metastore("dc1").unwrap();
    let database = metastore.database(DEFAULT_CATALOG, "sales").unwrap();
    let view = database.table("orders").unwrap();
    assert_eq!(view.totals.partition_count, 1500);
    assert_eq!(database.totals, view.totals);
    let summaries = snapshot.chunk_summaries(view);
    let mut names = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let chunk = snapshot.load_chunk(view, index).unwrap();
        let whole = snapshot.load_partitions(view, index).unwrap();
        assert_eq!(chunk.names[0], summary.name_min);
        assert_eq!(summary.totals.partition_count, chunk.names.len() as u64);
        for (name, (whole_name, item)) in chunk.names.iter().zip(&whole) {
            assert_eq!(name.as_ref(), whole_name);
            assert_eq!(name.as_ref(), format!("ds={}", item.value.values[0]));
        }
        names.extend(chunk.names);
    }
    assert_eq!(names.len(), 1500);
    assert!(names.is_sorted());
    assert_eq!(snapshot.load_tables(database).unwrap()[0].1, table("orders", 5, true));
    let stamp = origin(id, 7).stamp;
    assert_eq!(snapshot.load_details(database).unwrap(), vec![(view.id, details(3), stamp)]);
    assert_eq!(snapshot.load_functions(database).unwrap(), vec![(function("f", "org.F"), stamp)]);
    assert_eq!(snapshot.load_privileges(metastore).unwrap(), vec![(privilege("bob", "SELECT"), stamp)]);
    let again = catalog.apply(origin(id, 8), sample(1)).unwrap();
    assert_eq!((again.created_count, again.altered_count, again.unchanged_count), (0, 0, 1506));
    assert!(again.found.is_empty());
    let snapshot = catalog.snapshot();
    let view = snapshot.metastore("dc1").unwrap().database(DEFAULT_CATALOG, "sales").unwrap();
    let chunk = snapshot.load_chunk(view.table("orders").unwrap(), 0).unwrap();
    assert_eq!(chunk.stamps[0].synced_at, 8);
}

#[test]
fn merge_that_moves_chunks_moves_the_generation() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path());
    let id = catalog.declare(&[settings("dc1")]).unwrap()[0];
    catalog.apply(origin(id, 1), sample(1)).unwrap();
    let orders = || {
        let snapshot = catalog.snapshot();
        let view = snapshot.metastore("dc1").unwrap().database(DEFAULT_CATALOG, "sales").unwrap();
        let view = view.table("orders").unwrap().clone();
        (view.partitions_generation, snapshot.chunk_summaries(&view))
    };
    // Small changes one by one stay beside the segments until they are merged into them.
    for change in 0..20 {
        let names = (0..5).map(|i| format!("ds={:05}", change * 5 + i)).collect();
        let changes = vec![Change::DropPartitions(db("sales").table("orders"), names)];
        catalog.apply(origin(id, 2), changes).unwrap();
    }
    let (before, chunks_before) = orders();
    assert_eq!(catalog.merge().unwrap(), 1);
    let (after, chunks_after) = orders();
    assert_ne!(chunks_before, chunks_after);
    assert!(before < after);
}

#[test]
fn bookkeeping_belongs_to_a_snapshot_and_waits_for_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path());
    let id = catalog.declare(&[settings("dc1")]).unwrap()[0];
    catalog.apply(origin(id, 1), vec![Change::SetSourceCount(db("a"), 1)]).unwrap();
    let (snapshot, first_run) = (catalog.snapshot(), catalog.next_run_id());
    catalog.apply(origin(id, 2), vec![Change::SetSourceCount(db("b"), 2)]).unwrap();
    let counts = |snapshot: &crate::snapshot::Snapshot| snapshot.metastores[0].ledger.source_counts().len();
    assert_eq!((counts(&snapshot), counts(&catalog.snapshot())), (1, 2));
    catalog.apply(origin(id, 3), vec![Change::DropDatabase(db("a"))]).unwrap();
    assert_eq!(counts(&catalog.snapshot()), 1);
    let again = vec![Change::SetSourceCount(db("a"), 1), Change::DropCatalog(DEFAULT_CATALOG.into())];
    catalog.apply(origin(id, 4), again).unwrap();
    assert_eq!(counts(&catalog.snapshot()), 0);
    catalog.apply(origin(id, 5), vec![Change::SetSourceCount(db("b"), 2)]).unwrap();
    // A writer that is busy for long holds its lock.
    let _writer = catalog.writer.lock();
    assert_eq!(catalog.ledger(id).source_counts().len(), 1);
    assert!(first_run < catalog.next_run_id());
}

#[test]
fn every_broken_table_has_a_row_however_many_partitions_are_broken() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(folder.path());
    let id = catalog.declare(&[settings("dc1")]).unwrap()[0];
    let error = |table: &str, partition: Option<String>| ObjectError {
        database: Some(db("d")),
        table_name: Some(table.into()),
        partition_name: partition,
        fault: Fault::new(Code::METASTORE_ERROR, "get_table", "no"),
        at: 1,
    };
    let many = (0..ERRORS_KEPT_MAX).map(|n| error("a", Some(format!("k={n:05}")))).collect();
    let others = vec![error("b", None), error("c", Some("k=1".into())), error("c", Some("k=2".into()))];
    let changes = vec![Change::AddErrors(many), Change::AddErrors(others)];
    catalog.apply(origin(id, 1), changes).unwrap();
    let ledger = catalog.ledger(id);
    assert_eq!(ledger.errors().len(), ERRORS_KEPT_MAX);
    let rows: Vec<_> = ledger.errors().filter(|seen| seen.error.partition_name.is_none()).collect();
    let tables: Vec<_> = rows.iter().map(|seen| seen.error.table_name.as_deref().unwrap()).collect();
    assert_eq!(tables, ["b", "c"]);
    assert_eq!(rows[1].error.fault.why, "no; there is no room for a row for each broken partition");
}
