//! Reading partitions and their names.

use skep_catalog::model::TableName;
use skep_hms::thrift::{Kind, Writer};

use super::{Args, Call};
use crate::generation::Generation;
use crate::metastore::{TableEntry, no_table};
use crate::partitions::Entry;
use crate::refusal::{Exception, Outcome, Refusal, refuse};

/// How many a 16-bit limit allows; negative means all.
fn limit(max_parts: Option<i16>) -> usize {
    max_parts.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX)
}

/// Works on a table under the read lock.
fn with_table<T>(
    call: &Call<'_>,
    name: &TableName,
    work: impl FnOnce(&TableEntry, &Encoder<'_>) -> T,
) -> Outcome<T> {
    let metastore = call.metastore.read();
    let Some(table) = metastore.table(name) else { return no_table(name, call.generation) };
    let encoder = Encoder { name, catalog: metastore.catalog_field(&name.database.catalog) };
    Ok(work(table, &encoder))
}

/// Writes the partitions of one table.
struct Encoder<'a> {
    name: &'a TableName,
    catalog: Option<&'a str>,
}

impl Encoder<'_> {
    fn write(&self, w: &mut Writer, name: &str, entry: &Entry<'_>) {
        entry.encode(w, name, &self.name.database.database, &self.name.table, self.catalog);
    }
}

/// Whether a missing table has an empty list of partitions instead of being an error, as seen on
/// 4.0.1 and 4.2.0. (By name it is an error there too, but another one.)
fn is_missing_empty(call: &Call<'_>, name: &TableName) -> bool {
    call.generation >= Generation::V4_0 && call.metastore.read().table(name).is_none()
}

/// Names of all partitions.
fn write_names(call: &Call<'_>, w: &mut Writer, name: &TableName, max: usize) -> Outcome<()> {
    if is_missing_empty(call, name) {
        w.field_list(0, Kind::String, 0);
        return Ok(());
    }
    with_table(call, name, |table, _| {
        let mut left = table.partitions.len().min(max);
        w.field_list(0, Kind::String, left);
        table.partitions.visit(&table.keys, |name, _| {
            if left > 0 {
                w.string(name);
                left -= 1;
            }
            left > 0
        });
    })
}

pub(super) fn get_partition_names(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    write_names(call, w, &name, limit(call.args.i16(3)?))
}

pub(super) fn fetch_partition_names_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = call.table_name(&request, (2, 3), 1)?;
    write_names(call, w, &name, limit(request.i16(4)?))
}

/// All partitions, as a list value.
fn write_all(call: &Call<'_>, w: &mut Writer, name: &TableName, id: i16, max: usize) -> Outcome<()> {
    if is_missing_empty(call, name) {
        w.field_list(id, Kind::Struct, 0);
        return Ok(());
    }
    with_table(call, name, |table, encoder| {
        let mut left = table.partitions.len().min(max);
        w.field_list(id, Kind::Struct, left);
        table.partitions.visit(&table.keys, |name, entry| {
            if left > 0 {
                encoder.write(w, name, &entry);
                left -= 1;
            }
            left > 0
        });
    })
}

pub(super) fn get_partitions(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    write_all(call, w, &name, 0, limit(call.args.i16(3)?))
}

pub(super) fn get_partitions_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = call.table_name(&request, (2, 3), 1)?;
    let max = limit(request.i16(4)?);
    let mut inner = Writer::new();
    write_all(call, &mut inner, &name, 1, max)?;
    w.field_struct(0, |w| w.raw_struct(&inner.finish()));
    Ok(())
}

/// Whether values begin with these; an empty text stands for any value.
fn begins_with(values: &[String], wanted: &[String]) -> bool {
    wanted.len() <= values.len() && wanted.iter().zip(values).all(|(w, v)| w.is_empty() || w == v)
}

pub(super) fn get_partitions_ps(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    let wanted = call.args.texts(3)?;
    let max = limit(call.args.i16(4)?);
    with_table(call, &name, |table, encoder| {
        let mut found = Writer::new();
        let mut count = 0;
        table.partitions.visit(&table.keys, |name, entry| {
            if count < max && begins_with(&entry.values(), &wanted) {
                encoder.write(&mut found, name, &entry);
                count += 1;
            }
            count < max
        });
        w.field_list(0, Kind::Struct, count);
        w.raw_struct(&found.finish());
    })
}

fn names_beginning_with(
    call: &Call<'_>,
    name: &TableName,
    wanted: &[String],
    max: usize,
) -> Outcome<Vec<String>> {
    with_table(call, name, |table, _| {
        let mut names = Vec::new();
        table.partitions.visit(&table.keys, |name, entry| {
            if names.len() < max && begins_with(&entry.values(), wanted) {
                names.push(name.to_owned());
            }
            names.len() < max
        });
        names
    })
}

pub(super) fn get_partition_names_ps(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    let max = limit(call.args.i16(4)?);
    w.field_strings(0, &names_beginning_with(call, &name, &call.args.texts(3)?, max)?);
    Ok(())
}

pub(super) fn get_partition_names_ps_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = call.table_name(&request, (2, 3), 1)?;
    let names = names_beginning_with(call, &name, &request.texts(4)?, limit(request.i16(5)?))?;
    w.field_struct(0, |w| w.field_strings(1, &names));
    Ok(())
}

/// Partitions by name, sorted by name; those that do not exist are left out, as in Hive.
fn write_named(
    call: &Call<'_>,
    w: &mut Writer,
    name: &TableName,
    id: i16,
    mut names: Vec<String>,
) -> Outcome<()> {
    names.sort_unstable();
    names.dedup();
    if is_missing_empty(call, name) {
        let refused = no_table::<()>(name, call.generation);
        return refused.or_else(|refusal| refuse(Exception::InvalidObject, refusal.message));
    }
    with_table(call, name, |table, encoder| {
        let found: Vec<_> =
            names.iter().filter_map(|name| Some((name, table.partitions.get(&table.keys, name)?))).collect();
        w.field_list(id, Kind::Struct, found.len());
        for (name, entry) in found {
            encoder.write(w, name, &entry);
        }
    })
}

pub(super) fn get_partitions_by_names(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    write_named(call, w, &name, 0, call.args.texts(3)?)
}

pub(super) fn get_partitions_by_names_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    // This request has no catalog field: the database carries the mark.
    let name = call.table_name(&request, (1, 2), 0)?;
    let mut inner = Writer::new();
    write_named(call, &mut inner, &name, 1, request.texts(3)?)?;
    w.field_struct(0, |w| w.raw_struct(&inner.finish()));
    Ok(())
}

/// One partition, by name or by values.
fn write_one(
    call: &Call<'_>,
    w: &mut Writer,
    name: &TableName,
    partition: impl FnOnce(&[String]) -> String,
) -> Outcome<()> {
    with_table(call, name, |table, encoder| {
        let partition = partition(&table.keys);
        match table.partitions.get(&table.keys, &partition) {
            None => refuse(Exception::NoSuchObject, format!("partition {partition} of {name} not found")),
            Some(entry) => {
                encoder.write(w, &partition, &entry);
                Ok(())
            }
        }
    })?
}

fn write_by_values(
    call: &Call<'_>,
    w: &mut Writer,
    args: &Args<'_>,
    name: &TableName,
    id: i16,
) -> Outcome<()> {
    let values = args.texts(id)?;
    write_one(call, w, name, |keys| skep_catalog::model::partition_name(keys, &values))
}

pub(super) fn get_partition(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    w.field(Kind::Struct, 0);
    write_by_values(call, w, &call.args, &name, 3)
}

pub(super) fn get_partition_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = call.table_name(&request, (2, 3), 1)?;
    w.field(Kind::Struct, 0);
    w.field(Kind::Struct, 1);
    write_by_values(call, w, &request, &name, 4)?;
    w.stop();
    Ok(())
}

pub(super) fn get_partition_by_name(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    let partition = call.args.text(3)?.unwrap_or("").to_owned();
    w.field(Kind::Struct, 0);
    write_one(call, w, &name, |_| partition)
}

/// Only the empty filter is understood.
pub(super) fn get_num_partitions_by_filter(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    if let Some(filter) = call.args.text(3)?.filter(|filter| !filter.is_empty()) {
        return Err(Refusal::new(
            Exception::Meta,
            format!("the sample metastore evaluates no filter: {filter}"),
        ));
    }
    let count = with_table(call, &name, |table, _| table.partitions.len())?;
    w.field_i32(0, i32::try_from(count).unwrap_or(i32::MAX));
    Ok(())
}
