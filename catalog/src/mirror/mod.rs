//! Decides what to read from a metastore and when, and turns what was read into changes.
//!
//! - [`digest`], [`volatile`]: what of an object counts as which kind of difference;
//! - `pass`, `runs`, `writer`: reading everything, resumable, in bounded memory;
//! - `plan`, `reread`, `events`: following a notification log;
//! - `poll`: following a metastore without one;
//! - [`Asked`]: what people ask to be read again;
//! - `follow`: what is done when, and what the status says;
//! - `session`, `failures`: what these share.
//!
//! Invariants:
//! - An object never ends older than the metastore: an event only says *that* something was
//!   touched; the newest state is read from the metastore, and what a pass read before an event
//!   is never applied after it (the session's gate).
//! - The position moves in the same write as the data that it stands for.
//! - Nothing is dropped because a call failed.

pub mod digest;
pub mod volatile;

mod asked;
mod events;
mod failures;
mod follow;
mod pass;
mod plan;
mod poll;
mod reread;
mod runs;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

pub use asked::{Asked, Extent};

use crate::fault::Fault;
use crate::model::MetastoreId;
use crate::ports::Source;
use crate::store::Catalog;

/// How a metastore is mirrored.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorOptions {
    /// `None` is "auto": events where the metastore keeps a log, else polling.
    pub follow_events: Option<bool>,
    /// Pause between looks at the notification log while nothing comes; while events come, looks
    /// begin a tenth of it after each other.
    pub events_interval_ms: u64,
    /// Pause between listings of names, with polling.
    pub poll_interval_ms: u64,
    /// Pause between complete passes over all objects, with polling: what was altered is found by
    /// them only.
    pub pass_interval_ms: u64,
    /// Pause between complete passes over all objects, with events: a safety net. 0 is none.
    pub refresh_interval_ms: u64,
    /// Pause between questions who the metastore is, with events: another one behind the same
    /// address has another log.
    pub identity_interval_ms: u64,
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
            refresh_interval_ms: 86_400_000,
            identity_interval_ms: 60_000,
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
    /// Events that were waiting when following began or came since, and those applied.
    pub events: (std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64),
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
    /// What people ask of it while it follows.
    pub asked: Arc<Asked>,
}

/// What one complete pass came to, with the events that were applied before and after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassReport {
    /// Events applied.
    pub events_applied: u64,
    /// Objects read.
    pub objects_read: u64,
    /// Objects that were new or different.
    pub objects_changed: u64,
    /// Objects that could not be read; each is a row in `sync.errors`.
    pub objects_failed: u64,
    /// What could not be listed or read, one sentence each, at most 100.
    pub missing: Vec<String>,
}

impl PassReport {
    fn add_events(&mut self, events: &Self) {
        self.events_applied += events.events_applied;
        self.objects_read += events.objects_read;
        self.objects_changed += events.objects_changed;
    }
}

impl Mirror {
    /// Reads everything once (resuming an interrupted first pass), then the events that came in
    /// meanwhile. What a metastore that failed half way had answered is kept, and the report
    /// says what is missing.
    ///
    /// Errors: `METASTORE_*` when nothing could be read, `STORE_*`.
    pub async fn sync_once(&self) -> Result<PassReport, Fault> {
        follow::once(&session::Session::new(self)).await
    }

    /// Mirrors and follows until `stop` turns true (or its sender is gone). Never returns on
    /// errors: they are in the status, and it tries again with a growing pause (1 s to 60 s).
    pub async fn run(&self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let session = session::Session::new(self);
        tokio::select! {
            biased;
            // An error says that the sender is gone: nobody could stop it any more.
            _ = stop.wait_for(|is_stopped| *is_stopped) => {}
            () = follow::forever(&session) => {}
        }
        if let Err(fault) = runs::interrupt(&session).await {
            tracing::warn!(%fault, "run not marked as interrupted");
        }
    }
}
