//! Structs of the Hive Metastore interface, from bytes to model values and back.
//!
//! Field numbers are those of Hive 2.3 to 4.2, which only ever added fields. A field that skep
//! does not know goes into `unknown_hash`; a known field of another type is an error. Fields that
//! say where an object is (database, catalog) or how it was asked for (write ids, privileges,
//! access types) are passed over.

mod constraint;
mod database;
mod fields;
mod function;
mod partition;
mod privilege;
mod statistic;
mod storage;
mod table;

use bytes::Bytes;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{
    CatalogObject, ColumnStatistic, ConstraintColumn, ConstraintKind, Database, Function, Item, Partition,
    Privilege, Table,
};
use skep_catalog::ports::Decoder;

pub use constraint::{encode_constraint, read_constraint};
pub use database::{encode_catalog, encode_database, read_catalog, read_database};
pub use function::{encode_function, read_function};
pub use partition::{encode_partition, read_partition, read_partition_sharing};
pub use privilege::{encode_privilege, read_privilege};
pub use statistic::{encode_column_statistic, read_column_statistic};
pub use storage::SharedColumns;
pub use table::{encode_table, read_table};

use crate::thrift::{Reader, Result};

/// Decodes kept struct bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct HmsDecoder;

fn decode<T>(what: &str, raw: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T>) -> Decoded<T> {
    read(&mut Reader::new(raw))
        .map_err(|e| Fault::new(Code::STORE_DAMAGED, format!("kept {what} struct"), e.to_string()))
}

type Decoded<T> = std::result::Result<T, Fault>;

impl Decoder for HmsDecoder {
    fn catalog(&self, raw: &[u8]) -> Decoded<CatalogObject> {
        // The made-up catalog of a server without catalogs has no bytes.
        if raw.is_empty() {
            return Ok(default_catalog());
        }
        decode("Catalog", raw, read_catalog)
    }

    fn database(&self, raw: &[u8]) -> Decoded<Database> {
        decode("Database", raw, read_database)
    }

    fn table(&self, raw: &[u8]) -> Decoded<Table> {
        decode("Table", raw, read_table)
    }

    fn partition(&self, raw: &[u8]) -> Decoded<Partition> {
        decode("Partition", raw, read_partition)
    }

    fn function(&self, raw: &[u8]) -> Decoded<Function> {
        decode("Function", raw, read_function)
    }

    fn constraint(&self, kind: ConstraintKind, raw: &[u8]) -> Decoded<ConstraintColumn> {
        decode("constraint", raw, |reader| read_constraint(kind, reader))
    }

    fn column_statistic(&self, raw: &[u8]) -> Decoded<ColumnStatistic> {
        decode("ColumnStatisticsObj", raw, read_column_statistic)
    }

    fn privilege(&self, raw: &[u8]) -> Decoded<Privilege> {
        decode("HiveObjectPrivilege", raw, read_privilege)
    }
}

/// The catalog that a server without catalogs is taken to have.
pub fn default_catalog() -> CatalogObject {
    CatalogObject { name: skep_catalog::model::DEFAULT_CATALOG.to_owned(), ..CatalogObject::default() }
}

/// Reads a struct that stands in `body` where `reader` is, and keeps its bytes without copying.
pub fn read_item<T>(
    body: &Bytes,
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
) -> Result<Item<T>> {
    let start = reader.position();
    let value = read(reader)?;
    Ok(Item { value, raw: body.slice(start..reader.position()) })
}

#[cfg(test)]
mod tests;
