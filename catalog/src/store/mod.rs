//! Keeps the mirror: applies changes atomically and durably, publishes snapshots, heals on open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::change::{
    Applied, Change, EndpointStatus, EventRow, FollowStatus, MissingMethod, ObjectError, Origin, Run,
};
use crate::fault::Fault;
use crate::model::*;
use crate::ports::{Clock, Decoder};
use crate::snapshot::*;

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// sled's cache.
    pub cache_bytes: u64,
    /// Free space below which nothing is written.
    pub disk_free_bytes_min: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, disk_free_bytes_min: crate::limits::DISK_FREE_BYTES_MIN }
    }
}

/// What opening found and did: one line each for the log.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// What was healed ("removed 1 leftover snapshot file").
    pub healed: Vec<String>,
    /// Set when the old store could not be read and was moved aside; everything is mirrored again.
    pub is_rebuilt: bool,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// `runtime.store`.
#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// Folder.
    pub path: String,
    /// Bytes on disk.
    pub size_on_disk_bytes: u64,
    /// Bytes of live keys and values.
    pub live_bytes: u64,
    /// Segments.
    pub segment_count: u64,
    /// Deltas not yet merged.
    pub delta_count: u64,
    /// Free bytes on the volume.
    pub disk_free_bytes: u64,
    /// How long the last open took.
    pub open_ms: u64,
    /// Format version.
    pub format_version: u32,
}

/// Bookkeeping of a metastore: rings in memory and in the store, copied out when asked for.
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

/// The catalog: one writer, many readers.
pub struct Catalog {}

impl Catalog {
    /// Opens or creates the store in `path` (a folder of its own).
    ///
    /// Errors: `STORE_LOCKED` after 5 s of trying, `STORE_FORMAT`, `STORE_FULL`, `STORE_IO`. A
    /// damaged store is no error: it is moved aside and a new one begun.
    pub fn open(
        _path: &Path,
        _options: StoreOptions,
        _decoder: Arc<dyn Decoder>,
        _clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, OpenReport), Fault> {
        todo!()
    }
    /// Makes the set of metastores of origin `config` what it is in `settings`, in the same order of
    /// the answer: new ones are added, changed ones altered, missing ones removed with all they hold.
    /// Durable when it returns.
    pub fn declare(&self, _settings: &[MetastoreSettings]) -> Result<Vec<MetastoreId>, Fault> {
        todo!()
    }
    /// The current view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }
    /// Applies changes in order, atomically: after a crash all or none of them is there.
    /// Durable against a kill of the process when it returns; against power loss within 500 ms
    /// (the mirror can be read again). Publishes one snapshot.
    /// Blocks: call it from a blocking thread.
    pub fn apply(&self, _origin: Origin, _changes: Vec<Change>) -> Result<Applied, Fault> {
        todo!()
    }
    /// Status of a metastore's follower.
    pub fn status(&self, _metastore: MetastoreId) -> FollowStatus {
        todo!()
    }
    /// Changes the status of a metastore's follower; volatile.
    pub fn update_status(&self, _metastore: MetastoreId, _update: impl FnOnce(&mut FollowStatus)) {
        todo!()
    }
    /// Endpoints of a metastore as last seen; volatile.
    pub fn endpoints(&self, _metastore: MetastoreId) -> Vec<EndpointStatus> {
        todo!()
    }
    /// Replaces the endpoints of a metastore; volatile.
    pub fn set_endpoints(&self, _metastore: MetastoreId, _endpoints: Vec<EndpointStatus>) {
        todo!()
    }
    /// Bookkeeping of a metastore.
    pub fn ledger(&self, _metastore: MetastoreId) -> Ledger {
        todo!()
    }
    /// A number for a new run, never used before.
    pub fn next_run_id(&self) -> u64 {
        todo!()
    }
    /// Size and state of the store.
    pub fn facts(&self) -> StoreFacts {
        todo!()
    }
    /// Merges deltas into segments where there are many; returns how many collections were
    /// merged. Run in the background.
    pub fn merge(&self) -> Result<usize, Fault> {
        todo!()
    }
    /// Writes everything to the disk, fsync included.
    pub fn flush(&self) -> Result<(), Fault> {
        todo!()
    }
    /// The clock that the catalog was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        todo!()
    }
}

/// Loads what snapshots leave in the store.
pub struct Loader {}

/// Where the partitions of a table lie.
#[derive(Debug, Default)]
pub struct PartitionIndex {}

impl Loader {
    pub(crate) fn tables(&self, _database: &DatabaseView) -> Result<Vec<(TableId, Item<Table>)>, Fault> {
        todo!()
    }
    pub(crate) fn table(&self, _database: &DatabaseView, _table: &TableView) -> Result<Item<Table>, Fault> {
        todo!()
    }
    pub(crate) fn chunk_summaries(&self, _table: &TableView) -> Vec<ChunkSummary> {
        todo!()
    }
    pub(crate) fn chunk(&self, _table: &TableView, _index: usize) -> Result<PartitionChunk, Fault> {
        todo!()
    }
    pub(crate) fn partitions(
        &self,
        _table: &TableView,
        _index: usize,
    ) -> Result<Vec<(String, Item<Partition>)>, Fault> {
        todo!()
    }
    pub(crate) fn functions(&self, _database: &DatabaseView) -> Result<Vec<Item<Function>>, Fault> {
        todo!()
    }
    pub(crate) fn details(&self, _database: &DatabaseView) -> Result<Vec<(TableId, TableDetails)>, Fault> {
        todo!()
    }
    pub(crate) fn privileges(&self, _metastore: &MetastoreView) -> Result<Vec<Item<Privilege>>, Fault> {
        todo!()
    }
}
