//! Reading everything: first what exists (names), then the objects, then their details.
//!
//! A pass is made of units: one call to the metastore, and the changes that follow from its
//! answer. Units run at once as many as the metastore is asked to bear; each holds the session's
//! gate from before its call until its changes are applied. An object is dropped only when a
//! listing that succeeded does not name it, or a read that succeeded did not find it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::PassReport;
use super::digest;
use super::failures::{Failed, Part, Read, Subject, of_database, of_table};
use super::session::{Session, blocking, ends_the_run, functions_read, spawn};
use super::writer::Parcel;
use crate::change::Change;
use crate::fault::{Code, Fault};
use crate::model::{DatabaseName, Table, TableName};
use crate::ports::Batch;
use crate::snapshot::Digests;

/// Failed calls in a row after which the metastore, not the objects, is taken to be broken.
const FAILURES_IN_ROW_MAX: u32 = 20;
/// Times that a table which moves while it is read is read again.
const MOVED_READS_MAX: usize = 3;
/// Sentences in a report.
const MISSING_MAX: usize = 100;

/// What is read of a table before its details.
const ALL_BUT_DETAILS: Read<'static> = Read::Only(&|part| !matches!(part, Part::Details));

/// Which tables of a listed database to read.
pub(super) enum Scope {
    /// All, but what this run has read before it was interrupted: these databases, and partitions
    /// read since then (microseconds since 1970).
    All { run_id: u64, done: BTreeSet<DatabaseName>, since: Option<i64> },
    /// Those that are not mirrored yet.
    New,
}

pub(super) struct Pass {
    session: Arc<Session>,
    parcels: mpsc::Sender<Parcel>,
    /// Bounds calls under way, and answers waiting for the writer.
    calls: Arc<Semaphore>,
    /// Bounds tables whose partition names are in memory.
    listings: Semaphore,
    /// Set when the caller holds the gate exclusively for the whole pass.
    is_exclusive: bool,
    read: AtomicU64,
    failed: AtomicU64,
    failures_in_row: AtomicU32,
    /// Partitions read since then are not read again.
    known_since: AtomicI64,
    /// Why the metastore is not to be asked again.
    ended: OnceLock<Fault>,
    missing: Mutex<Vec<String>>,
    /// Databases in which something could not be read: a run that goes on reads them again.
    unsound: Mutex<BTreeSet<DatabaseName>>,
    /// Databases that are known to exist and not read yet.
    left: Mutex<BTreeSet<DatabaseName>>,
    /// What failed of the metastore itself.
    own_failed: Mutex<Vec<Failed>>,
    /// What was asked of the metastore itself.
    own_read: Mutex<BTreeSet<Part>>,
    /// What failed of databases that were listed and may still be read again, and whether more
    /// than their listing was read.
    databases_failed: Mutex<BTreeMap<DatabaseName, (bool, Vec<Failed>)>>,
}

/// What a unit holds until its changes are applied.
struct Ticket {
    read_at: i64,
    gate: Option<OwnedRwLockReadGuard<()>>,
    _call: OwnedSemaphorePermit,
}

impl Pass {
    pub fn new(session: Arc<Session>, parcels: mpsc::Sender<Parcel>, is_exclusive: bool) -> Arc<Self> {
        let calls_max = session.calls_max();
        Arc::new(Self {
            session,
            parcels,
            calls: Arc::new(Semaphore::new(calls_max)),
            listings: Semaphore::new(calls_max),
            is_exclusive,
            read: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failures_in_row: AtomicU32::new(0),
            known_since: AtomicI64::new(i64::MAX),
            ended: OnceLock::new(),
            missing: Mutex::default(),
            unsound: Mutex::default(),
            left: Mutex::default(),
            own_failed: Mutex::default(),
            own_read: Mutex::default(),
            databases_failed: Mutex::default(),
        })
    }

    /// Lists catalogs, databases and tables, drops what is gone, and reads what `scope` says.
    /// Answers the tables that were read.
    pub async fn names(self: &Arc<Self>, scope: Scope) -> Result<BTreeSet<TableName>, Fault> {
        let databases = self.databases().await?;
        self.session.progress.databases.0.fetch_add(databases.len() as u64, Relaxed);
        self.left.lock().extend(databases.iter().cloned());
        if let Scope::All { since: Some(since), .. } = &scope {
            self.known_since.store(*since, Relaxed);
        }
        let scope = Arc::new(scope);
        let read = stream::iter(databases)
            .map(|database| {
                let (pass, scope) = (self.clone(), scope.clone());
                spawn(async move { pass.database(database, &scope).await })
            })
            .buffer_unordered(self.session.calls_max())
            .try_collect::<Vec<_>>()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Reads every mirrored object again, but the tables in `fresh`.
    pub async fn again(self: &Arc<Self>, fresh: BTreeSet<TableName>) -> Result<(), Fault> {
        let databases = self.session.current()?.database_names();
        self.left.lock().extend(databases.iter().cloned());
        let fresh = Arc::new(fresh);
        stream::iter(databases)
            .map(|database| {
                let (pass, fresh) = (self.clone(), fresh.clone());
                spawn(async move { pass.database_again(database, &fresh).await })
            })
            .buffer_unordered(self.session.calls_max())
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Reads grants.
    pub async fn privileges(self: &Arc<Self>) -> Result<(), Fault> {
        let (result, ticket) = self.ask_counting(self.session.source.privileges(), false).await?;
        self.own_read.lock().insert(Part::Grants);
        match result {
            Ok(privileges) => self.send(ticket, vec![Change::SetPrivileges(privileges)]).await,
            Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => {
                self.send_lacking(ticket, "list_privileges").await
            }
            Err(fault) => {
                self.miss("grants", &fault);
                self.own_failed.lock().push((Part::Grants, fault));
                Ok(())
            }
        }
    }

    /// Reads constraints and column statistics of all mirrored tables, or of those in `only`.
    pub async fn details(self: &Arc<Self>, only: Option<&BTreeSet<TableName>>) -> Result<(), Fault> {
        self.flush().await?;
        for name in self.session.current()?.database_names() {
            if only.is_some_and(|only| only.iter().all(|table| table.database != name)) {
                continue;
            }
            let session = self.session.clone();
            let tables = {
                let name = name.clone();
                blocking(move || tables_with_columns(&session, &name)).await??
            };
            let mut reads = stream::iter(tables)
                .map(|(table, columns)| (name.table(table), columns))
                .filter(|(table, _)| std::future::ready(only.is_none_or(|only| only.contains(table))))
                .map(|(table, columns)| {
                    let pass = self.clone();
                    spawn(async move { pass.table_details(table, columns).await })
                })
                .buffer_unordered(self.session.calls_max());
            while let Some(has_method) = reads.try_next().await? {
                if !has_method {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits until everything sent is applied.
    pub async fn flush(&self) -> Result<(), Fault> {
        let (applied, wait) = oneshot::channel();
        let parcel =
            Parcel { changes: Vec::new(), read_at: self.session.now(), gate: None, applied: Some(applied) };
        self.parcels.send(parcel).await.map_err(|_| writer_ended())?;
        wait.await.map_err(|_| writer_ended())
    }

    /// What the pass came to so far, `fault` having ended it early. Changed objects are counted
    /// by the writer.
    pub fn report(&self, fault: Option<&Fault>) -> PassReport {
        if let Some(fault) = fault {
            let left = std::mem::take(&mut *self.left.lock());
            self.miss("not everything was read", fault);
            for database in left {
                self.miss_text(format!("database {database} was not read completely"));
            }
        }
        PassReport {
            events_applied: 0,
            objects_read: self.read.load(Relaxed),
            objects_changed: 0,
            objects_failed: self.failed.load(Relaxed),
            missing: self.missing.lock().clone(),
        }
    }

    /// Why the databases of a catalog could not be listed. A refusal is not a reason to try again.
    pub fn unlisted(&self) -> Option<Fault> {
        let failed = self.own_failed.lock();
        let is_unlisted =
            |(part, fault): &&Failed| *part == Part::Listing && fault.code != Code::METASTORE_REFUSED;
        failed.iter().find(is_unlisted).map(|(_, fault)| fault.clone())
    }

    /// Rows of `sync.errors` about the metastore itself, and about databases of which no more
    /// will be read.
    pub fn own_errors(&self) -> Vec<Change> {
        let failed = std::mem::take(&mut *self.own_failed.lock());
        let read = std::mem::take(&mut *self.own_read.lock());
        let is_whole = [Part::Listing, Part::Grants].iter().all(|part| read.contains(part));
        let is_read = |part: &Part| is_whole || read.contains(part);
        let mut changes = self.settle((None, None), Read::Only(&is_read), failed);
        let listing = Read::Only(&|part| *part == Part::Listing);
        for (name, (is_whole, failed)) in std::mem::take(&mut *self.databases_failed.lock()) {
            let read = if is_whole { Read::Whole } else { listing };
            changes.extend(self.settle(of_database(&name), read, failed));
        }
        changes
    }

    /// Lists catalogs and databases, and drops those that are gone.
    async fn databases(&self) -> Result<Vec<DatabaseName>, Fault> {
        let (result, ticket) = self.ask(self.session.source.catalogs()).await?;
        let catalogs = result?;
        let names: Vec<String> = catalogs.iter().map(|item| item.value.name.clone()).collect();
        let view = self.session.current()?;
        let mut changes: Vec<Change> = catalogs.into_iter().map(Change::PutCatalog).collect();
        for catalog in &view.metastore.catalogs {
            if names.iter().all(|name| *name != *catalog.name) {
                changes.push(Change::DropCatalog(catalog.name.to_string()));
            }
        }
        self.read_objects(names.len());
        self.send(ticket, changes).await?;

        let mut databases = Vec::new();
        for catalog in names {
            let (result, ticket) = self.ask(self.session.source.database_names(&catalog)).await?;
            match result {
                Ok(listed) => {
                    let listed: BTreeSet<DatabaseName> =
                        listed.into_iter().map(|name| DatabaseName::new(&catalog, name)).collect();
                    let mirrored = self.session.current()?.database_names();
                    let is_gone = |name: &DatabaseName| name.catalog == catalog && !listed.contains(name);
                    let mut changes = Vec::new();
                    changes.extend(mirrored.into_iter().filter(is_gone).map(Change::DropDatabase));
                    let exists = |name: &DatabaseName| listed.contains(name);
                    changes.extend(self.session.failures.lock().forget_databases_but(&catalog, exists));
                    self.send(ticket, changes).await?;
                    databases.extend(listed);
                }
                Err(fault) => {
                    self.miss(&format!("databases of catalog {catalog}"), &fault);
                    let fault = Fault { what: format!("{} of catalog {catalog}", fault.what), ..fault };
                    self.own_failed.lock().push((Part::Listing, fault));
                }
            }
        }
        self.own_read.lock().insert(Part::Listing);
        Ok(databases)
    }

    /// One listed database: what is gone is dropped, what `scope` says is read.
    async fn database(
        self: &Arc<Self>,
        name: DatabaseName,
        scope: &Scope,
    ) -> Result<BTreeSet<TableName>, Fault> {
        let reads_all = match scope {
            Scope::All { done, .. } if done.contains(&name) => {
                self.database_done(&name);
                return Ok(BTreeSet::new());
            }
            Scope::All { .. } => true,
            Scope::New => !self.session.current()?.has_database(&name),
        };
        let mut failed = Vec::new();
        let read = self.listed_database(&name, reads_all, &mut failed).await?;
        if let Scope::All { run_id, .. } = scope {
            let is_sound = failed.is_empty() && !self.unsound.lock().contains(&name);
            self.settle_database(&name, failed).await?;
            if read.is_some() && is_sound {
                self.send_now(vec![Change::MarkDatabaseDone(*run_id, name.clone())]).await?;
            }
        } else {
            self.databases_failed.lock().insert(name.clone(), (reads_all, failed));
        }
        self.database_done(&name);
        Ok(read.unwrap_or_default())
    }

    /// The tables that were read; `None` when the database or its listing could not be.
    async fn listed_database(
        self: &Arc<Self>,
        name: &DatabaseName,
        reads_all: bool,
        failed: &mut Vec<Failed>,
    ) -> Result<Option<BTreeSet<TableName>>, Fault> {
        if reads_all && !self.database_itself(name, failed).await? {
            return Ok(None);
        }
        let Some(tables) = self.table_names(name, reads_all, failed).await? else { return Ok(None) };
        let read = tables.iter().map(|table| name.table(table)).collect();
        self.tables(name, tables).await?;
        if reads_all {
            self.functions(name, failed).await?;
        }
        Ok(Some(read))
    }

    /// One mirrored database: all of it is read again, but the tables in `fresh`.
    async fn database_again(
        self: &Arc<Self>,
        name: DatabaseName,
        fresh: &BTreeSet<TableName>,
    ) -> Result<(), Fault> {
        let mut failed = self.databases_failed.lock().remove(&name).unwrap_or_default().1;
        if self.database_itself(&name, &mut failed).await? {
            let mut tables = self.session.current()?.table_names(&name);
            tables.retain(|table| !fresh.contains(&name.table(table)));
            self.tables(&name, tables).await?;
            self.functions(&name, &mut failed).await?;
        }
        self.settle_database(&name, failed).await?;
        self.left.lock().remove(&name);
        Ok(())
    }

    /// Reads the database object; whether what is below it can be mirrored.
    async fn database_itself(&self, name: &DatabaseName, failed: &mut Vec<Failed>) -> Result<bool, Fault> {
        let (result, ticket) = self.ask(self.session.source.database(name)).await?;
        let is_mirrored = self.session.current()?.has_database(name);
        match result {
            Ok(Some(item)) => {
                self.read_objects(1);
                self.send(ticket, vec![Change::PutDatabase(name.clone(), item)]).await?;
                Ok(true)
            }
            Ok(None) => {
                let mut changes = self.session.failures.lock().forget_database(name);
                changes.extend(is_mirrored.then(|| Change::DropDatabase(name.clone())));
                self.send(ticket, changes).await?;
                Ok(false)
            }
            Err(fault) => {
                self.fail(&format!("database {name}"), &fault);
                failed.push((Part::Itself, fault));
                Ok(is_mirrored)
            }
        }
    }

    /// Lists tables and drops those that are gone; answers those to read, `None` when the
    /// listing failed.
    async fn table_names(
        &self,
        name: &DatabaseName,
        reads_all: bool,
        failed: &mut Vec<Failed>,
    ) -> Result<Option<Vec<String>>, Fault> {
        let (result, ticket) = self.ask(self.session.source.table_names(name)).await?;
        let listed = match result {
            Ok(listed) => listed,
            Err(fault) => {
                self.fail(&format!("tables of database {name}"), &fault);
                failed.push((Part::Listing, fault));
                return Ok(None);
            }
        };
        let set: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        let mirrored = self.session.current()?.table_names(name);
        let mut changes = vec![Change::SetSourceCount(name.clone(), set.len() as u64)];
        let is_gone = |table: &&String| !set.contains(table.as_str());
        changes.extend(
            mirrored.iter().filter(is_gone).filter_map(|table| self.session.missed(name.table(table))),
        );
        changes.extend(self.session.failures.lock().forget_all_but(name, |table| set.contains(table)));
        self.send(ticket, changes).await?;
        let is_new = |table: &&str| mirrored.binary_search_by(|other| other.as_str().cmp(table)).is_err();
        Ok(Some(set.into_iter().filter(|table| reads_all || is_new(table)).map(String::from).collect()))
    }

    /// Reads tables with their partitions.
    async fn tables(self: &Arc<Self>, database: &DatabaseName, names: Vec<String>) -> Result<(), Fault> {
        self.session.progress.tables.0.fetch_add(names.len() as u64, Relaxed);
        let batches: Vec<Vec<String>> =
            names.chunks(self.session.options.tables_batch_max.max(1)).map(<[String]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| {
                let (pass, database) = (self.clone(), database.clone());
                spawn(async move { pass.table_batch(database, batch).await })
            })
            .buffer_unordered(self.session.calls_max())
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    async fn table_batch(self: &Arc<Self>, database: DatabaseName, names: Vec<String>) -> Result<(), Fault> {
        let (result, ticket) = self.ask(self.session.source.tables(&database, &names)).await?;
        let batch = result.unwrap_or_else(|fault| all_failed(&names, fault));
        let view = self.session.current()?;
        let mut changes = Vec::new();
        let mut partitioned = Vec::new();
        let mut moved = Vec::new();
        for gone in not_found(&names, &batch) {
            let table = database.table(gone);
            changes.extend(self.session.failures.lock().forget_table(&table));
            changes.extend(self.session.missed(table));
        }
        self.read_objects(batch.items.len());
        for (name, item) in batch.items {
            let table = database.table(name);
            let mirrored = view.table(&table).filter(|mirrored| mirrored.totals.partition_count != 0);
            if mirrored.as_ref().is_some_and(|mirrored| moves_partitions(&mirrored.digests, &item.value)) {
                moved.push((table, item.value));
                continue;
            }
            if item.value.partition_keys.is_empty() && mirrored.is_none() {
                changes.extend(self.settle(of_table(&table), ALL_BUT_DETAILS, Vec::new()));
            } else {
                let keys = item.value.partition_keys.iter().map(|key| key.name.clone()).collect();
                partitioned.push((table.clone(), keys));
            }
            changes.push(Change::PutTable(table, item));
        }
        for (name, fault) in batch.failed {
            let table = database.table(name);
            self.unsound.lock().insert(database.clone());
            self.fail(&format!("table {table}"), &fault);
            changes.extend(self.settle(of_table(&table), ALL_BUT_DETAILS, vec![(Part::Itself, fault)]));
        }
        self.send(ticket, changes).await?;
        self.session.progress.tables.1.fetch_add(names.len() as u64, Relaxed);
        let known_since = self.known_since.load(Relaxed);
        stream::iter(partitioned)
            .map(|(table, keys): (TableName, Vec<String>)| {
                let pass = self.clone();
                spawn(async move { pass.partitions(table, keys, known_since).await })
            })
            .buffer_unordered(self.session.calls_max())
            .try_for_each(|()| async { Ok(()) })
            .await?;
        stream::iter(moved)
            .map(|(table, value)| {
                let pass = self.clone();
                spawn(async move { pass.moved_table(table, value).await })
            })
            .buffer_unordered(self.session.calls_max())
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// A table whose columns or location moved, perhaps with those of its partitions, of which no
    /// event tells. The table follows its partitions: whoever finds it mirrored as it now is, after
    /// a crash too, may rely on them. It is read again, because what was read before them may be
    /// older than an event by now.
    async fn moved_table(self: &Arc<Self>, table: TableName, mut value: Table) -> Result<(), Fault> {
        for _ in 0..MOVED_READS_MAX {
            let keys = value.partition_keys.iter().map(|key| key.name.clone()).collect();
            self.partitions(table.clone(), keys, i64::MAX).await?;
            let names = [table.table.clone()];
            let (result, ticket) = self.ask(self.session.source.tables(&table.database, &names)).await?;
            let mut batch = result.unwrap_or_else(|fault| all_failed(&names, fault));
            if let Some((_, fault)) = batch.failed.pop() {
                let changes = self.moved_table_failed(&table, fault);
                return self.send(ticket, changes).await;
            }
            // Dropped in the meantime: the next listing says so.
            let Some((_, item)) = batch.items.pop() else { return Ok(()) };
            if !moves_partitions(&digest::table(&value), &item.value) {
                return self.send(ticket, vec![Change::PutTable(table, item)]).await;
            }
            value = item.value;
        }
        // It stays as it was mirrored, and is tried again like all that failed.
        let why = format!("its columns or location changed again while it was read, {MOVED_READS_MAX} times");
        let fault = Fault::new(Code::METASTORE_ERROR, format!("read table {table}"), why)
            .with_fix("Nothing to do: it is read again. If it stays, find out what alters it all the time.");
        let changes = self.moved_table_failed(&table, fault);
        self.send_now(changes).await
    }

    fn moved_table_failed(&self, table: &TableName, fault: Fault) -> Vec<Change> {
        self.unsound.lock().insert(table.database.clone());
        self.fail(&format!("table {table}"), &fault);
        let itself = Read::Only(&|part| *part == Part::Itself);
        self.settle(of_table(table), itself, vec![(Part::Itself, fault)])
    }

    /// Lists partitions, drops those that are gone, reads the others but those mirrored as read
    /// at `known_since` or later.
    async fn partitions(
        self: &Arc<Self>,
        table: TableName,
        keys: Vec<String>,
        known_since: i64,
    ) -> Result<(), Fault> {
        let _listing = self.listings.acquire().await.map_err(|_| writer_ended())?;
        let (result, ticket) = self.ask(self.session.source.partition_names(&table)).await?;
        let mut names = match result {
            Ok(names) => names,
            Err(fault) => {
                self.unsound.lock().insert(table.database.clone());
                self.fail(&format!("partitions of table {table}"), &fault);
                let changes = self.settle(of_table(&table), ALL_BUT_DETAILS, vec![(Part::Listing, fault)]);
                return self.send(ticket, changes).await;
            }
        };
        names.sort_unstable();
        names.dedup();
        let names: Arc<[String]> = names.into();
        let gone = vanished_partitions(&self.session, &table, &names).await?;
        let drop = (!gone.is_empty()).then(|| Change::DropPartitions(table.clone(), gone));
        self.send(ticket, drop.into_iter().collect()).await?;
        self.session.progress.partitions.0.fetch_add(names.len() as u64, Relaxed);
        let listed = names.len();
        let names = not_read_since(&self.session, &table, names, known_since).await?;
        self.session.progress.partitions.1.fetch_add((listed - names.len()) as u64, Relaxed);

        let keys: Arc<[String]> = keys.into();
        let batch_max = self.session.options.partitions_batch_max.max(1);
        let failed = stream::iter((0..names.len()).step_by(batch_max))
            .map(|start| {
                let (pass, table, names, keys) = (self.clone(), table.clone(), names.clone(), keys.clone());
                spawn(async move {
                    let end = names.len().min(start + batch_max);
                    pass.partition_batch(&table, &keys, &names[start..end]).await
                })
            })
            .buffer_unordered(self.session.calls_max())
            .try_concat()
            .await?;
        self.send_now(self.settle(of_table(&table), ALL_BUT_DETAILS, failed)).await
    }

    async fn partition_batch(
        self: &Arc<Self>,
        table: &TableName,
        keys: &[String],
        names: &[String],
    ) -> Result<Vec<Failed>, Fault> {
        let (result, ticket) = self.ask(self.session.source.partitions(table, keys, names)).await?;
        let batch = result.unwrap_or_else(|fault| all_failed(names, fault));
        let gone = not_found(names, &batch);
        self.read_objects(batch.items.len());
        self.session.progress.partitions.1.fetch_add(names.len() as u64, Relaxed);
        for (name, fault) in &batch.failed {
            self.unsound.lock().insert(table.database.clone());
            self.fail(&format!("partition {table}/{name}"), fault);
        }
        let mut changes = Vec::new();
        if !gone.is_empty() {
            changes.push(Change::DropPartitions(table.clone(), gone));
        }
        if !batch.items.is_empty() {
            changes.push(Change::PutPartitions(table.clone(), batch.items));
        }
        self.send(ticket, changes).await?;
        Ok(batch.failed.into_iter().map(|(name, fault)| (Part::Partition(name), fault)).collect())
    }

    async fn functions(&self, database: &DatabaseName, failed: &mut Vec<Failed>) -> Result<(), Fault> {
        let (result, ticket) = self.ask_counting(self.session.source.functions(database), false).await?;
        match result {
            Ok(batch) => {
                self.read_objects(batch.items.len());
                let (change, broken) = functions_read(database, batch);
                for fault in broken {
                    self.fail(&format!("function of database {database}"), &fault);
                    failed.push((Part::Functions, fault));
                }
                self.send(ticket, vec![change]).await
            }
            Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => {
                self.send_lacking(ticket, "get_functions").await
            }
            Err(fault) => {
                self.fail(&format!("functions of database {database}"), &fault);
                failed.push((Part::Functions, fault));
                Ok(())
            }
        }
    }

    /// Answers whether the server has what it takes.
    async fn table_details(&self, table: TableName, columns: Vec<String>) -> Result<bool, Fault> {
        let call = self.session.source.table_details(&table, &columns);
        let (result, ticket) = self.ask_counting(call, false).await?;
        let read = Read::Only(&|part| *part == Part::Details);
        match result {
            Ok(details) => {
                let mut changes = self.settle(of_table(&table), read, Vec::new());
                changes.push(Change::SetTableDetails(table, details));
                self.send(ticket, changes).await?;
            }
            Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => {
                self.send_lacking(ticket, "get_table_column_statistics").await?;
                return Ok(false);
            }
            // Dropped in the meantime.
            Err(fault) if fault.code == Code::METASTORE_NOT_FOUND => {}
            Err(fault) => {
                self.fail(&format!("constraints and column statistics of table {table}"), &fault);
                let changes = self.settle(of_table(&table), read, vec![(Part::Details, fault)]);
                self.send(ticket, changes).await?;
            }
        }
        Ok(true)
    }

    /// One call. `Err` when the metastore is not to be asked again in this run.
    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<(Result<T, Fault>, Ticket), Fault> {
        self.ask_counting(call, true).await
    }

    /// The same; `counts` is unset for what a metastore may refuse object by object although it
    /// is sound: details, functions, grants.
    async fn ask_counting<T>(
        &self,
        call: impl Future<Output = Result<T, Fault>>,
        counts: bool,
    ) -> Result<(Result<T, Fault>, Ticket), Fault> {
        let permit = self.calls.clone().acquire_owned().await.map_err(|_| writer_ended())?;
        let gate = if self.is_exclusive { None } else { Some(self.session.shared().await) };
        if let Some(fault) = self.ended.get() {
            return Err(fault.clone());
        }
        let ticket = Ticket { read_at: self.session.now(), gate, _call: permit };
        let result = call.await;
        match &result {
            Ok(_) if counts => self.failures_in_row.store(0, Relaxed),
            Ok(_) => {}
            Err(fault) if ends_the_run(fault) => return Err(self.end(fault)),
            Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING || !counts => {}
            Err(fault) => {
                if FAILURES_IN_ROW_MAX <= self.failures_in_row.fetch_add(1, Relaxed) + 1 {
                    return Err(self.end(fault));
                }
            }
        }
        Ok((result, ticket))
    }

    /// Keeps units that wait for their turn from asking; the permit of the call that failed is
    /// given back afterwards.
    fn end(&self, fault: &Fault) -> Fault {
        self.ended.get_or_init(|| fault.clone()).clone()
    }

    async fn send(&self, ticket: Ticket, changes: Vec<Change>) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let parcel = Parcel { changes, read_at: ticket.read_at, gate: ticket.gate, applied: None };
        self.parcels.send(parcel).await.map_err(|_| writer_ended())
    }

    /// Sends changes that do not come from a read.
    async fn send_now(&self, changes: Vec<Change>) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let parcel = Parcel { changes, read_at: self.session.now(), gate: None, applied: None };
        self.parcels.send(parcel).await.map_err(|_| writer_ended())
    }

    async fn send_lacking(&self, ticket: Ticket, method: &str) -> Result<(), Fault> {
        let change = self.session.lacks(&[method.to_string()]);
        self.send(ticket, change.into_iter().collect()).await
    }

    async fn settle_database(&self, name: &DatabaseName, failed: Vec<Failed>) -> Result<(), Fault> {
        self.send_now(self.settle(of_database(name), Read::Whole, failed)).await
    }

    fn settle(&self, subject: Subject, read: Read, failed: Vec<Failed>) -> Vec<Change> {
        self.session.failures.lock().settle(subject, read, failed, self.session.now())
    }

    fn database_done(&self, name: &DatabaseName) {
        self.left.lock().remove(name);
        self.session.progress.databases.1.fetch_add(1, Relaxed);
    }

    fn read_objects(&self, count: usize) {
        self.read.fetch_add(count as u64, Relaxed);
    }

    fn fail(&self, what: &str, fault: &Fault) {
        self.failed.fetch_add(1, Relaxed);
        self.session.progress.failed.fetch_add(1, Relaxed);
        self.miss(what, fault);
    }

    fn miss(&self, what: &str, fault: &Fault) {
        self.miss_text(format!("{what}: {}", fault.message()));
    }

    fn miss_text(&self, text: String) {
        let mut missing = self.missing.lock();
        if missing.len() < MISSING_MAX {
            missing.push(text);
        }
    }
}

fn writer_ended() -> Fault {
    Fault::internal("mirror", "the writer ended before the pass did")
}

/// A bulk call that failed as a whole: every object of it failed.
pub(super) fn all_failed<T>(names: &[String], fault: Fault) -> Batch<T> {
    let failed = names.iter().map(|name| (name.clone(), fault.clone())).collect();
    Batch { items: Vec::new(), failed }
}

/// Whether a table's columns or location differ: altering them with CASCADE alters partitions
/// without events.
pub(super) fn moves_partitions(old: &Digests, new: &Table) -> bool {
    let new = digest::table(new);
    old.schema != new.schema || old.location != new.location
}

/// Names that a bulk call neither brought nor failed on: objects that no longer exist.
pub(super) fn not_found<T>(names: &[String], batch: &Batch<T>) -> Vec<String> {
    let found: BTreeSet<&str> = batch
        .items
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(batch.failed.iter().map(|(name, _)| name.as_str()))
        .collect();
    names.iter().filter(|name| !found.contains(name.as_str())).cloned().collect()
}

/// Mirrored partitions of a table that a listing (sorted) does not name.
pub(super) async fn vanished_partitions(
    session: &Session,
    table: &TableName,
    listed: &Arc<[String]>,
) -> Result<Vec<String>, Fault> {
    let view = session.current()?;
    match view.table(table) {
        Some(mirrored) if mirrored.totals.partition_count != 0 => {
            let listed = listed.clone();
            blocking(move || view.partitions_not_in(&mirrored, &listed)).await?
        }
        _ => Ok(Vec::new()),
    }
}

/// Those of the partitions (sorted) that are not mirrored as read at `since` or later.
async fn not_read_since(
    session: &Session,
    table: &TableName,
    names: Arc<[String]>,
    since: i64,
) -> Result<Arc<[String]>, Fault> {
    let view = session.current()?;
    match view.table(table) {
        Some(mirrored) if since != i64::MAX && mirrored.totals.partition_count != 0 => {
            blocking(move || view.partitions_not_read_since(&mirrored, &names, since)).await?
        }
        _ => Ok(names),
    }
}

/// Tables of a database that can have constraints or statistics, with their columns. Blocks.
fn tables_with_columns(session: &Session, name: &DatabaseName) -> Result<Vec<(String, Vec<String>)>, Fault> {
    let view = session.current()?;
    let Some(database) = view.metastore.database(&name.catalog, &name.database) else {
        return Ok(Vec::new());
    };
    let tables = view.snapshot.load_tables(database)?.into_iter().map(|(_, item)| item.value);
    Ok(tables
        .filter(|table| table.table_type != "VIRTUAL_VIEW")
        .map(|table| (table.name, table.storage.columns.iter().map(|column| column.name.clone()).collect()))
        .collect())
}
