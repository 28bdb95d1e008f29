//! What a shell needs to know about names: completion and `\d`.

use skep_catalog::fault::Fault;

use crate::engine::Engine;
use crate::errors::unknown_table;
use crate::spec::{self, DEFAULT_SCHEMA, SCHEMAS, TABLES, TableSpec};

/// Mirrored names kept for completion: more than a person can pick from.
pub const MIRRORED_NAMES_MAX: usize = 20_000;

/// Names to complete from.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Schemas of skep.
    pub schemas: Vec<String>,
    /// `schema.table` of skep.
    pub tables: Vec<String>,
    /// Columns of skep's tables, each once.
    pub columns: Vec<String>,
    /// Metastores, databases and tables that are mirrored, each once; at most 20,000.
    pub mirrored: Vec<String>,
}

impl Names {
    /// Those that are always there: nothing is mirrored.
    pub fn of_skep() -> Self {
        let mut columns: Vec<String> =
            TABLES.iter().flat_map(|t| t.columns).map(|c| c.name.to_owned()).collect();
        columns.sort_unstable();
        columns.dedup();
        Self {
            schemas: SCHEMAS.iter().map(|s| s.name.to_owned()).collect(),
            tables: TABLES.iter().map(|t| t.full_name()).collect(),
            columns,
            mirrored: Vec::new(),
        }
    }
}

impl Engine {
    /// Names to complete from, as of now.
    pub fn names(&self) -> Names {
        let snapshot = self.catalog().snapshot();
        let metastores = snapshot.metastores.iter().map(|m| &m.name);
        let databases = snapshot.metastores.iter().flat_map(|m| m.databases()).map(|d| &d.name);
        let tables =
            snapshot.metastores.iter().flat_map(|m| m.databases()).flat_map(|d| &d.tables).map(|t| &t.name);
        let mut mirrored: Vec<String> = metastores
            .chain(databases)
            .chain(tables)
            .take(MIRRORED_NAMES_MAX)
            .map(|n| n.to_string())
            .collect();
        mirrored.sort_unstable();
        mirrored.dedup();
        Names { mirrored, ..Names::of_skep() }
    }
}

/// The description of a table of skep by its name, with or without schema and `skep.`.
///
/// Errors: `SQL_INVALID` with the nearest name.
pub fn describe(table: &str) -> Result<&'static TableSpec, Fault> {
    let name = table.trim().trim_end_matches(';').to_lowercase();
    let name = name.strip_prefix("skep.").unwrap_or(&name);
    let (schema, table) = name.split_once('.').map_or((None, name), |(s, t)| (Some(s), t));
    spec::find(schema.unwrap_or(DEFAULT_SCHEMA), table).ok_or_else(|| unknown_table(schema, table))
}
