//! Functions, constraints, column statistics, grants and the notification log.

use bytes::Bytes;
use skep_catalog::model::{ConstraintColumn, ConstraintKind, DatabaseName, TableName};
use skep_hms::objects::{encode_column_statistic, encode_constraint, encode_privilege};
use skep_hms::thrift::{Kind, Writer};

use super::Call;
use super::read::fits;
use crate::encode;
use crate::message;
use crate::metastore::no_table;
use crate::refusal::{Exception, Outcome, refuse};

// -- functions

pub(super) fn get_all_functions(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let metastore = call.metastore.read();
    let mut bodies = Vec::new();
    for (catalog, entry) in metastore.catalogs() {
        for (database, entry) in &entry.databases {
            let name = DatabaseName::new(catalog, database);
            bodies.extend(entry.functions.values().map(|fields| metastore.function_body(&name, fields)));
        }
    }
    w.field_struct(0, |w| w.field_raw_structs(1, &bodies));
    Ok(())
}

pub(super) fn get_functions(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.database_name(call.args.text(1)?, None);
    let pattern = call.args.text(2)?;
    let metastore = call.metastore.read();
    let functions = metastore.database(&name).map(|database| database.functions.keys());
    let names: Vec<&String> = functions.into_iter().flatten().filter(|name| fits(pattern, name)).collect();
    w.field_strings(0, &names);
    Ok(())
}

pub(super) fn get_function(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let database = call.database_name(call.args.text(1)?, None);
    let name = call.args.text(2)?.unwrap_or("").to_lowercase();
    let metastore = call.metastore.read();
    let Some(fields) = metastore.database(&database).and_then(|entry| entry.functions.get(&name)) else {
        return refuse(Exception::NoSuchObject, format!("Function {database}.{name} does not exist"));
    };
    w.field_raw_struct(0, &metastore.function_body(&database, fields));
    Ok(())
}

// -- constraints and column statistics

fn constraint_body(call: &Call<'_>, table: &TableName, column: &ConstraintColumn) -> Bytes {
    let name = &table.database;
    encode_constraint(encode::catalog_of(name, call.generation), &name.database, &table.table, column)
}

/// The constraints of a kind of one table, as a list value in field `id`.
fn write_constraints(call: &Call<'_>, w: &mut Writer, id: i16, table: &TableName, kind: ConstraintKind) {
    let metastore = call.metastore.read();
    let all = metastore.table(table).map(|entry| entry.details.constraints.as_slice()).unwrap_or_default();
    let found: Vec<_> = all.iter().filter(|item| item.value.kind == kind).collect();
    w.field_list(id, Kind::Struct, found.len());
    for item in found {
        w.raw_struct(&constraint_body(call, table, &item.value));
    }
}

fn answer_constraints(
    call: &Call<'_>,
    w: &mut Writer,
    ids: (i16, i16),
    catalog_id: i16,
    kind: ConstraintKind,
) -> Outcome<()> {
    let table = call.table_name(&call.request()?, ids, catalog_id)?;
    w.field_struct(0, |w| write_constraints(call, w, 1, &table, kind));
    Ok(())
}

pub(super) fn get_primary_keys(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    answer_constraints(call, w, (1, 2), 3, ConstraintKind::PrimaryKey)
}

pub(super) fn get_unique_constraints(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    answer_constraints(call, w, (2, 3), 1, ConstraintKind::Unique)
}

pub(super) fn get_not_null_constraints(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    answer_constraints(call, w, (2, 3), 1, ConstraintKind::NotNull)
}

pub(super) fn get_default_constraints(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    answer_constraints(call, w, (2, 3), 1, ConstraintKind::Default)
}

pub(super) fn get_check_constraints(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    answer_constraints(call, w, (2, 3), 1, ConstraintKind::Check)
}

/// By child (fields 3 and 4), by parent (1 and 2), or both.
pub(super) fn get_foreign_keys(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let parent = request.text(2)?.map(|table| (request.text(1), table.to_lowercase()));
    let parent = match parent {
        Some((database, table)) => Some(call.database_name(database?, request.text(5)?).table(table)),
        None => None,
    };
    let child = match request.text(4)? {
        Some(_) => Some(call.table_name(&request, (3, 4), 5)?),
        None => None,
    };
    let metastore = call.metastore.read();
    let children = match child {
        Some(name) => vec![name],
        None => metastore.table_names(),
    };
    let mut found = Writer::new();
    let mut count = 0;
    for child in &children {
        let Some(entry) = metastore.table(child) else { continue };
        for item in &entry.details.constraints {
            let is_wanted = match (&parent, &item.value.referenced) {
                (Some(parent), Some((to, _))) => {
                    to.database == parent.database.database && to.table == parent.table
                }
                (None, _) => true,
                (Some(_), None) => false,
            };
            if item.value.kind == ConstraintKind::ForeignKey && is_wanted {
                found.raw_struct(&constraint_body(call, child, &item.value));
                count += 1;
            }
        }
    }
    w.field_struct(0, |w| {
        w.field_list(1, Kind::Struct, count);
        w.raw_struct(&found.finish());
    });
    Ok(())
}

pub(super) fn get_all_table_constraints(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.request()?, (1, 2), 3)?;
    w.field_struct(0, |w| {
        w.field_struct(1, |w| {
            for (id, kind) in (1..).zip(ConstraintKind::ALL) {
                write_constraints(call, w, id, &table, kind);
            }
        });
    });
    Ok(())
}

/// The statistics of these columns of a table, as a list value in field `id`.
fn write_statistics(
    call: &Call<'_>,
    w: &mut Writer,
    id: i16,
    table: &TableName,
    columns: &[String],
) -> Outcome<()> {
    let metastore = call.metastore.read();
    let Some(entry) = metastore.table(table) else { return no_table(table, call.generation) };
    let all = entry.details.column_statistics.iter();
    let found: Vec<_> = all.filter(|item| columns.contains(&item.value.column_name)).collect();
    w.field_list(id, Kind::Struct, found.len());
    for item in found {
        w.raw_struct(&encode_column_statistic(&item.value));
    }
    Ok(())
}

pub(super) fn get_table_statistics_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let table = call.table_name(&request, (1, 2), 4)?;
    let mut inner = Writer::new();
    write_statistics(call, &mut inner, 1, &table, &request.texts(3)?)?;
    w.field_struct(0, |w| w.raw_struct(&inner.finish()));
    Ok(())
}

pub(super) fn get_table_column_statistics(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let table = call.table_name(&call.args, (1, 2), 0)?;
    let column = call.args.text(3)?.unwrap_or("").to_lowercase();
    let mut inner = Writer::new();
    write_statistics(call, &mut inner, 2, &table, &[column])?;
    w.field_struct(0, |w| {
        w.field_struct(1, |w| {
            w.field_bool(1, true);
            w.field_string(2, &table.database.database);
            w.field_string(3, &table.table);
            w.field_i64(5, 0);
            if call.generation.has_catalogs() {
                w.field_string(6, &table.database.catalog);
            }
        });
        w.raw_struct(&inner.finish());
        if call.generation >= crate::Generation::V4_0 {
            w.field_string(4, "hive");
        }
    });
    Ok(())
}

// -- grants

/// Grants by principal and object; what is absent in the request narrows nothing.
pub(super) fn list_privileges(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let principal = call.args.text(1)?;
    let principal_type = call.args.i32(2)?.filter(|_| principal.is_some());
    let Some(object) = call.args.structure(3)? else {
        return refuse(Exception::InvalidInput, "hiveObject is missing");
    };
    let object_type = object.i32(1)?;
    let (database, table) = (object.text(2)?, object.text(3)?);
    let metastore = call.metastore.read();
    let same = |wanted: Option<&str>, actual: Option<&str>| wanted.is_none() || wanted == actual;
    let fitting = metastore.privileges().iter().filter(|privilege| {
        same(principal, Some(&privilege.principal_name))
            && principal_type
                .is_none_or(|wanted| privilege.principal_type.map(encode::principal_number) == Some(wanted))
            && object_type.is_none_or(|wanted| encode::object_number(privilege.object_kind) == wanted)
            && same(database, privilege.database.as_ref().map(|name| name.database.as_str()))
            && same(table, privilege.table_name.as_deref())
    });
    let fitting: Vec<_> = fitting.collect();
    w.field_list(0, Kind::Struct, fitting.len());
    for privilege in fitting {
        w.raw_struct(&encode_privilege(call.generation.has_catalogs(), privilege));
    }
    Ok(())
}

// -- notification log

pub(super) fn get_current_notification_event_id(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let head = call.metastore.read().head_event_id();
    w.field_struct(0, |w| w.field_i64(1, head));
    Ok(())
}

pub(super) fn get_next_notification(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let after = request.i64(1)?.unwrap_or(0);
    let asked = request.i32(2)?.and_then(|max| usize::try_from(max).ok()).filter(|max| *max > 0);
    let max = asked.unwrap_or(usize::MAX).min(call.events_per_answer_max);
    let skipped_types = request.texts(3)?;
    let metastore = call.metastore.read();
    let entries = metastore
        .log()
        .after(after)
        .filter(|entry| !skipped_types.iter().any(|skipped| skipped == entry.happening.event_type()));
    let entries: Vec<_> = entries.take(max).collect();
    w.field_struct(0, |w| {
        w.field_list(1, Kind::Struct, entries.len());
        for entry in entries {
            let (catalog, database, table) = entry.happening.place();
            w.field_i64(1, entry.event_id);
            w.field_i32(2, encode::seconds(entry.event_time));
            w.field_string(3, entry.happening.event_type());
            w.field_string_option(4, database);
            w.field_string_option(5, table);
            w.field_string(6, &message::render(&metastore, entry));
            w.field_string(7, call.generation.message_format());
            w.field_string_option(8, metastore.catalog_field(catalog));
            w.stop();
        }
    });
    Ok(())
}

pub(super) fn get_notification_events_count(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let after = request.i64(1)?.unwrap_or(0);
    let database = call.database_name(request.text(2)?, request.text(3)?);
    let metastore = call.metastore.read();
    let is_of_database = |place: (&str, Option<&str>, Option<&str>)| {
        place.0 == database.catalog && place.1 == Some(database.database.as_str())
    };
    let count = metastore.log().after(after).filter(|entry| is_of_database(entry.happening.place())).count();
    w.field_struct(0, |w| w.field_i64(1, count as i64));
    Ok(())
}
