//! `Catalog` and `Database`.

use bytes::Bytes;
use skep_catalog::model::{CatalogObject, Database};

use super::fields::{
    Unknown, parameters, principal_type, required, seconds, text_option, write_principal_type, write_seconds,
};
use crate::thrift::{Reader, Result, Writer};

/// Reads a `Catalog` struct (Hive 3 and later).
pub fn read_catalog(reader: &mut Reader<'_>) -> Result<CatalogObject> {
    let mut catalog = CatalogObject::default();
    let mut unknown = Unknown::default();
    let mut name = None;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => name = text_option(reader, kind)?,
            2 => catalog.description = text_option(reader, kind)?,
            3 => catalog.location = text_option(reader, kind)?,
            4 => catalog.create_time = Some(seconds(reader, kind)?),
            _ => unknown.add(reader, kind, id)?,
        }
    }
    catalog.name = required(reader, "Catalog.name", name)?;
    catalog.unknown_hash = unknown.0;
    Ok(catalog)
}

/// A `Catalog` struct.
pub fn encode_catalog(catalog: &CatalogObject) -> Bytes {
    let mut writer = Writer::new();
    writer.field_string(1, &catalog.name);
    writer.field_string_option(2, catalog.description.as_deref());
    writer.field_string_option(3, catalog.location.as_deref());
    if let Some(create_time) = catalog.create_time {
        write_seconds(&mut writer, 4, create_time);
    }
    writer.finish_struct()
}

/// Reads a `Database` struct.
pub fn read_database(reader: &mut Reader<'_>) -> Result<Database> {
    let mut database = Database::default();
    let mut unknown = Unknown::default();
    let mut name = None;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => name = text_option(reader, kind)?,
            2 => database.description = text_option(reader, kind)?,
            3 => database.location = text_option(reader, kind)?,
            4 => database.parameters = parameters(reader, kind)?,
            6 => database.owner_name = text_option(reader, kind)?,
            7 => database.owner_type = principal_type(reader, kind)?,
            8 => database.catalog_name = text_option(reader, kind)?,
            9 => database.create_time = Some(seconds(reader, kind)?),
            10 => database.managed_location = text_option(reader, kind)?,
            // 5: privileges of the asking user.
            5 => reader.skip(kind)?,
            // 11: 1 is a database of this metastore.
            11 => unknown.add_enum(reader, kind, id, 1)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    database.name = required(reader, "Database.name", name)?;
    database.unknown_hash = unknown.0;
    Ok(database)
}

/// A `Database` struct.
pub fn encode_database(database: &Database) -> Bytes {
    let mut writer = Writer::new();
    writer.field_string(1, &database.name);
    writer.field_string_option(2, database.description.as_deref());
    writer.field_string_option(3, database.location.as_deref());
    writer.field_string_map(4, &database.parameters);
    writer.field_string_option(6, database.owner_name.as_deref());
    write_principal_type(&mut writer, 7, database.owner_type);
    writer.field_string_option(8, database.catalog_name.as_deref());
    if let Some(create_time) = database.create_time {
        write_seconds(&mut writer, 9, create_time);
    }
    writer.field_string_option(10, database.managed_location.as_deref());
    writer.finish_struct()
}
