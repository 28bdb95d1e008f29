//! Parameter keys that say nothing about what an object *is*: who touched it, when, with what,
//! and what was measured. Named rules, so that a difference left out is left out for a reason
//! that can be shown.

use super::digest::Facet;

/// One rule: parameters with this key count for `facet` and not for [`Facet::Parameters`] or
/// [`Facet::Storage`].
#[derive(Clone, Copy, Debug)]
pub struct VolatileKey {
    /// The key, or what the key begins with.
    pub key: &'static str,
    /// Whether `key` is only the beginning.
    pub is_prefix: bool,
    /// The software that writes it.
    pub engine: &'static str,
    /// Where it counts.
    pub facet: Facet,
    /// Why it is no part of the definition.
    pub reason: &'static str,
}

const fn key(key: &'static str, engine: &'static str, facet: Facet, reason: &'static str) -> VolatileKey {
    VolatileKey { key, is_prefix: false, engine, facet, reason }
}

const fn prefix(key: &'static str, engine: &'static str, facet: Facet, reason: &'static str) -> VolatileKey {
    VolatileKey { key, is_prefix: true, engine, facet, reason }
}

use Facet::{Location, Rest, Statistics};

/// All rules, sorted by key; no key begins with another rule's prefix (both are tested), so that at
/// most one rule fits.
pub const VOLATILE_KEYS: &[VolatileKey] = &[
    key("COLUMN_STATS_ACCURATE", "hive", Rest, "whether statistics may be trusted"),
    key("DO_NOT_UPDATE_STATS", "hive", Rest, "how statistics were last written"),
    key("EXTERNAL", "hive", Rest, "repeats the table type"),
    prefix("STATS_GENERATED", "hive", Rest, "how statistics were last written"),
    key("abb_source_cluster", "reair", Rest, "mark of a replication tool"),
    prefix("com.hotels.bdp.circustrain.", "circus-train", Rest, "mark of a replication tool"),
    prefix("current-snapshot-", "iceberg", Rest, "repeats the newest snapshot of the table's metadata"),
    prefix("hive.repl.", "hive", Rest, "mark of replication"),
    prefix("hms-mirror", "hms-mirror", Rest, "mark of a migration tool"),
    prefix("impala.events.", "impala", Rest, "which catalog server last wrote"),
    key("impala.lastComputeStatsTime", "impala", Rest, "when statistics were last written"),
    key("last_commit_completion_time_sync", "hudi", Rest, "when the table was last synced"),
    key("last_commit_time_sync", "hudi", Rest, "when the table was last synced"),
    key("last_modified_by", "hive", Rest, "who last altered"),
    key("last_modified_time", "hive", Rest, "when it was last altered"),
    key("metadata_location", "iceberg", Location, "an address, changed by every commit"),
    key("numFiles", "hive", Statistics, "measured"),
    key("numFilesErasureCoded", "hive", Statistics, "measured"),
    key("numPartitions", "hive", Statistics, "measured"),
    key("numRows", "hive", Statistics, "measured"),
    key("path", "spark", Location, "address of a data source table, repeats the location"),
    key("presto_query_id", "presto", Rest, "which query wrote"),
    key("presto_version", "presto", Rest, "which release wrote"),
    key("previous_metadata_location", "iceberg", Rest, "history"),
    key("rawDataSize", "hive", Statistics, "measured"),
    prefix("repl.", "hive", Rest, "mark of replication"),
    key("snapshot-count", "iceberg", Rest, "repeats the table's metadata"),
    key("spark.sql.create.version", "spark", Rest, "which release created"),
    prefix("spark.sql.statistics.", "spark", Statistics, "measured"),
    key("totalSize", "hive", Statistics, "measured"),
    key("transient_lastDdlTime", "hive", Rest, "when it was last altered"),
    key("trino_query_id", "trino", Rest, "which query wrote"),
    key("trino_version", "trino", Rest, "which release wrote"),
];

/// Where the rules begin whose key begins with a byte or a greater one.
const FROM: [u8; 257] = {
    let mut from = [VOLATILE_KEYS.len() as u8; 257];
    let mut at = VOLATILE_KEYS.len();
    let mut byte = 256;
    while 0 < byte {
        byte -= 1;
        while 0 < at && byte <= VOLATILE_KEYS[at - 1].key.as_bytes()[0] as usize {
            at -= 1;
        }
        from[byte] = at as u8;
    }
    from
};

/// The rule for a parameter key, if there is one. Asked for every parameter of every object.
pub fn rule(key: &str) -> Option<&'static VolatileKey> {
    let first = usize::from(*key.as_bytes().first()?);
    let rules = &VOLATILE_KEYS[usize::from(FROM[first])..usize::from(FROM[first + 1])];
    rules.iter().find(|rule| if rule.is_prefix { key.starts_with(rule.key) } else { key == rule.key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_no_prefix_covers_another_rule() {
        for pair in VOLATILE_KEYS.windows(2) {
            assert!(pair[0].key < pair[1].key, "{} before {}", pair[0].key, pair[1].key);
            assert!(!(pair[0].is_prefix && pair[1].key.starts_with(pair[0].key)), "{}", pair[0].key);
        }
    }

    #[test]
    fn every_rule_is_found_and_neighbours_are_not() {
        for expected in VOLATILE_KEYS {
            let found = rule(expected.key).map(|rule| rule.key);
            assert_eq!(found, Some(expected.key));
            let longer = format!("{}zz", expected.key);
            let found = rule(&longer).map(|rule| rule.key);
            assert_eq!(found, expected.is_prefix.then_some(expected.key), "{longer}");
        }
        for other in ["", "A", "comment", "owner", "zzz", "spark.sql.sources.provider", "numrows"] {
            assert!(rule(other).is_none(), "{other}");
        }
    }
}
