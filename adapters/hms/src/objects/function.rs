//! `Function`.

use bytes::Bytes;
use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, Function};

use super::fields::{
    NAMED_BYTES_MIN, Unknown, i32, list, principal_type, required, seconds, text, text_option,
    write_principal_type, write_seconds,
};
use crate::thrift::{Kind, Reader, Result, Writer};

/// Kinds of resources; the number on the wire is the place from 1.
const RESOURCE_KINDS: [&str; 3] = ["jar", "file", "archive"];

/// Reads a `Function` struct.
pub fn read_function(reader: &mut Reader<'_>) -> Result<Function> {
    read_function_in(reader).map(|(_, function)| function)
}

/// Reads a `Function` struct and the database that it names.
pub(crate) fn read_function_in(reader: &mut Reader<'_>) -> Result<(DatabaseName, Function)> {
    let mut function = Function::default();
    let mut name = None;
    let mut database = DatabaseName::new(DEFAULT_CATALOG, "");
    let mut unknown = Unknown::default();
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => name = text_option(reader, kind)?,
            2 => database.database = text(reader, kind)?,
            3 => function.class_name = text_option(reader, kind)?,
            4 => function.owner_name = text_option(reader, kind)?,
            5 => function.owner_type = principal_type(reader, kind)?,
            6 => function.create_time = seconds(reader, kind)?,
            // 7: language, 1 is Java.
            7 => unknown.add_enum(reader, kind, id, 1)?,
            8 => {
                function.resources = list(reader, kind, Kind::Struct, NAMED_BYTES_MIN, |reader| {
                    read_resource(reader, &mut unknown)
                })?;
            }
            9 => database.catalog = text(reader, kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    function.name = required(reader, "Function.functionName", name)?;
    function.unknown_hash = unknown.0;
    Ok((database, function))
}

fn read_resource(reader: &mut Reader<'_>, unknown: &mut Unknown) -> Result<(String, String)> {
    let (mut resource_kind, mut uri) = (String::new(), None);
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => {
                let number = i32(reader, kind)?;
                let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
                let known = place.and_then(|place| RESOURCE_KINDS.get(place));
                resource_kind = known.map_or_else(|| number.to_string(), |name| (*name).to_owned());
            }
            2 => uri = text_option(reader, kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    Ok((resource_kind, required(reader, "ResourceUri.uri", uri)?))
}

/// A `Function` struct; `catalog` as in [`super::encode_table`].
pub fn encode_function(catalog: Option<&str>, database: &str, function: &Function) -> Bytes {
    let mut writer = Writer::new();
    writer.field_string(1, &function.name);
    writer.field_string(2, database);
    writer.field_string_option(3, function.class_name.as_deref());
    writer.field_string_option(4, function.owner_name.as_deref());
    write_principal_type(&mut writer, 5, function.owner_type);
    write_seconds(&mut writer, 6, function.create_time);
    writer.field_i32(7, 1);
    writer.field_list(8, Kind::Struct, function.resources.len());
    for (kind, uri) in &function.resources {
        let place = RESOURCE_KINDS.iter().position(|name| name == kind);
        let number = place.map_or_else(|| kind.parse().unwrap_or(1), |place| place as i32 + 1);
        writer.field_i32(1, number);
        writer.field_string(2, uri);
        writer.stop();
    }
    writer.field_string_option(9, catalog);
    writer.finish_struct()
}
