//! Hot columns of partitions stay small in memory.

use crate::fixture::partitioned;

/// Bytes kept in memory after all hot columns were asked for.
fn bytes_per_partition(tables: usize, partitions: usize) -> u64 {
    let f = partitioned(tables, partitions);
    let kept = || f.rows("SELECT cache_bytes FROM runtime.store")[0][0].parse::<u64>().unwrap();
    assert_eq!(kept(), 0);
    let sql = "SELECT count(*), max(location), max(partition_name), max(row_count), max(total_size_bytes), \
               max(file_count), max(source_created_at), max(source_last_ddl_at), max(synced_at), \
               max(source_event_id) FROM catalog.partitions";
    let rows = tables * partitions;
    let answer = f.rows(sql);
    assert_eq!(answer[0][0], rows.to_string());
    let bytes = kept();
    // Asked again, nothing more is kept.
    assert_eq!(f.rows(sql), answer);
    assert_eq!(kept(), bytes);
    assert_ne!(bytes, 0);
    bytes / rows as u64
}

#[test]
fn a_partition_takes_at_most_100_bytes_in_large_tables() {
    let bytes = bytes_per_partition(5, 1_000);
    assert!(bytes <= 100, "{bytes}");
}

#[test]
fn a_partition_takes_at_most_100_bytes_in_small_tables() {
    let bytes = bytes_per_partition(50, 80);
    assert!(bytes <= 100, "{bytes}");
}
