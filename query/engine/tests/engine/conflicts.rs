//! Addresses that several tables use are found, wherever partitions lie.

use skep_catalog::fault::Code;
use skep_query::EngineOptions;

use crate::fixture::{Located, fixture_with, located};

fn table(metastore: &'static str, table: &'static str, location: &'static str) -> Located {
    Located { metastore, table, location, partitions: Vec::new() }
}

/// A table of several chunks of partitions, where its partitions usually lie.
fn partitioned(metastore: &'static str, name: &'static str, location: &'static str) -> Located {
    let directory = location.trim_end_matches('/');
    let partitions = (0..1_500).map(|number| format!("{directory}/part={number}")).collect();
    Located { partitions, ..table(metastore, name, location) }
}

fn conflicts(tables: &[Located]) -> Vec<Vec<String>> {
    let sql = "SELECT location, table_count, metastore_count, array_to_string(table_names, ' ') \
               FROM catalog.location_conflicts ORDER BY location";
    located(tables).rows(sql)
}

#[test]
fn a_directory_within_another_tables_directory_is_in_conflict() {
    let found = conflicts(&[
        partitioned("east", "above", "hdfs://nn/a/b"),
        partitioned("east", "below", "hdfs://nn/a/b/c"),
        partitioned("east", "beside", "hdfs://nn/a/bc"),
        table("east", "elsewhere", "hdfs://other/a/b"),
        table("east", "other_scheme", "s3://nn/a/b"),
    ]);
    assert_eq!(found, [["hdfs://nn/a/b", "2", "1", "east.hive.d.above east.hive.d.below"]]);
}

#[test]
fn equal_addresses_are_in_conflict_across_metastores_however_they_are_written() {
    let found = conflicts(&[
        partitioned("east", "t", "hdfs://nn/t"),
        partitioned("west", "t", "hdfs://NN/t/"),
        partitioned("east", "u", "s3a://bucket/u"),
        partitioned("west", "u", "s3://bucket/u"),
        table("west", "v", "hdfs://nn/v"),
    ]);
    let expected = [
        ["hdfs://nn/t", "2", "2", "east.hive.d.t west.hive.d.t"],
        ["s3a://bucket/u", "2", "2", "east.hive.d.u west.hive.d.u"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn partitions_outside_their_table_are_compared_and_those_inside_are_not() {
    let mut stray = partitioned("east", "stray", "hdfs://nn/stray");
    stray.partitions[700] = "hdfs://nn/host/ds=1".into();
    stray.partitions[701] = "hdfs://old/x/ds=1".into();
    stray.partitions[702] = "hdfs://old/x/ds=2".into();
    let mut other = partitioned("west", "other", "hdfs://nn/other");
    other.partitions[3] = "hdfs://old/x/ds=2/".into();
    other.partitions[4] = "hdfs://old/x/ds=3".into();
    let found = conflicts(&[partitioned("east", "host", "hdfs://nn/host"), stray, other]);
    let expected = [
        ["hdfs://nn/host", "2", "1", "east.hive.d.host east.hive.d.stray"],
        ["hdfs://old/x/ds=2", "2", "2", "east.hive.d.stray west.hive.d.other"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_conflict_is_as_old_as_the_oldest_of_its_tables() {
    let f = located(&[
        table("east", "a", "hdfs://nn/t"),
        table("east", "b", "hdfs://nn/u"),
        table("west", "c", "hdfs://nn/t/below"),
    ]);
    let sql = "SELECT table_names, CAST(to_unixtime(synced_at) AS BIGINT), source_event_id, \
               CAST(extract(microsecond FROM synced_at) AS BIGINT) FROM catalog.location_conflicts";
    assert_eq!(f.rows(sql), [["[east.hive.d.a, west.hive.d.c]", "0", "10", "1000"]]);
}

#[test]
fn conflicts_are_found_within_a_small_pool() {
    let f = fixture_with(EngineOptions { memory_pool_bytes: 1 << 20, ..EngineOptions::default() });
    let sql = "SELECT location, table_names FROM catalog.location_conflicts ORDER BY location";
    let row = ["hdfs://nn/warehouse/sales.db/orders", "[east.hive.ops.fresh, east.hive.sales.orders]"];
    assert_eq!(f.rows(sql), [row]);
}

#[test]
fn addresses_under_comparison_take_memory_of_the_pool() {
    let f = fixture_with(EngineOptions { memory_pool_bytes: 1 << 10, ..EngineOptions::default() });
    let sql = "SELECT location FROM catalog.location_conflicts";
    for _ in 0..2 {
        let fault = f.fault(sql);
        assert_eq!(fault.code, Code::SQL_MEMORY);
        assert!(fault.to_string().contains("location_conflicts"), "{fault}");
    }
}
