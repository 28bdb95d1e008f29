//! Bookkeeping of one metastore: runs, events, errors and the like, all bounded.
//!
//! Memory and store hold the same; the store holds one record per run, per failed object, and per
//! change that brought events or dropped tables, and the oldest go when there are too many (sled
//! does not grow with a ring, it does with a log).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::change::{Change, EventRow, MissingMethod, ObjectError, Run};
use crate::limits::*;
use crate::model::DatabaseName;
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
    fn push(&mut self, number: u64, mut rows: Vec<T>, kept_max: usize) {
        rows.drain(..rows.len().saturating_sub(kept_max));
        self.length += rows.len();
        self.chunks.push_back((number, rows));
        while kept_max < self.length {
            let Some((_, oldest)) = self.chunks.pop_front() else { break };
            self.length -= oldest.len();
        }
    }

    fn rows(&self) -> Vec<T> {
        self.chunks.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect()
    }
}

impl Book {
    /// Takes what is bookkeeping among `changes` into account.
    pub fn apply(&mut self, change: &Change, now: i64, number: u64) {
        match change {
            Change::DropDatabase(name) => {
                self.source_counts.remove(name);
            }
            Change::MarkDatabaseDone(run_id, name) => {
                if self.done_databases.0 != *run_id {
                    self.done_databases = (*run_id, BTreeSet::new());
                }
                self.done_databases.1.insert(name.clone());
            }
            Change::PutRun(run) => {
                self.runs.insert(run.run_id, run.clone());
                while RUNS_KEPT_MAX < self.runs.len() {
                    self.runs.pop_first();
                }
            }
            Change::AddEvents(rows) => self.events.push(number, rows.clone(), EVENTS_KEPT_MAX),
            Change::AddErrors(errors) => {
                for error in errors {
                    self.add_error(error);
                }
            }
            Change::ClearErrors(database, table) => {
                let first = (database.clone(), table.clone(), None);
                let gone: Vec<Subject> = self
                    .errors
                    .range(first..)
                    .take_while(|((d, t, _), _)| d == database && t == table)
                    .map(|(subject, _)| subject.clone())
                    .collect();
                for subject in gone {
                    self.errors.remove(&subject);
                }
            }
            Change::SetMissingMethods(methods) => self.missing_methods.clone_from(methods),
            Change::SetSourceCount(name, count) => {
                self.source_counts.insert(name.clone(), (*count, now));
            }
            _ => {}
        }
    }

    /// Tables that were dropped.
    pub fn add_dropped(&mut self, rows: Vec<DroppedTable>, number: u64) {
        if !rows.is_empty() {
            self.dropped_tables.push(number, rows, DROPPED_TABLES_KEPT_MAX);
        }
    }

    fn add_error(&mut self, error: &ObjectError) {
        let subject = (error.database.clone(), error.table_name.clone(), error.partition_name.clone());
        if let Some(seen) = self.errors.get_mut(&subject) {
            seen.1 = error.at;
            seen.2 += 1;
            seen.3 = error.clone();
        } else if self.errors.len() < ERRORS_KEPT_MAX {
            self.errors.insert(subject, (error.at, error.at, 1, error.clone()));
        }
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
