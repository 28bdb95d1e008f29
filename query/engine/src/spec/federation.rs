use super::*;

pub const TABLES: &[TableSpec] = &[
    table(
        "federation",
        "metastores",
        "One row per metastore: what it is, how it is followed, what is wrong with it.",
        &[
            METASTORE,
            text("metastore_id", "Stable id."),
            list("endpoint_uris", "Addresses, several for fail-over."),
            text("origin", "'config' or 'procedure': who declared it."),
            text("hive_version", "Release or generation, as far as the server tells.").null(),
            text("auth_mode", "How the connection is authenticated and protected.").null(),
            boolean("has_catalogs", "Whether the server has catalogs (Hive 3 and later).").null(),
            text("follow_mode", "'events', 'polling' or 'unknown'."),
            STATE,
            text("error_code", "Why the last try failed; NULL when it did not.").null(),
            text("error_message", "The same in words.").null(),
            time("error_at", "When it failed.").null(),
            int("database_count", "Databases mirrored."),
            int("table_count", "Tables and views mirrored."),
            int("partition_count", "Partitions mirrored."),
            int("last_event_id", "Newest event applied here.").null(),
            int("lag_ms", "How far behind the mirror is; see sync.status.").null(),
            time("mirrored_at", "When the first complete mirror was done; NULL until then.").null(),
        ],
    ),
    table(
        "federation",
        "endpoints",
        "One row per address of a metastore, as last seen.",
        &[
            METASTORE,
            text("endpoint_uri", "Address.").key(),
            text("state", "'unknown', 'ok' or 'error'."),
            float("latency_ms", "Time of the last connect.").null(),
            time("last_ok_at", "Last success.").null(),
            text("error_message", "Last error.").null(),
            text("found_by", "Where the address comes from: 'config' or 'zookeeper'."),
        ],
    ),
];
