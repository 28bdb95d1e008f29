//! Bookkeeping of one metastore: runs, events, errors and the like, all bounded.
//!
//! Memory and store hold the same; the store holds one record per run, per failed object, and per
//! change that brought events or dropped tables, and the oldest go when there are too many (sled
//! does not grow with a ring, it does with a log).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::head::Interner;
use super::keys::{self, Record};
use super::record::{self, Counters};
use super::tree::{Batch, Tree};
use crate::change::{Change, EventRow, MissingMethod, ObjectError, Run};
use crate::fault::Fault;
use crate::limits::*;
use crate::model::{DatabaseName, MetastoreId};
use crate::snapshot::DroppedTable;

/// What an error is about: database, table, partition.
type Subject = (Option<DatabaseName>, Option<String>, Option<String>);

/// First seen, last seen, times, last fault.
type Seen = (i64, i64, u64, ObjectError);

/// Bookkeeping of a metastore: copied out when asked for.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Newest last.
    pub runs: Vec<Run>,
    /// Newest last.
    pub events: Vec<EventRow>,
    /// First seen, last seen (microseconds since 1970), times, and the last fault.
    pub errors: Vec<(i64, i64, u64, ObjectError)>,
    /// What the server lacks.
    pub missing_methods: Vec<MissingMethod>,
    /// Tables listed per database, and when.
    pub source_counts: BTreeMap<DatabaseName, (u64, i64)>,
    /// Newest last.
    pub dropped_tables: Vec<DroppedTable>,
    /// Databases that the run of this id has read completely.
    pub done_databases: (u64, BTreeSet<DatabaseName>),
}

/// The same as it is kept.
#[derive(Default)]
pub(crate) struct Book {
    runs: BTreeMap<u64, Run>,
    events: Ring<EventRow>,
    errors: BTreeMap<Subject, Seen>,
    missing_methods: Vec<MissingMethod>,
    source_counts: BTreeMap<DatabaseName, (u64, i64)>,
    dropped_tables: Ring<DroppedTable>,
    done_databases: (u64, BTreeSet<DatabaseName>),
}

/// Rows in chunks, each a record of its own; the oldest chunks go when there are too many rows.
struct Ring<T> {
    chunks: VecDeque<(u64, Vec<T>)>,
    length: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), length: 0 }
    }
}

impl<T: Clone> Ring<T> {
    /// Adds rows; returns the numbers of the chunks that had to go for them.
    fn push(&mut self, number: u64, rows: Vec<T>, kept_max: usize) -> Vec<u64> {
        self.length += rows.len();
        self.chunks.push_back((number, rows));
        let mut gone = Vec::new();
        while kept_max < self.length && 1 < self.chunks.len() {
            let Some((number, oldest)) = self.chunks.pop_front() else { break };
            self.length -= oldest.len();
            gone.push(number);
        }
        gone
    }

    fn rows(&self) -> Vec<T> {
        self.chunks.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect()
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

impl Book {
    /// Takes a change into account, if it is one to the bookkeeping.
    pub fn apply(&mut self, change: &Change, desk: &mut Desk<'_>) {
        match change {
            Change::DropDatabase(name) if self.source_counts.remove(name).is_some() => {
                desk.remove(Record::SourceCount, database_number(name));
            }
            Change::MarkDatabaseDone(run_id, name) => {
                if self.done_databases.0 != *run_id {
                    self.forget_done(desk);
                    self.done_databases.0 = *run_id;
                }
                let payload = record::named_numbers(name, *run_id, 0);
                desk.put(Record::DoneDatabase, database_number(name), &payload);
                self.done_databases.1.insert(name.clone());
            }
            Change::PutRun(run) => {
                desk.put(Record::Run, run.run_id, &record::run(run));
                self.runs.insert(run.run_id, run.clone());
                while RUNS_KEPT_MAX < self.runs.len() {
                    let oldest = self.runs.pop_first();
                    oldest.into_iter().for_each(|(number, _)| desk.remove(Record::Run, number));
                }
            }
            Change::AddEvents(rows) if !rows.is_empty() => {
                let rows = &rows[rows.len().saturating_sub(EVENTS_KEPT_MAX)..];
                let number = desk.counters.take_part();
                desk.put(Record::Events, number, &record::events(rows));
                for number in self.events.push(number, rows.to_vec(), EVENTS_KEPT_MAX) {
                    desk.remove(Record::Events, number);
                }
            }
            Change::AddErrors(errors) => errors.iter().for_each(|error| self.add_error(error, desk)),
            Change::ClearErrors(database, table) => self.clear_errors(database, table, desk),
            Change::SetMissingMethods(methods) if *methods != self.missing_methods => {
                let key = keys::of_metastore(Record::MissingMethods, desk.metastore);
                desk.batch.put(&key, &record::missing_methods(methods));
                self.missing_methods.clone_from(methods);
            }
            Change::SetSourceCount(name, count) => {
                let payload = record::named_numbers(name, *count, desk.now);
                desk.put(Record::SourceCount, database_number(name), &payload);
                self.source_counts.insert(name.clone(), (*count, desk.now));
            }
            _ => {}
        }
    }

    /// Forgets which databases a run has read: what it read of them may be lost.
    pub fn forget_done(&mut self, desk: &mut Desk<'_>) {
        for name in std::mem::take(&mut self.done_databases).1 {
            desk.remove(Record::DoneDatabase, database_number(&name));
        }
    }

    /// Tables that were dropped.
    pub fn add_dropped(&mut self, mut rows: Vec<DroppedTable>, desk: &mut Desk<'_>) {
        if !rows.is_empty() {
            rows.drain(..rows.len().saturating_sub(DROPPED_TABLES_KEPT_MAX));
            let number = desk.counters.take_part();
            desk.put(Record::DroppedTables, number, &record::dropped_tables(&rows));
            for number in self.dropped_tables.push(number, rows, DROPPED_TABLES_KEPT_MAX) {
                desk.remove(Record::DroppedTables, number);
            }
        }
    }

    fn add_error(&mut self, error: &ObjectError, desk: &mut Desk<'_>) {
        let subject = subject_of(error);
        if !self.errors.contains_key(&subject) && ERRORS_KEPT_MAX <= self.errors.len() {
            return;
        }
        let number = subject_number(&subject);
        let seen = self.errors.entry(subject).or_insert((error.at, error.at, 0, error.clone()));
        *seen = (seen.0, error.at, seen.2 + 1, error.clone());
        desk.put(Record::ObjectError, number, &record::object_error(seen));
    }

    fn clear_errors(&mut self, database: &Option<DatabaseName>, table: &Option<String>, desk: &mut Desk<'_>) {
        let first = (database.clone(), table.clone(), None);
        let gone: Vec<Subject> = self
            .errors
            .range(first..)
            .take_while(|((d, t, _), _)| d == database && t == table)
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in gone {
            desk.remove(Record::ObjectError, subject_number(&subject));
            self.errors.remove(&subject);
        }
    }

    /// Reads what is stored of a metastore.
    pub fn load(tree: &Tree, metastore: MetastoreId, interner: &mut Interner) -> Result<Self, Fault> {
        let mut book = Self::default();
        for kind in Record::OF_BOOK {
            tree.scan(&keys::of_metastore(kind, metastore), |key, payload| {
                book.read(kind, keys::number_of(key).unwrap_or_default(), payload?, interner)
            })?;
        }
        Ok(book)
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
                self.runs.insert(number, record::read_run(bytes)?);
            }
            Record::Events => {
                self.events.push(number, record::read_events(bytes)?, usize::MAX);
            }
            Record::DroppedTables => {
                let rows = record::read_dropped_tables(bytes, interner)?;
                self.dropped_tables.push(number, rows, usize::MAX);
            }
            Record::ObjectError => {
                let seen = record::read_object_error(bytes)?;
                self.errors.insert(subject_of(&seen.3), seen);
            }
            Record::MissingMethods => self.missing_methods = record::read_missing_methods(bytes)?,
            Record::SourceCount => {
                let (name, count, at) = record::read_named_numbers(bytes)?;
                self.source_counts.insert(name, (count, at));
            }
            Record::DoneDatabase => {
                let (name, run_id, _) = record::read_named_numbers(bytes)?;
                self.done_databases.0 = run_id;
                self.done_databases.1.insert(name);
            }
            _ => {}
        }
        Ok(())
    }

    /// A copy for readers.
    pub fn ledger(&self) -> Ledger {
        Ledger {
            runs: self.runs.values().cloned().collect(),
            events: self.events.rows(),
            errors: self.errors.values().cloned().collect(),
            missing_methods: self.missing_methods.clone(),
            source_counts: self.source_counts.clone(),
            dropped_tables: self.dropped_tables.rows(),
            done_databases: self.done_databases.clone(),
        }
    }
}
