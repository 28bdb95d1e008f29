//! Changing things.

use bytes::Bytes;
use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, PrincipalType, TableName, partition_name};
use skep_hms::thrift::{Kind, Writer};

use super::{Args, Call};
use crate::encode;
use crate::generation::Generation;
use crate::metastore::{no_table, now_seconds};
use crate::partitions::{Kept, Partitions};
use crate::raw::RawStruct;
use crate::refusal::{Exception, Outcome, refuse};

fn now_i32() -> i32 {
    encode::seconds(now_seconds())
}

fn body<'a>(args: &Args<'a>, id: i16) -> Outcome<&'a [u8]> {
    match args.body(id) {
        Some(body) => Ok(body),
        None => refuse(Exception::InvalidObject, format!("argument {id} is missing")),
    }
}

// -- catalogs and databases

pub(super) fn create_catalog(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let raw = RawStruct::parse(body(&call.request()?, 1)?)?;
    let text = |id| Some(raw.text(id)).filter(|text| !text.is_empty());
    let catalog = skep_catalog::model::CatalogObject {
        name: raw.text(1),
        description: text(2),
        location: text(3),
        create_time: Some(now_seconds()),
        unknown_hash: 0,
    };
    call.metastore.write().create_catalog(&catalog)
}

pub(super) fn drop_catalog(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = request.text(1)?.unwrap_or("").to_lowercase();
    call.metastore.write().drop_catalog(&name)
}

/// Takes name and catalog out of a `Database` struct and fills in what the server fills in.
fn database_parts(call: &Call<'_>, body: &[u8]) -> Outcome<(DatabaseName, Bytes)> {
    let mut raw = RawStruct::parse(body)?;
    let catalog = raw.text(8);
    let catalog = if catalog.is_empty() || !call.generation.has_catalogs() {
        DEFAULT_CATALOG.to_owned()
    } else {
        catalog
    };
    let name = DatabaseName::new(catalog, raw.text(1).to_lowercase());
    raw.remove(1, Kind::String);
    raw.remove(8, Kind::String);
    if raw.text(3).is_empty() {
        raw.set_text(3, &format!("hdfs://nn/warehouse/{}.db", name.database));
    }
    if raw.i32(7).is_none() {
        raw.set_i32(7, encode::principal_number(PrincipalType::User));
    }
    if call.generation >= Generation::V4_0 {
        if raw.i32(9).unwrap_or(0) == 0 {
            raw.set_i32(9, now_i32());
        }
        raw.set_i32(11, 1); // a native database, not one behind a data connector
    }
    Ok((name, raw.fields()))
}

fn create(call: &Call<'_>, body: &[u8]) -> Outcome<()> {
    let (name, fields) = database_parts(call, body)?;
    call.metastore.write().put_new_database(name, fields)
}

pub(super) fn create_database(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    create(call, body(&call.args, 1)?)
}

/// The request of 4.x has the fields of a `Database` itself, but for field 12 and 13 (connectors).
pub(super) fn create_database_req(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    create(call, body(&call.args, 1)?)
}

fn alter_database_to(call: &Call<'_>, name: &DatabaseName, body: &[u8]) -> Outcome<()> {
    let (_, fields) = database_parts(call, body)?;
    call.metastore.write().put_database(name, fields)
}

pub(super) fn alter_database(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    alter_database_to(call, &call.database_name(call.args.text(1)?, None), body(&call.args, 2)?)
}

pub(super) fn alter_database_req(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    alter_database_to(call, &call.database_name(request.text(1)?, None), body(&request, 2)?)
}

pub(super) fn drop_database(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let name = call.database_name(call.args.text(1)?, None);
    call.metastore.write().drop_database(&name, call.args.bool(3)?)
}

pub(super) fn drop_database_req(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = call.database_name(request.text(1)?, request.text(2)?);
    call.metastore.write().drop_database(&name, request.bool(5)?)
}

// -- tables

/// Takes the names out of a `Table` struct. A request's own fields go too: they name the request,
/// not the table.
fn table_parts(call: &Call<'_>, body: &[u8]) -> Outcome<(TableName, RawStruct)> {
    let mut raw = RawStruct::parse(body)?;
    // 2.3.10 has the catalog in field 16, which is a struct from 3.1 on.
    let catalog = raw.text(17);
    let catalog = Some(catalog.as_str()).filter(|name| !name.is_empty());
    let database = raw.text(2);
    let name = call.database_name(Some(&database), catalog).table(raw.text(1).to_lowercase());
    for id in [1, 2, 16, 17] {
        raw.remove(id, Kind::String);
    }
    Ok((name, raw))
}

fn create_from(call: &Call<'_>, body: &[u8]) -> Outcome<()> {
    let (name, mut raw) = table_parts(call, body)?;
    let mut metastore = call.metastore.write();
    let Some(database) = metastore.database(&name.database) else {
        return refuse(Exception::InvalidObject, format!("The database {} does not exist", name.database));
    };
    let mut storage = raw.structure(7).unwrap_or_default();
    if storage.text(2).is_empty() && !raw.text(12).ends_with("_VIEW") {
        storage.set_text(2, &format!("{}/{}", database.location, name.table));
        raw.set_structure(7, &storage);
    }
    if raw.i32(4).unwrap_or(0) == 0 {
        raw.set_i32(4, now_i32());
    }
    raw.set_pair(9, "transient_lastDdlTime", &now_seconds().to_string());
    if call.generation >= Generation::V4_0 {
        translate_to_external(&mut raw);
    }
    let id = metastore.next_table_id();
    encode::fill_table(&mut raw, call.generation, id);
    metastore.put_new_table(name, raw.fields(), Partitions::default())
}

/// From 4.0 on a table that is not transactional becomes external.
fn translate_to_external(raw: &mut RawStruct) {
    let is_transactional =
        raw.pairs(9).iter().any(|(key, value)| key == "transactional" && value.eq_ignore_ascii_case("true"));
    if raw.text(12) == "MANAGED_TABLE" && !is_transactional {
        raw.set_text(12, "EXTERNAL_TABLE");
        raw.set_pair(9, "EXTERNAL", "TRUE");
        raw.set_pair(9, "TRANSLATED_TO_EXTERNAL", "TRUE");
        raw.set_pair(9, "external.table.purge", "TRUE");
    }
}

pub(super) fn create_table(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    create_from(call, body(&call.args, 1)?)
}

pub(super) fn create_table_req(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    create_from(call, body(&call.request()?, 1)?)
}

fn alter_to(call: &Call<'_>, from: &TableName, body: &[u8]) -> Outcome<()> {
    let (mut to, mut raw) = table_parts(call, body)?;
    // Clients leave the catalog out when it is the one they ask in.
    if to.database.catalog == DEFAULT_CATALOG {
        to.database.catalog.clone_from(&from.database.catalog);
    }
    raw.set_pair(9, "transient_lastDdlTime", &now_seconds().to_string());
    let mut metastore = call.metastore.write();
    let id = metastore.table(from).and_then(|entry| entry.raw().i64(25)).unwrap_or(0);
    encode::fill_table(&mut raw, call.generation, id);
    metastore.put_table(from, to, raw.fields())
}

pub(super) fn alter_table(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    alter_to(call, &call.table_name(&call.args, (1, 2), 0)?, body(&call.args, 3)?)
}

pub(super) fn alter_table_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    alter_to(call, &call.table_name(&request, (2, 3), 1)?, body(&request, 4)?)?;
    w.field_struct(0, |_| ());
    Ok(())
}

pub(super) fn drop_table(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    call.metastore.write().drop_table(&name)
}

pub(super) fn drop_table_req(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.request()?, (2, 3), 1)?;
    call.metastore.write().drop_table(&name)
}

// -- partitions

/// Partitions as they are kept, and the table that the first of them names.
fn partition_parts(call: &Call<'_>, bodies: &[Bytes]) -> Outcome<(TableName, Vec<Kept>)> {
    let mut table = None;
    let mut kept = Vec::with_capacity(bodies.len());
    for body in bodies {
        let mut raw = RawStruct::parse(body)?;
        if table.is_none() {
            let catalog = raw.text(9);
            let catalog = Some(catalog.as_str()).filter(|name| !name.is_empty());
            let database = call.database_name(Some(&raw.text(2)), catalog);
            table = Some(database.table(raw.text(3).to_lowercase()));
        }
        if raw.i32(4).unwrap_or(0) == 0 {
            raw.set_i32(4, now_i32());
        }
        raw.set_pair(7, "transient_lastDdlTime", &now_seconds().to_string());
        kept.push(Kept::from_raw(raw));
    }
    match table {
        Some(table) => Ok((table, kept)),
        None => refuse(Exception::Meta, "no partitions given"),
    }
}

/// Fills in what the server fills in when a client leaves it out: above all the location.
fn filled(call: &Call<'_>, table: &TableName, kept: Vec<Kept>) -> Vec<Kept> {
    let metastore = call.metastore.read();
    let Some(entry) = metastore.table(table) else { return kept };
    let root = entry.raw().structure(7).map(|storage| storage.text(2)).unwrap_or_default();
    let fill = |kept: Kept| {
        let mut raw = kept.raw();
        let mut storage = raw.structure(6).unwrap_or_default();
        if storage.text(2).is_empty() {
            storage.set_text(2, &format!("{root}/{}", partition_name(&entry.keys, &kept.values)));
        }
        encode::fill_storage(&mut storage);
        raw.set_structure(6, &storage);
        if call.generation >= Generation::V4_0 && raw.i64(10).is_none() {
            raw.set_i64(10, -1);
        }
        Kept { fields: raw.fields(), ..kept }
    };
    kept.into_iter().map(fill).collect()
}

fn add(call: &Call<'_>, bodies: &[Bytes], is_existing_skipped: bool) -> Outcome<(TableName, Vec<Kept>)> {
    let (table, kept) = partition_parts(call, bodies)?;
    let kept = filled(call, &table, kept);
    let added = call.metastore.write().add_kept(&table, kept, is_existing_skipped)?;
    Ok((table, added))
}

fn write_partition(call: &Call<'_>, w: &mut Writer, table: &TableName, kept: &Kept) {
    let metastore = call.metastore.read();
    let catalog = metastore.catalog_field(&table.database.catalog);
    crate::partitions::Entry::Kept(kept).encode(w, "", &table.database.database, &table.table, catalog);
}

pub(super) fn add_partition(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let body = Bytes::copy_from_slice(body(&call.args, 1)?);
    let (table, added) = add(call, &[body], false)?;
    for kept in &added {
        w.field(Kind::Struct, 0);
        write_partition(call, w, &table, kept);
    }
    Ok(())
}

pub(super) fn add_partitions(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let bodies = call.args.bodies(1)?;
    let (_, added) = add(call, &bodies, false)?;
    w.field_i32(0, added.len() as i32);
    Ok(())
}

pub(super) fn add_partitions_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let bodies = request.bodies(3)?;
    if bodies.is_empty() {
        w.field_struct(0, |w| w.field_list(1, Kind::Struct, 0));
        return Ok(());
    }
    let (table, added) = add(call, &bodies, request.bool(4)?)?;
    w.field_struct(0, |w| {
        w.field_list(1, Kind::Struct, added.len());
        for kept in &added {
            write_partition(call, w, &table, kept);
        }
    });
    Ok(())
}

fn alter(call: &Call<'_>, table: &TableName, bodies: &[Bytes], is_plural: bool) -> Outcome<()> {
    let (_, kept) = partition_parts(call, bodies)?;
    let kept = filled(call, table, kept);
    call.metastore.write().alter_kept(table, kept, is_plural)
}

pub(super) fn alter_partition(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    alter(call, &table, &[Bytes::copy_from_slice(body(&call.args, 3)?)], false)
}

pub(super) fn alter_partitions(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    alter(call, &table, &call.args.bodies(3)?, true)
}

/// What a 4.1+ client calls: on 4.2 one ALTER_PARTITIONS event.
pub(super) fn alter_partitions_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let table = call.table_name(&request, (2, 3), 1)?;
    alter(call, &table, &request.bodies(4)?, true)?;
    w.field_struct(0, |_| ());
    Ok(())
}

fn name_of(call: &Call<'_>, table: &TableName, values: &[String]) -> Outcome<String> {
    match call.metastore.read().table(table) {
        Some(entry) => Ok(partition_name(&entry.keys, values)),
        None => no_table(table, call.generation),
    }
}

pub(super) fn drop_partition(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    let name = name_of(call, &table, &call.args.texts(3)?)?;
    call.metastore.write().drop_partitions(&table, &[name])?;
    w.field_bool(0, true);
    Ok(())
}

pub(super) fn drop_partition_by_name(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    let name = call.args.text(3)?.unwrap_or("").to_owned();
    call.metastore.write().drop_partitions(&table, &[name])?;
    w.field_bool(0, true);
    Ok(())
}

/// By name only: expressions are serialised Java objects, which nothing here reads.
pub(super) fn drop_partitions_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let table = call.table_name(&request, (1, 2), 9)?;
    let Some(parts) = request.structure(3)? else {
        return refuse(Exception::Meta, "no partitions given");
    };
    let mut names = parts.texts(1)?;
    if names.is_empty() {
        return refuse(Exception::Meta, "the sample metastore drops partitions by name only");
    }
    if request.bool(5)? {
        let metastore = call.metastore.read();
        if let Some(entry) = metastore.table(&table) {
            names.retain(|name| entry.partitions.get(&entry.keys, name).is_some());
        }
    }
    call.metastore.write().drop_partitions(&table, &names)?;
    w.field_struct(0, |_| ());
    Ok(())
}

fn rename(call: &Call<'_>, table: &TableName, values: &[String], body: &[u8]) -> Outcome<()> {
    let from = name_of(call, table, values)
        .or_else(|refusal| refuse(Exception::InvalidOperation, refusal.message))?;
    let after = Kept::from_raw(RawStruct::parse(body)?);
    call.metastore.write().rename_kept(table, &from, after)
}

pub(super) fn rename_partition(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    rename(call, &table, &call.args.texts(3)?, body(&call.args, 4)?)
}

pub(super) fn rename_partition_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let table = call.table_name(&request, (2, 3), 1)?;
    rename(call, &table, &request.texts(4)?, body(&request, 5)?)?;
    w.field_struct(0, |_| ());
    Ok(())
}

// -- functions

pub(super) fn create_function(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let mut raw = RawStruct::parse(body(&call.args, 1)?)?;
    let catalog = raw.text(9);
    let database =
        call.database_name(Some(&raw.text(2)), Some(catalog.as_str()).filter(|name| !name.is_empty()));
    let name = raw.text(1).to_lowercase();
    raw.set_text(1, &name);
    raw.remove(2, Kind::String);
    raw.remove(9, Kind::String);
    if raw.i32(6).unwrap_or(0) == 0 {
        raw.set_i32(6, now_i32());
    }
    call.metastore.write().put_new_function(&database, name, raw.fields())
}

pub(super) fn drop_function(call: &Call<'_>, _: &mut Writer) -> Outcome<()> {
    let database = call.database_name(call.args.text(1)?, None);
    let name = call.args.text(2)?.unwrap_or("").to_lowercase();
    call.metastore.write().drop_function(&database, &name)
}
