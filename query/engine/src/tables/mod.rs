//! The tables of skep: one file per family.

mod columns;
mod databases;
mod details;
mod docs;
mod federation;
mod hive_tables;
mod information_schema;
mod location_conflicts;
mod locations;
mod partitions;
mod procedures;
mod runtime;
mod sync;
mod walk;

use std::sync::{Arc, LazyLock};

use crate::chunk::{Chunk, SystemTable, Tests};
use crate::pinned::Pinned;
use crate::spec::{self, TableSpec};

type Chunks = fn(&'static TableSpec, &Arc<Pinned>, &Tests) -> Vec<Chunk>;

const BUILDERS: &[(&str, &str, Chunks)] = &[
    ("federation", "metastores", federation::metastores),
    ("federation", "endpoints", federation::endpoints),
    ("catalog", "catalogs", databases::catalogs),
    ("catalog", "databases", databases::databases),
    ("catalog", "database_properties", databases::database_properties),
    ("catalog", "functions", databases::functions),
    ("catalog", "privileges", databases::privileges),
    ("catalog", "tables", hive_tables::tables),
    ("catalog", "table_properties", hive_tables::table_properties),
    ("catalog", "views", hive_tables::views),
    ("catalog", "dropped_tables", hive_tables::dropped_tables),
    ("catalog", "columns", columns::columns),
    ("catalog", "partitions", partitions::partitions),
    ("catalog", "partition_properties", partitions::partition_properties),
    ("catalog", "constraints", details::constraints),
    ("catalog", "column_stats", details::column_stats),
    ("catalog", "locations", locations::locations),
    ("catalog", "location_conflicts", location_conflicts::location_conflicts),
    ("sync", "status", sync::status),
    ("sync", "runs", sync::runs),
    ("sync", "errors", sync::errors),
    ("sync", "coverage", sync::coverage),
    ("sync", "events", sync::events),
    ("runtime", "nodes", runtime::nodes),
    ("runtime", "settings", runtime::settings),
    ("runtime", "store", runtime::store),
    ("runtime", "queries", runtime::queries),
    ("runtime", "query_history", runtime::query_history),
    ("runtime", "procedures", procedures::procedures),
    ("runtime", "procedure_parameters", procedures::procedure_parameters),
    ("runtime", "jobs", procedures::jobs),
    ("runtime", "audit_log", procedures::audit_log),
    ("docs", "tables", docs::tables),
    ("docs", "columns", docs::columns),
    ("docs", "procedures", procedures::documented),
    ("docs", "errors", docs::errors),
    ("docs", "examples", docs::examples),
    ("information_schema", "schemata", information_schema::schemata),
    ("information_schema", "tables", information_schema::tables),
    ("information_schema", "columns", information_schema::columns),
    ("information_schema", "views", information_schema::views),
];

static ALL: LazyLock<Vec<SystemTable>> = LazyLock::new(|| {
    BUILDERS
        .iter()
        .filter_map(|(schema, name, chunks)| {
            Some(SystemTable { spec: spec::find(schema, name)?, chunks: *chunks })
        })
        .collect()
});

/// The table of this schema and name; views are not here.
pub fn find(schema: &str, name: &str) -> Option<&'static SystemTable> {
    ALL.iter().find(|t| t.spec.schema == schema && t.spec.name == name)
}

/// Sums over partitions per table; in no list.
pub const PARTITION_TOTALS: SystemTable =
    SystemTable { spec: &spec::PARTITION_TOTALS, chunks: partitions::partition_totals };

/// Addresses by what they begin with; in no list.
pub const LOCATION_TOTALS: SystemTable =
    SystemTable { spec: &spec::LOCATION_TOTALS, chunks: locations::location_totals };

#[cfg(test)]
mod tests_of_the_list {
    use super::*;

    #[test]
    fn every_described_table_is_built_or_a_view() {
        assert_eq!(ALL.len(), BUILDERS.len());
        for table in spec::TABLES.iter() {
            assert_eq!(
                find(table.schema, table.name).is_some(),
                table.view.is_none(),
                "{}",
                table.full_name()
            );
        }
    }
}
