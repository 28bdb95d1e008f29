//! The notification log: what changed, in order, rendered when it is asked for.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use skep_catalog::model::TableName;

use crate::partitions::Kept;

/// A table as it was when something happened to it.
#[derive(Clone, Debug)]
pub(crate) struct TableImage {
    pub(crate) name: TableName,
    /// Fields of the struct but name, database and catalog.
    pub(crate) fields: Bytes,
    pub(crate) keys: Vec<String>,
    pub(crate) shown: Shown,
}

/// What messages show of a table, rendered once for all events between two of its changes.
pub(crate) type Shown = Arc<OnceLock<ShownTable>>;

/// See [`Shown`].
#[derive(Debug)]
pub(crate) struct ShownTable {
    pub(crate) table_type: String,
    /// The struct as TJSON.
    pub(crate) json: String,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    CreateCatalog {
        catalog: String,
    },
    DropCatalog {
        catalog: String,
    },
    CreateDatabase {
        catalog: String,
        database: String,
        image: Bytes,
    },
    AlterDatabase {
        catalog: String,
        database: String,
        before: Bytes,
        after: Bytes,
    },
    DropDatabase {
        catalog: String,
        database: String,
        image: Bytes,
    },
    CreateTable(TableImage),
    AlterTable {
        before: TableImage,
        after: TableImage,
    },
    DropTable(TableImage),
    AddPartitions(TableImage, Vec<Kept>),
    AlterPartition {
        table: TableImage,
        before: Kept,
        after: Kept,
    },
    /// One event for many, without images of before (4.1 and later).
    AlterPartitions(TableImage, Vec<Kept>),
    DropPartitions(TableImage, Vec<Vec<String>>),
    CreateFunction {
        catalog: String,
        database: String,
        image: Bytes,
    },
    DropFunction {
        catalog: String,
        database: String,
        name: String,
    },
}

impl Happening {
    /// `CREATE_TABLE`, ... as Hive writes it.
    pub(crate) fn event_type(&self) -> &'static str {
        match self {
            Self::CreateCatalog { .. } => "CREATE_CATALOG",
            Self::DropCatalog { .. } => "DROP_CATALOG",
            Self::CreateDatabase { .. } => "CREATE_DATABASE",
            Self::AlterDatabase { .. } => "ALTER_DATABASE",
            Self::DropDatabase { .. } => "DROP_DATABASE",
            Self::CreateTable(_) => "CREATE_TABLE",
            Self::AlterTable { .. } => "ALTER_TABLE",
            Self::DropTable(_) => "DROP_TABLE",
            Self::AddPartitions(..) => "ADD_PARTITION",
            Self::AlterPartition { .. } => "ALTER_PARTITION",
            Self::AlterPartitions(..) => "ALTER_PARTITIONS",
            Self::DropPartitions(..) => "DROP_PARTITION",
            Self::CreateFunction { .. } => "CREATE_FUNCTION",
            Self::DropFunction { .. } => "DROP_FUNCTION",
        }
    }

    /// Catalog, database and table columns of the row. A rename carries the new name.
    pub(crate) fn place(&self) -> (&str, Option<&str>, Option<&str>) {
        match self {
            Self::CreateCatalog { catalog } | Self::DropCatalog { catalog } => (catalog, None, None),
            Self::CreateDatabase { catalog, database, .. }
            | Self::AlterDatabase { catalog, database, .. }
            | Self::DropDatabase { catalog, database, .. }
            | Self::CreateFunction { catalog, database, .. }
            | Self::DropFunction { catalog, database, .. } => (catalog, Some(database), None),
            Self::CreateTable(image)
            | Self::AlterTable { after: image, .. }
            | Self::DropTable(image)
            | Self::AddPartitions(image, _)
            | Self::AlterPartition { table: image, .. }
            | Self::AlterPartitions(image, _)
            | Self::DropPartitions(image, _) => {
                let name = &image.name;
                (&name.database.catalog, Some(&name.database.database), Some(&name.table))
            }
        }
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct LogEntry {
    pub(crate) event_id: i64,
    /// Seconds since 1970.
    pub(crate) event_time: i64,
    pub(crate) happening: Happening,
}

/// The log of one metastore.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    entries: VecDeque<LogEntry>,
    head: i64,
    /// Whether there is a listener; without one nothing is kept and the head stays 0.
    is_enabled: bool,
}

impl EventLog {
    /// Keeps events from now on; the newest id so far is `head`.
    pub(crate) fn start(&mut self, head: i64) {
        self.is_enabled = true;
        self.head = self.head.max(head);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    pub(crate) fn append(&mut self, event_time: i64, happening: Happening) {
        if self.is_enabled {
            self.head += 1;
            self.entries.push_back(LogEntry { event_id: self.head, event_time, happening });
        }
    }

    /// Id of the newest event, 0 when there never was one.
    pub(crate) fn head(&self) -> i64 {
        self.head
    }

    /// Entries after a position. Ids are consecutive, so this needs no search.
    pub(crate) fn after(&self, event_id: i64) -> impl Iterator<Item = &LogEntry> {
        let first = self.entries.front().map_or(self.head + 1, |entry| entry.event_id);
        let skip = usize::try_from(event_id.saturating_add(1).saturating_sub(first)).unwrap_or(0);
        self.entries.range(skip.min(self.entries.len())..)
    }

    /// Forgets all entries up to this id, as Hive's cleaner does.
    pub(crate) fn trim(&mut self, event_id: i64) {
        while self.entries.front().is_some_and(|entry| entry.event_id <= event_id) {
            self.entries.pop_front();
        }
    }
}
