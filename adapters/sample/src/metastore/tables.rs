//! Changing tables and views.

use bytes::Bytes;
use skep_catalog::model::{DatabaseName, Table, TableDetails, TableName};
use skep_hms::thrift::{Kind, Writer};

use super::{Metastore, TableEntry, no_table};
use crate::encode;
use crate::log::{Happening, Shown};
use crate::partitions::Partitions;
use crate::raw::{RawStruct, with_stop};
use crate::refusal::{Exception, Outcome, refuse};

impl Metastore {
    /// Creates a table or view.
    ///
    /// Errors: the database does not exist, the name is taken.
    pub fn create_table(&mut self, database: &DatabaseName, table: &Table) -> Outcome<()> {
        self.last_table_id += 1;
        let fields = encode::table(table, self.generation, self.last_table_id);
        self.put_new_table(database.table(table.name.to_lowercase()), fields, Partitions::default())
    }

    pub(crate) fn next_table_id(&mut self) -> i64 {
        self.last_table_id += 1;
        self.last_table_id
    }

    pub(crate) fn put_new_table(
        &mut self,
        name: TableName,
        fields: Bytes,
        partitions: Partitions,
    ) -> Outcome<()> {
        let raw = RawStruct::parse(&with_stop(&fields))?;
        let keys = key_names(&raw);
        if name.table.is_empty() {
            return refuse(Exception::InvalidObject, "a table needs a name");
        }
        let database = self.database_mut(&name.database)?;
        if database.tables.contains_key(&name.table) {
            return refuse(Exception::AlreadyExists, format!("Table {name} already exists"));
        }
        let details = TableDetails::default();
        let entry = TableEntry { fields, keys, partitions, details, shown: Shown::default() };
        let image = entry.image(&name);
        database.tables.insert(name.table, entry);
        self.note(Happening::CreateTable(image));
        Ok(())
    }

    /// Puts new fields into a table, and moves it when `to` differs from `from`. Locations stay,
    /// as those of external tables do.
    pub(crate) fn put_table(&mut self, from: &TableName, to: TableName, fields: Bytes) -> Outcome<()> {
        let raw = RawStruct::parse(&with_stop(&fields))?;
        let missing = |name: &TableName| format!("table {name} doesn't exist");
        if self.table(from).is_none() {
            return refuse(Exception::InvalidOperation, missing(from));
        }
        if *from != to {
            if self.table(&to).is_some() {
                return refuse(Exception::InvalidOperation, format!("new table {to} already exists"));
            }
            if self.database(&to.database).is_none() {
                return refuse(
                    Exception::InvalidOperation,
                    format!("database {} doesn't exist", to.database),
                );
            }
        }
        let Some(mut entry) = self.database_mut(&from.database)?.tables.remove(&from.table) else {
            return refuse(Exception::InvalidOperation, missing(from));
        };
        let before = entry.image(from);
        entry.keys = key_names(&raw);
        entry.fields = fields;
        entry.shown = Shown::default();
        let after = entry.image(&to);
        self.database_mut(&to.database)?.tables.insert(to.table, entry);
        self.note(Happening::AlterTable { before, after });
        Ok(())
    }

    /// Replaces a table's definition; the name in `table` does not matter.
    ///
    /// Errors: it does not exist.
    pub fn alter_table(&mut self, name: &TableName, table: &Table) -> Outcome<()> {
        self.last_table_id += 1;
        let fields = encode::table(table, self.generation, self.last_table_id);
        self.put_table(name, name.clone(), fields)
    }

    /// Sets a parameter of a table.
    ///
    /// Errors: it does not exist.
    pub fn set_table_parameter(&mut self, name: &TableName, key: &str, value: &str) -> Outcome<()> {
        self.edit_table(name, |raw| raw.set_pair(9, key, value))
    }

    /// Puts a text field that no generation knows into a table's struct.
    ///
    /// Errors: it does not exist.
    pub fn set_unknown_table_field(&mut self, name: &TableName, id: i16, value: &str) -> Outcome<()> {
        self.edit_table(name, |raw| raw.set_text(id, value))
    }

    /// Moves a table to another address.
    ///
    /// Errors: it does not exist.
    pub fn set_table_location(&mut self, name: &TableName, location: &str) -> Outcome<()> {
        self.edit_table(name, |raw| {
            let mut storage = raw.structure(7).unwrap_or_default();
            storage.set_text(2, location);
            raw.set_structure(7, &storage);
        })
    }

    pub(crate) fn edit_table(&mut self, name: &TableName, edit: impl FnOnce(&mut RawStruct)) -> Outcome<()> {
        let Some(entry) = self.table(name) else {
            return refuse(Exception::InvalidOperation, format!("table {name} doesn't exist"));
        };
        let mut raw = entry.raw();
        edit(&mut raw);
        self.put_table(name, name.clone(), raw.fields())
    }

    /// Renames a table, perhaps into another database.
    ///
    /// Errors: it does not exist, the new name is taken, the new database does not exist.
    pub fn rename_table(&mut self, from: &TableName, to: &TableName) -> Outcome<()> {
        let Some(entry) = self.table(from) else {
            return refuse(Exception::InvalidOperation, format!("table {from} doesn't exist"));
        };
        let fields = entry.fields.clone();
        self.put_table(from, to.clone(), fields)
    }

    /// Drops a table with its partitions: one event.
    ///
    /// Errors: it does not exist.
    pub fn drop_table(&mut self, name: &TableName) -> Outcome<()> {
        let generation = self.generation;
        match self.database_mut(&name.database)?.tables.remove(&name.table) {
            None => no_table(name, generation),
            Some(entry) => {
                self.note(Happening::DropTable(entry.image(name)));
                Ok(())
            }
        }
    }

    /// Sets constraints and column statistics of a table. Real metastores write events for some
    /// of these only; this one for none.
    ///
    /// Errors: it does not exist.
    pub fn set_table_details(&mut self, name: &TableName, details: TableDetails) -> Outcome<()> {
        self.table_mut(name)?.details = details;
        Ok(())
    }

    /// The whole `Table` struct.
    pub(crate) fn table_body(&self, w: &mut Writer, name: &TableName, fields: &[u8]) {
        w.field_string(1, &name.table);
        w.field_string(2, &name.database.database);
        w.raw_struct(fields);
        w.field_string_option(17, self.catalog_field(&name.database.catalog));
        w.stop();
    }
}

fn key_names(raw: &RawStruct) -> Vec<String> {
    let name =
        |column: &Bytes| RawStruct::parse(column).map(|c| c.text(1).to_lowercase()).unwrap_or_default();
    raw.get(8, Kind::List)
        .and_then(|value| crate::raw::structs(value).ok())
        .unwrap_or_default()
        .iter()
        .map(name)
        .collect()
}
