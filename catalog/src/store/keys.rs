//! The only place where keys are built.
//!
//! A key is: format version, salt (0: room for spreading keys without another change), kind, then
//! big-endian numbers, so that the order of keys is (kind, metastore, catalog, database, table,
//! segment). Names are in no key: the record of an object holds its name, so that a rename
//! rewrites that one record.

use super::collection::{Address, Kind};
use crate::model::{CatalogId, DatabaseId, MetastoreId, TableId};

/// Version of keys and records. Another one is another store.
pub(crate) const FORMAT_VERSION: u8 = 1;

const SALT: u8 = 0;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Record {
    /// Counters of the store.
    Counters = 1,
    /// A metastore.
    Metastore = 2,
    /// A catalog.
    Catalog = 3,
    /// A database.
    Database = 4,
    /// A table: what stays in memory of it.
    Table = 5,
    /// What of a segment stays in memory.
    Summary = 6,
    /// Hot columns of a segment.
    Hot = 7,
    /// Struct bytes of a segment.
    Raw = 8,
    /// Changed items of a collection.
    Delta = 9,
    /// Keys that are to be removed when no reader needs them.
    Grave = 10,
    /// A run.
    Run = 11,
    /// A chunk of `sync.events`.
    Events = 12,
    /// An object that could not be read.
    ObjectError = 13,
    /// What a server lacks.
    MissingMethods = 14,
    /// Tables that a metastore listed for a database.
    SourceCount = 15,
    /// Dropped tables of one change.
    DroppedTables = 16,
    /// A database that a run has read completely.
    DoneDatabase = 17,
    /// Status of a metastore's follower.
    Status = 18,
}

impl Record {
    /// Kinds of the bookkeeping of a metastore.
    pub const OF_BOOK: [Self; 7] = [
        Self::Run,
        Self::Events,
        Self::ObjectError,
        Self::MissingMethods,
        Self::SourceCount,
        Self::DroppedTables,
        Self::DoneDatabase,
    ];

    /// All kinds that are below a metastore.
    pub const OF_METASTORE: [Self; 16] = [
        Self::Metastore,
        Self::Catalog,
        Self::Database,
        Self::Table,
        Self::Summary,
        Self::Hot,
        Self::Raw,
        Self::Delta,
        Self::Run,
        Self::Events,
        Self::ObjectError,
        Self::MissingMethods,
        Self::SourceCount,
        Self::DroppedTables,
        Self::DoneDatabase,
        Self::Status,
    ];
}

fn start(record: Record) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    key.extend([FORMAT_VERSION, SALT, record as u8]);
    key
}

/// Prefix of all records of a kind.
pub(crate) fn all(record: Record) -> Vec<u8> {
    start(record)
}

/// Prefix of all records of a kind of a metastore, and the key where there is only one.
pub(crate) fn of_metastore(record: Record, metastore: MetastoreId) -> Vec<u8> {
    let mut key = start(record);
    key.extend(metastore.0.to_be_bytes());
    key
}

/// The metastore that a key below a metastore is of.
pub(crate) fn metastore_of(key: &[u8]) -> Option<MetastoreId> {
    Some(MetastoreId(u32::from_be_bytes(key.get(3..7)?.try_into().ok()?)))
}

/// A record numbered within its metastore.
pub(crate) fn numbered(record: Record, metastore: MetastoreId, number: u64) -> Vec<u8> {
    let mut key = of_metastore(record, metastore);
    key.extend(number.to_be_bytes());
    key
}

/// The number of a [`numbered`] key.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(key.len().checked_sub(8)?..)?.try_into().ok()?))
}

/// A grave.
pub(crate) fn grave(number: u64) -> Vec<u8> {
    let mut key = start(Record::Grave);
    key.extend(number.to_be_bytes());
    key
}

/// A catalog.
pub(crate) fn catalog(metastore: MetastoreId, catalog: CatalogId) -> Vec<u8> {
    let mut key = of_metastore(Record::Catalog, metastore);
    key.extend(catalog.0.to_be_bytes());
    key
}

/// A database.
pub(crate) fn database(metastore: MetastoreId, catalog: CatalogId, database: DatabaseId) -> Vec<u8> {
    let mut key = of_metastore(Record::Database, metastore);
    key.extend(catalog.0.to_be_bytes());
    key.extend(database.0.to_be_bytes());
    key
}

/// A table.
pub(crate) fn table(
    metastore: MetastoreId,
    catalog: CatalogId,
    database: DatabaseId,
    table: TableId,
) -> Vec<u8> {
    let mut key = of_metastore(Record::Table, metastore);
    key.extend(catalog.0.to_be_bytes());
    key.extend(database.0.to_be_bytes());
    key.extend(table.0.to_be_bytes());
    key
}

/// A part of a collection: summary, hot columns and struct bytes of a segment, or a delta.
pub(crate) fn part(record: Record, address: &Address, number: u64) -> Vec<u8> {
    let mut key = of_metastore(record, address.metastore);
    key.extend(address.catalog.0.to_be_bytes());
    key.extend(address.database.0.to_be_bytes());
    key.extend(address.table.0.to_be_bytes());
    key.push(address.kind as u8);
    key.extend(number.to_be_bytes());
    key
}

/// What a key made by [`part`] says.
pub(crate) fn part_of(key: &[u8]) -> Option<(Address, u64)> {
    let u32_at = |at: usize| Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?));
    if key.len() != 32 {
        return None;
    }
    let address = Address {
        metastore: MetastoreId(u32_at(3)?),
        catalog: CatalogId(u32_at(7)?),
        database: DatabaseId(u32_at(11)?),
        table: TableId(u64_at(15)?),
        kind: Kind::from_byte(key[23])?,
    };
    Some((address, u64_at(24)?))
}

/// The name of a table's item in the collections of its database: its number, so that a rename
/// does not touch it.
pub(crate) fn item_of_table(table: TableId) -> Box<str> {
    format!("{:016x}", table.0).into()
}

/// The table of a name made by [`item_of_table`].
pub(crate) fn table_of_item(name: &str) -> Option<TableId> {
    u64::from_str_radix(name, 16).ok().map(TableId)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = Address> {
        (any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>(), 1u8..=5).prop_map(|(m, c, d, t, kind)| {
            Address {
                metastore: MetastoreId(m),
                catalog: CatalogId(c),
                database: DatabaseId(d),
                table: TableId(t),
                kind: Kind::from_byte(kind).unwrap(),
            }
        })
    }

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_their_numbers(a in address(), b in address(), m: u64, n: u64) {
            let order = |a: &Address, n| (a.metastore, a.catalog, a.database, a.table, a.kind as u8, n);
            prop_assert_eq!(
                part(Record::Hot, &a, m).cmp(&part(Record::Hot, &b, n)),
                order(&a, m).cmp(&order(&b, n))
            );
        }

        #[test]
        fn keys_say_what_they_are_of(a in address(), n: u64) {
            prop_assert_eq!(part_of(&part(Record::Delta, &a, n)), Some((a, n)));
            prop_assert_eq!(table_of_item(&item_of_table(a.table)), Some(a.table));
        }
    }
}
