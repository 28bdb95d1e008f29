//! `HiveObjectPrivilege`.

use bytes::Bytes;
use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, Privilege};

use super::fields::{
    flag, i32, principal_type, seconds, text, text_option, texts, write_principal_type, write_seconds,
};
use crate::thrift::{Kind, Reader, Result, Writer};

/// Kinds of objects; the number on the wire is the place from 1.
const OBJECT_KINDS: [&str; 6] = ["global", "database", "table", "partition", "column", "data connector"];

/// Reads a `HiveObjectPrivilege` struct.
pub fn read_privilege(reader: &mut Reader<'_>) -> Result<Privilege> {
    let mut privilege = Privilege {
        object_kind: "unknown",
        database: None,
        table_name: None,
        partition_values: Vec::new(),
        column_name: None,
        principal_name: String::new(),
        principal_type: None,
        privilege: String::new(),
        grantor_name: None,
        granted_time: 0,
        has_grant_option: false,
    };
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => read_object(reader, kind, &mut privilege)?,
            2 => privilege.principal_name = text(reader, kind)?,
            3 => privilege.principal_type = principal_type(reader, kind)?,
            4 => read_grant(reader, kind, &mut privilege)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(privilege)
}

fn read_object(reader: &mut Reader<'_>, kind: Kind, privilege: &mut Privilege) -> Result<()> {
    reader.expect(Kind::Struct, kind)?;
    let (mut catalog, mut database) = (DEFAULT_CATALOG.to_owned(), None);
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => {
                let number = usize::try_from(i32(reader, kind)?).ok();
                let place = number.and_then(|number| number.checked_sub(1));
                privilege.object_kind = place.and_then(|i| OBJECT_KINDS.get(i)).copied().unwrap_or("unknown");
            }
            2 => database = text_option(reader, kind)?,
            3 => privilege.table_name = text_option(reader, kind)?,
            4 => privilege.partition_values = texts(reader, kind)?,
            5 => privilege.column_name = text_option(reader, kind)?,
            6 => catalog = text(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    privilege.database = database.map(|database| DatabaseName { catalog, database });
    Ok(())
}

fn read_grant(reader: &mut Reader<'_>, kind: Kind, privilege: &mut Privilege) -> Result<()> {
    reader.expect(Kind::Struct, kind)?;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => privilege.privilege = text(reader, kind)?,
            2 => privilege.granted_time = seconds(reader, kind)?,
            3 => privilege.grantor_name = text_option(reader, kind)?,
            5 => privilege.has_grant_option = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

/// A `HiveObjectPrivilege` struct; `has_catalogs` as in Hive 3 and later.
pub fn encode_privilege(has_catalogs: bool, privilege: &Privilege) -> Bytes {
    let mut writer = Writer::new();
    writer.field_struct(1, |writer| {
        let place = OBJECT_KINDS.iter().position(|name| *name == privilege.object_kind);
        writer.field_i32(1, place.map_or(0, |place| place as i32 + 1));
        writer.field_string_option(2, privilege.database.as_ref().map(|name| name.database.as_str()));
        writer.field_string_option(3, privilege.table_name.as_deref());
        if !privilege.partition_values.is_empty() {
            writer.field_strings(4, &privilege.partition_values);
        }
        writer.field_string_option(5, privilege.column_name.as_deref());
        let catalog = privilege.database.as_ref().map(|name| name.catalog.as_str());
        writer.field_string_option(6, catalog.filter(|_| has_catalogs));
    });
    writer.field_string(2, &privilege.principal_name);
    write_principal_type(&mut writer, 3, privilege.principal_type);
    writer.field_struct(4, |writer| {
        writer.field_string(1, &privilege.privilege);
        write_seconds(writer, 2, privilege.granted_time);
        writer.field_string_option(3, privilege.grantor_name.as_deref());
        writer.field_i32(4, 1);
        writer.field_bool(5, privilege.has_grant_option);
    });
    writer.finish_struct()
}
