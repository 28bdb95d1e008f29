//! Which objects could not be read, so that reading them well is noticed.

use std::collections::{BTreeSet, HashMap};

use crate::change::{Change, ObjectError};
use crate::fault::Fault;
use crate::model::{DatabaseName, TableName};

/// Rows for one table in one go: a broken table of a million partitions shall not push all other
/// rows out of `sync.errors`.
const ERRORS_PER_TABLE_MAX: usize = 1_000;

/// Whom a failure is about: the metastore (`None`), a database, or a table and its partitions.
pub(super) type Subject = (Option<DatabaseName>, Option<String>);

pub(super) fn of_database(database: &DatabaseName) -> Subject {
    (Some(database.clone()), None)
}

pub(super) fn of_table(table: &TableName) -> Subject {
    (Some(table.database.clone()), Some(table.table.clone()))
}

/// What of a subject was read.
pub(super) enum Read<'a> {
    /// All of it.
    Whole,
    /// These partitions, and (`itself`) the table object.
    Part { itself: bool, partitions: &'a BTreeSet<String> },
}

/// A part of a subject that failed: a partition, or (`None`) the subject itself.
pub(super) type Failed = (Option<String>, Fault);

#[derive(Default)]
pub(super) struct Failures(HashMap<Subject, BTreeSet<Option<String>>>);

impl Failures {
    pub fn of<'a>(errors: impl Iterator<Item = &'a ObjectError>) -> Self {
        let mut failures = Self::default();
        for error in errors {
            let subject = (error.database.clone(), error.table_name.clone());
            failures.0.entry(subject).or_default().insert(error.partition_name.clone());
        }
        failures
    }

    /// What to write after reading `subject`: rows of what healed go, rows of what failed come.
    pub fn settle(&mut self, subject: Subject, read: Read, failed: Vec<Failed>, at: i64) -> Vec<Change> {
        let old = self.0.remove(&subject).unwrap_or_default();
        if old.is_empty() && failed.is_empty() {
            return Vec::new();
        }
        let new: BTreeSet<_> = failed.iter().map(|(part, _)| part.clone()).collect();
        let still: BTreeSet<_> = match read {
            Read::Whole => BTreeSet::new(),
            Read::Part { itself, partitions } => {
                let is_read = |part: &Option<String>| match part {
                    Some(name) => partitions.contains(name),
                    None => itself,
                };
                old.iter().filter(|part| !is_read(part) && !new.contains(*part)).cloned().collect()
            }
        };
        let mut changes = Vec::new();
        // Rows go per subject, so they go only when none of them has to stay.
        if still.is_empty() && !old.is_subset(&new) {
            changes.push(Change::ClearErrors(subject.0.clone(), subject.1.clone()));
        }
        if !failed.is_empty() {
            let row = |(partition_name, fault): Failed| ObjectError {
                database: subject.0.clone(),
                table_name: subject.1.clone(),
                partition_name,
                fault,
                at,
            };
            changes.push(Change::AddErrors(failed.into_iter().take(ERRORS_PER_TABLE_MAX).map(row).collect()));
        }
        let all: BTreeSet<_> = still.union(&new).cloned().collect();
        if !all.is_empty() {
            self.0.insert(subject, all);
        }
        changes
    }

    /// Rows of objects of the database that no longer exist go.
    pub fn forget_all_but(&mut self, database: &DatabaseName, exists: impl Fn(&str) -> bool) -> Vec<Change> {
        let is_gone = |subject: &Subject| {
            subject.0.as_ref() == Some(database) && subject.1.as_ref().is_some_and(|table| !exists(table))
        };
        let gone: Vec<Subject> = self.0.keys().filter(|subject| is_gone(subject)).cloned().collect();
        gone.into_iter()
            .map(|subject| {
                self.0.remove(&subject);
                Change::ClearErrors(subject.0, subject.1)
            })
            .collect()
    }

    /// Tables that failed or have partitions that failed, at most `max`.
    pub fn tables(&self, max: usize) -> Vec<TableName> {
        let table = |(database, table): &Subject| Some(database.as_ref()?.table(table.as_ref()?));
        self.0.keys().filter_map(table).take(max).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fault::Code;

    fn subject() -> Subject {
        of_table(&DatabaseName::new("hive", "d").table("t"))
    }
    fn fails(part: &str) -> Failed {
        (Some(part.into()), Fault::new(Code::METASTORE_ERROR, "get_partition", "boom"))
    }
    fn shape(changes: &[Change]) -> Vec<&'static str> {
        let name = |change: &Change| match change {
            Change::ClearErrors(..) => "clear",
            Change::AddErrors(_) => "add",
            _ => "other",
        };
        changes.iter().map(name).collect()
    }

    #[test]
    fn rows_stay_while_anything_of_them_stays_broken() {
        let mut failures = Failures::default();
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![], 0)), [] as [&str; 0]);
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![fails("a"), fails("b")], 0)), ["add"]);
        let partitions = BTreeSet::from(["a".to_string()]);
        assert_eq!(
            shape(&failures.settle(
                subject(),
                Read::Part { itself: true, partitions: &partitions },
                vec![],
                0
            )),
            [] as [&str; 0],
            "b may still be broken"
        );
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![fails("b")], 0)), ["add"]);
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![], 0)), ["clear"]);
        assert_eq!(failures.tables(9), []);
    }

    #[test]
    fn what_healed_goes_when_something_else_fails() {
        let mut failures = Failures::default();
        failures.settle(subject(), Read::Whole, vec![fails("a")], 0);
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![fails("b")], 0)), ["clear", "add"]);
        let database = DatabaseName::new("hive", "d");
        assert_eq!(shape(&failures.forget_all_but(&database, |_| false)), ["clear"]);
    }
}
