//! `Partition`.

use bytes::Bytes;
use skep_catalog::model::Partition;

use super::fields::{Unknown, parameters, required, seconds, texts, write_seconds};
use super::storage::{SharedColumns, read_storage, write_storage};
use crate::thrift::{Reader, Result, Writer};

/// Reads a `Partition` struct.
pub fn read_partition(reader: &mut Reader<'_>) -> Result<Partition> {
    read_partition_sharing(reader, &mut SharedColumns::default())
}

/// The same for many partitions of one table, which share their columns.
pub fn read_partition_sharing(reader: &mut Reader<'_>, shared: &mut SharedColumns) -> Result<Partition> {
    let mut partition = Partition::default();
    let mut unknown = Unknown::default();
    let mut values = None;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => values = Some(texts(reader, kind)?),
            4 => partition.create_time = seconds(reader, kind)?,
            5 => partition.last_access_time = seconds(reader, kind)?,
            6 => partition.storage = read_storage(reader, kind, shared)?,
            7 => partition.parameters = parameters(reader, kind)?,
            // 8 privileges, 9 catalog, 10 write id, 11 and 12 statistics on request, 13 file
            // metadata. The names in 2 (database) and 3 (table) are no part of the partition, but
            // after a rename of the table its bytes differ and must be kept anew.
            8..=13 => reader.skip(kind)?,
            _ => unknown.add(reader, kind, id)?,
        }
    }
    partition.values = required(reader, "Partition.values", values)?;
    partition.unknown_hash = unknown.0;
    Ok(partition)
}

/// A `Partition` struct; `catalog` as in [`super::encode_table`].
pub fn encode_partition(catalog: Option<&str>, database: &str, table: &str, partition: &Partition) -> Bytes {
    let mut writer = Writer::new();
    writer.field_strings(1, &partition.values);
    writer.field_string(2, database);
    writer.field_string(3, table);
    write_seconds(&mut writer, 4, partition.create_time);
    write_seconds(&mut writer, 5, partition.last_access_time);
    write_storage(&mut writer, 6, &partition.storage);
    writer.field_string_map(7, &partition.parameters);
    writer.field_string_option(9, catalog);
    writer.finish_struct()
}
