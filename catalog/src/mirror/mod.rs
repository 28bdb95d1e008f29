//! Decides what to read from a metastore and when, and turns what was read into changes.

pub mod digest;
pub mod volatile;

use std::sync::Arc;

use crate::fault::Fault;
use crate::model::MetastoreId;
use crate::ports::Source;
use crate::store::Catalog;

/// How a metastore is mirrored.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorOptions {
    /// `None` is "auto": events where the metastore keeps a log, else polling.
    pub follow_events: Option<bool>,
    /// Pause between looks at the notification log.
    pub events_interval_ms: u64,
    /// Pause between listings of names, with polling.
    pub poll_interval_ms: u64,
    /// Pause between complete passes over all objects: with polling, and (as a safety net)
    /// with events when not 0.
    pub pass_interval_ms: u64,
    /// Objects per bulk call for tables.
    pub tables_batch_max: usize,
    /// Partitions per bulk call.
    pub partitions_batch_max: usize,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            follow_events: None,
            events_interval_ms: 500,
            poll_interval_ms: 30_000,
            pass_interval_ms: 3_600_000,
            tables_batch_max: 200,
            partitions_batch_max: 1_000,
        }
    }
}

/// How far a pass has come; read by progress displays.
#[derive(Debug, Default)]
pub struct Progress {
    /// Databases found and read.
    pub databases: (std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64),
    /// Tables found and read.
    pub tables: (std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64),
    /// Partitions found and read.
    pub partitions: (std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64),
    /// Objects that failed.
    pub failed: std::sync::atomic::AtomicU64,
}

/// Mirrors one metastore: a complete pass, then following.
pub struct Mirror {
    /// The metastore.
    pub metastore: MetastoreId,
    /// Where to read.
    pub source: Arc<dyn Source>,
    /// Where to keep.
    pub catalog: Arc<Catalog>,
    /// How.
    pub options: MirrorOptions,
    /// How far.
    pub progress: Arc<Progress>,
}

/// What one complete pass came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassReport {
    /// Objects read.
    pub objects_read: u64,
    /// Objects that were new or different.
    pub objects_changed: u64,
    /// Objects that could not be read; each is a row in `sync.errors`.
    pub objects_failed: u64,
    /// What could not be listed or read, one sentence each, at most 100.
    pub missing: Vec<String>,
}

impl Mirror {
    /// Reads everything once (resuming an interrupted first pass), then the events that came in
    /// meanwhile.
    pub async fn sync_once(&self) -> Result<PassReport, Fault> {
        todo!()
    }

    /// Mirrors and follows until `stop` resolves. Never returns on errors: they are in the
    /// status, and it tries again with a growing pause (1 s to 60 s).
    pub async fn run(&self, _stop: tokio::sync::watch::Receiver<bool>) {
        todo!()
    }
}
