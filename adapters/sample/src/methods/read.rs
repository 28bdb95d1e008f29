//! Reading catalogs, databases and tables, and the calls about the server itself.

use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, TableName};
use skep_hms::thrift::{Kind, Writer};

use super::Call;
use crate::metastore::{DatabaseEntry, no_table, now_seconds};
use crate::raw::{RawStruct, with_stop};
use crate::refusal::{Exception, Outcome, Refusal, refuse};

pub(super) fn get_name(_: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_string(0, "new db based metaserver");
    Ok(())
}

pub(super) fn get_version(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_string(0, call.release);
    Ok(())
}

pub(super) fn get_metastore_db_uuid(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_string(0, call.metastore.read().database_id());
    Ok(())
}

pub(super) fn get_status(_: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_i32(0, 2); // alive
    Ok(())
}

pub(super) fn alive_since(_: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_i64(0, now_seconds());
    Ok(())
}

/// Answers the groups alone, as 2.3.10 and 4.2.0 were seen to do.
pub(super) fn set_ugi(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &call.args.texts(2)?);
    Ok(())
}

pub(super) fn get_config_value(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let key = call.args.text(1)?.unwrap_or("");
    let mut prefixes = vec!["hive", "hdfs", "mapred"];
    if call.generation >= crate::Generation::V4_0 {
        prefixes.push("metastore");
    }
    if !prefixes.iter().any(|prefix| key.starts_with(prefix)) {
        return refuse(
            Exception::ConfigValueSecurity,
            format!("For security reasons, the config key {key} cannot be accessed"),
        );
    }
    // Nothing is configured: every key has the caller's default.
    w.field_string(0, call.args.text(2)?.unwrap_or(""));
    Ok(())
}

pub(super) fn get_role_names(_: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &["admin", "public"]);
    Ok(())
}

pub(super) fn get_catalogs(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let metastore = call.metastore.read();
    let names: Vec<&String> = metastore.catalogs().keys().collect();
    w.field_struct(0, |w| w.field_strings(1, &names));
    Ok(())
}

pub(super) fn get_catalog(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let name = request.text(1)?.unwrap_or("").to_lowercase();
    let metastore = call.metastore.read();
    let Some(catalog) = metastore.catalogs().get(&name) else {
        return refuse(Exception::NoSuchObject, format!("No catalog {name}"));
    };
    w.field_struct(0, |w| w.field_raw_struct(1, &with_stop(&catalog.fields)));
    Ok(())
}

/// Whether a name fits a Hive pattern: alternatives parted by `|`, `*` for any text, case
/// ignored; no pattern fits all.
pub(super) fn fits(pattern: Option<&str>, name: &str) -> bool {
    let Some(pattern) = pattern else { return true };
    pattern.split('|').any(|alternative| fits_one(&alternative.trim().to_lowercase(), name))
}

fn fits_one(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn database_names(call: &Call<'_>, catalog: &str, pattern: Option<&str>) -> Vec<String> {
    let metastore = call.metastore.read();
    let databases = metastore.catalogs().get(catalog).map(|catalog| catalog.databases.keys());
    databases.into_iter().flatten().filter(|name| fits(pattern, name)).cloned().collect()
}

pub(super) fn get_all_databases(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &database_names(call, DEFAULT_CATALOG, None));
    Ok(())
}

pub(super) fn get_databases(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let (catalog, pattern) = call.scope(call.args.text(1)?);
    w.field_strings(0, &database_names(call, &catalog, pattern.as_deref()));
    Ok(())
}

fn write_database(call: &Call<'_>, w: &mut Writer, name: &DatabaseName) -> Outcome<()> {
    let metastore = call.metastore.read();
    let Some(database) = metastore.database(name) else {
        let shown = if call.generation.has_catalogs() {
            format!("database {}.{}", name.catalog, name.database)
        } else {
            name.database.clone()
        };
        return refuse(Exception::NoSuchObject, shown);
    };
    w.field_raw_struct(0, &metastore.database_body(name, &database.fields));
    Ok(())
}

pub(super) fn get_database(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    write_database(call, w, &call.database_name(call.args.text(1)?, None))
}

pub(super) fn get_database_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    write_database(call, w, &call.database_name(request.text(1)?, request.text(2)?))
}

/// Visits the tables of the databases that a pattern names.
fn visit_tables(
    call: &Call<'_>,
    text: Option<&str>,
    mut visitor: impl FnMut(&str, &DatabaseName, &DatabaseEntry),
) {
    let (catalog, pattern) = call.scope(text);
    let metastore = call.metastore.read();
    let Some(entry) = metastore.catalogs().get(&catalog) else { return };
    for (database, entry) in &entry.databases {
        if fits(pattern.as_deref(), database) {
            visitor(&catalog, &DatabaseName::new(&catalog, database), entry);
        }
    }
}

/// Names of the tables of one database that fit; an empty list when it does not exist, as in Hive.
fn table_names(
    call: &Call<'_>,
    database: Option<&str>,
    pattern: Option<&str>,
    table_type: Option<&str>,
) -> Vec<String> {
    let name = call.database_name(database, None);
    let metastore = call.metastore.read();
    let Some(database) = metastore.database(&name) else { return Vec::new() };
    let is_type = |fields: &[u8]| match table_type {
        Some(wanted) => RawStruct::parse(&with_stop(fields)).is_ok_and(|raw| raw.text(12) == wanted),
        None => true,
    };
    let fitting =
        database.tables.iter().filter(|(name, entry)| fits(pattern, name) && is_type(&entry.fields));
    fitting.map(|(name, _)| name.clone()).collect()
}

pub(super) fn get_all_tables(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &table_names(call, call.args.text(1)?, None, None));
    Ok(())
}

pub(super) fn get_tables(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &table_names(call, call.args.text(1)?, call.args.text(2)?, None));
    Ok(())
}

pub(super) fn get_tables_by_type(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    w.field_strings(0, &table_names(call, call.args.text(1)?, call.args.text(2)?, call.args.text(3)?));
    Ok(())
}

pub(super) fn get_table_meta(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let pattern = call.args.text(2)?.map(str::to_owned);
    let types = call.args.texts(3)?;
    let mut metas = Vec::new();
    visit_tables(call, call.args.text(1)?, |catalog, name, database| {
        for (table, entry) in database.tables.iter().filter(|(table, _)| fits(pattern.as_deref(), table)) {
            let raw = entry.raw();
            let table_type = raw.text(12);
            if !types.is_empty() && !types.contains(&table_type) {
                continue;
            }
            let mut w = Writer::new();
            w.field_string(1, &name.database);
            w.field_string(2, table);
            w.field_string(3, &table_type);
            let comment = raw.pairs(9).into_iter().find(|pair| pair.0 == "comment");
            w.field_string_option(4, comment.as_ref().map(|pair| pair.1.as_str()));
            if call.generation.has_catalogs() {
                w.field_string(5, catalog);
            }
            if call.generation >= crate::Generation::V4_0 {
                w.field_string(6, &raw.text(3));
                w.field_i32(7, raw.i32(18).unwrap_or(1));
            }
            metas.push(w.finish_struct());
        }
    });
    w.field_raw_structs(0, &metas);
    Ok(())
}

fn table_body(call: &Call<'_>, name: &TableName) -> Outcome<bytes::Bytes> {
    let metastore = call.metastore.read();
    let Some(table) = metastore.table(name) else { return no_table(name, call.generation) };
    let mut w = Writer::new();
    metastore.table_body(&mut w, name, &table.fields);
    Ok(w.finish())
}

pub(super) fn get_table(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    w.field_raw_struct(0, &table_body(call, &name)?);
    Ok(())
}

pub(super) fn get_table_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let name = call.table_name(&call.request()?, (1, 2), 4)?;
    let body = table_body(call, &name)?;
    w.field_struct(0, |w| w.field_raw_struct(1, &body));
    Ok(())
}

/// The tables that exist among these, in the order asked for; an unknown database is an error.
fn table_bodies(call: &Call<'_>, database: &DatabaseName, names: &[String]) -> Outcome<Vec<bytes::Bytes>> {
    let metastore = call.metastore.read();
    let Some(entry) = metastore.database(database) else {
        let message = format!("Could not find database {}", database.database);
        return refuse(Exception::UnknownDatabase, message);
    };
    let found = names.iter().filter_map(|name| entry.tables.get_key_value(&name.to_lowercase()));
    Ok(found
        .map(|(name, table)| {
            let mut w = Writer::new();
            metastore.table_body(&mut w, &database.table(name.as_str()), &table.fields);
            w.finish()
        })
        .collect())
}

pub(super) fn get_table_objects_by_name(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let database = call.database_name(call.args.text(1)?, None);
    w.field_raw_structs(0, &table_bodies(call, &database, &call.args.texts(2)?)?);
    Ok(())
}

pub(super) fn get_table_objects_by_name_req(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    let request = call.request()?;
    let database = call.database_name(request.text(1)?, request.text(4)?);
    let bodies = table_bodies(call, &database, &request.texts(2)?)?;
    w.field_struct(0, |w| w.field_raw_structs(1, &bodies));
    Ok(())
}

/// Columns of a table, partition keys after them when asked for.
fn fields(call: &Call<'_>, w: &mut Writer, has_keys: bool) -> Outcome<()> {
    let name = call.table_name(&call.args, (1, 2), 0)?;
    let metastore = call.metastore.read();
    let Some(table) = metastore.table(&name) else {
        return Err(Refusal::new(Exception::UnknownTable, format!("{name} doesn't exist")));
    };
    let raw = table.raw();
    let mut columns = raw.structure(7).map(|storage| storage.structs(1)).unwrap_or_default();
    if has_keys {
        columns.extend(raw.structs(8));
    }
    w.field_list(0, Kind::Struct, columns.len());
    for column in columns {
        w.raw_struct(&column);
    }
    Ok(())
}

pub(super) fn get_fields(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    fields(call, w, false)
}

pub(super) fn get_schema(call: &Call<'_>, w: &mut Writer) -> Outcome<()> {
    fields(call, w, true)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_in_hive() {
        for (pattern, name, expected) in [
            ("*", "sales", true),
            ("sa*", "sales", true),
            ("*les", "sales", true),
            ("s*l*s", "sales", true),
            ("S*", "sales", true),
            ("sale", "sales", false),
            ("hr|sales", "sales", true),
            ("*x*", "sales", false),
            ("s*s*s", "sales", false),
            ("", "sales", false),
        ] {
            assert_eq!(fits(Some(pattern), name), expected, "{pattern} on {name}");
        }
        assert!(fits(None, "sales"));
    }
}
