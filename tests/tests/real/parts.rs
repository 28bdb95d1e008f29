//! The parts themselves: what they cannot do, no scenario can show.

use std::collections::BTreeMap;

use skep_tests::harness::{Metastore, Release};

/// Starts, fills, reads and changes a release.
fn serves(release: Release, kinds: &[(&str, usize)]) {
    let metastore = Metastore::start(release);
    metastore.fill(100);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for object in metastore.dump() {
        *counts.entry(object.kind).or_default() += 1;
    }
    for (kind, count) in kinds {
        assert_eq!(counts.get(*kind), Some(count), "{kind} of {counts:?}");
    }
    let mut ddl = metastore.ddl();
    ddl.run("create_table sales made dt");
    ddl.run("add_partitions sales made 0 3");
    ddl.run("drop_partition sales made v000001");
    ddl.run("rename_table sales made archive moved");
    let after = metastore.dump();
    let moved: Vec<_> = after.iter().filter(|o| o.table == "moved").map(|o| o.kind.as_str()).collect();
    assert_eq!(moved, ["table", "partition", "partition"]);
}

#[test]
fn metastore_2_3_10_is_filled_and_changed() {
    serves(Release::V2_3_10, &[("database", 4), ("table", 14), ("partition", 112), ("SQLForeignKey", 2)]);
}

#[test]
fn metastore_3_1_3_is_filled_and_changed() {
    serves(Release::V3_1_3, &[("catalog", 2), ("database", 6), ("table", 15), ("SQLCheckConstraint", 1)]);
}

#[test]
fn metastore_4_2_0_is_filled_and_changed() {
    serves(Release::V4_2_0, &[("catalog", 2), ("database", 6), ("table", 15), ("column_statistic", 7)]);
}
