//! Carries out a [`Plan`]: reads what was touched, in bulk and at once, and turns it into one
//! list of changes whose order is: catalogs, the structural steps, tables, partitions, the rest.
//!
//! The caller holds the gate exclusively from before the first read until the list is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::TryStreamExt;

use super::failures::{Failed, Part, Read, of_database, of_table};
use super::pass::{all_failed, moves_partitions, not_found};
use super::plan::{Partitions, Plan, Step};
use super::session::{Session, View, blocking, each, ends_the_run, functions_read};
use super::writer;
use crate::change::{Applied, Change};
use crate::fault::{Code, Fault};
use crate::model::{Database, DatabaseName, Function, Item, Partition, Table, TableDetails, TableName};
use crate::ports::Batch;
use crate::snapshot::TableView;

/// Raw bytes collected before they are applied ahead of the rest: only when few events ask for
/// very much (all partitions of a huge table). The position comes with the rest, so after a
/// crash in between the events are replayed.
const LIST_BYTES_MAX: usize = 32 << 20;

/// What carrying out a plan came to.
pub(super) struct Reread {
    /// To apply, in order.
    pub changes: Vec<Change>,
    /// What was applied ahead of them came to.
    pub applied: Applied,
    /// Tables that were not found and not dropped.
    pub not_found: BTreeSet<TableName>,
    /// Set when not one call brought anything but errors, or a database that is new did not.
    pub fault: Option<Fault>,
}

struct Work {
    session: Arc<Session>,
    view: View,
    plan: Plan,
    read_at: i64,
    changes: Vec<Change>,
    applied: Applied,
    bytes: usize,
    /// Tables whose partitions moved with them: applied after those, so that a table mirrored as
    /// it now is can be relied on even when a crash comes in between.
    moved: Vec<Change>,
    /// What failed, per table, and what of the table was read.
    tables: BTreeMap<TableName, TableRead>,
    not_found: BTreeSet<TableName>,
    calls_ok: u64,
    call_failed: Option<Fault>,
    /// Why a database that is not mirrored yet could not be read: all in it would stay hidden.
    hidden: Option<Fault>,
}

#[derive(Default)]
struct TableRead {
    is_itself: bool,
    /// All partitions were listed.
    is_listed: bool,
    has_details: bool,
    is_gone: bool,
    partitions: BTreeSet<String>,
    failed: Vec<Failed>,
}

/// One bulk read of partitions.
struct PartitionRead {
    table: TableName,
    keys: Arc<[String]>,
    names: Vec<String>,
}

/// A table whose partitions are to be listed, and what is mirrored of it, under whatever name.
struct Listing {
    table: TableName,
    keys: Arc<[String]>,
    origin: Option<Arc<TableView>>,
}

pub(super) async fn reread(session: &Arc<Session>, plan: Plan, read_at: i64) -> Result<Reread, Fault> {
    let view = session.current()?;
    let mut work = Work {
        session: session.clone(),
        view,
        plan,
        read_at,
        changes: Vec::new(),
        applied: Applied::default(),
        bytes: 0,
        moved: Vec::new(),
        tables: BTreeMap::new(),
        not_found: BTreeSet::new(),
        calls_ok: 0,
        call_failed: None,
        hidden: None,
    };
    work.catalogs().await?;
    work.steps().await?;
    let tables = work.tables().await?;
    work.partitions(&tables).await?;
    work.changes.append(&mut work.moved);
    work.functions().await?;
    work.details(&tables).await?;
    work.settle();
    let fault = work.call_failed.filter(|_| work.calls_ok == 0).or(work.hidden);
    Ok(Reread { changes: work.changes, applied: work.applied, not_found: work.not_found, fault })
}

impl Work {
    /// Sorts a call's outcome: `Err` ends the work.
    fn check<T>(&mut self, result: Result<T, Fault>) -> Result<Result<T, Fault>, Fault> {
        match &result {
            Ok(_) => self.calls_ok += 1,
            Err(fault) if ends_the_run(fault) => return Err(fault.clone()),
            // Answers: the same call would bring them again.
            Err(fault) if matches!(fault.code, Code::METASTORE_METHOD_MISSING | Code::METASTORE_REFUSED) => {
                self.calls_ok += 1;
            }
            Err(fault) => self.call_failed = Some(fault.clone()),
        }
        Ok(result)
    }

    async fn push(&mut self, change: Change) -> Result<(), Fault> {
        self.bytes += writer::size(&change).1;
        self.changes.push(change);
        if LIST_BYTES_MAX <= self.bytes {
            self.bytes = 0;
            let applied = self.session.apply(self.read_at, std::mem::take(&mut self.changes)).await?;
            self.applied.add_counts(&applied);
        }
        Ok(())
    }

    /// Catalogs, and databases that the mirror should have but has not.
    async fn catalogs(&mut self) -> Result<(), Fault> {
        let mut needed: BTreeSet<DatabaseName> =
            self.plan.tables.keys().map(|table| table.database.clone()).collect();
        needed.extend(self.plan.functions.iter().cloned());
        let asked = self.plan.databases();
        needed.retain(|name| !self.view.has_database(name) && !asked.contains(name));
        let has_catalog =
            |view: &View, name: &str| view.metastore.catalogs.iter().any(|catalog| *catalog.name == *name);
        let is_unknown = |name: &DatabaseName| !has_catalog(&self.view, &name.catalog);
        if self.plan.catalogs || needed.iter().chain(&asked).any(is_unknown) {
            let result = self.session.source.catalogs().await;
            let catalogs = self.check(result)??;
            let names: BTreeSet<String> = catalogs.iter().map(|item| item.value.name.clone()).collect();
            self.changes.extend(catalogs.into_iter().map(Change::PutCatalog));
            for catalog in &self.view.metastore.catalogs {
                if !names.contains(catalog.name.as_ref()) {
                    self.changes.push(Change::DropCatalog(catalog.name.to_string()));
                }
            }
            // A new catalog has a first database, of which no event tells.
            for name in names {
                if !has_catalog(&self.view, &name) {
                    let result = self.session.source.database_names(&name).await;
                    if let Ok(listed) = self.check(result)? {
                        needed.extend(listed.into_iter().map(|database| DatabaseName::new(&name, database)));
                    }
                }
            }
            needed.retain(|name| !asked.contains(name));
        }
        // Before all other steps: tables may be moved into them.
        self.plan.steps.splice(0..0, needed.into_iter().map(Step::PutDatabase));
        Ok(())
    }

    async fn steps(&mut self) -> Result<(), Fault> {
        let reads = each(&self.session, self.plan.databases(), |session, name| async move {
            let result = session.source.database(&name).await;
            (name, result)
        })
        .try_collect::<Vec<_>>()
        .await?;
        let mut databases: BTreeMap<DatabaseName, Option<Item<Database>>> = BTreeMap::new();
        let mut settled = self.forget_gone();
        for (name, result) in reads {
            let is_known = self.session.failures.lock().has(&of_database(&name), &Part::Itself);
            let item = match self.check(result)? {
                Ok(item) => item,
                Err(fault) => {
                    // One that was given up before keeps no other events waiting: it is listed
                    // again now and then.
                    let is_given_up = is_known || fault.code == Code::METASTORE_REFUSED;
                    self.calls_ok += u64::from(is_given_up);
                    if !self.view.has_database(&name) {
                        self.hidden = self.hidden.take().or((!is_given_up).then(|| fault.clone()));
                        // What is in it has no place to be kept.
                        self.plan.tables.retain(|table, _| table.database != name);
                        self.plan.functions.remove(&name);
                    }
                    databases.insert(name.clone(), None);
                    settled.extend(self.settle_database(&name, Part::Itself, Some(fault)));
                    continue;
                }
            };
            settled.extend(self.settle_database(&name, Part::Itself, None));
            if item.is_none() && self.view.has_database(&name) {
                settled.push(Change::DropDatabase(name.clone()));
            }
            databases.insert(name, item);
        }
        let mut existing: BTreeSet<DatabaseName> = self.view.database_names().into_iter().collect();
        for step in &self.plan.steps {
            let change = match step {
                Step::Rename { from, to } if existing.contains(&to.database) => {
                    Some(Change::RenameTable { from: from.clone(), to: to.clone() })
                }
                // Moved into a database that is gone by now.
                Step::Rename { from, .. } => Some(Change::DropTable(from.clone())),
                Step::DropTable(table) => Some(Change::DropTable(table.clone())),
                Step::DropDatabase(name) => {
                    existing.remove(name);
                    Some(Change::DropDatabase(name.clone()))
                }
                Step::PutDatabase(name) => databases.get(name).and_then(Option::as_ref).map(|item| {
                    existing.insert(name.clone());
                    Change::PutDatabase(name.clone(), item.clone())
                }),
            };
            self.changes.extend(change);
        }
        self.changes.extend(settled);
        Ok(())
    }

    /// What is gone cannot heal; what took its name is read.
    fn forget_gone(&self) -> Vec<Change> {
        let mut failures = self.session.failures.lock();
        let forget = |step: &Step| match step {
            Step::Rename { from: table, .. } | Step::DropTable(table) => failures.forget_table(table),
            Step::DropDatabase(name) => failures.forget_database(name),
            Step::PutDatabase(_) => Vec::new(),
        };
        self.plan.steps.iter().flat_map(forget).collect()
    }

    /// What the mirror holds of a table that has had its name all the time.
    fn known(&self, table: &TableName) -> Option<Arc<TableView>> {
        if self.plan.gone.contains(table) || self.plan.gone_databases.contains(&table.database) {
            return None;
        }
        self.view.table(table)
    }

    /// What will lie under the names of tables once the changes so far are applied, where that
    /// is not what lies there now.
    fn moved(&self) -> BTreeMap<TableName, Option<Arc<TableView>>> {
        let mut moved: BTreeMap<TableName, Option<Arc<TableView>>> = BTreeMap::new();
        for change in &self.changes {
            match change {
                // Replayed over a newer read, nothing has the old name and what has the new one
                // stays.
                Change::RenameTable { from, to } if from != to => {
                    let held = moved.get(from).cloned().unwrap_or_else(|| self.view.table(from));
                    if held.is_some() {
                        moved.insert(from.clone(), None);
                        moved.insert(to.clone(), held);
                    }
                }
                Change::DropTable(table) => drop(moved.insert(table.clone(), None)),
                Change::DropDatabase(name) => {
                    moved.retain(|table, _| table.database != *name);
                    let tables = self.view.table_names(name).into_iter();
                    moved.extend(tables.map(|table| (name.table(table), None)));
                }
                _ => {}
            }
        }
        moved
    }

    /// Reads the table objects; answers those that were found.
    async fn tables(&mut self) -> Result<BTreeMap<TableName, Table>, Fault> {
        let mut asked: BTreeMap<DatabaseName, Vec<String>> = BTreeMap::new();
        for (table, work) in &self.plan.tables {
            // Of a table that is not mirrored, the partition keys have to be learned.
            if work.reads_table || self.known(table).is_none() {
                asked.entry(table.database.clone()).or_default().push(table.table.clone());
            }
        }
        let batch_max = self.session.options.tables_batch_max.max(1);
        let batches: Vec<(DatabaseName, Vec<String>)> = asked
            .into_iter()
            .flat_map(|(database, names)| {
                let chunks = names.chunks(batch_max).map(<[String]>::to_vec).collect::<Vec<_>>();
                chunks.into_iter().map(move |chunk| (database.clone(), chunk))
            })
            .collect();
        let mut reads = each(&self.session, batches, |session, (database, names)| async move {
            let result = session.source.tables(&database, &names).await;
            (database, names, result)
        });
        let mut found = BTreeMap::new();
        while let Some((database, names, result)) = reads.try_next().await? {
            let batch: Batch<Table> = self.check(result)?.unwrap_or_else(|fault| all_failed(&names, fault));
            for gone in not_found(&names, &batch) {
                let table = database.table(gone);
                let work = self.plan.tables.remove(&table).unwrap_or_default();
                if work.drops_not_found {
                    self.tables.insert(table.clone(), TableRead { is_gone: true, ..TableRead::default() });
                    self.changes.push(Change::DropTable(table));
                } else {
                    if self.view.table(&table).is_none() {
                        let read = TableRead { is_gone: true, ..TableRead::default() };
                        self.tables.insert(table.clone(), read);
                    }
                    self.not_found.insert(table);
                }
            }
            for (name, fault) in batch.failed {
                self.tables.entry(database.table(name)).or_default().failed.push((Part::Itself, fault));
            }
            for (name, item) in batch.items {
                let table = database.table(name);
                self.tables.entry(table.clone()).or_default().is_itself = true;
                let known = self.known(&table);
                let is_moved =
                    known.as_ref().is_some_and(|known| moves_partitions(&known.digests, &item.value));
                if let Some(work) = self.plan.tables.get_mut(&table) {
                    // Whether events named by partition do not tell everything of its partitions:
                    // those of a table created by these events do, unless another had its name.
                    if is_moved || known.is_some() == work.is_created {
                        work.partitions = Partitions::All;
                    }
                }
                let changes = if is_moved { &mut self.moved } else { &mut self.changes };
                changes.push(Change::PutTable(table.clone(), item.clone()));
                found.insert(table, item.value);
            }
        }
        Ok(found)
    }

    /// Partitions that events name are read first, then those of tables of which all are listed: of
    /// a few tables at once, because one can have a million names.
    async fn partitions(&mut self, found: &BTreeMap<TableName, Table>) -> Result<(), Fault> {
        let mut reads: Vec<PartitionRead> = Vec::new();
        let mut listings = Vec::new();
        let moved = self.moved();
        let batch_max = self.session.options.partitions_batch_max.max(1);
        for (table, work) in &self.plan.tables {
            let keys: Arc<[String]> = match (found.get(table), self.known(table)) {
                (Some(value), _) => value.partition_keys.iter().map(|key| key.name.clone()).collect(),
                (None, Some(known)) => known.head.partition_keys.iter().map(|key| key.name.clone()).collect(),
                // It failed, and nothing is known of it.
                (None, None) => continue,
            };
            match &work.partitions {
                Partitions::None => {}
                Partitions::Named(names) => {
                    let names: Vec<String> = names.iter().cloned().collect();
                    let chunk = |names: &[String]| PartitionRead {
                        table: table.clone(),
                        keys: keys.clone(),
                        names: names.to_vec(),
                    };
                    reads.extend(names.chunks(batch_max).map(chunk));
                    self.tables.entry(table.clone()).or_default().partitions.extend(names);
                }
                Partitions::All => {
                    let origin = moved.get(table).cloned().unwrap_or_else(|| self.view.table(table));
                    let origin = origin.filter(|origin| origin.totals.partition_count != 0);
                    if !keys.is_empty() || origin.is_some() {
                        listings.push(Listing { table: table.clone(), keys, origin });
                    } else {
                        self.tables.entry(table.clone()).or_default().is_listed = true;
                    }
                }
            }
        }
        self.read_partitions(reads).await?;
        let mut listings = listings.into_iter();
        loop {
            let some: Vec<Listing> = listings.by_ref().take(self.session.calls_max()).collect();
            if some.is_empty() {
                return Ok(());
            }
            let reads = self.list_partitions(some).await?;
            self.read_partitions(reads).await?;
        }
    }

    async fn read_partitions(&mut self, reads: Vec<PartitionRead>) -> Result<(), Fault> {
        let mut answers = each(&self.session, reads, |session, read: PartitionRead| async move {
            let result = session.source.partitions(&read.table, &read.keys, &read.names).await;
            (read, result)
        });
        while let Some((read, result)) = answers.try_next().await? {
            let batch: Batch<Partition> =
                self.check(result)?.unwrap_or_else(|fault| all_failed(&read.names, fault));
            let gone = not_found(&read.names, &batch);
            if !gone.is_empty() {
                self.push(Change::DropPartitions(read.table.clone(), gone)).await?;
            }
            let failed = batch.failed.into_iter().map(|(name, fault)| (Part::Partition(name), fault));
            self.tables.entry(read.table.clone()).or_default().failed.extend(failed);
            if !batch.items.is_empty() {
                self.push(Change::PutPartitions(read.table, batch.items)).await?;
            }
        }
        Ok(())
    }

    /// Lists all partitions of tables and drops what is not listed; answers what is to be read.
    async fn list_partitions(&mut self, listings: Vec<Listing>) -> Result<Vec<PartitionRead>, Fault> {
        let mut reads = Vec::new();
        let batch_max = self.session.options.partitions_batch_max.max(1);
        let mut answers = each(&self.session, listings, |session, listing: Listing| async move {
            let result = session.source.partition_names(&listing.table).await;
            (listing, result)
        });
        while let Some((Listing { table, keys, origin }, result)) = answers.try_next().await? {
            let mut names = match self.check(result)? {
                Ok(names) => names,
                Err(fault) => {
                    self.tables.entry(table).or_default().failed.push((Part::Listing, fault));
                    continue;
                }
            };
            names.sort_unstable();
            names.dedup();
            if let Some(origin) = origin {
                let snapshot = self.view.snapshot.clone();
                let metastore = self.view.metastore.clone();
                let listed = names.clone();
                let view = View { snapshot, metastore };
                let gone = blocking(move || view.partitions_not_in(&origin, &listed)).await??;
                if !gone.is_empty() {
                    self.push(Change::DropPartitions(table.clone(), gone)).await?;
                }
            }
            self.tables.entry(table.clone()).or_default().is_listed = true;
            let chunk = |names: &[String]| PartitionRead {
                table: table.clone(),
                keys: keys.clone(),
                names: names.to_vec(),
            };
            reads.extend(names.chunks(batch_max).map(chunk));
        }
        Ok(reads)
    }

    async fn functions(&mut self) -> Result<(), Fault> {
        let mut reads = each(&self.session, self.plan.functions.clone(), |session, name| async move {
            let result = session.source.functions(&name).await;
            (name, result)
        });
        while let Some((name, result)) = reads.try_next().await? {
            let result: Result<Batch<Function>, Fault> = self.check(result)?;
            match result {
                Ok(batch) => {
                    let (change, failed) = functions_read(&name, batch);
                    let changes = self.settle_database(&name, Part::Functions, failed);
                    self.changes.extend(changes);
                    self.push(change).await?;
                }
                Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => {
                    self.changes.extend(self.session.lacks(&["get_functions".to_string()]));
                }
                Err(fault) => {
                    let changes = self.settle_database(&name, Part::Functions, Some(fault));
                    self.changes.extend(changes);
                }
            }
        }
        Ok(())
    }

    async fn details(&mut self, found: &BTreeMap<TableName, Table>) -> Result<(), Fault> {
        let asked: Vec<(TableName, Vec<String>)> = found
            .iter()
            .filter(|(table, _)| self.plan.tables.get(*table).is_some_and(|work| work.details))
            .map(|(table, value)| {
                let columns = value.storage.columns.iter().map(|column| column.name.clone()).collect();
                (table.clone(), columns)
            })
            .collect();
        let mut reads = each(&self.session, asked, |session, (table, columns)| async move {
            let result = session.source.table_details(&table, &columns).await;
            (table, result)
        });
        while let Some((table, result)) = reads.try_next().await? {
            let result: Result<TableDetails, Fault> = self.check(result)?;
            match result {
                Ok(details) => {
                    self.tables.entry(table.clone()).or_default().has_details = true;
                    self.push(Change::SetTableDetails(table, details)).await?;
                }
                Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => {
                    self.changes.extend(self.session.lacks(&["get_table_column_statistics".to_string()]));
                }
                // Dropped in the meantime: an event will say so.
                Err(fault) if fault.code == Code::METASTORE_NOT_FOUND => {}
                Err(fault) => self.tables.entry(table).or_default().failed.push((Part::Details, fault)),
            }
        }
        Ok(())
    }

    /// Rows of `sync.errors` for the tables that were read.
    fn settle(&mut self) {
        let now = self.session.now();
        let mut failures = self.session.failures.lock();
        for (table, read) in std::mem::take(&mut self.tables) {
            let is_read = |part: &Part| match part {
                Part::Itself => read.is_itself,
                Part::Listing => read.is_listed,
                Part::Partition(name) => read.is_listed || read.partitions.contains(name),
                Part::Details => read.has_details,
                Part::Functions | Part::Grants | Part::Unknown => false,
            };
            let whole_or_part = if read.is_gone { Read::Whole } else { Read::Only(&is_read) };
            self.changes.extend(failures.settle(of_table(&table), whole_or_part, read.failed, now));
        }
    }

    fn settle_database(
        &self,
        name: &DatabaseName,
        part: Part,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Vec<Change> {
        let now = self.session.now();
        let failed = faults.into_iter().map(|fault| (part.clone(), fault)).collect();
        let is_read = move |other: &Part| *other == part;
        self.session.failures.lock().settle(of_database(name), Read::Only(&is_read), failed, now)
    }
}
