//! Aggregates answered from per-table sums are what the plain plan answers.

use std::collections::BTreeSet;

use crate::fixture::{Fixture, fixture};

const KEYS: [&str; 4] = ["metastore_name", "catalog_name", "database_name", "table_name"];
const AGGREGATES: [&str; 6] = [
    "count(*)",
    "count(1)",
    "sum(row_count)",
    "sum(total_size_bytes)",
    "sum(file_count)",
    "count(partition_name)",
];
const FILTERS: [&str; 7] = [
    "",
    "metastore_name = 'east'",
    "table_name IN ('orders', 'logs') AND metastore_name <> 'west'",
    "database_name LIKE 'o%'",
    "database_name = 'ops' OR database_name = 'sales'",
    "catalog_name > 'h' AND table_name < 'n'",
    "metastore_name = 'nowhere'",
];

fn sorted(f: &Fixture, sql: &str) -> Vec<Vec<String>> {
    let mut rows = f.rows(sql);
    rows.sort();
    rows
}

/// A statement and the same one that the rule cannot see through.
fn pair(keys: &[&str], aggregates: &[&str], filter: &str, alias: &str) -> [String; 2] {
    let grouped = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    let list: Vec<&str> = keys.iter().chain(aggregates).copied().collect();
    let filter = if filter.is_empty() { String::new() } else { format!(" WHERE {filter}") };
    let hidden = if filter.is_empty() { " WHERE " } else { " AND " };
    [String::new(), format!("{hidden}length(partition_name) >= 0")].map(|hide| {
        format!("SELECT {} FROM catalog.partitions{alias}{filter}{hide}{grouped}", list.join(", "))
    })
}

#[test]
fn sums_over_partitions_equal_the_plain_plans() {
    let f = fixture();
    let mut rewritten_count = 0;
    for keys in 0..1_usize << KEYS.len() {
        let keys: Vec<&str> = (0..KEYS.len()).filter(|i| keys & 1 << i != 0).map(|i| KEYS[i]).collect();
        for (turn, filter) in FILTERS.iter().enumerate() {
            // Every aggregate meets every filter, in changing company.
            let begin = (turn + keys.len()) % AGGREGATES.len();
            let some: Vec<&str> =
                (0..1 + turn % 4).map(|i| AGGREGATES[(begin + i) % AGGREGATES.len()]).collect();
            let unique: BTreeSet<&&str> = some.iter().collect();
            assert_eq!(unique.len(), some.len());
            let filter = if filter.contains(" OR ") { format!("({filter})") } else { (*filter).to_owned() };
            let alias = if turn % 2 == 0 { "" } else { " AS p" };
            let [fast, plain] = pair(&keys, &some, &filter, alias);
            assert_eq!(sorted(&f, &fast), sorted(&f, &plain), "{fast}");
            rewritten_count += usize::from(f.plan(&fast).contains("partition_totals"));
            assert!(!f.plan(&plain).contains("partition_totals"), "{plain}");
        }
    }
    // A count without groups is answered from statistics even before; most others are rewritten.
    assert!(80 < rewritten_count, "{rewritten_count}");
}

#[test]
fn aggregates_that_totals_cannot_answer_are_left_alone() {
    let f = fixture();
    for sql in [
        "SELECT max(row_count) FROM catalog.partitions GROUP BY table_name",
        "SELECT count(DISTINCT table_name) FROM catalog.partitions GROUP BY metastore_name",
        "SELECT sum(row_count) FILTER (WHERE row_count > 5) FROM catalog.partitions GROUP BY metastore_name",
        "SELECT count(row_count) FROM catalog.partitions GROUP BY metastore_name",
        "SELECT count(*) FROM catalog.partitions GROUP BY partition_name",
        "SELECT sum(row_count + 1) FROM catalog.partitions GROUP BY metastore_name",
        "SELECT sum(row_count) FROM catalog.partitions WHERE location LIKE 'hdfs://nn%' GROUP BY metastore_name",
        "SELECT metastore_name, count(*) FROM (SELECT * FROM catalog.partitions LIMIT 10) GROUP BY metastore_name",
    ] {
        assert!(!f.plan(sql).contains("partition_totals"), "{sql}");
        assert!(!f.rows(sql).is_empty(), "{sql}");
    }
}

#[test]
fn a_sum_of_nothing_known_is_null() {
    let f = fixture();
    assert_eq!(
        f.rows("SELECT count(*), sum(row_count) FROM catalog.partitions WHERE table_name = 'logs' GROUP BY table_name"),
        [["7", "-"]]
    );
    assert_eq!(
        f.rows("SELECT count(*), sum(file_count) FROM catalog.partitions WHERE table_name = 'none'"),
        [["0", "-"]]
    );
}

#[test]
fn counts_of_locations_equal_the_plain_plans() {
    let f = fixture();
    let keys = ["metastore_name", "database_name", "table_name", "object_kind", "scheme", "authority"];
    let filters = [
        "metastore_name = 'east'",
        "object_kind <> 'table'",
        "scheme = 'hdfs'",
        "authority IN ('nn', 'old-nn')",
    ];
    for chosen in 1..1_usize << keys.len() {
        let keys: Vec<&str> = (0..keys.len()).filter(|i| chosen & 1 << i != 0).map(|i| keys[i]).collect();
        let list = keys.join(", ");
        let from = format!("SELECT {list}, count(*), count(location) FROM catalog.locations");
        let filter = filters[chosen % filters.len()];
        let fast = format!("{from} WHERE {filter} GROUP BY {list}");
        let plain = format!("{from} WHERE {filter} AND length(location) >= 0 GROUP BY {list}");
        assert_eq!(sorted(&f, &fast), sorted(&f, &plain), "{fast}");
        assert!(f.plan(&fast).contains("location_totals"), "{fast}");
        assert!(!f.plan(&plain).contains("location_totals"), "{plain}");
    }
    let sql = "SELECT count(table_name) FROM catalog.locations GROUP BY object_kind";
    assert!(!f.plan(sql).contains("location_totals"), "a NULL is not counted");
}
