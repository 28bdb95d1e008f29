//! Fields that many structs share.

use skep_catalog::model::{Column, Parameters, PrincipalType};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::thrift::{Flaw, Kind, Reader, Result, ThriftError, Writer};

/// Hash of the fields that skep does not know, whatever their order; 0 when there are none.
#[derive(Default)]
pub(super) struct Unknown(pub u64);

impl Unknown {
    /// Passes over a field and takes it in. An empty container means as much as none: newer
    /// servers send one for every object.
    pub(super) fn add(&mut self, reader: &mut Reader<'_>, kind: Kind, id: i16) -> Result<()> {
        let bytes = reader.slice(kind)?;
        let is_container = matches!(kind, Kind::List | Kind::Set | Kind::Map);
        if is_container && bytes.ends_with(&[0; 4]) && bytes.len() <= 6 {
            return Ok(());
        }
        let seed = (id as u16 as u64) << 8 | kind as u64;
        self.0 = self.0.wrapping_add(xxh3_64_with_seed(bytes, seed));
        Ok(())
    }

    /// The same for an enum field whose value `default` means as much as its absence.
    pub(super) fn add_enum(
        &mut self,
        reader: &mut Reader<'_>,
        kind: Kind,
        id: i16,
        default: i32,
    ) -> Result<()> {
        if kind == Kind::I32 && reader.clone().i32()? == default {
            return reader.skip(kind);
        }
        self.add(reader, kind, id)
    }
}

#[inline]
pub(super) fn text(reader: &mut Reader<'_>, kind: Kind) -> Result<String> {
    reader.expect(Kind::String, kind)?;
    Ok(reader.string()?.to_owned())
}

#[inline]
pub(super) fn text_option(reader: &mut Reader<'_>, kind: Kind) -> Result<Option<String>> {
    text(reader, kind).map(Some)
}

pub(super) fn flag(reader: &mut Reader<'_>, kind: Kind) -> Result<bool> {
    reader.expect(Kind::Bool, kind)?;
    reader.bool()
}

pub(super) fn i32(reader: &mut Reader<'_>, kind: Kind) -> Result<i32> {
    reader.expect(Kind::I32, kind)?;
    reader.i32()
}

pub(super) fn i64(reader: &mut Reader<'_>, kind: Kind) -> Result<i64> {
    reader.expect(Kind::I64, kind)?;
    reader.i64()
}

/// Times are 32-bit seconds on the wire.
pub(super) fn seconds(reader: &mut Reader<'_>, kind: Kind) -> Result<i64> {
    i32(reader, kind).map(i64::from)
}

pub(super) fn write_seconds(writer: &mut Writer, id: i16, seconds: i64) {
    writer.field_i32(id, seconds.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
}

/// A field that no struct of its kind is without: it also keeps many tiny structs from becoming
/// much larger values.
pub(super) fn required<T>(reader: &Reader<'_>, field: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| ThriftError { offset: reader.position(), flaw: Flaw::MissingField(field) })
}

/// Bytes of a struct that holds a text at least: field header, length, stop byte.
pub(super) const NAMED_BYTES_MIN: usize = 8;

/// A list whose elements take at least `bytes_min` bytes each.
pub(super) fn list<'a, T>(
    reader: &mut Reader<'a>,
    kind: Kind,
    element: Kind,
    bytes_min: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of_at_least(element, bytes_min)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(read(reader)?);
    }
    Ok(values)
}

pub(super) fn texts(reader: &mut Reader<'_>, kind: Kind) -> Result<Vec<String>> {
    list(reader, kind, Kind::String, 4, |reader| reader.string().map(str::to_owned))
}

/// A map of texts, sorted by key, keys unique (the last one counts).
pub(super) fn parameters(reader: &mut Reader<'_>, kind: Kind) -> Result<Parameters> {
    reader.expect(Kind::Map, kind)?;
    let count = reader.map_of(Kind::String, Kind::String)?;
    let mut pairs: Parameters = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.string()?;
        pairs.push((key.to_owned(), reader.string()?.to_owned()));
    }
    if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|a, b| a.0 == b.0);
    }
    Ok(pairs)
}

pub(super) fn principal_type(reader: &mut Reader<'_>, kind: Kind) -> Result<Option<PrincipalType>> {
    Ok(match i32(reader, kind)? {
        1 => Some(PrincipalType::User),
        2 => Some(PrincipalType::Role),
        3 => Some(PrincipalType::Group),
        _ => None,
    })
}

pub(super) fn write_principal_type(writer: &mut Writer, id: i16, value: Option<PrincipalType>) {
    let number = match value {
        None => return,
        Some(PrincipalType::User) => 1,
        Some(PrincipalType::Role) => 2,
        Some(PrincipalType::Group) => 3,
    };
    writer.field_i32(id, number);
}

/// A list of `FieldSchema`.
pub(super) fn columns(reader: &mut Reader<'_>, kind: Kind, unknown: &mut Unknown) -> Result<Vec<Column>> {
    list(reader, kind, Kind::Struct, NAMED_BYTES_MIN, |reader| {
        let mut column = Column::default();
        let mut name = None;
        while let Some((kind, id)) = reader.field()? {
            match id {
                1 => name = text_option(reader, kind)?,
                2 => column.data_type = text(reader, kind)?,
                3 => column.comment = text_option(reader, kind)?,
                _ => unknown.add(reader, kind, id)?,
            }
        }
        column.name = required(reader, "FieldSchema.name", name)?;
        Ok(column)
    })
}

pub(super) fn write_columns(writer: &mut Writer, id: i16, columns: &[Column]) {
    writer.field_list(id, Kind::Struct, columns.len());
    for column in columns {
        writer.field_string(1, &column.name);
        writer.field_string(2, &column.data_type);
        writer.field_string_option(3, column.comment.as_deref());
        writer.stop();
    }
}
