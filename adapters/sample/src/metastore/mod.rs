//! The state of one sample metastore and everything that can be done to it.
//!
//! Invariants: names are lower case; every change appends exactly one event (a cascading drop one
//! per object); tables and partitions are kept as the struct fields that came, without the names
//! that the server adds.

mod partitions;
mod tables;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use skep_catalog::model::{
    CatalogObject, DEFAULT_CATALOG, Database, DatabaseName, Function, Privilege, TableDetails, TableName,
};
use skep_hms::thrift::Writer;

use crate::encode;
use crate::generation::Generation;
use crate::log::{EventLog, Happening, Shown, TableImage};
use crate::partitions::Partitions;
use crate::raw::{RawStruct, with_stop};
use crate::refusal::{Exception, Outcome, refuse};

/// A table as it is kept.
#[derive(Debug)]
pub(crate) struct TableEntry {
    /// Fields of the struct but name, database and catalog.
    pub(crate) fields: Bytes,
    /// Names of the partition keys.
    pub(crate) keys: Vec<String>,
    pub(crate) partitions: Partitions,
    pub(crate) details: TableDetails,
    shown: Shown,
}

impl TableEntry {
    fn image(&self, name: &TableName) -> TableImage {
        TableImage {
            name: name.clone(),
            fields: self.fields.clone(),
            keys: self.keys.clone(),
            shown: self.shown.clone(),
        }
    }

    pub(crate) fn raw(&self) -> RawStruct {
        RawStruct::parse(&with_stop(&self.fields)).unwrap_or_default()
    }
}

/// A database as it is kept.
#[derive(Debug, Default)]
pub(crate) struct DatabaseEntry {
    /// Fields of the struct but name and catalog.
    pub(crate) fields: Bytes,
    pub(crate) location: String,
    pub(crate) tables: BTreeMap<String, TableEntry>,
    /// Fields of each function but database and catalog.
    pub(crate) functions: BTreeMap<String, Bytes>,
}

#[derive(Debug, Default)]
pub(crate) struct CatalogEntry {
    pub(crate) fields: Bytes,
    pub(crate) databases: BTreeMap<String, DatabaseEntry>,
}

/// How many objects a metastore has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    /// Databases of all catalogs.
    pub databases: usize,
    /// Tables and views.
    pub tables: usize,
    /// Partitions.
    pub partitions: usize,
}

/// The state of one sample metastore.
#[derive(Debug)]
pub struct Metastore {
    generation: Generation,
    catalogs: BTreeMap<String, CatalogEntry>,
    privileges: Vec<Privilege>,
    log: EventLog,
    last_table_id: i64,
    database_id: String,
}

impl Metastore {
    /// A metastore with the catalog `hive` and nothing in it, and without a notification listener
    /// until [`Metastore::start_events`].
    pub fn new(generation: Generation) -> Self {
        let mut metastore = Self {
            generation,
            catalogs: BTreeMap::new(),
            privileges: Vec::new(),
            log: EventLog::default(),
            last_table_id: 0,
            database_id: String::new(),
        };
        let catalog = CatalogObject {
            name: DEFAULT_CATALOG.to_owned(),
            description: Some("Default catalog for Hive".to_owned()),
            location: Some("hdfs://nn/warehouse".to_owned()),
            ..Default::default()
        };
        let fields = encode::catalog(&catalog, generation);
        metastore.catalogs.insert(catalog.name, CatalogEntry { fields, databases: BTreeMap::new() });
        metastore
    }

    /// From now on changes are kept in the notification log. What is there already counts as
    /// created long ago, its events cleaned: the newest id is not 0, which would mean "no log".
    pub fn start_events(&mut self) {
        let counts = self.object_counts();
        self.log.start((counts.databases + counts.tables) as i64);
    }

    /// The generation that it plays.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What identifies its database; empty when it cannot say.
    pub fn database_id(&self) -> &str {
        &self.database_id
    }

    /// Gives its database another identity.
    pub fn set_database_id(&mut self, id: impl Into<String>) {
        self.database_id = id.into();
    }

    /// Id of the newest event, 0 without a listener.
    pub fn head_event_id(&self) -> i64 {
        self.log.head()
    }

    /// Forgets events up to this id, as Hive's cleaner does.
    pub fn trim_events(&mut self, up_to_event_id: i64) {
        self.log.trim(up_to_event_id);
    }

    /// Counts everything.
    pub fn object_counts(&self) -> ObjectCounts {
        let mut counts = ObjectCounts::default();
        for database in self.catalogs.values().flat_map(|catalog| catalog.databases.values()) {
            counts.databases += 1;
            counts.tables += database.tables.len();
            counts.partitions += database.tables.values().map(|table| table.partitions.len()).sum::<usize>();
        }
        counts
    }

    /// Names of all tables and views, sorted.
    pub fn table_names(&self) -> Vec<TableName> {
        let mut names = Vec::new();
        for (catalog, entry) in &self.catalogs {
            for (database, entry) in &entry.databases {
                let database = DatabaseName::new(catalog, database);
                names.extend(entry.tables.keys().map(|table| database.table(table)));
            }
        }
        names
    }

    /// Names of a table's partitions, sorted; empty when there is no such table.
    pub fn partition_names(&self, table: &TableName) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(entry) = self.table(table) {
            entry.partitions.visit(&entry.keys, |name, _| {
                names.push(name.to_owned());
                true
            });
        }
        names
    }

    pub(crate) fn log(&self) -> &EventLog {
        &self.log
    }

    pub(crate) fn catalogs(&self) -> &BTreeMap<String, CatalogEntry> {
        &self.catalogs
    }

    pub(crate) fn privileges(&self) -> &[Privilege] {
        &self.privileges
    }

    pub(crate) fn database(&self, name: &DatabaseName) -> Option<&DatabaseEntry> {
        self.catalogs.get(&name.catalog)?.databases.get(&name.database)
    }

    pub(crate) fn table(&self, name: &TableName) -> Option<&TableEntry> {
        self.database(&name.database)?.tables.get(&name.table)
    }

    /// The catalog field of answers: only generations with catalogs fill it.
    pub(crate) fn catalog_field<'a>(&self, catalog: &'a str) -> Option<&'a str> {
        self.generation.has_catalogs().then_some(catalog)
    }

    fn note(&mut self, happening: Happening) {
        self.log.append(now_seconds(), happening);
    }

    fn database_mut(&mut self, name: &DatabaseName) -> Outcome<&mut DatabaseEntry> {
        let found = self.catalogs.get_mut(&name.catalog).and_then(|c| c.databases.get_mut(&name.database));
        match found {
            Some(database) => Ok(database),
            None => refuse(Exception::NoSuchObject, format!("database {name} does not exist")),
        }
    }

    fn table_mut(&mut self, name: &TableName) -> Outcome<&mut TableEntry> {
        let generation = self.generation;
        match self.database_mut(&name.database)?.tables.get_mut(&name.table) {
            Some(table) => Ok(table),
            None => no_table(name, generation),
        }
    }

    // -- catalogs and databases

    /// Creates a catalog (3.1 and later).
    ///
    /// Errors: the name is taken, or the generation has no catalogs.
    pub fn create_catalog(&mut self, catalog: &CatalogObject) -> Outcome<()> {
        if !self.generation.has_catalogs() {
            return refuse(Exception::Meta, "this generation has no catalogs");
        }
        let name = catalog.name.to_lowercase();
        if self.catalogs.contains_key(&name) {
            return refuse(Exception::AlreadyExists, format!("Catalog {name} already exists"));
        }
        let fields = encode::catalog(catalog, self.generation);
        self.catalogs.insert(name.clone(), CatalogEntry { fields, databases: BTreeMap::new() });
        self.note(Happening::CreateCatalog { catalog: name });
        Ok(())
    }

    /// Drops an empty catalog.
    ///
    /// Errors: it does not exist, or has databases.
    pub fn drop_catalog(&mut self, name: &str) -> Outcome<()> {
        match self.catalogs.get(name) {
            None => return refuse(Exception::NoSuchObject, format!("No catalog {name}")),
            Some(entry) if !entry.databases.is_empty() => {
                return refuse(Exception::InvalidOperation, format!("Catalog {name} is not empty"));
            }
            Some(_) => self.catalogs.remove(name),
        };
        self.note(Happening::DropCatalog { catalog: name.to_owned() });
        Ok(())
    }

    /// Creates a database, in the catalog that it names or in `hive`.
    ///
    /// Errors: the name is taken, the catalog does not exist.
    pub fn create_database(&mut self, database: &Database) -> Outcome<()> {
        let catalog = database.catalog_name.as_deref().unwrap_or(DEFAULT_CATALOG).to_owned();
        let fields = encode::database(database, self.generation);
        self.put_new_database(DatabaseName::new(catalog, database.name.to_lowercase()), fields)
    }

    pub(crate) fn put_new_database(&mut self, name: DatabaseName, fields: Bytes) -> Outcome<()> {
        if name.database.is_empty() {
            return refuse(Exception::InvalidObject, "a database needs a name");
        }
        let raw = RawStruct::parse(&with_stop(&fields))?;
        let Some(catalog) = self.catalogs.get_mut(&name.catalog) else {
            return refuse(Exception::InvalidObject, format!("No such catalog {}", name.catalog));
        };
        if catalog.databases.contains_key(&name.database) {
            return refuse(Exception::AlreadyExists, format!("Database {name} already exists"));
        }
        let entry = DatabaseEntry { fields: fields.clone(), location: raw.text(3), ..Default::default() };
        catalog.databases.insert(name.database.clone(), entry);
        let image = self.database_body(&name, &fields);
        self.note(Happening::CreateDatabase { catalog: name.catalog, database: name.database, image });
        Ok(())
    }

    pub(crate) fn put_database(&mut self, name: &DatabaseName, fields: Bytes) -> Outcome<()> {
        let raw = RawStruct::parse(&with_stop(&fields))?;
        let entry = self.database_mut(name)?;
        let before = std::mem::replace(&mut entry.fields, fields.clone());
        entry.location = raw.text(3);
        let before = self.database_body(name, &before);
        let after = self.database_body(name, &fields);
        let (catalog, database) = (name.catalog.clone(), name.database.clone());
        if self.generation.has_catalogs() {
            // 2.3 has no ALTER_DATABASE event.
            self.note(Happening::AlterDatabase { catalog, database, before, after });
        }
        Ok(())
    }

    /// Alters a database.
    ///
    /// Errors: it does not exist.
    pub fn alter_database(&mut self, name: &DatabaseName, database: &Database) -> Outcome<()> {
        self.put_database(name, encode::database(database, self.generation))
    }

    /// Drops a database; its tables too when `is_cascading`, each with an event of its own.
    ///
    /// Errors: it does not exist, or has tables.
    pub fn drop_database(&mut self, name: &DatabaseName, is_cascading: bool) -> Outcome<()> {
        let entry = self.database_mut(name)?;
        let tables: Vec<String> = entry.tables.keys().cloned().collect();
        let functions: Vec<String> = entry.functions.keys().cloned().collect();
        let is_empty = tables.is_empty() && functions.is_empty();
        if !is_cascading && !is_empty {
            let message = format!("Database {name} is not empty. One or more tables exist.");
            return refuse(Exception::InvalidOperation, message);
        }
        for function in functions {
            self.drop_function(name, &function)?;
        }
        for table in tables {
            self.drop_table(&name.table(table))?;
        }
        let catalog = self.catalogs.get_mut(&name.catalog);
        if let Some(entry) = catalog.and_then(|catalog| catalog.databases.remove(&name.database)) {
            let image = self.database_body(name, &entry.fields);
            let (catalog, database) = (name.catalog.clone(), name.database.clone());
            self.note(Happening::DropDatabase { catalog, database, image });
        }
        Ok(())
    }

    /// The whole `Database` struct.
    pub(crate) fn database_body(&self, name: &DatabaseName, fields: &[u8]) -> Bytes {
        let mut w = Writer::new();
        w.field_string(1, &name.database);
        w.raw_struct(fields);
        w.field_string_option(8, self.catalog_field(&name.catalog));
        w.finish_struct()
    }

    // -- functions and grants

    /// Creates a permanent function.
    ///
    /// Errors: the database does not exist, the name is taken.
    pub fn create_function(&mut self, database: &DatabaseName, function: &Function) -> Outcome<()> {
        self.put_new_function(database, function.name.to_lowercase(), encode::function(function))
    }

    pub(crate) fn put_new_function(
        &mut self,
        database: &DatabaseName,
        name: String,
        fields: Bytes,
    ) -> Outcome<()> {
        let entry = self.database_mut(database)?;
        if entry.functions.contains_key(&name) {
            return refuse(Exception::AlreadyExists, format!("Function {name} already exists"));
        }
        entry.functions.insert(name, fields.clone());
        let image = self.function_body(database, &fields);
        let (catalog, database) = (database.catalog.clone(), database.database.clone());
        self.note(Happening::CreateFunction { catalog, database, image });
        Ok(())
    }

    /// Drops a function.
    ///
    /// Errors: it does not exist.
    pub fn drop_function(&mut self, database: &DatabaseName, name: &str) -> Outcome<()> {
        if self.database_mut(database)?.functions.remove(name).is_none() {
            return refuse(Exception::NoSuchObject, format!("Function {database}.{name} does not exist"));
        }
        let (catalog, database) = (database.catalog.clone(), database.database.clone());
        self.note(Happening::DropFunction { catalog, database, name: name.to_owned() });
        Ok(())
    }

    /// The whole `Function` struct.
    pub(crate) fn function_body(&self, database: &DatabaseName, fields: &[u8]) -> Bytes {
        let mut w = Writer::new();
        w.field_string(2, &database.database);
        w.raw_struct(fields);
        w.field_string_option(9, self.catalog_field(&database.catalog));
        w.finish_struct()
    }

    /// Records a grant; no generation writes an event for it.
    pub fn grant(&mut self, privilege: Privilege) {
        self.privileges.push(privilege);
    }
}

/// The refusal for a table that is not there; the name has its catalog from 3.1 on.
pub(crate) fn no_table<T>(name: &TableName, generation: Generation) -> Outcome<T> {
    let DatabaseName { catalog, database } = &name.database;
    let shown = match generation.has_catalogs() {
        true => format!("{catalog}.{database}.{}", name.table),
        false => format!("{database}.{}", name.table),
    };
    refuse(Exception::NoSuchObject, format!("{shown} table not found"))
}

/// Seconds since 1970.
pub(crate) fn now_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
