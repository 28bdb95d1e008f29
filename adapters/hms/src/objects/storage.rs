//! `StorageDescriptor` and what it holds.

use std::sync::Arc;

use skep_catalog::model::{Column, SerdeInfo, SkewedInfo, StorageDescriptor};

use super::fields::{
    NAMED_BYTES_MIN, Unknown, columns, flag, i32, list, parameters, required, text_option, texts,
    write_columns,
};
use crate::thrift::{Kind, Reader, Result, Writer};

/// A longer list of columns is not shared: its bytes are not worth another copy.
const SHARED_BYTES_MAX: usize = 64 << 10;

/// The columns read last, and the bytes they came from: what begins with the same bytes is read
/// the same, so partitions of one table share their columns and are read faster.
#[derive(Debug, Default)]
pub struct SharedColumns {
    bytes: Vec<u8>,
    columns: Arc<Vec<Column>>,
    unknown_hash: u64,
}

impl SharedColumns {
    fn read(
        &mut self,
        reader: &mut Reader<'_>,
        kind: Kind,
        unknown: &mut Unknown,
    ) -> Result<Arc<Vec<Column>>> {
        if self.bytes.is_empty() || kind != Kind::List || !reader.pass_over(&self.bytes) {
            // Set when all went well: until then there is nothing to share.
            self.bytes.clear();
            let (start, mut own) = (reader.clone(), Unknown::default());
            self.columns = columns(reader, kind, &mut own)?.into();
            self.unknown_hash = own.0;
            let bytes = start.until(reader);
            if bytes.len() <= SHARED_BYTES_MAX {
                self.bytes.extend_from_slice(bytes);
            }
        }
        unknown.0 = unknown.0.wrapping_add(self.unknown_hash);
        Ok(self.columns.clone())
    }
}

pub(super) fn read_storage(
    reader: &mut Reader<'_>,
    kind: Kind,
    shared: &mut SharedColumns,
) -> Result<StorageDescriptor> {
    reader.expect(Kind::Struct, kind)?;
    let mut storage = StorageDescriptor::default();
    let mut unknown = Unknown::default();
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => storage.columns = shared.read(reader, kind, &mut unknown)?,
            2 => storage.location = text_option(reader, kind)?,
            3 => storage.input_format = text_option(reader, kind)?,
            4 => storage.output_format = text_option(reader, kind)?,
            5 => storage.is_compressed = flag(reader, kind)?,
            6 => storage.bucket_count = i32(reader, kind)?,
            7 => storage.serde = read_serde(reader, kind, &mut unknown)?,
            8 => storage.bucket_columns = texts(reader, kind)?,
            9 => {
                storage.sort_columns = list(reader, kind, Kind::Struct, NAMED_BYTES_MIN, |reader| {
                    read_order(reader, &mut unknown)
                })?;
            }
            10 => storage.parameters = parameters(reader, kind)?,
            11 => storage.skewed = Some(read_skewed(reader, kind, &mut unknown)?),
            12 => storage.is_stored_as_sub_directories = flag(reader, kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    storage.unknown_hash = unknown.0;
    Ok(storage)
}

fn read_serde(reader: &mut Reader<'_>, kind: Kind, unknown: &mut Unknown) -> Result<SerdeInfo> {
    reader.expect(Kind::Struct, kind)?;
    let mut serde = SerdeInfo::default();
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => serde.name = text_option(reader, kind)?,
            2 => serde.library = text_option(reader, kind)?,
            3 => serde.parameters = parameters(reader, kind)?,
            // 7: kind of serde, 1 is Hive.
            7 => unknown.add_enum(reader, kind, id, 1)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    Ok(serde)
}

fn read_order(reader: &mut Reader<'_>, unknown: &mut Unknown) -> Result<(String, i32)> {
    let (mut column, mut order) = (None, 1);
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => column = text_option(reader, kind)?,
            2 => order = i32(reader, kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    Ok((required(reader, "Order.col", column)?, order))
}

fn read_skewed(reader: &mut Reader<'_>, kind: Kind, unknown: &mut Unknown) -> Result<SkewedInfo> {
    reader.expect(Kind::Struct, kind)?;
    let mut skewed = SkewedInfo::default();
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => skewed.columns = texts(reader, kind)?,
            2 => skewed.values = list(reader, kind, Kind::List, 5, |reader| texts(reader, Kind::List))?,
            3 => {
                reader.expect(Kind::Map, kind)?;
                let count = reader.map_of(Kind::List, Kind::String)?;
                skewed.locations = Vec::with_capacity(count);
                for _ in 0..count {
                    let values = texts(reader, Kind::List)?;
                    skewed.locations.push((values, reader.string()?.to_owned()));
                }
                skewed.locations.sort();
            }
            _ => unknown.add(reader, kind, id)?,
        }
    }
    Ok(skewed)
}

pub(super) fn write_storage(writer: &mut Writer, id: i16, storage: &StorageDescriptor) {
    writer.field_struct(id, |writer| {
        write_columns(writer, 1, &storage.columns);
        writer.field_string_option(2, storage.location.as_deref());
        writer.field_string_option(3, storage.input_format.as_deref());
        writer.field_string_option(4, storage.output_format.as_deref());
        writer.field_bool(5, storage.is_compressed);
        writer.field_i32(6, storage.bucket_count);
        writer.field_struct(7, |writer| {
            writer.field_string_option(1, storage.serde.name.as_deref());
            writer.field_string_option(2, storage.serde.library.as_deref());
            writer.field_string_map(3, &storage.serde.parameters);
        });
        writer.field_strings(8, &storage.bucket_columns);
        writer.field_list(9, Kind::Struct, storage.sort_columns.len());
        for (column, order) in &storage.sort_columns {
            writer.field_string(1, column);
            writer.field_i32(2, *order);
            writer.stop();
        }
        writer.field_string_map(10, &storage.parameters);
        if let Some(skewed) = &storage.skewed {
            writer.field_struct(11, |writer| write_skewed(writer, skewed));
        }
        writer.field_bool(12, storage.is_stored_as_sub_directories);
    });
}

fn write_skewed(writer: &mut Writer, skewed: &SkewedInfo) {
    let texts = |writer: &mut Writer, values: &[String]| {
        writer.list(Kind::String, values.len());
        values.iter().for_each(|value| writer.string(value));
    };
    writer.field_strings(1, &skewed.columns);
    writer.field_list(2, Kind::List, skewed.values.len());
    for values in &skewed.values {
        texts(writer, values);
    }
    writer.field(Kind::Map, 3);
    writer.map(Kind::List, Kind::String, skewed.locations.len());
    for (values, location) in &skewed.locations {
        texts(writer, values);
        writer.string(location);
    }
}
