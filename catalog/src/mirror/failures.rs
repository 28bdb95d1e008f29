//! Which objects could not be read, so that reading them well is noticed.

use std::collections::{BTreeSet, HashMap};

use super::plan::{Partitions, TableWork};
use crate::change::{Change, ObjectError};
use crate::fault::{Code, Fault};
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

/// A part of a subject that is read by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The object.
    Itself,
    /// Names of what is in it.
    Listing,
    /// Functions of a database.
    Functions,
    /// Constraints and column statistics of a table.
    Details,
    /// Grants of a metastore.
    Grants,
    /// A partition of a table.
    Partition(String),
    /// One of them; a former process did not say which.
    Unknown,
}

/// What of a subject was read.
#[derive(Clone, Copy)]
pub(super) enum Read<'a> {
    /// All of it.
    Whole,
    /// Parts for which this holds.
    Only(&'a (dyn Fn(&Part) -> bool + Sync)),
}

/// A part of a subject that failed.
pub(super) type Failed = (Part, Fault);

/// Pauses between tries of a table that failed.
const RETRY_PAUSE_MICROS_MIN: i64 = 60_000_000;
const RETRY_PAUSE_MICROS_MAX: i64 = 3_600_000_000;

#[derive(Default)]
pub(super) struct Failures(HashMap<Subject, Broken>);

/// What of a subject is broken, and when it is tried again.
struct Broken {
    parts: BTreeSet<Part>,
    retry_at: i64,
    pause_micros: i64,
}

impl Broken {
    fn new(now: i64) -> Self {
        Self {
            parts: BTreeSet::new(),
            retry_at: now.saturating_add(RETRY_PAUSE_MICROS_MIN),
            pause_micros: RETRY_PAUSE_MICROS_MIN,
        }
    }

    fn partitions(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().filter_map(partition_of)
    }

    fn partition_count(&self) -> usize {
        self.partitions().count()
    }

    /// The rows of `sync.errors` that tell of it, by partition: `None` is the one of the subject
    /// itself, which also tells of the partitions that have none.
    fn rows(&self) -> BTreeSet<Option<String>> {
        let mut rows: BTreeSet<_> = self.partitions().take(ERRORS_PER_TABLE_MAX).cloned().map(Some).collect();
        if rows.len() < self.parts.len() {
            rows.insert(None);
        }
        rows
    }

    /// Puts the next try off, ever longer.
    fn put_off(&mut self, now: i64) {
        self.pause_micros = (self.pause_micros * 2).min(RETRY_PAUSE_MICROS_MAX);
        self.retry_at = now.saturating_add(self.pause_micros);
    }
}

/// The partition that a part's row in `sync.errors` names.
fn partition_of(part: &Part) -> Option<&String> {
    match part {
        Part::Partition(name) => Some(name),
        _ => None,
    }
}

impl Failures {
    pub fn of<'a>(errors: impl Iterator<Item = &'a ObjectError>, now: i64) -> Self {
        let mut failures = Self::default();
        for error in errors {
            let part = match (&error.partition_name, &error.table_name) {
                (Some(name), _) => Part::Partition(name.clone()),
                (None, Some(_)) => Part::Itself,
                (None, None) => Part::Unknown,
            };
            let subject = (error.database.clone(), error.table_name.clone());
            failures.0.entry(subject).or_insert_with(|| Broken::new(now)).parts.insert(part);
        }
        failures
    }

    /// Takes over what is stored; of what is known already, it stays known which part it is.
    pub fn recall<'a>(&mut self, errors: impl Iterator<Item = &'a ObjectError>, now: i64) {
        let mut old = std::mem::replace(self, Self::of(errors, now));
        for (subject, broken) in &mut self.0 {
            if let Some(old) = old.0.remove(subject) {
                *broken = old;
            }
        }
    }

    /// Whether this part of the subject failed when it was last read.
    pub fn has(&self, subject: &Subject, part: &Part) -> bool {
        let parts = self.0.get(subject).map(|broken| &broken.parts);
        parts.is_some_and(|parts| parts.contains(part) || parts.contains(&Part::Unknown))
    }

    /// What to write after reading `subject`: rows of what healed go, rows of what failed come.
    pub fn settle(&mut self, subject: Subject, read: Read, failed: Vec<Failed>, at: i64) -> Vec<Change> {
        let old = self.0.remove(&subject);
        if old.is_none() && failed.is_empty() {
            return Vec::new();
        }
        let mut broken = old.unwrap_or_else(|| Broken::new(at));
        let old_rows = broken.rows();
        let new: BTreeSet<Part> = failed.iter().map(|(part, _)| part.clone()).collect();
        match read {
            Read::Whole => broken.parts.clear(),
            Read::Only(is_read) => broken.parts.retain(|part| !is_read(part)),
        }
        broken.parts.extend(new);
        let rows = broken.rows();
        let mut changes = Vec::new();
        let (database, table) = &subject;
        let healed: Vec<Option<String>> = old_rows.difference(&rows).cloned().collect();
        if rows.is_empty() {
            changes.push(Change::ClearErrors(database.clone(), table.clone()));
        } else if !healed.is_empty() {
            changes.push(Change::ClearErrorsOf(database.clone(), table.clone(), healed));
        }
        let row = |partition_name, fault| ObjectError {
            database: database.clone(),
            table_name: table.clone(),
            partition_name,
            fault,
            at,
        };
        let fault = failed.first().map(|(_, fault)| fault.clone());
        let mut errors: Vec<ObjectError> = failed
            .into_iter()
            .map(|(part, fault)| row(partition_of(&part).cloned(), fault))
            .filter(|error| rows.contains(&error.partition_name))
            .collect();
        let more = broken.partition_count().saturating_sub(ERRORS_PER_TABLE_MAX);
        if more != 0 {
            match errors.iter_mut().find(|error| error.partition_name.is_none()) {
                Some(error) => error.fault.why.push_str(&format!("; {more} more partitions failed")),
                None => {
                    let code = fault.map_or(Code::METASTORE_ERROR, |fault| fault.code);
                    let why = format!("{more} more partitions failed");
                    errors.push(row(None, Fault::new(code, "read partitions", why)));
                }
            }
        }
        if !errors.is_empty() {
            changes.push(Change::AddErrors(errors));
        }
        if !broken.parts.is_empty() {
            self.0.insert(subject, broken);
        }
        changes
    }

    /// Rows of a database that no longer exists go, and of all that was in it.
    pub fn forget_database(&mut self, database: &DatabaseName) -> Vec<Change> {
        self.forget(|subject| subject.0.as_ref() == Some(database))
    }

    /// Rows of databases of the catalog that no longer exist go.
    pub fn forget_databases_but(
        &mut self,
        catalog: &str,
        exists: impl Fn(&DatabaseName) -> bool,
    ) -> Vec<Change> {
        self.forget(|subject| subject.0.as_ref().is_some_and(|name| name.catalog == catalog && !exists(name)))
    }

    /// Rows of a table that no longer exists go.
    pub fn forget_table(&mut self, table: &TableName) -> Vec<Change> {
        let gone = of_table(table);
        self.forget(|subject| *subject == gone)
    }

    /// Rows of objects of the database that no longer exist go.
    pub fn forget_all_but(&mut self, database: &DatabaseName, exists: impl Fn(&str) -> bool) -> Vec<Change> {
        self.forget(|subject| {
            subject.0.as_ref() == Some(database) && subject.1.as_ref().is_some_and(|table| !exists(table))
        })
    }

    fn forget(&mut self, is_gone: impl Fn(&Subject) -> bool) -> Vec<Change> {
        let gone: Vec<Subject> = self.0.keys().filter(|subject| is_gone(subject)).cloned().collect();
        gone.into_iter()
            .map(|subject| {
                self.0.remove(&subject);
                Change::ClearErrors(subject.0, subject.1)
            })
            .collect()
    }

    /// What to try again now: of at most `max` tables, those first that have waited longest.
    pub fn due(&mut self, now: i64, max: usize) -> Vec<(TableName, TableWork)> {
        let table = |(database, table): &Subject| Some(database.as_ref()?.table(table.as_ref()?));
        let mut due: Vec<(TableName, &mut Broken)> = self
            .0
            .iter_mut()
            .filter(|(_, broken)| broken.retry_at <= now)
            .filter_map(|(subject, broken)| Some((table(subject)?, broken)))
            .collect();
        due.sort_by(|a, b| (a.1.retry_at, &a.0).cmp(&(b.1.retry_at, &b.0)));
        due.truncate(max);
        due.into_iter()
            .map(|(table, broken)| {
                broken.put_off(now);
                (table, work_for(&broken.parts))
            })
            .collect()
    }

    /// Whether to list the names of everything again now, because some listing failed.
    pub fn is_listing_due(&mut self, now: i64) -> bool {
        let mut is_due = false;
        for (_, broken) in self.0.iter_mut().filter(|(subject, _)| subject.1.is_none()) {
            let is_listing = |part: &Part| matches!(part, Part::Itself | Part::Listing | Part::Unknown);
            if broken.retry_at <= now && broken.parts.iter().any(is_listing) {
                broken.put_off(now);
                is_due = true;
            }
        }
        is_due
    }
}

/// No more than what is broken.
fn work_for(parts: &BTreeSet<Part>) -> TableWork {
    let mut work = TableWork::default();
    let mut names = BTreeSet::new();
    for part in parts {
        match part {
            Part::Partition(name) => {
                names.insert(name.clone());
            }
            Part::Details => {
                work.reads_table = true;
                work.details = true;
            }
            _ => return TableWork::whole(),
        }
    }
    if !names.is_empty() {
        work.partitions = Partitions::Named(names);
    }
    work
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn subject() -> Subject {
        of_table(&DatabaseName::new("hive", "d").table("t"))
    }
    fn fails(part: &str) -> Failed {
        (Part::Partition(part.into()), Fault::new(Code::METASTORE_ERROR, "get_partition", "boom"))
    }
    fn shape(changes: &[Change]) -> Vec<&'static str> {
        let name = |change: &Change| match change {
            Change::ClearErrors(..) => "clear",
            Change::ClearErrorsOf(_, _, names) if names.iter().all(Option::is_some) => "clear some",
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
        let all_but_b = Read::Only(&|part| *part != Part::Partition("b".into()));
        assert_eq!(shape(&failures.settle(subject(), all_but_b, vec![], 0)), ["clear some"], "a healed");
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![fails("b")], 0)), ["add"]);
        assert_eq!(shape(&failures.settle(subject(), Read::Whole, vec![], 0)), ["clear"]);
        assert_eq!(failures.due(i64::MAX, 9), []);
    }

    #[test]
    fn what_healed_goes_when_something_else_fails() {
        let mut failures = Failures::default();
        failures.settle(subject(), Read::Whole, vec![fails("a")], 0);
        let changes = failures.settle(subject(), Read::Whole, vec![fails("b")], 0);
        assert_eq!(shape(&changes), ["clear some", "add"]);
        let database = DatabaseName::new("hive", "d");
        assert_eq!(shape(&failures.forget_all_but(&database, |_| false)), ["clear"]);
    }

    #[test]
    fn tables_are_tried_again_in_turn_ever_later_and_only_what_is_broken() {
        let minute = RETRY_PAUSE_MICROS_MIN;
        let mut failures = Failures::default();
        let table = |n: usize| DatabaseName::new("hive", "d").table(format!("t{n}"));
        for n in 0..3 {
            failures.settle(of_table(&table(n)), Read::Whole, vec![fails("k=1")], 0);
        }
        let mut tried =
            |at: i64| failures.due(at * minute, 2).into_iter().map(|due| due.0).collect::<Vec<_>>();
        assert_eq!(tried(0), []);
        assert_eq!(tried(1), [table(0), table(1)]);
        assert_eq!(tried(1), [table(2)], "all get their turn");
        assert_eq!(tried(2), []);
        assert_eq!(tried(3), [table(0), table(1)], "the pause doubles");
        assert_eq!(tried(6), [table(2)]);
        assert_eq!(tried(7), [table(0), table(1)]);
        let work = failures.due(i64::MAX, 1).remove(0).1;
        let named = Partitions::Named(BTreeSet::from(["k=1".to_string()]));
        assert_eq!(work, TableWork { partitions: named, ..TableWork::default() });
    }

    #[test]
    fn one_row_tells_of_the_partitions_that_have_none() {
        let mut failures = Failures::default();
        let many = |count: usize| (0..count).map(|n| fails(&format!("k={n:05}"))).collect::<Vec<_>>();
        let rows = |changes: &[Change]| match changes.last() {
            Some(Change::AddErrors(errors)) => errors.clone(),
            other => panic!("{other:?}"),
        };
        let errors = rows(&failures.settle(subject(), Read::Whole, many(ERRORS_PER_TABLE_MAX + 7), 0));
        assert_eq!(errors.len(), ERRORS_PER_TABLE_MAX + 1);
        let summary = errors.iter().find(|error| error.partition_name.is_none()).unwrap();
        assert_eq!(summary.fault.why, "7 more partitions failed");
        let changes = failures.settle(subject(), Read::Whole, many(ERRORS_PER_TABLE_MAX), 0);
        let Change::ClearErrorsOf(_, _, gone) = &changes[0] else { panic!("{changes:?}") };
        assert_eq!(gone, &[None], "none is without a row any more");
    }

    #[test]
    fn listings_that_failed_are_tried_again_ever_later() {
        let minute = RETRY_PAUSE_MICROS_MIN;
        let mut failures = Failures::default();
        let fault = || Fault::new(Code::METASTORE_ERROR, "get_functions", "boom");
        let database = || of_database(&DatabaseName::new("hive", "d"));
        failures.settle(database(), Read::Whole, vec![(Part::Functions, fault())], 0);
        assert!(!failures.is_listing_due(i64::MAX), "no listing");
        failures.settle(database(), Read::Whole, vec![(Part::Listing, fault())], 0);
        failures.settle(subject(), Read::Whole, vec![fails("k=1")], 0);
        let due = [0, 1, 2, 3].map(|at| failures.is_listing_due(at * minute));
        assert_eq!(due, [false, true, false, true]);
    }

    #[test]
    fn a_part_that_was_not_read_stays_broken() {
        let mut failures = Failures::default();
        let database = || of_database(&DatabaseName::new("hive", "d"));
        let fault = Fault::new(Code::METASTORE_ERROR, "get_functions", "boom");
        failures.settle(database(), Read::Whole, vec![(Part::Functions, fault)], 0);
        let listing = Read::Only(&|part| *part == Part::Listing);
        assert_eq!(shape(&failures.settle(database(), listing, vec![], 0)), [] as [&str; 0]);
        assert_eq!(shape(&failures.settle(database(), Read::Whole, vec![], 0)), ["clear"]);
    }
}
