//! A metastore as the mirror wants it: [`HmsSource`].
//!
//! What a server can do is found by asking: a method that it lacks (TApplicationException
//! type 1) is remembered and its older or newer sister used instead. Everything that reads in
//! bulk falls back to reading one by one when the bulk call fails by itself.

mod details;
mod events;
mod privileges;
mod probe;
mod reply;
mod request;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{
    CatalogObject, Database, DatabaseName, Function, Item, Partition, Privilege, Table, TableDetails,
    TableName, partition_name,
};
use skep_catalog::ports::{Batch, EventPage, Source, SourceFacts};

use crate::client::{Client, ClientOptions};
use crate::objects::{
    default_catalog, read_catalog, read_database, read_function, read_partition, read_table,
};
use crate::thrift::{Kind, Reader, ThriftError};
use reply::{
    Declared, Failure, NEVER_NOT_FOUND, NOT_FOUND_FIRST, NOT_FOUND_SECOND, NOT_FOUND_THIRD, call, read_items,
    read_struct, read_texts, read_wrapped,
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
}

/// What a bulk read brought: items, and whether some could not be read out of it.
struct Bulk<T> {
    items: Vec<Item<T>>,
    flaw: Option<ThriftError>,
}

impl HmsSource {
    /// A source that reads from the metastore `name`. Nothing is connected yet. Errors as
    /// [`Client::new`].
    pub fn new(name: &str, options: ClientOptions) -> Result<Arc<Self>, Fault> {
        Ok(Arc::new(Self::over(Client::new(name, options)?)))
    }

    /// A source over a client that others may share.
    pub fn over(client: Client) -> Self {
        Self { client, missing: Mutex::default(), has_catalogs: Mutex::new(None) }
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
                let found =
                    is_there(self.ask("get_catalogs", &nothing(), NEVER_NOT_FOUND, |_, _, _| Ok(())).await)?;
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

    async fn tables_bulk(&self, database: &DatabaseName, names: &[String]) -> Answer<Bulk<Table>> {
        let dialect = self.dialect().await.map_err(of_metastore)?;
        let read = |body: &Bytes, reader: &mut Reader<'_>, kind| {
            read_items(body, reader, kind, read_table).map(|(items, flaw)| Bulk { items, flaw })
        };
        let method = "get_table_objects_by_name_req";
        let asked = self
            .ask(method, &dialect.tables(database, names), NOT_FOUND_THIRD, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, read)
            })
            .await;
        if !is_missing(&asked) {
            return asked;
        }
        let arguments = dialect.tables_old(database, names);
        self.ask("get_table_objects_by_name", &arguments, NOT_FOUND_THIRD, read).await
    }

    async fn partition(&self, table: &TableName, name: &str) -> Answer<Item<Partition>> {
        let dialect = self.dialect().await.map_err(of_metastore)?;
        let arguments = dialect.of_table_and(table, name);
        self.ask("get_partition_by_name", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
            read_struct(body, reader, kind, read_partition)
        })
        .await
    }

    async fn partitions_bulk(&self, table: &TableName, names: &[String]) -> Answer<Bulk<Partition>> {
        let dialect = self.dialect().await.map_err(of_metastore)?;
        let read = |body: &Bytes, reader: &mut Reader<'_>, kind| {
            read_items(body, reader, kind, read_partition).map(|(items, flaw)| Bulk { items, flaw })
        };
        let arguments = dialect.of_table_and_names(table, names);
        let asked = self.ask("get_partitions_by_names", &arguments, NOT_FOUND_SECOND, read).await;
        if !is_missing(&asked) {
            return asked;
        }
        let arguments = dialect.partitions(table, names);
        self.ask("get_partitions_by_names_req", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
            read_wrapped(body, reader, kind, 1, read)
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

/// Reads one by one what a bulk read did not bring.
async fn one_by_one<T, F: Future<Output = Answer<Item<T>>>>(
    batch: &mut Batch<T>,
    names: impl Iterator<Item = &String>,
    read: impl Fn(String) -> F,
) -> Result<(), Fault> {
    for name in names {
        match read(name.clone()).await {
            Ok(item) => batch.items.push((name.clone(), item)),
            Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => {}
            Err(failure) if failure.is_of_object => batch.failed.push((name.clone(), failure.fault)),
            Err(failure) => return Err(failure.fault),
        }
    }
    Ok(())
}

/// Gives partitions the names by which they were asked for. The name made of keys and values is
/// nearly always that; a metastore that escaped differently once is matched by values.
struct PartitionNames<'a> {
    asked: &'a [String],
    /// Place after the last match: replies come in the order of the request, or in that of the
    /// names, which mostly is the same.
    next: usize,
    set: Option<HashSet<&'a str>>,
    by_values: Option<HashMap<Vec<String>, &'a str>>,
}

impl<'a> PartitionNames<'a> {
    fn new(asked: &'a [String]) -> Self {
        Self { asked, next: 0, set: None, by_values: None }
    }

    fn name_of(&mut self, keys: &[String], values: &[String]) -> String {
        let name = partition_name(keys, values);
        if self.asked.get(self.next) == Some(&name) {
            self.next += 1;
            return name;
        }
        let asked = self.asked;
        if self.set.get_or_insert_with(|| asked.iter().map(String::as_str).collect()).contains(name.as_str())
        {
            return name;
        }
        let by_values = self
            .by_values
            .get_or_insert_with(|| asked.iter().map(|name| (values_of(name), name.as_str())).collect());
        by_values.get(values).map_or(name, |&asked| asked.to_owned())
    }
}

/// The values in a partition name, unescaped.
fn values_of(name: &str) -> Vec<String> {
    let value = |part: &str| unescape(part.split_once('=').map_or(part, |(_, value)| value));
    name.split('/').map(value).collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[async_trait]
impl Source for HmsSource {
    async fn probe(&self) -> Result<SourceFacts, Fault> {
        self.find_facts().await
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
        let mut batch = Batch::default();
        let is_whole = match self.tables_bulk(database, names).await {
            Ok(bulk) => {
                batch.items = bulk.items.into_iter().map(|item| (item.value.name.clone(), item)).collect();
                bulk.flaw.is_none()
            }
            Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => true,
            Err(failure) if failure.is_of_object || is_missing::<()>(&Err(failure.clone())) => false,
            Err(failure) => return Err(failure.fault),
        };
        if !is_whole {
            let brought: HashSet<String> = batch.items.iter().map(|(name, _)| name.clone()).collect();
            let rest = names.iter().filter(|name| !brought.contains(*name));
            one_by_one(&mut batch, rest, async |name: String| self.table(&database.table(name)).await)
                .await?;
        }
        Ok(batch)
    }

    async fn partition_names(&self, table: &TableName) -> Result<Vec<String>, Fault> {
        let dialect = self.dialect().await?;
        let asked = self
            .ask("get_partition_names", &dialect.partition_names(table), NOT_FOUND_FIRST, read_texts)
            .await;
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
        let mut batch = Batch::default();
        let is_whole = match self.partitions_bulk(table, names).await {
            Ok(bulk) => {
                let mut asked = PartitionNames::new(names);
                batch.items = bulk
                    .items
                    .into_iter()
                    .map(|item| (asked.name_of(keys, &item.value.values), item))
                    .collect();
                bulk.flaw.is_none()
            }
            Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => true,
            Err(failure) if failure.is_of_object || is_missing::<()>(&Err(failure.clone())) => false,
            Err(failure) => return Err(failure.fault),
        };
        if !is_whole {
            let brought: HashSet<String> = batch.items.iter().map(|(name, _)| name.clone()).collect();
            let rest = names.iter().filter(|name| !brought.contains(*name));
            one_by_one(&mut batch, rest, async |name: String| self.partition(table, &name).await).await?;
        }
        Ok(batch)
    }

    async fn functions(&self, database: &DatabaseName) -> Result<Vec<Item<Function>>, Fault> {
        let dialect = self.dialect().await?;
        let arguments = dialect.of_database_and(database, "*");
        let mut names = self.ask("get_functions", &arguments, NEVER_NOT_FOUND, read_texts).await?;
        names.sort_unstable();
        let mut functions = Vec::new();
        for name in names {
            let arguments = dialect.of_database_and(database, &name);
            let asked = self
                .ask("get_function", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
                    read_struct(body, reader, kind, read_function)
                })
                .await;
            functions.extend(none_if_not_found(asked.map(Some))?);
        }
        Ok(functions)
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
