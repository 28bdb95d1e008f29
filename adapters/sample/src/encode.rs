//! Model values as the struct fields that a metastore of a generation keeps.
//!
//! Names (database, table, catalog) are left out where the server adds them when it answers, so
//! that a rename need not touch the kept bytes.

use bytes::Bytes;
use skep_catalog::model::{CatalogObject, Database, DatabaseName, Function, Partition, PrincipalType, Table};
use skep_hms::objects;
use skep_hms::thrift::{Kind, Writer};

use crate::generation::Generation;
use crate::partitions::Kept;
use crate::raw::RawStruct;

/// Seconds since 1970 as Hive's 32-bit field holds them.
pub(crate) fn seconds(time: i64) -> i32 {
    i32::try_from(time).unwrap_or(i32::MAX)
}

pub(crate) fn principal_number(kind: PrincipalType) -> i32 {
    match kind {
        PrincipalType::User => 1,
        PrincipalType::Role => 2,
        PrincipalType::Group => 3,
    }
}

/// Hive's number of an object kind in privileges.
pub(crate) fn object_number(kind: &str) -> i32 {
    match kind {
        "global" => 1,
        "database" => 2,
        "table" => 3,
        "partition" => 4,
        _ => 5,
    }
}

/// The struct without the text fields of these ids.
fn without(body: &Bytes, ids: &[i16]) -> RawStruct {
    // What was just encoded is well-formed.
    let mut raw = RawStruct::parse(body).unwrap_or_default();
    for id in ids {
        raw.remove(*id, Kind::String);
    }
    raw
}

/// Fields of `Catalog`.
pub(crate) fn catalog(value: &CatalogObject, generation: Generation) -> Bytes {
    // 3.1 has no creation time of catalogs.
    let create_time = value.create_time.filter(|_| generation >= Generation::V4_0);
    without(&objects::encode_catalog(&CatalogObject { create_time, ..value.clone() }), &[]).fields()
}

/// Fields of `Database` but name and catalog.
pub(crate) fn database(value: &Database, generation: Generation) -> Bytes {
    let mut value = value.clone();
    if generation < Generation::V4_0 {
        value.create_time = None;
        value.managed_location = None;
    }
    let mut raw = without(&objects::encode_database(&value), &[1, 8]);
    if generation >= Generation::V4_0 {
        raw.set_i32(11, 1); // a native database, not one behind a data connector
    }
    raw.fields()
}

/// Fields of `Table` but name, database and catalog.
pub(crate) fn table(value: &Table, generation: Generation, id: i64) -> Bytes {
    let catalog = generation.has_catalogs().then_some("");
    let mut raw = without(&objects::encode_table(catalog, "", value), &[1, 2, 17]);
    fill_table(&mut raw, generation, id);
    raw.fields()
}

/// Fills in what a server fills in when a client leaves it out, in a `Table` struct.
pub(crate) fn fill_table(raw: &mut RawStruct, generation: Generation, id: i64) {
    if let Some(mut storage) = raw.structure(7) {
        fill_storage(&mut storage);
        raw.set_structure(7, &storage);
    }
    raw.default_false(15);
    if generation.has_catalogs() && raw.i32(18).is_none() {
        raw.set_i32(18, principal_number(PrincipalType::User));
    }
    if generation >= Generation::V4_0 {
        if raw.get(19, Kind::I64).is_none() {
            raw.set_i64(19, 0);
        }
        raw.set_i64(25, id);
    }
}

/// The same in a `StorageDescriptor`: an empty skew, and no sub-directories.
pub(crate) fn fill_storage(storage: &mut RawStruct) {
    if storage.structure(11).is_none() {
        let mut skew = Writer::new();
        skew.field_list(1, Kind::String, 0);
        skew.field_list(2, Kind::List, 0);
        skew.field(Kind::Map, 3);
        skew.map(Kind::List, Kind::String, 0);
        // What was just written is well-formed.
        storage.set_structure(11, &RawStruct::parse(&skew.finish_struct()).unwrap_or_default());
    }
    storage.default_false(12);
}

/// A partition as it is kept.
pub(crate) fn partition(value: &Partition) -> Kept {
    let raw = RawStruct::parse(&objects::encode_partition(None, "", "", value)).unwrap_or_default();
    Kept::from_raw(raw)
}

/// Fields of `Function` but database and catalog.
pub(crate) fn function(value: &Function) -> Bytes {
    without(&objects::encode_function(None, "", value), &[2, 9]).fields()
}

/// The catalog field of answers about this database: only generations with catalogs have it.
pub(crate) fn catalog_of(name: &DatabaseName, generation: Generation) -> Option<&str> {
    generation.has_catalogs().then_some(name.catalog.as_str())
}
