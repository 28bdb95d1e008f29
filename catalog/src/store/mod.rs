//! Keeps the mirror: applies changes atomically and durably, publishes snapshots, heals on open.

mod apply;
mod backup;
mod catalog;
mod codec;
mod collection;
mod delta;
mod entry;
mod grave;
mod head;
mod keys;
mod ledger;
mod load;
mod maintenance;
mod read;
mod rebuild;
mod record;
mod recover;
mod segment;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod trees;

pub use catalog::Catalog;
pub(crate) use collection::Collection;
pub use ledger::Ledger;
pub use load::Loader;
pub use maintenance::{MAINTENANCE_INTERVAL, Maintenance};
pub use rebuild::Rebuild;

use crate::fault::Fault;

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
    pub is_moved_aside: bool,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// `runtime.store`.
#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// Folder, from the root on where that can be told.
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
    /// The last rebuild since opening.
    pub last_rebuild: Option<Rebuild>,
    /// Why the last try to rebuild failed, and when (microseconds since 1970); `None` when it did not.
    pub rebuild_error: Option<(Fault, i64)>,
}
