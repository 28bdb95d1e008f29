//! Where the items of one collection lie.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Entry, Sums};
use crate::model::{CatalogId, DatabaseId, MetastoreId, TableId};

/// What the items of a collection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Partitions of a table.
    Partitions = 1,
    /// Tables of a database.
    Tables = 2,
    /// Constraints and column statistics, one item per table of a database.
    Details = 3,
    /// Functions of a database.
    Functions = 4,
    /// Grants of a metastore.
    Privileges = 5,
}

impl Kind {
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Partitions, Self::Tables, Self::Details, Self::Functions, Self::Privileges]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Which collection. A table keeps the address it was born with, in whatever database it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub metastore: MetastoreId,
    pub catalog: CatalogId,
    pub database: DatabaseId,
    pub table: TableId,
    pub kind: Kind,
}

impl Address {
    /// A collection of a database.
    pub fn of_database(kind: Kind, metastore: MetastoreId, catalog: CatalogId, database: DatabaseId) -> Self {
        Self { metastore, catalog, database, table: TableId(0), kind }
    }

    /// The grants of a metastore.
    pub fn privileges(metastore: MetastoreId) -> Self {
        Self::of_database(Kind::Privileges, metastore, CatalogId(0), DatabaseId(0))
    }
}

/// The items of one collection, as one snapshot sees them.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub address: Address,
    pub sums: Sums,
    pub entries: BTreeMap<Box<str>, Entry>,
}

impl Collection {
    /// Without items.
    pub fn empty(address: Address) -> Arc<Self> {
        Arc::new(Self { address, sums: Sums::default(), entries: BTreeMap::new() })
    }
}
