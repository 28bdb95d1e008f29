//! A metastore as the mirror wants it: [`HmsSource`].
//!
//! What a server can do is found by asking: a method that it lacks (TApplicationException
//! type 1) is remembered and its older or newer sister used instead. Everything that reads in
//! bulk falls back to reading one by one when the bulk call fails by itself.

mod bulk;
mod details;
mod events;
mod privileges;
mod probe;
mod reply;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{
    CatalogObject, Database, DatabaseName, Function, Item, Partition, Privilege, Table, TableDetails,
    TableName,
};
use skep_catalog::ports::{Batch, EventPage, Source, SourceFacts};

use crate::client::{Client, ClientOptions};
use crate::objects::{default_catalog, read_catalog, read_database, read_function, read_table};
use crate::thrift::{Kind, Reader};
use bulk::{PartitionsOf, TablesOf, read_in_bulk};
use events::PageSize;
use reply::{
    Declared, Failure, NEVER_NOT_FOUND, NOT_FOUND_FIRST, NOT_FOUND_SECOND, call, read_struct, read_texts,
    read_wrapped,
};
use request::{Dialect, nothing, request};

type Answer<T> = std::result::Result<T, Failure>;

/// Reads from one metastore.
pub struct HmsSource {
    client: Client,
    /// Methods that the server said it lacks.
    missing: Mutex<BTreeSet<&'static str>>,
    /// Whether it has catalogs, once asked.
    has_catalogs: Mutex<Option<bool>>,
    /// Of the notification log.
    page_size: Mutex<PageSize>,
    /// Whether the notification log was ever read: one that fails later is no missing one.
    has_shown_log: AtomicBool,
}

impl HmsSource {
    /// A source that reads from the metastore `name`. Nothing is connected yet. Errors as
    /// [`Client::new`].
    pub fn new(name: &str, options: ClientOptions) -> Result<Arc<Self>, Fault> {
        Ok(Arc::new(Self::over(Client::new(name, options)?)))
    }

    /// A source over a client that others may share.
    pub fn over(client: Client) -> Self {
        Self {
            client,
            missing: Mutex::default(),
            has_catalogs: Mutex::new(None),
            page_size: Mutex::default(),
            has_shown_log: AtomicBool::new(false),
        }
    }

    /// The client: endpoint states, giving up.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn lacks(&self, method: &str) -> bool {
        self.missing.lock().contains(method)
    }

    /// Calls a method that the server may lack; remembers when it does.
    async fn ask<T>(
        &self,
        method: &'static str,
        arguments: &[u8],
        declared: Declared,
        read: impl FnOnce(&Bytes, &mut Reader<'_>, Kind) -> crate::thrift::Result<T>,
    ) -> Answer<T> {
        if self.lacks(method) {
            let fault = Fault::new(
                Code::METASTORE_METHOD_MISSING,
                self.client.what(method),
                "the server said so when it was asked before",
            );
            return Err(Failure { fault, is_of_object: false, is_undeclared: false });
        }
        let outcome = call(&self.client, method, arguments, declared, read).await;
        if let Err(failure) = &outcome
            && failure.fault.code == Code::METASTORE_METHOD_MISSING
        {
            self.missing.lock().insert(method);
        }
        outcome
    }

    /// How to speak to this server; asks it the first time.
    async fn dialect(&self) -> Result<Dialect, Fault> {
        let known = *self.has_catalogs.lock();
        let has_catalogs = match known {
            Some(known) => known,
            None => {
                let asked = self.ask("get_catalogs", &nothing(), NEVER_NOT_FOUND, |_, _, _| Ok(())).await;
                let found = match asked {
                    // An error that it does not declare says nothing of what it has, and names in
                    // the wrong dialect are not found: nothing is remembered.
                    Err(failure) if failure.is_undeclared => return Err(failure.fault),
                    asked => is_there(asked)?,
                };
                *self.has_catalogs.lock() = Some(found);
                found
            }
        };
        Ok(Dialect { has_catalogs })
    }

    async fn table(&self, name: &TableName) -> Answer<Item<Table>> {
        let dialect = self.dialect().await.map_err(of_metastore)?;
        let asked = self
            .ask("get_table_req", &dialect.table(name), NOT_FOUND_SECOND, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, |body, reader, kind| {
                    read_struct(body, reader, kind, read_table)
                })
            })
            .await;
        if !is_missing(&asked) {
            return asked;
        }
        let arguments = dialect.of_database_and(&name.database, &name.table);
        self.ask("get_table", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
            read_struct(body, reader, kind, read_table)
        })
        .await
    }
}

/// Whether the method exists: an error of its own also says that it does.
fn is_there<T>(asked: Answer<T>) -> Result<bool, Fault> {
    match asked {
        Ok(_) => Ok(true),
        Err(failure) if failure.fault.code == Code::METASTORE_METHOD_MISSING => Ok(false),
        Err(failure) if failure.is_of_object => Ok(true),
        Err(failure) => Err(failure.fault),
    }
}

fn is_missing<T>(asked: &Answer<T>) -> bool {
    matches!(asked, Err(failure) if failure.fault.code == Code::METASTORE_METHOD_MISSING)
}

fn of_metastore(fault: Fault) -> Failure {
    Failure { fault, is_of_object: false, is_undeclared: false }
}

/// Nothing, where the object that was asked about does not exist.
fn none_if_not_found<T: Default>(asked: Answer<T>) -> Result<T, Fault> {
    match asked {
        Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => Ok(T::default()),
        asked => Ok(asked?),
    }
}

#[async_trait]
impl Source for HmsSource {
    async fn probe(&self) -> Result<SourceFacts, Fault> {
        self.find_facts().await
    }

    async fn database_id(&self) -> Option<String> {
        self.find_database_id().await
    }

    fn requests_in_flight_max(&self) -> usize {
        self.client.options().requests_in_flight_max.max(1)
    }

    async fn catalogs(&self) -> Result<Vec<Item<CatalogObject>>, Fault> {
        if !self.dialect().await?.has_catalogs {
            return Ok(vec![Item { value: default_catalog(), raw: Bytes::new() }]);
        }
        let names = self
            .ask("get_catalogs", &nothing(), NEVER_NOT_FOUND, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, read_texts)
            })
            .await?;
        let mut catalogs = Vec::new();
        for name in names {
            let arguments = request(|writer| writer.field_string(1, &name));
            let read = self.ask("get_catalog", &arguments, NOT_FOUND_FIRST, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, |body, reader, kind| {
                    read_struct(body, reader, kind, read_catalog)
                })
            });
            // One that was dropped in the meantime is not there.
            catalogs.extend(none_if_not_found(read.await.map(Some))?);
        }
        Ok(catalogs)
    }

    async fn database_names(&self, catalog: &str) -> Result<Vec<String>, Fault> {
        let dialect = self.dialect().await?;
        let mut names =
            self.ask("get_databases", &dialect.databases(catalog), NEVER_NOT_FOUND, read_texts).await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn database(&self, name: &DatabaseName) -> Result<Option<Item<Database>>, Fault> {
        let dialect = self.dialect().await?;
        let asked = self
            .ask("get_database", &dialect.of_database(name), NOT_FOUND_FIRST, |body, reader, kind| {
                read_struct(body, reader, kind, read_database)
            })
            .await;
        none_if_not_found(asked.map(Some))
    }

    async fn table_names(&self, database: &DatabaseName) -> Result<Vec<String>, Fault> {
        let dialect = self.dialect().await?;
        let mut names =
            self.ask("get_all_tables", &dialect.of_database(database), NEVER_NOT_FOUND, read_texts).await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn tables(&self, database: &DatabaseName, names: &[String]) -> Result<Batch<Table>, Fault> {
        read_in_bulk(&mut TablesOf { source: self, database, asked: names }, names).await
    }

    async fn partition_names(&self, table: &TableName) -> Result<Vec<String>, Fault> {
        let dialect = self.dialect().await?;
        // Field 1 of the result is NoSuchObjectException from Hive 3 on, and MetaException before.
        let declared = if dialect.has_catalogs { NOT_FOUND_FIRST } else { NEVER_NOT_FOUND };
        let asked =
            self.ask("get_partition_names", &dialect.partition_names(table), declared, read_texts).await;
        // Hive 2.3 answers an undeclared exception when the table does not exist.
        if let Err(failure) = &asked
            && failure.is_undeclared
            && matches!(self.table(table).await, Err(f) if f.fault.code == Code::METASTORE_NOT_FOUND)
        {
            return Ok(Vec::new());
        }
        let mut names = none_if_not_found(asked)?;
        names.sort_unstable();
        Ok(names)
    }

    async fn partitions(
        &self,
        table: &TableName,
        keys: &[String],
        names: &[String],
    ) -> Result<Batch<Partition>, Fault> {
        read_in_bulk(&mut PartitionsOf::new(self, table, keys, names), names).await
    }

    async fn functions(&self, database: &DatabaseName) -> Result<Batch<Function>, Fault> {
        let dialect = self.dialect().await?;
        let arguments = dialect.of_database_and(database, "*");
        let mut names = self.ask("get_functions", &arguments, NEVER_NOT_FOUND, read_texts).await?;
        names.sort_unstable();
        let mut batch = Batch::default();
        for name in names {
            let arguments = dialect.of_database_and(database, &name);
            let asked = self
                .ask("get_function", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
                    read_struct(body, reader, kind, read_function)
                })
                .await;
            match asked {
                Ok(item) => batch.items.push((name, item)),
                // Dropped in the meantime.
                Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => {}
                Err(failure) if failure.is_of_object => batch.failed.push((name, failure.fault)),
                Err(failure) => return Err(failure.fault),
            }
        }
        Ok(batch)
    }

    async fn table_details(&self, table: &TableName, columns: &[String]) -> Result<TableDetails, Fault> {
        self.read_details(table, columns).await
    }

    async fn privileges(&self) -> Result<Vec<Item<Privilege>>, Fault> {
        self.read_privileges().await
    }

    async fn head_event_id(&self) -> Result<i64, Fault> {
        Ok(self.read_head().await?)
    }

    async fn events(&self, after_event_id: i64, max: usize) -> Result<EventPage, Fault> {
        self.read_events(after_event_id, max).await
    }
}

#[cfg(test)]
mod tests;
