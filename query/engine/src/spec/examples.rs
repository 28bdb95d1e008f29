//! Questions and the statements that answer them: `docs.examples`.
//! A test runs every one of them and looks for the rows it planted.

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What one wants to know.
    pub question: &'static str,
    /// The statement.
    pub statement: &'static str,
    /// Schema and table that it is mostly about.
    pub about: (&'static str, &'static str),
}

const fn example(
    about: (&'static str, &'static str),
    question: &'static str,
    statement: &'static str,
) -> Example {
    Example { question, statement, about }
}

/// All of them, the most asked first.
pub const EXAMPLES: &[Example] = &[
    example(
        ("catalog", "tables"),
        "Where is table orders?",
        "SELECT metastore_name, catalog_name, database_name, table_type, location FROM catalog.tables WHERE table_name = 'orders'",
    ),
    example(
        ("catalog", "partitions"),
        "Which partitions still point at the old name node?",
        "SELECT metastore_name, database_name, table_name, partition_name, location FROM catalog.partitions WHERE location LIKE 'hdfs://old-nn/%'",
    ),
    example(
        ("catalog", "duplicate_tables"),
        "Which tables are in more than one metastore, and do they differ?",
        "SELECT * FROM catalog.duplicate_tables ORDER BY database_name, table_name",
    ),
    example(
        ("catalog", "columns"),
        "Which columns anywhere are named like phone?",
        "SELECT metastore_name, database_name, table_name, column_name, data_type FROM catalog.columns WHERE column_name LIKE '%phone%'",
    ),
    example(
        ("catalog", "tables"),
        "Which are the biggest tables?",
        "SELECT metastore_name, database_name, table_name, total_size_bytes FROM catalog.tables WHERE total_size_bytes IS NOT NULL ORDER BY total_size_bytes DESC LIMIT 20",
    ),
    example(
        ("catalog", "partitions"),
        "Which tables have the most partitions?",
        "SELECT metastore_name, catalog_name, database_name, table_name, count(*) AS partition_count FROM catalog.partitions GROUP BY metastore_name, catalog_name, database_name, table_name ORDER BY partition_count DESC LIMIT 20",
    ),
    example(
        ("catalog", "tables"),
        "Which tables consist of small files?",
        "SELECT metastore_name, database_name, table_name, file_count, total_size_bytes / nullif(file_count, 0) AS average_file_bytes FROM catalog.tables WHERE file_count > 10 AND total_size_bytes / nullif(file_count, 0) < 16 * 1024 * 1024 ORDER BY file_count DESC",
    ),
    example(
        ("catalog", "tables"),
        "Which tables has nobody altered for a year?",
        "SELECT metastore_name, database_name, table_name, coalesce(source_last_ddl_at, source_created_at) AS altered_at FROM catalog.tables WHERE coalesce(source_last_ddl_at, source_created_at) < now() - INTERVAL '1 year' ORDER BY altered_at",
    ),
    example(
        ("sync", "events"),
        "What changed in the last hour?",
        "SELECT metastore_name, database_name, table_name, event_type, partition_count, applied_at FROM sync.events WHERE applied_at > now() - INTERVAL '1 hour' ORDER BY applied_at DESC",
    ),
    example(
        ("sync", "status"),
        "Which metastore is behind, and by how much?",
        "SELECT metastore_name, state, lag_events, lag_ms FROM sync.status ORDER BY lag_ms DESC NULLS FIRST",
    ),
    example(
        ("federation", "metastores"),
        "Which metastores are there, and how are they?",
        "SELECT metastore_name, hive_version, state, table_count, partition_count, lag_ms, error_message FROM federation.metastores",
    ),
    example(
        ("federation", "endpoints"),
        "Which addresses do not answer?",
        "SELECT metastore_name, endpoint_uri, error_message FROM federation.endpoints WHERE state = 'error'",
    ),
    example(
        ("sync", "errors"),
        "What could not be read?",
        "SELECT metastore_name, database_name, table_name, partition_name, error_code, error_message, fix FROM sync.errors ORDER BY last_seen_at DESC",
    ),
    example(
        ("sync", "coverage"),
        "What is missing from the mirror?",
        "SELECT * FROM sync.coverage WHERE missing_count > 0 OR missing_method IS NOT NULL OR source_count IS NULL",
    ),
    example(
        ("sync", "runs"),
        "How long did the last mirror runs take?",
        "SELECT metastore_name, kind, state, started_at, duration_ms, objects_read FROM sync.runs ORDER BY started_at DESC LIMIT 20",
    ),
    example(
        ("catalog", "tables"),
        "How many partitions, rows and bytes are in each database?",
        "SELECT metastore_name, catalog_name, database_name, sum(partition_count) AS partition_count, sum(row_count) AS row_count, sum(total_size_bytes) AS total_size_bytes FROM catalog.tables GROUP BY metastore_name, catalog_name, database_name ORDER BY partition_count DESC",
    ),
    example(
        ("catalog", "schema_differences"),
        "In which columns do tables of the same name differ?",
        "SELECT database_name, table_name, column_name, metastore_names, data_types, ordinal_positions FROM catalog.schema_differences ORDER BY database_name, table_name, column_name",
    ),
    example(
        ("catalog", "location_conflicts"),
        "Which directories does more than one table use?",
        "SELECT location, table_count, metastore_count, table_names FROM catalog.location_conflicts ORDER BY location",
    ),
    example(
        ("catalog", "locations"),
        "Which name nodes and buckets are used, and how often?",
        "SELECT scheme, authority, object_kind, count(*) AS location_count FROM catalog.locations GROUP BY scheme, authority, object_kind ORDER BY location_count DESC",
    ),
    example(
        ("catalog", "tables"),
        "Which table formats are in use?",
        "SELECT metastore_name, table_format, count(*) AS table_count FROM catalog.tables GROUP BY metastore_name, table_format ORDER BY table_count DESC",
    ),
    example(
        ("catalog", "tables"),
        "Who owns how many tables?",
        "SELECT owner_name, count(*) AS table_count, sum(total_size_bytes) AS total_size_bytes FROM catalog.tables GROUP BY owner_name ORDER BY table_count DESC",
    ),
    example(
        ("catalog", "tables"),
        "Which tables were created in the last seven days?",
        "SELECT metastore_name, database_name, table_name, owner_name, source_created_at FROM catalog.tables WHERE source_created_at > now() - INTERVAL '7 days' ORDER BY source_created_at DESC",
    ),
    example(
        ("catalog", "dropped_tables"),
        "Which tables were dropped lately?",
        "SELECT metastore_name, database_name, table_name, location, deleted_at FROM catalog.dropped_tables ORDER BY deleted_at DESC LIMIT 50",
    ),
    example(
        ("catalog", "table_properties"),
        "Which tables are transactional?",
        "SELECT metastore_name, database_name, table_name, property_value FROM catalog.table_properties WHERE property_key = 'transactional' AND lower(property_value) = 'true'",
    ),
    example(
        ("catalog", "tables"),
        "How are the Parquet tables compressed?",
        "SELECT metastore_name, database_name, table_name, properties['parquet.compression'] AS compression FROM catalog.tables WHERE table_format = 'parquet' ORDER BY 1, 2, 3",
    ),
    example(
        ("catalog", "columns"),
        "In which types is the same column name used?",
        "SELECT column_name, array_agg(DISTINCT data_type) AS data_types, count(*) AS column_count FROM catalog.columns GROUP BY column_name HAVING count(DISTINCT data_type) > 1 ORDER BY column_count DESC, column_name",
    ),
    example(
        ("catalog", "views"),
        "Which views mention orders?",
        "SELECT metastore_name, database_name, table_name FROM catalog.views WHERE view_original_text LIKE '%orders%'",
    ),
    example(
        ("catalog", "tables"),
        "Which partitioned tables have no partitions?",
        "SELECT metastore_name, database_name, table_name FROM catalog.tables WHERE partition_column_count > 0 AND partition_count = 0",
    ),
    example(
        ("catalog", "tables"),
        "Which tables have no statistics?",
        "SELECT metastore_name, database_name, table_name FROM catalog.tables WHERE row_count IS NULL AND table_format <> 'view' ORDER BY 1, 2, 3",
    ),
    example(
        ("catalog", "privileges"),
        "Who may do what on table sales.orders?",
        "SELECT metastore_name, object_kind, column_name, principal_type, principal_name, privilege FROM catalog.privileges WHERE coalesce(database_name, 'sales') = 'sales' AND coalesce(table_name, 'orders') = 'orders'",
    ),
    example(
        ("catalog", "constraints"),
        "Which primary and foreign keys are declared?",
        "SELECT metastore_name, database_name, table_name, column_name, constraint_type, referenced_table_name, referenced_column_name FROM catalog.constraints WHERE constraint_type IN ('primary key', 'foreign key') ORDER BY 1, 2, 3, 4",
    ),
    example(
        ("catalog", "functions"),
        "Which functions are registered, and from which files?",
        "SELECT metastore_name, database_name, function_name, class_name, resource_uris FROM catalog.functions",
    ),
    example(
        ("catalog", "column_stats"),
        "Which columns are mostly empty?",
        "SELECT s.metastore_name, s.database_name, s.table_name, s.column_name, s.null_count, t.row_count FROM catalog.column_stats AS s JOIN catalog.tables AS t USING (metastore_name, catalog_name, database_name, table_name) WHERE s.null_count * 2 > t.row_count",
    ),
    example(
        ("runtime", "query_history"),
        "Which statements were slow?",
        "SELECT query_id, elapsed_ms, row_count, statement FROM runtime.query_history ORDER BY elapsed_ms DESC LIMIT 10",
    ),
    example(
        ("docs", "columns"),
        "Which columns does a table of skep have?",
        "SELECT schema_name, table_name, column_name, data_type, comment FROM docs.columns WHERE table_name = 'partitions'",
    ),
];
