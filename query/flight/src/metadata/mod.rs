//! What skep is and has, as clients ask for it: the SQL tables of skep, never the tables that it
//! mirrors, which are rows.

mod keys;
mod sql_info;
mod types;

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::XdbcTypeInfoData;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo,
};
use skep_catalog::fault::Fault;
use skep_query::EngineOptions;
use skep_query::spec::{CATALOG, ColumnSpec, SCHEMAS, TABLES, TableSpec};

use crate::status::unreadable;

pub use keys::{cross_reference, primary_keys};

const BASE_TABLE: &str = "BASE TABLE";
const VIEW: &str = "VIEW";

/// What goes wrong is the pattern of a filter: the rows are our own.
fn failed(error: impl Into<FlightError>) -> Fault {
    unreadable("filter of metadata", &error.into().to_string())
}

/// What does not change while skep runs.
pub struct Facts {
    types: XdbcTypeInfoData,
}

impl Facts {
    /// Errors: `INTERNAL`.
    pub fn new() -> Result<Self, Fault> {
        Ok(Self { types: types::all()? })
    }

    /// Types of columns.
    pub fn types(&self, command: CommandGetXdbcTypeInfo) -> Result<RecordBatch, Fault> {
        command.into_builder(&self.types).build().map_err(failed)
    }
}

/// What a client wants to know of a service with these bounds.
pub fn sql_info(command: CommandGetSqlInfo, bounds: &EngineOptions) -> Result<RecordBatch, Fault> {
    command.into_builder(&sql_info::all(bounds)?).build().map_err(failed)
}

/// The one catalog.
pub fn catalogs(command: CommandGetCatalogs) -> Result<RecordBatch, Fault> {
    let mut rows = command.into_builder();
    rows.append(CATALOG);
    rows.build().map_err(failed)
}

/// Schemas.
pub fn schemas(command: CommandGetDbSchemas) -> Result<RecordBatch, Fault> {
    let mut rows = command.into_builder();
    for schema in SCHEMAS {
        rows.append(CATALOG, schema.name);
    }
    rows.build().map_err(failed)
}

/// Tables and views, with their columns when these are asked for.
pub fn tables(command: CommandGetTables) -> Result<RecordBatch, Fault> {
    let mut rows = command.into_builder();
    for table in TABLES.iter() {
        let table_type = if table.view.is_some() { VIEW } else { BASE_TABLE };
        rows.append(CATALOG, table.schema, table.name, table_type, &described(table)).map_err(failed)?;
    }
    rows.build().map_err(failed)
}

/// Kinds of tables.
pub fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, Fault> {
    let mut rows = command.into_builder();
    rows.append(BASE_TABLE);
    rows.append(VIEW);
    rows.build().map_err(failed)
}

/// The columns of a table, with what clients show of them. Here only: in a result the JDBC driver
/// would show the comment instead of the name.
fn described(table: &TableSpec) -> Schema {
    let fields = table.columns.iter().map(|column| {
        let field = Field::new(column.name, column.kind.arrow_type(), column.is_nullable);
        field.with_metadata(facts_of(table, column))
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn facts_of(table: &TableSpec, column: &ColumnSpec) -> HashMap<String, String> {
    let facts = [
        ("CATALOG_NAME", CATALOG),
        ("SCHEMA_NAME", table.schema),
        ("TABLE_NAME", table.name),
        ("TYPE_NAME", types::name(column.kind)),
        ("IS_AUTO_INCREMENT", "0"),
        ("IS_CASE_SENSITIVE", "1"),
        ("IS_READ_ONLY", "1"),
        ("IS_SEARCHABLE", "1"),
        ("REMARKS", column.comment),
    ];
    facts.map(|(name, value)| (format!("ARROW:FLIGHT:SQL:{name}"), value.to_owned())).into()
}
