#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use skep_catalog::model::TableName;

use super::*;
use crate::metastore::ObjectCounts;

fn counts() -> Vec<ObjectCounts> {
    demo_metastores().iter().map(|spec| spec.build().object_counts()).collect()
}

#[test]
fn demo_has_the_size_that_it_promises() {
    let all = counts();
    let sum = |of: fn(&ObjectCounts) -> usize| all.iter().map(of).sum::<usize>();
    let (databases, tables, partitions) = (sum(|c| c.databases), sum(|c| c.tables), sum(|c| c.partitions));
    assert!((55..=70).contains(&databases), "{databases} databases");
    assert!((1_800..=2_200).contains(&tables), "{tables} tables");
    assert!((90_000..=110_000).contains(&partitions), "{partitions} partitions");
}

#[test]
fn same_spec_gives_the_same_bytes() {
    for spec in demo_metastores() {
        let (left, right) = (spec.build(), spec.build());
        assert_eq!(left.table_names(), right.table_names());
        for name in left.table_names() {
            assert_eq!(left.table(&name).unwrap().fields, right.table(&name).unwrap().fields, "{name}");
        }
    }
}

#[test]
fn demo_metastores_share_tables_and_differ_in_some() {
    let specs = demo_metastores();
    let (left, right) = (specs[0].build(), specs[1].build());
    let names = |m: &Metastore| m.table_names().into_iter().collect::<BTreeSet<_>>();
    let shared: Vec<_> = names(&left).intersection(&names(&right)).cloned().collect();
    assert!(shared.len() > 100, "{} shared tables", shared.len());
    let storage = |m: &Metastore, name: &TableName| m.table(name).unwrap().raw().structure(7).unwrap();
    let has_same_columns =
        |name: &TableName| storage(&left, name).structs(1) == storage(&right, name).structs(1);
    let other_columns = shared.iter().filter(|name| !has_same_columns(name)).count();
    assert!(other_columns > 10, "{other_columns} tables with other columns");
    let same_place =
        shared.iter().filter(|name| storage(&left, name).text(2) == storage(&right, name).text(2)).count();
    assert!(same_place > 10 && same_place < shared.len(), "{same_place} tables at one address");
}

#[test]
fn one_database_still_points_at_the_old_namenode() {
    let metastore = demo_metastores()[0].build();
    let mut old = 0;
    for name in metastore.table_names() {
        let entry = metastore.table(&name).unwrap();
        entry.partitions.visit(&entry.keys, |partition, found| {
            let location = found.to_kept(partition).raw().structure(6).unwrap().text(2);
            if location.starts_with("hdfs://old-nn/") {
                assert_eq!(name.database.database, "web");
                old += 1;
            }
            true
        });
    }
    assert!(old > 100, "{old} partitions on old-nn");
}

#[test]
fn bench_makes_partitions_without_keeping_them() {
    let metastore = bench_spec(250, 20_000, 30).build();
    let counts = metastore.object_counts();
    assert_eq!((counts.databases, counts.tables, counts.partitions), (4, 250, 5_000_000));
}
