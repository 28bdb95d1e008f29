//! How large the store gets under changes.

use std::path::Path;

use crate::change::Change;
use crate::model::*;
use crate::store::testing::*;

const TABLES: usize = 20;
const PARTITIONS: usize = 1_000;
/// Each round alters every 50th partition of every table, so all are altered twice: more than a
/// busy day does.
const ROUNDS: usize = 100;
const MERGED_EVERY: usize = 5;

fn name(table: usize) -> TableName {
    db("d").table(format!("t{table:02}"))
}

/// Rows that differ with every version of a partition.
fn rows(table: usize, index: usize, version: usize) -> i64 {
    let mixed = ((table * PARTITIONS + index) * 1_000 + version) as u64;
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24) as i64
}

fn put(table: usize, versions: impl Iterator<Item = (usize, usize)>) -> Change {
    let made =
        |(index, version)| partition(&name(table).table, &format!("{index:05}"), rows(table, index, version));
    Change::PutPartitions(name(table), versions.map(made).collect())
}

/// A store with these versions of all partitions, written at once.
fn fresh(
    path: &Path,
    version: impl Fn(usize) -> usize,
) -> (std::sync::Arc<crate::store::Catalog>, MetastoreId) {
    let store = open(path);
    let id = store.declare(&[settings("dc1")]).unwrap()[0];
    let first =
        vec![Change::PutCatalog(catalog(DEFAULT_CATALOG)), Change::PutDatabase(db("d"), database("d", ""))];
    store.apply(origin(id, 1), first).unwrap();
    for table_index in 0..TABLES {
        let table = table(&name(table_index).table, 1, true);
        let partitions = put(table_index, (0..PARTITIONS).map(|index| (index, version(index))));
        store.apply(origin(id, 1), vec![Change::PutTable(name(table_index), table), partitions]).unwrap();
    }
    store.flush().unwrap();
    (store, id)
}

#[test]
fn after_many_rounds_of_changes_a_rebuilt_store_is_hardly_larger_than_a_fresh_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id) = fresh(&folder.path().join("changed"), |_| 0);
    for round in 1..=ROUNDS {
        let changes = (0..TABLES)
            .map(|table| put(table, (round % 50..PARTITIONS).step_by(50).map(|index| (index, round))));
        store.apply(origin(id, 1 + round as i64), changes.collect()).unwrap();
        if round % MERGED_EVERY == 0 {
            store.merge().unwrap();
        }
    }
    store.flush().unwrap();
    let grown = store.facts().size_on_disk_bytes;
    store.rebuild().unwrap();
    let last = |index: usize| (1..=ROUNDS).rev().find(|round| round % 50 == index % 50).unwrap_or(0);
    let (other, _) = fresh(&folder.path().join("fresh"), last);
    let totals = |store: &crate::store::Catalog| {
        store.snapshot().metastores[0].database(DEFAULT_CATALOG, "d").unwrap().totals
    };
    assert_eq!(totals(&store), totals(&other));
    let (rebuilt, fresh) = (store.facts().size_on_disk_bytes, other.facts().size_on_disk_bytes);
    assert!(grown <= 5 * fresh, "{grown} bytes after the changes, {fresh} when fresh");
    assert!(4 * rebuilt <= 5 * fresh, "{rebuilt} bytes when rebuilt, {fresh} when fresh");
}
