//! What a run of events asks for: which names moved, and what has to be read again.
//!
//! Pure: events in, plan out. Structural events (renames, drops, databases that came) are kept
//! in order, because they decide which id an object has; everything else is only a note that an
//! object was touched, since its newest state is read from the metastore anyway.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{DatabaseName, TableName};
use crate::ports::{EventSubject, SourceEvent};

/// A structural event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Rename {
        from: TableName,
        to: TableName,
    },
    DropTable(TableName),
    DropDatabase(DatabaseName),
    /// The database came or changed: it is read and put here, in its place among the others.
    PutDatabase(DatabaseName),
}

/// Which partitions of a table to read again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Partitions {
    #[default]
    None,
    /// These; one that is not found is dropped.
    Named(BTreeSet<String>),
    /// All names are listed, what is not listed is dropped, the rest is read.
    All,
}

impl Partitions {
    fn touch(&mut self, names: &[String]) {
        match self {
            _ if names.is_empty() => *self = Self::All,
            Self::All => {}
            Self::Named(set) => set.extend(names.iter().cloned()),
            Self::None => *self = Self::Named(names.iter().cloned().collect()),
        }
    }
}

/// What to read again of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TableWork {
    /// The table itself.
    pub reads_table: bool,
    /// Not found, it is dropped. Unset while events may still be waiting that tell where it went:
    /// a table renamed since would lose its number.
    pub drops_not_found: bool,
    /// It was created by one of these events, so its partitions have events of their own.
    pub is_created: bool,
    pub partitions: Partitions,
    /// Constraints and column statistics. Metastores before Hive 4 write no event for statistics,
    /// only the change of the table that goes with them.
    pub details: bool,
}

impl TableWork {
    pub fn whole() -> Self {
        Self { reads_table: true, partitions: Partitions::All, details: true, ..Self::default() }
    }
}

/// What a run of events asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Tables and databases that lost their name in `steps`: what the mirror holds under such a
    /// name is not what the metastore has there now.
    pub gone: BTreeSet<TableName>,
    /// See `gone`.
    pub gone_databases: BTreeSet<DatabaseName>,
    pub catalogs: bool,
    pub functions: BTreeSet<DatabaseName>,
    pub tables: BTreeMap<TableName, TableWork>,
}

pub(super) fn plan(events: &[SourceEvent]) -> Plan {
    let mut plan = Plan::default();
    for event in events {
        plan.add(&event.subject);
    }
    plan
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Databases to read.
    pub fn databases(&self) -> BTreeSet<DatabaseName> {
        let database = |step: &Step| match step {
            Step::PutDatabase(name) => Some(name.clone()),
            _ => None,
        };
        self.steps.iter().filter_map(database).collect()
    }

    /// Asks for the database to be read, after the steps so far.
    pub fn put_database(&mut self, name: &DatabaseName) {
        let is_later = self.steps.iter().rev().find_map(|step| match step {
            Step::PutDatabase(other) if other == name => Some(true),
            Step::DropDatabase(other) if other == name => Some(false),
            _ => None,
        });
        if is_later != Some(true) {
            self.steps.push(Step::PutDatabase(name.clone()));
        }
    }

    fn work(&mut self, table: &TableName) -> &mut TableWork {
        self.tables.entry(table.clone()).or_default()
    }

    fn add(&mut self, subject: &EventSubject) {
        match subject {
            EventSubject::Nothing => {}
            EventSubject::Catalogs => self.catalogs = true,
            EventSubject::DatabasePut(name) => self.put_database(name),
            EventSubject::DatabaseDropped(name) => {
                self.tables.retain(|table, _| table.database != *name);
                self.functions.remove(name);
                self.gone_databases.insert(name.clone());
                self.steps.push(Step::DropDatabase(name.clone()));
            }
            EventSubject::TableCreated(table) => {
                let work = self.work(table);
                *work = TableWork {
                    reads_table: true,
                    is_created: true,
                    details: true,
                    partitions: std::mem::take(&mut work.partitions),
                    ..TableWork::default()
                };
            }
            EventSubject::TableAltered(table) => {
                let work = self.work(table);
                work.reads_table = true;
                work.details = true;
            }
            EventSubject::TableRenamed { from, to } => {
                self.tables.remove(from);
                // Locations of partitions may have moved with the name.
                self.tables.insert(to.clone(), TableWork::whole());
                // Nothing is left under the old name, unless something else was created there; and
                // asking settles a rename that the mirror could not follow.
                *self.work(from) =
                    TableWork { reads_table: true, drops_not_found: true, ..TableWork::default() };
                self.gone.insert(from.clone());
                self.gone.insert(to.clone());
                self.steps.push(Step::Rename { from: from.clone(), to: to.clone() });
            }
            EventSubject::TableDropped(table) => {
                self.tables.remove(table);
                self.gone.insert(table.clone());
                self.steps.push(Step::DropTable(table.clone()));
            }
            EventSubject::PartitionsPut(table, names) | EventSubject::PartitionsDropped(table, names) => {
                self.work(table).partitions.touch(names);
            }
            EventSubject::PartitionRenamed { table, from, to } => {
                self.work(table).partitions.touch(&[from.clone(), to.clone()]);
            }
            EventSubject::Functions(database) => {
                self.functions.insert(database.clone());
            }
            EventSubject::TableDetails(table) => {
                let work = self.work(table);
                // Which columns there are is asked from the table.
                work.reads_table = true;
                work.details = true;
            }
        }
    }
}

/// How many of the events to take at once: those that ask for the details of at most
/// `tables_max` tables, and at least one. Details take several calls per table.
pub(super) fn taken_at_once(events: &[SourceEvent], tables_max: usize) -> usize {
    let mut tables = BTreeSet::new();
    let asks_for_more = |event: &SourceEvent| {
        match &event.subject {
            EventSubject::TableCreated(table)
            | EventSubject::TableAltered(table)
            | EventSubject::TableDetails(table)
            | EventSubject::TableRenamed { to: table, .. } => tables.insert(table.clone()),
            _ => false,
        };
        tables_max < tables.len()
    };
    events.iter().position(asks_for_more).unwrap_or(events.len()).max(1)
}

/// Partitions that an event names.
pub(super) fn partition_count(subject: &EventSubject) -> u64 {
    match subject {
        EventSubject::PartitionsPut(_, names) | EventSubject::PartitionsDropped(_, names) => {
            names.len() as u64
        }
        EventSubject::PartitionRenamed { .. } => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> DatabaseName {
        DatabaseName::new("hive", "d")
    }
    fn table(name: &str) -> TableName {
        database().table(name)
    }
    fn event(subject: EventSubject) -> SourceEvent {
        SourceEvent {
            event_id: 1,
            event_time: 0,
            event_type: String::new(),
            catalog_name: None,
            database_name: None,
            table_name: None,
            subject,
        }
    }
    fn planned(subjects: Vec<EventSubject>) -> Plan {
        plan(&subjects.into_iter().map(event).collect::<Vec<_>>())
    }
    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn details_of_few_tables_are_asked_for_at_once() {
        let altered: Vec<SourceEvent> = ["a", "b", "a", "c", "b"]
            .into_iter()
            .flat_map(|name| {
                let partitions = EventSubject::PartitionsPut(table(&format!("p{name}")), vec![]);
                [event(partitions), event(EventSubject::TableAltered(table(name)))]
            })
            .collect();
        assert_eq!(taken_at_once(&altered, 2), 7, "up to the third table that was altered");
        assert_eq!(taken_at_once(&altered, 3), 10);
        assert_eq!(taken_at_once(&altered[1..], 0), 1, "never none");
    }

    #[test]
    fn a_thousand_alters_of_one_table_are_one_read() {
        let plan = planned(vec![EventSubject::TableAltered(table("t")); 1000]);
        assert_eq!(plan.tables.len(), 1);
        assert!(plan.steps.is_empty());
    }

    #[test]
    fn partitions_put_and_dropped_are_read_by_name() {
        let plan = planned(vec![
            EventSubject::PartitionsPut(table("t"), names(&["a=1", "a=2"])),
            EventSubject::PartitionsDropped(table("t"), names(&["a=2", "a=3"])),
        ]);
        let expected = Partitions::Named(names(&["a=1", "a=2", "a=3"]).into_iter().collect());
        assert_eq!(plan.tables[&table("t")].partitions, expected);
        assert!(!plan.tables[&table("t")].reads_table);
    }

    #[test]
    fn unnamed_partitions_mean_all() {
        let plan = planned(vec![
            EventSubject::PartitionsPut(table("t"), names(&["a=1"])),
            EventSubject::PartitionsDropped(table("t"), vec![]),
            EventSubject::PartitionsPut(table("t"), names(&["a=2"])),
        ]);
        assert_eq!(plan.tables[&table("t")].partitions, Partitions::All);
    }

    #[test]
    fn drop_and_create_is_a_drop_before_the_read() {
        let plan = planned(vec![
            EventSubject::TableAltered(table("t")),
            EventSubject::TableDropped(table("t")),
            EventSubject::TableCreated(table("t")),
        ]);
        assert_eq!(plan.steps, [Step::DropTable(table("t"))]);
        assert!(plan.tables[&table("t")].is_created);
        assert!(plan.gone.contains(&table("t")));
    }

    #[test]
    fn a_dropped_table_is_not_asked_for() {
        let plan =
            planned(vec![EventSubject::TableCreated(table("t")), EventSubject::TableDropped(table("t"))]);
        assert!(plan.tables.is_empty());
    }

    #[test]
    fn a_rename_reads_the_new_name_wholly_and_looks_for_the_old() {
        let plan = planned(vec![
            EventSubject::PartitionsPut(table("a"), names(&["k=1"])),
            EventSubject::TableRenamed { from: table("a"), to: table("b") },
        ]);
        assert_eq!(plan.steps, [Step::Rename { from: table("a"), to: table("b") }]);
        assert_eq!(plan.tables[&table("b")], TableWork::whole());
        let old = TableWork { reads_table: true, drops_not_found: true, ..TableWork::default() };
        assert_eq!(plan.tables[&table("a")], old);
    }

    #[test]
    fn a_database_that_came_stands_before_the_tables_moved_into_it() {
        let other = DatabaseName::new("hive", "e");
        let plan = planned(vec![
            EventSubject::DatabaseDropped(other.clone()),
            EventSubject::DatabasePut(other.clone()),
            EventSubject::TableRenamed { from: table("a"), to: other.table("a") },
            EventSubject::DatabasePut(other.clone()),
        ]);
        assert_eq!(
            plan.steps,
            [
                Step::DropDatabase(other.clone()),
                Step::PutDatabase(other.clone()),
                Step::Rename { from: table("a"), to: other.table("a") },
            ]
        );
    }

    #[test]
    fn a_dropped_database_takes_its_tables_with_it() {
        let plan = planned(vec![
            EventSubject::TableAltered(table("t")),
            EventSubject::Functions(database()),
            EventSubject::DatabaseDropped(database()),
        ]);
        assert!(plan.tables.is_empty() && plan.functions.is_empty());
        assert_eq!(plan.steps, [Step::DropDatabase(database())]);
    }
}
