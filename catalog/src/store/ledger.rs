//! Bookkeeping of one metastore: runs, events, errors and the like, all bounded.
//!
//! It is part of the metastore's view, so a reader has the bookkeeping that belongs to its
//! snapshot and waits for nobody. Memory and store hold the same; the store holds one record per
//! run, per failed object, and per change that brought events or dropped tables, and the oldest go
//! when there are too many (sled does not grow with a ring, it does with a log). Errors are of now,
//! not of then: when there are too many, one row of a table tells of all its partitions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::head::Interner;
use super::keys::{self, Record};
use super::record::{self, Counters};
use super::tree::{Batch, Tree};
use crate::change::{Change, EventRow, MissingMethod, ObjectError, Run, SeenError};
use crate::fault::Fault;
use crate::limits::*;
use crate::model::{DatabaseName, MetastoreId};
use crate::scope::Scope;
use crate::snapshot::DroppedTable;

/// What an error is about: database, table, partition.
type Subject = (Option<DatabaseName>, Option<String>, Option<String>);

/// Bookkeeping of a metastore. Clones share all rows; a change copies what it touches.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    runs: Arc<BTreeMap<u64, Run>>,
    events: Arc<Ring<EventRow>>,
    errors: Arc<BTreeMap<Arc<Subject>, Arc<SeenError>>>,
    missing_methods: Arc<Vec<MissingMethod>>,
    source_counts: Arc<BTreeMap<DatabaseName, (u64, i64)>>,
    dropped_tables: Arc<Ring<DroppedTable>>,
    done_databases: Arc<(u64, BTreeSet<DatabaseName>)>,
    /// What it is narrowed down to: rows that are still here are left out when they are asked for.
    scope: Option<Arc<Scope>>,
    errors_left_out: usize,
}

impl Ledger {
    /// Oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// Oldest first.
    pub fn events(&self) -> impl Iterator<Item = &EventRow> {
        self.events.rows().filter(|row| {
            row.database_name.as_ref().is_none_or(|database| self.has(&row.catalog_name, database))
        })
    }

    /// What cannot be read now, in order of database, table and partition.
    pub fn errors(&self) -> impl ExactSizeIterator<Item = &SeenError> {
        self.errors.values().map(AsRef::as_ref)
    }

    /// Whether there may be more errors than are kept.
    pub fn is_full_of_errors(&self) -> bool {
        self.errors.len() + self.errors_left_out == ERRORS_KEPT_MAX
    }

    /// What the server lacks.
    pub fn missing_methods(&self) -> &[MissingMethod] {
        &self.missing_methods
    }

    /// Tables listed per database, and when (microseconds since 1970).
    pub fn source_counts(&self) -> &BTreeMap<DatabaseName, (u64, i64)> {
        &self.source_counts
    }

    /// Oldest first.
    pub fn dropped_tables(&self) -> impl Iterator<Item = &DroppedTable> {
        self.dropped_tables.rows().filter(|row| self.has(&row.catalog_name, &row.database_name))
    }

    /// Databases that the run of this id has read completely.
    pub fn done_databases(&self, run_id: u64) -> Option<&BTreeSet<DatabaseName>> {
        let (run, names) = self.done_databases.as_ref();
        (*run == run_id).then_some(names)
    }
}

/// Texts about a metastore as a whole may name any of its databases.
const NOT_FOR_YOU: &str = "what is told of it is for those who may see all databases of the metastore";

/// Narrowing down, for readers.
impl Ledger {
    /// Without what is about databases that are not in `scope`.
    pub(crate) fn narrowed(&self, scope: &Arc<Scope>) -> Self {
        let has = |name: &DatabaseName| scope.has_database(&name.catalog, &name.database);
        let runs = self.runs.iter().map(|(number, run)| {
            let error_message = run.error_message.as_ref().map(|_| NOT_FOR_YOU.to_owned());
            (*number, Run { error_message, ..run.clone() })
        });
        let errors = self.errors.iter().filter_map(|(subject, seen)| match &seen.error.database {
            Some(database) => has(database).then(|| (Arc::clone(subject), Arc::clone(seen))),
            None => {
                let fault = untold(&seen.error.fault);
                let error = ObjectError { fault, ..seen.error.clone() };
                Some((Arc::clone(subject), Arc::new(SeenError { error, ..SeenError::clone(seen) })))
            }
        });
        let errors: BTreeMap<_, _> = errors.collect();
        let counts = self.source_counts.iter().filter(|(name, _)| has(name));
        Self {
            runs: Arc::new(runs.collect()),
            errors_left_out: self.errors.len() - errors.len(),
            errors: Arc::new(errors),
            source_counts: Arc::new(counts.map(|(name, count)| (name.clone(), *count)).collect()),
            scope: Some(Arc::clone(scope)),
            ..self.clone()
        }
    }

    /// Whether rows about this database are in it.
    pub fn has_database(&self, name: &DatabaseName) -> bool {
        self.has(&name.catalog, &name.database)
    }

    fn has(&self, catalog: &str, database: &str) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.has_database(catalog, database))
    }

    /// A fault of the metastore as a whole, as far as it is for those who see this ledger.
    pub fn told(&self, fault: Fault) -> Fault {
        match self.scope {
            None => fault,
            Some(_) => untold(&fault),
        }
    }
}

fn untold(fault: &Fault) -> Fault {
    Fault::new(fault.code, "metastore", NOT_FOR_YOU)
}

/// Rows in chunks, each a record of its own; the oldest chunks go when there are too many rows.
#[derive(Clone, Debug)]
struct Ring<T> {
    chunks: VecDeque<(u64, Arc<[T]>)>,
    length: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), length: 0 }
    }
}

impl<T> Ring<T> {
    /// Adds rows; returns the numbers of the chunks that had to go for them.
    fn push(&mut self, number: u64, rows: Vec<T>, kept_max: usize) -> Vec<u64> {
        self.length += rows.len();
        self.chunks.push_back((number, rows.into()));
        let mut gone = Vec::new();
        while kept_max < self.length && 1 < self.chunks.len() {
            let Some((number, oldest)) = self.chunks.pop_front() else { break };
            self.length -= oldest.len();
            gone.push(number);
        }
        gone
    }

    fn rows(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|(_, rows)| rows.iter())
    }
}

/// Where the writes of one change to the bookkeeping go.
pub(crate) struct Desk<'a> {
    pub metastore: MetastoreId,
    pub now: i64,
    /// Give numbers to what is added to rings.
    pub counters: &'a mut Counters,
    pub batch: &'a mut Batch,
}

impl Desk<'_> {
    fn put(&mut self, record: Record, number: u64, payload: &[u8]) {
        self.batch.put(&keys::numbered(record, self.metastore, number), payload);
    }

    fn remove(&mut self, record: Record, number: u64) {
        self.batch.remove(&keys::numbered(record, self.metastore, number));
    }
}

/// The number of a record that is kept by name.
fn name_number(parts: &[&str]) -> u64 {
    xxh3_64(parts.join("\u{1}").as_bytes())
}

fn subject_of(error: &ObjectError) -> Subject {
    (error.database.clone(), error.table_name.clone(), error.partition_name.clone())
}

fn database_number(name: &DatabaseName) -> u64 {
    name_number(&[&name.catalog, &name.database])
}

fn subject_number((database, table, partition): &Subject) -> u64 {
    let (catalog, database) = database.as_ref().map_or(("", ""), |d| (&d.catalog, &d.database));
    name_number(&[catalog, database, table.as_deref().unwrap_or(""), partition.as_deref().unwrap_or("")])
}

impl Ledger {
    /// Takes a change into account, if it is one to the bookkeeping.
    pub(super) fn apply(&mut self, change: &Change, desk: &mut Desk<'_>) {
        match change {
            Change::DropDatabase(name) => self.forget_counts(|counted| counted == name, desk),
            Change::DropCatalog(name) => self.forget_counts(|counted| counted.catalog == *name, desk),
            Change::MarkDatabaseDone(run_id, name) => {
                if self.done_databases.0 != *run_id {
                    self.forget_done(desk);
                }
                let done = Arc::make_mut(&mut self.done_databases);
                done.0 = *run_id;
                done.1.insert(name.clone());
                let payload = record::named_numbers(name, *run_id, 0);
                desk.put(Record::DoneDatabase, database_number(name), &payload);
            }
            Change::PutRun(run) => {
                desk.put(Record::Run, run.run_id, &record::run(run));
                let runs = Arc::make_mut(&mut self.runs);
                runs.insert(run.run_id, run.clone());
                while RUNS_KEPT_MAX < runs.len() {
                    let oldest = runs.pop_first();
                    oldest.into_iter().for_each(|(number, _)| desk.remove(Record::Run, number));
                }
            }
            Change::AddEvents(rows) if !rows.is_empty() => {
                let rows = &rows[rows.len().saturating_sub(EVENTS_KEPT_MAX)..];
                let number = desk.counters.take_part();
                desk.put(Record::Events, number, &record::events(rows));
                let ring = Arc::make_mut(&mut self.events);
                for number in ring.push(number, rows.to_vec(), EVENTS_KEPT_MAX) {
                    desk.remove(Record::Events, number);
                }
            }
            Change::AddErrors(errors) => errors.iter().for_each(|error| self.add_error(error, desk)),
            Change::ClearErrors(database, table) => self.clear_errors(database, table, desk),
            Change::ClearErrorsOf(database, table, partitions) => {
                let of = |partition: &Option<String>| (database.clone(), table.clone(), partition.clone());
                self.remove_errors(partitions.iter().map(of).map(Arc::new).collect(), desk);
            }
            Change::SetMissingMethods(methods) if *methods != *self.missing_methods => {
                let key = keys::of_metastore(Record::MissingMethods, desk.metastore);
                desk.batch.put(&key, &record::missing_methods(methods));
                self.missing_methods = methods.clone().into();
            }
            Change::SetSourceCount(name, count) => {
                let payload = record::named_numbers(name, *count, desk.now);
                desk.put(Record::SourceCount, database_number(name), &payload);
                Arc::make_mut(&mut self.source_counts).insert(name.clone(), (*count, desk.now));
            }
            _ => {}
        }
    }

    /// Forgets how many tables were listed in databases that are gone.
    fn forget_counts(&mut self, is_gone: impl Fn(&DatabaseName) -> bool, desk: &mut Desk<'_>) {
        let gone: Vec<DatabaseName> =
            self.source_counts.keys().filter(|name| is_gone(name)).cloned().collect();
        for name in gone {
            desk.remove(Record::SourceCount, database_number(&name));
            Arc::make_mut(&mut self.source_counts).remove(&name);
        }
    }

    /// Forgets which databases a run has read: what it read of them may be lost.
    pub(super) fn forget_done(&mut self, desk: &mut Desk<'_>) {
        for name in &std::mem::take(&mut self.done_databases).1 {
            desk.remove(Record::DoneDatabase, database_number(name));
        }
    }

    /// Tables that were dropped.
    pub(super) fn add_dropped(&mut self, mut rows: Vec<DroppedTable>, desk: &mut Desk<'_>) {
        if !rows.is_empty() {
            rows.drain(..rows.len().saturating_sub(DROPPED_TABLES_KEPT_MAX));
            let number = desk.counters.take_part();
            desk.put(Record::DroppedTables, number, &record::dropped_tables(&rows));
            let ring = Arc::make_mut(&mut self.dropped_tables);
            for number in ring.push(number, rows, DROPPED_TABLES_KEPT_MAX) {
                desk.remove(Record::DroppedTables, number);
            }
        }
    }

    fn add_error(&mut self, error: &ObjectError, desk: &mut Desk<'_>) {
        let subject = subject_of(error);
        if !self.errors.contains_key(&subject) && ERRORS_KEPT_MAX <= self.errors.len() {
            if error.partition_name.is_some() {
                return self.add_summary(error, desk);
            }
            if !self.make_room(desk) {
                tracing::warn!(fault = %error.fault, "no room for the error");
                return;
            }
        }
        let known = self.errors.get(&subject);
        let seen = SeenError {
            first_seen_at: known.map_or(error.at, |known| known.first_seen_at),
            last_seen_at: error.at,
            count: known.map_or(0, |known| known.count) + 1,
            error: error.clone(),
        };
        desk.put(Record::ObjectError, subject_number(&subject), &record::object_error(&seen));
        Arc::make_mut(&mut self.errors).insert(Arc::new(subject), Arc::new(seen));
    }

    /// There is no room for a partition's error: the row of its table tells of it.
    fn add_summary(&mut self, error: &ObjectError, desk: &mut Desk<'_>) {
        let fault = Fault {
            why: format!("{}; there is no room for a row for each broken partition", error.fault.why),
            ..error.fault.clone()
        };
        let of_table = ObjectError { partition_name: None, fault, ..error.clone() };
        if !self.errors.contains_key(&subject_of(&of_table)) {
            self.add_error(&of_table, desk);
        }
    }

    /// Lets the row of one partition go, of a table that has several: the others still tell that
    /// something is wrong there. Whether there was one.
    fn make_room(&mut self, desk: &mut Desk<'_>) -> bool {
        let is_one_of_several = |(a, b): &(&Arc<Subject>, &Arc<Subject>)| {
            (&a.0, &a.1) == (&b.0, &b.1) && a.2.is_some() && b.2.is_some()
        };
        let gone = self.errors.keys().zip(self.errors.keys().skip(1)).find(is_one_of_several);
        let gone = gone.map(|(_, gone)| gone.clone());
        let is_found = gone.is_some();
        self.remove_errors(gone.into_iter().collect(), desk);
        is_found
    }

    fn clear_errors(&mut self, database: &Option<DatabaseName>, table: &Option<String>, desk: &mut Desk<'_>) {
        let first: Subject = (database.clone(), table.clone(), None);
        let gone: Vec<Arc<Subject>> = self
            .errors
            .range::<Subject, _>(first..)
            .take_while(|(subject, _)| subject.0 == *database && subject.1 == *table)
            .map(|(subject, _)| subject.clone())
            .collect();
        self.remove_errors(gone, desk);
    }

    fn remove_errors(&mut self, mut gone: Vec<Arc<Subject>>, desk: &mut Desk<'_>) {
        gone.retain(|subject| self.errors.contains_key(subject));
        if gone.is_empty() {
            return;
        }
        let errors = Arc::make_mut(&mut self.errors);
        for subject in gone {
            desk.remove(Record::ObjectError, subject_number(&subject));
            errors.remove(&subject);
        }
    }

    /// Reads what is stored of a metastore.
    pub(super) fn load(tree: &Tree, metastore: MetastoreId, interner: &mut Interner) -> Result<Self, Fault> {
        let mut ledger = Self::default();
        for kind in Record::OF_BOOK {
            tree.scan(&keys::of_metastore(kind, metastore), |key, payload| {
                ledger.read(kind, keys::number_of(key).unwrap_or_default(), payload?, interner)
            })?;
        }
        Ok(ledger)
    }

    fn read(
        &mut self,
        kind: Record,
        number: u64,
        bytes: &[u8],
        interner: &mut Interner,
    ) -> Result<(), Fault> {
        match kind {
            Record::Run => {
                let mut run = record::read_run(bytes)?;
                // The store is open once at a time: the process that ran it is gone, and did not
                // get to say when.
                if run.state == "running" {
                    run.state = "interrupted".into();
                }
                Arc::make_mut(&mut self.runs).insert(number, run);
            }
            Record::Events => {
                let ring = Arc::make_mut(&mut self.events);
                ring.push(number, record::read_events(bytes)?, usize::MAX);
            }
            Record::DroppedTables => {
                let ring = Arc::make_mut(&mut self.dropped_tables);
                ring.push(number, record::read_dropped_tables(bytes, interner)?, usize::MAX);
            }
            Record::ObjectError => {
                let seen = record::read_object_error(bytes)?;
                let subject = Arc::new(subject_of(&seen.error));
                Arc::make_mut(&mut self.errors).insert(subject, Arc::new(seen));
            }
            Record::MissingMethods => self.missing_methods = record::read_missing_methods(bytes)?.into(),
            Record::SourceCount => {
                let (name, count, at) = record::read_named_numbers(bytes)?;
                Arc::make_mut(&mut self.source_counts).insert(name, (count, at));
            }
            Record::DoneDatabase => {
                let (name, run_id, _) = record::read_named_numbers(bytes)?;
                let done = Arc::make_mut(&mut self.done_databases);
                done.0 = run_id;
                done.1.insert(name);
            }
            _ => {}
        }
        Ok(())
    }
}
