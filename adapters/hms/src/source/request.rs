//! Bodies of the requests that a mirror needs, by generation.

use bytes::Bytes;
use skep_catalog::model::{ConstraintKind, DatabaseName, TableName};

use crate::thrift::{Kind, Writer};

/// `ClientCapability.INSERT_ONLY_TABLES`: without it Hive 3 and later refuse insert-only tables.
/// Hive 2.3 does not know the value and fails on it.
const INSERT_ONLY_TABLES: i32 = 2;

/// How a server of this generation wants to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Hive 3 and later.
    pub(super) has_catalogs: bool,
}

impl Dialect {
    /// A database as the old-style methods take it: `@catalog#database` where there are
    /// catalogs, the bare name elsewhere.
    pub(super) fn database(self, name: &DatabaseName) -> String {
        match self.has_catalogs {
            true => format!("@{}#{}", name.catalog, name.database),
            false => name.database.clone(),
        }
    }

    fn catalog(self, name: &DatabaseName) -> Option<&str> {
        self.has_catalogs.then_some(name.catalog.as_str())
    }

    fn capabilities(self, writer: &mut Writer, id: i16) {
        if self.has_catalogs {
            writer.field_struct(id, |writer| {
                writer.field_list(1, Kind::I32, 1);
                writer.i32(INSERT_ONLY_TABLES);
            });
        }
    }

    /// `get_databases(pattern)`: all of a catalog.
    pub(super) fn databases(self, catalog: &str) -> Bytes {
        texts(&[&match self.has_catalogs {
            true => format!("@{catalog}#"),
            false => "*".to_owned(),
        }])
    }

    /// Methods that take a database and no more.
    pub(super) fn of_database(self, name: &DatabaseName) -> Bytes {
        texts(&[&self.database(name)])
    }

    /// Methods that take a database and a text.
    pub(super) fn of_database_and(self, name: &DatabaseName, text: &str) -> Bytes {
        texts(&[&self.database(name), text])
    }

    /// Methods that take a database, a table and a list of names.
    pub(super) fn of_table_and_names(self, table: &TableName, names: &[String]) -> Bytes {
        let mut writer = Writer::new();
        writer.field_string(1, &self.database(&table.database));
        writer.field_string(2, &table.table);
        writer.field_strings(3, names);
        writer.finish_struct()
    }

    /// Methods that take a database, a table and a text.
    pub(super) fn of_table_and(self, table: &TableName, text: &str) -> Bytes {
        texts(&[&self.database(&table.database), &table.table, text])
    }

    /// `get_table_req`.
    pub(super) fn table(self, name: &TableName) -> Bytes {
        request(|writer| {
            writer.field_string(1, &name.database.database);
            writer.field_string(2, &name.table);
            self.capabilities(writer, 3);
            writer.field_string_option(4, self.catalog(&name.database));
        })
    }

    /// `get_table_objects_by_name_req`.
    pub(super) fn tables(self, database: &DatabaseName, names: &[String]) -> Bytes {
        request(|writer| {
            writer.field_string(1, &database.database);
            writer.field_strings(2, names);
            self.capabilities(writer, 3);
            writer.field_string_option(4, self.catalog(database));
        })
    }

    /// `get_table_objects_by_name`.
    pub(super) fn tables_old(self, database: &DatabaseName, names: &[String]) -> Bytes {
        let mut writer = Writer::new();
        writer.field_string(1, &self.database(database));
        writer.field_strings(2, names);
        writer.finish_struct()
    }

    /// `get_partition_names`. The count is a 16-bit integer; -1 is all.
    pub(super) fn partition_names(self, table: &TableName) -> Bytes {
        let mut writer = Writer::new();
        writer.field_string(1, &self.database(&table.database));
        writer.field_string(2, &table.table);
        writer.field_i16(3, -1);
        writer.finish_struct()
    }

    /// `get_partitions_by_names_req`. It has no catalog field: the database carries the mark.
    pub(super) fn partitions(self, table: &TableName, names: &[String]) -> Bytes {
        request(|writer| {
            writer.field_string(1, &self.database(&table.database));
            writer.field_string(2, &table.table);
            writer.field_strings(3, names);
        })
    }

    /// `get_primary_keys` and its kin.
    pub(super) fn constraints(self, kind: ConstraintKind, table: &TableName) -> Bytes {
        let (database, name) = (table.database.database.as_str(), table.table.as_str());
        let catalog = self.catalog(&table.database);
        request(|writer| match kind {
            ConstraintKind::PrimaryKey => {
                writer.field_string(1, database);
                writer.field_string(2, name);
                writer.field_string_option(3, catalog);
            }
            // Fields 1 and 2 are the referred table: any.
            ConstraintKind::ForeignKey => {
                writer.field_string(3, database);
                writer.field_string(4, name);
                writer.field_string_option(5, catalog);
            }
            _ => {
                writer.field_string(1, catalog.unwrap_or_default());
                writer.field_string(2, database);
                writer.field_string(3, name);
            }
        })
    }

    /// `get_all_table_constraints` (Hive 4).
    pub(super) fn all_constraints(self, table: &TableName) -> Bytes {
        request(|writer| {
            writer.field_string(1, &table.database.database);
            writer.field_string(2, &table.table);
            writer.field_string(3, &table.database.catalog);
        })
    }

    /// `get_table_statistics_req`. Hive 4 demands the engine; older servers pass over it.
    pub(super) fn statistics(self, table: &TableName, columns: &[String]) -> Bytes {
        request(|writer| {
            writer.field_string(1, &table.database.database);
            writer.field_string(2, &table.table);
            writer.field_strings(3, columns);
            writer.field_string_option(4, self.catalog(&table.database));
            writer.field_string(6, "hive");
        })
    }
}

/// Arguments that are texts, numbered from 1.
pub(super) fn texts(values: &[&str]) -> Bytes {
    let mut writer = Writer::new();
    for (index, value) in values.iter().enumerate() {
        writer.field_string(index as i16 + 1, value);
    }
    writer.finish_struct()
}

/// The one argument of `_req` methods.
pub(super) fn request(body: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    writer.field_struct(1, body);
    writer.finish_struct()
}

/// No arguments.
pub(super) fn nothing() -> Bytes {
    Writer::new().finish_struct()
}

/// `list_privileges` of everybody: no principal, an object without a type.
pub(super) fn all_privileges() -> Bytes {
    let mut writer = Writer::new();
    writer.field_struct(3, |_| {});
    writer.finish_struct()
}

/// `list_privileges` of one user: without an object type, all that the user has.
pub(super) fn privileges_of(user: &str) -> Bytes {
    const USER: i32 = 1;
    let mut writer = Writer::new();
    writer.field_string(1, user);
    writer.field_i32(2, USER);
    writer.field_struct(3, |_| {});
    writer.finish_struct()
}

/// `get_next_notification`.
pub(super) fn next_notification(after_event_id: i64, max: usize) -> Bytes {
    request(|writer| {
        writer.field_i64(1, after_event_id);
        writer.field_i32(2, i32::try_from(max).unwrap_or(i32::MAX));
    })
}
