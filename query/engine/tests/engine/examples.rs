//! Every question of `docs.examples` is answered with the rows that were planted for it.

use skep_query::spec::examples::EXAMPLES;

use crate::fixture::fixture;

/// Question and a text that must be in some row of the answer.
const PLANTED: &[(&str, &str)] = &[
    ("Where is table orders?", "hdfs://west/warehouse/sales.db/orders"),
    ("Which partitions still point at the old name node?", "hdfs://old-nn/sales/orders/ds="),
    ("Which tables are in more than one metastore, and do they differ?", "[east, west]"),
    ("Which columns anywhere are named like phone?", "customer_phone"),
    ("Which are the biggest tables?", "orders"),
    ("Which tables have the most partitions?", "2500"),
    ("Which tables consist of small files?", "small_files"),
    ("Which tables has nobody altered for a year?", "2017-07-14"),
    ("What changed in the last hour?", "ALTER_TABLE"),
    ("Which metastore is behind, and by how much?", "1500"),
    ("Which metastores are there, and how are they?", "connection refused"),
    ("Which addresses do not answer?", "thrift://west:9083"),
    ("What could not be read?", "METASTORE_SLOW"),
    ("What is missing from the mirror?", "get_unique_constraints"),
    ("How long did the last mirror runs take?", "4000"),
    ("How many partitions, rows and bytes are in each database?", "2500"),
    ("In which columns do tables of the same name differ?", "[bigint, string]"),
    ("Which directories does more than one table use?", "east.hive.ops.fresh"),
    ("Which name nodes and buckets are used, and how often?", "old-nn"),
    ("Which table formats are in use?", "parquet"),
    ("Who owns how many tables?", "ann"),
    ("Which tables were created in the last seven days?", "fresh"),
    ("Which tables were dropped lately?", "dropped"),
    ("Which tables are transactional?", "true"),
    ("How are the Parquet tables compressed?", "SNAPPY"),
    ("In which types is the same column name used?", "decimal(10,2)"),
    ("Which views mention orders?", "orders_view"),
    ("Which partitioned tables have no partitions?", "nothing_yet"),
    ("Which tables have no statistics?", "nothing_yet"),
    ("Who may do what on table sales.orders?", "bob"),
    ("Which primary and foreign keys are declared?", "primary key"),
    ("Which functions are registered, and from which files?", "hdfs://nn/lib/mask.jar"),
    ("Which columns are mostly empty?", "small_files"),
    ("Which statements were slow?", "SELECT"),
    ("Which columns does a table of skep have?", "partition_name"),
];

#[test]
fn every_example_finds_what_was_planted() {
    let f = fixture();
    for example in EXAMPLES {
        let planted = PLANTED.iter().find(|(question, _)| *question == example.question);
        let (_, planted) = planted.unwrap_or_else(|| panic!("nothing is planted for: {}", example.question));
        let rows = f.rows(example.statement);
        let is_there = rows.iter().flatten().any(|cell| cell.contains(planted));
        assert!(is_there, "{}\n{}\n{rows:?}", example.question, example.statement);
    }
    assert_eq!(PLANTED.len(), EXAMPLES.len());
    assert_eq!(f.rows("SELECT count(*) FROM docs.examples"), [[EXAMPLES.len().to_string()]]);
}

#[test]
fn duplicates_tell_in_what_they_differ() {
    let f = fixture();
    assert_eq!(
        f.rows("SELECT database_name, table_name, metastore_count, is_schema_different, is_partitions_different FROM catalog.duplicate_tables"),
        [["sales", "orders", "2", "true", "true"]]
    );
    assert_eq!(
        f.rows("SELECT column_name, present_count FROM catalog.schema_differences ORDER BY 1"),
        [["ds", "2"], ["id", "2"], ["note", "1"]]
    );
}
