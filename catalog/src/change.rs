//! Everything that can happen to the mirror, in one vocabulary.
//!
//! The mirror turns what it read into changes; [`crate::store::Catalog::apply`] makes a list of
//! them durable and visible in one step. An object whose digest is the stored one is not
//! rewritten and not reported; only its stamp moves on.

use crate::fault::Fault;
use crate::model::{
    CatalogObject, Database, DatabaseName, Function, Item, MetastoreId, Partition, Privilege, Table,
    TableDetails, TableName,
};
use crate::ports::SourceFacts;

/// When, and from which event of the metastore, something was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was read, in microseconds since 1970.
    pub synced_at: i64,
    /// The newest event id that the read is known to include; `None` without a log.
    pub source_event_id: Option<i64>,
}

/// How a metastore's changes are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowMode {
    /// Not decided yet.
    #[default]
    Unknown,
    /// Notification log.
    Events,
    /// Listing and reading again.
    Polling,
}

/// What the follower of a metastore is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowState {
    /// Nothing running: not begun yet, or not in this process.
    #[default]
    Pending,
    /// The first mirror is being read.
    Mirroring,
    /// Complete and following.
    Following,
    /// Everything is being read again after lost events or a format change.
    Repairing,
    /// The last try failed; the error columns say why.
    Error,
    /// Told to pause.
    Paused,
}

/// Volatile state of a metastore's follower: shown in `federation.metastores` and `sync.status`,
/// kept in memory, written with the next durable change and by [`crate::store::Catalog::flush`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FollowStatus {
    /// Events or polling.
    pub mode: FollowMode,
    /// What it is doing.
    pub state: FollowState,
    /// Newest event id of the metastore.
    pub head_event_id: Option<i64>,
    /// Age of the oldest event not applied yet, in ms; 0 when none is waiting; with polling the
    /// age of the last complete pass.
    pub lag_ms: Option<i64>,
    /// Up to when the mirror is known to include everything, in microseconds since 1970; with
    /// events.
    pub current_at: Option<i64>,
    /// When the next run begins, in microseconds since 1970.
    pub next_run_at: Option<i64>,
    /// When the last complete pass over all objects began, in microseconds since 1970.
    pub last_pass_at: Option<i64>,
    /// Why the last try failed, and when (microseconds since 1970).
    pub error: Option<(Fault, i64)>,
    /// What the metastore said about itself when last probed.
    pub facts: Option<SourceFacts>,
}

/// How long a look at the log may take before what was true at the last one is no longer said of
/// now.
const LOOK_MICROS_MAX: i64 = 5_000_000;

impl FollowStatus {
    /// The lag as it is at `now` (microseconds since 1970): what the last look found, and more
    /// the longer nobody could look, or a look takes.
    pub fn lag_ms_at(&self, now: i64) -> Option<i64> {
        let is_look_late = self.next_run_at.is_some_and(|due| due.saturating_add(LOOK_MICROS_MAX) < now);
        let since = match self.mode {
            FollowMode::Polling => self.last_pass_at,
            _ if self.state != FollowState::Following || is_look_late => self.current_at,
            _ => None,
        };
        let age_ms = since.map(|since| (now.saturating_sub(since) / 1_000).max(0));
        self.lag_ms.max(age_ms)
    }
}

/// One endpoint of a metastore as last seen: a row of `federation.endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointStatus {
    /// `thrift://host:port`.
    pub uri: String,
    /// `unknown`, `ok` or `error`.
    pub state: &'static str,
    /// Time of the last connect, in ms.
    pub latency_ms: Option<f64>,
    /// Last success, in microseconds since 1970.
    pub last_ok_at: Option<i64>,
    /// Last error.
    pub error_message: Option<String>,
    /// `config`, later `zookeeper`.
    pub found_by: &'static str,
}

/// A row of `sync.runs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Number, rising per catalog; a run that goes on after a restart keeps it.
    pub run_id: u64,
    /// `first`, `repair`, `poll`, `refresh`: everything is read; `events`: those that waited are
    /// applied.
    pub kind: String,
    /// `running`, `done`, `partial` (objects failed, see `sync.errors`), `failed`, `interrupted`,
    /// `abandoned` (a first mirror that cannot go on: another metastore answers).
    pub state: String,
    /// Begin, in microseconds since 1970.
    pub started_at: i64,
    /// End.
    pub finished_at: Option<i64>,
    /// The metastore's newest event id before the run began.
    pub start_event_id: Option<i64>,
    /// Objects read.
    pub objects_read: u64,
    /// Objects that were new or different.
    pub objects_changed: u64,
    /// Why it failed.
    pub error_message: Option<String>,
}

/// A row of `sync.events`: one change seen at a metastore.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// The metastore's event id; `None` when a comparison found the change (polling, repair).
    pub event_id: Option<i64>,
    /// The metastore's event type, or `FOUND_NEW`, `FOUND_CHANGED`, `FOUND_DROPPED`.
    pub event_type: String,
    /// Catalog.
    pub catalog_name: String,
    /// Database, when it is about one.
    pub database_name: Option<String>,
    /// Table, when it is about one.
    pub table_name: Option<String>,
    /// How many partitions it names.
    pub partition_count: u64,
    /// When the metastore wrote it, in microseconds since 1970; `None` when found by comparison.
    pub event_at: Option<i64>,
    /// When it was applied here.
    pub applied_at: i64,
}

/// A row of `sync.errors`: one per object, counted up.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenError {
    /// When it was first seen, in microseconds since 1970.
    pub first_seen_at: i64,
    /// When it was last seen, in microseconds since 1970.
    pub last_seen_at: i64,
    /// How often it was seen.
    pub count: u64,
    /// As last seen.
    pub error: ObjectError,
}

/// An object that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectError {
    /// Database, when it is about one.
    pub database: Option<DatabaseName>,
    /// Table, when it is about one.
    pub table_name: Option<String>,
    /// Partition, when it is about one.
    pub partition_name: Option<String>,
    /// What went wrong.
    pub fault: Fault,
    /// When, in microseconds since 1970.
    pub at: i64,
}

/// A row of `sync.coverage` below the metastore level: what is not mirrored because the server
/// lacks a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingMethod {
    /// The Thrift method.
    pub method: String,
    /// What is missing because of it: `functions`, `constraints`, ...
    pub object_kind: String,
}

/// One change. Names are resolved when it is applied, in the order of the list; a change below
/// an object that does not exist is skipped (the object was dropped by an earlier one).
#[derive(Clone, Debug)]
// Lists of changes are short and most of what they hold is in `PutPartitions`.
#[allow(clippy::large_enum_variant)]
pub enum Change {
    /// A catalog exists.
    PutCatalog(Item<CatalogObject>),
    /// A catalog is gone, with all in it.
    DropCatalog(String),
    /// A database exists, so.
    PutDatabase(DatabaseName, Item<Database>),
    /// A database is gone, with all in it.
    DropDatabase(DatabaseName),
    /// A table exists, so. Its partitions stay.
    PutTable(TableName, Item<Table>),
    /// A table has a new name; id, partitions and details stay. An object that already has the
    /// new name is dropped first. Skipped as a whole when nothing has the old name (events are
    /// replayed over newer reads).
    RenameTable {
        /// Old name.
        from: TableName,
        /// New name.
        to: TableName,
    },
    /// A table is gone. It gets a row in `catalog.dropped_tables`.
    DropTable(TableName),
    /// Partitions exist, so; by partition name.
    PutPartitions(TableName, Vec<(String, Item<Partition>)>),
    /// Partitions are gone, by name. Unknown names are ignored.
    DropPartitions(TableName, Vec<String>),
    /// These are all functions of the database, with those of these names, which could not be
    /// read: they stay as they are, with the time at which they were read.
    SetFunctions(DatabaseName, Vec<Item<Function>>, Vec<String>),
    /// These are all constraints and column statistics of the table.
    SetTableDetails(TableName, TableDetails),
    /// These are all grants of the metastore.
    SetPrivileges(Vec<Item<Privilege>>),
    /// All events up to this id are included.
    SetPosition(i64),
    /// There is no log to have a position in any more, or another one than before.
    ClearPosition,
    /// A mark of the run under way, so that it resumes after a crash: this database is read
    /// completely. Marks of another run are forgotten by the first mark of this one, and by
    /// nothing else.
    MarkDatabaseDone(u64, DatabaseName),
    /// A run began, went on or ended; the run of the same id is replaced. The first one that ends
    /// as `done` or `partial` sets `mirrored_at` of the metastore.
    PutRun(Run),
    /// Changes to show in `sync.events`.
    AddEvents(Vec<EventRow>),
    /// Objects that could not be read.
    AddErrors(Vec<ObjectError>),
    /// Objects of this database and table were read without error: their rows in `sync.errors`
    /// go. `None` for the table means the database itself, `None` for both the metastore.
    ClearErrors(Option<DatabaseName>, Option<String>),
    /// The same of only these partitions of the subject; `None` is the row of the subject itself.
    ClearErrorsOf(Option<DatabaseName>, Option<String>, Vec<Option<String>>),
    /// What the server lacks.
    SetMissingMethods(Vec<MissingMethod>),
    /// How many tables the metastore listed for a database: the `source_count` of coverage.
    SetSourceCount(DatabaseName, u64),
}

/// What a list of changes came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Objects that were new.
    pub created_count: u64,
    /// Objects that were there and differed.
    pub altered_count: u64,
    /// Objects that were there and are gone.
    pub dropped_count: u64,
    /// Objects that were there and equal.
    pub unchanged_count: u64,
    /// Databases and tables among those that were new, differed or went, in order, for
    /// `sync.events` when a comparison found them.
    pub found: Vec<Found>,
}

impl Applied {
    /// Objects that were new, differed or went.
    pub fn changed_count(&self) -> u64 {
        self.created_count + self.altered_count + self.dropped_count
    }

    /// Objects that were read: all but those that went.
    pub fn read_count(&self) -> u64 {
        self.created_count + self.altered_count + self.unchanged_count
    }

    /// Adds the counts of another list.
    pub fn add_counts(&mut self, other: &Self) {
        self.created_count += other.created_count;
        self.altered_count += other.altered_count;
        self.dropped_count += other.dropped_count;
        self.unchanged_count += other.unchanged_count;
    }
}

/// One object that a comparison found new, changed or gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `FOUND_NEW`, `FOUND_CHANGED` or `FOUND_DROPPED`.
    pub what: &'static str,
    /// Database.
    pub database: DatabaseName,
    /// Table, `None` when the database itself.
    pub table_name: Option<String>,
    /// How many of the table's partitions, 0 when the table itself.
    pub partition_count: u64,
}

/// Who the changes are of, and when they were read.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The metastore.
    pub metastore: MetastoreId,
    /// Stamp for every object in the list.
    pub stamp: Stamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_hangs_lets_the_lag_grow() {
        let status = FollowStatus {
            mode: FollowMode::Events,
            state: FollowState::Following,
            lag_ms: Some(0),
            current_at: Some(1_000_000),
            next_run_at: Some(1_500_000),
            ..FollowStatus::default()
        };
        assert_eq!(status.lag_ms_at(2_000_000), Some(0));
        assert_eq!(status.lag_ms_at(1_500_000 + LOOK_MICROS_MAX), Some(0));
        assert_eq!(status.lag_ms_at(61_000_000), Some(60_000));
    }
}
