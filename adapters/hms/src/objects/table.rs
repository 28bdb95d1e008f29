//! `Table`.

use bytes::Bytes;
use skep_catalog::model::Table;

use super::fields::{
    Unknown, columns, flag, parameters, principal_type, required, seconds, text, text_option, write_columns,
    write_principal_type, write_seconds,
};
use super::storage::{SharedColumns, read_storage, write_storage};
use crate::thrift::{Kind, Reader, Result, Writer};

/// Reads a `Table` struct.
pub fn read_table(reader: &mut Reader<'_>) -> Result<Table> {
    let mut table = Table::default();
    let mut unknown = Unknown::default();
    let mut name = None;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => name = text_option(reader, kind)?,
            3 => table.owner_name = text_option(reader, kind)?,
            4 => table.create_time = seconds(reader, kind)?,
            5 => table.last_access_time = seconds(reader, kind)?,
            6 => table.retention = seconds(reader, kind)?,
            7 => table.storage = read_storage(reader, kind, &mut SharedColumns::default())?,
            8 => table.partition_keys = columns(reader, kind, &mut unknown)?,
            9 => table.parameters = parameters(reader, kind)?,
            10 => table.view_original_text = text_option(reader, kind)?,
            11 => table.view_expanded_text = text_option(reader, kind)?,
            12 => table.table_type = text(reader, kind)?,
            15 => table.is_rewrite_enabled = flag(reader, kind)?,
            18 => table.owner_type = principal_type(reader, kind)?,
            // The database (2) is no part of the table, but after a move to another one its bytes
            // differ and must be kept anew.
            // 13 privileges, 17 catalog, 19 write id, 20 and 21 statistics on request,
            // 22 to 24 access and capabilities, 25 id, 26 and 27 file metadata, 28 transaction.
            13 | 17 | 19..=28 => reader.skip(kind)?,
            // 14: temporary, only ever seen inside a session.
            14 if !flag(&mut reader.clone(), kind)? => reader.skip(kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    table.name = required(reader, "Table.tableName", name)?;
    table.unknown_hash = unknown.0;
    Ok(table)
}

/// A `Table` struct. With `catalog` in the form of Hive 3 and later, without it in that of 2.3,
/// which has neither catalog nor owner type.
pub fn encode_table(catalog: Option<&str>, database: &str, table: &Table) -> Bytes {
    let mut writer = Writer::new();
    writer.field_string(1, &table.name);
    writer.field_string(2, database);
    writer.field_string_option(3, table.owner_name.as_deref());
    write_seconds(&mut writer, 4, table.create_time);
    write_seconds(&mut writer, 5, table.last_access_time);
    write_seconds(&mut writer, 6, table.retention);
    write_storage(&mut writer, 7, &table.storage);
    write_columns(&mut writer, 8, &table.partition_keys);
    writer.field_string_map(9, &table.parameters);
    writer.field_string_option(10, table.view_original_text.as_deref());
    writer.field_string_option(11, table.view_expanded_text.as_deref());
    writer.field_string(12, &table.table_type);
    writer.field(Kind::Bool, 14);
    writer.bool(false);
    writer.field_bool(15, table.is_rewrite_enabled);
    if let Some(catalog) = catalog {
        writer.field_string(17, catalog);
        write_principal_type(&mut writer, 18, table.owner_type);
    }
    writer.finish_struct()
}
