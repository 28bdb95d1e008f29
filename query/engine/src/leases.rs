//! Snapshots kept for those who planned on them and come later for the rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::snapshot::Snapshot;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long a snapshot is kept after it was last asked to be.
pub const LEASE: Duration = Duration::from_secs(120);
/// Snapshots kept; the one that would go first goes earlier when there are more.
pub const SNAPSHOTS_MAX: usize = 256;

/// Snapshots by id.
#[derive(Default)]
pub struct Leases {
    held: Mutex<BTreeMap<u64, Held>>,
}

struct Held {
    snapshot: Arc<Snapshot>,
    until: Instant,
}

impl Leases {
    /// Keeps a snapshot for [`LEASE`] from now; `control` is where its end is waited for.
    pub fn keep(self: &Arc<Self>, snapshot: &Arc<Snapshot>, control: &Handle) {
        let until = Instant::now() + LEASE;
        let mut held = self.held.lock();
        if let Some(held) = held.get_mut(&snapshot.id) {
            held.until = until;
            return;
        }
        if held.len() == SNAPSHOTS_MAX {
            let first = held.iter().min_by_key(|(_, held)| held.until).map(|(id, _)| *id);
            first.map(|id| held.remove(&id));
        }
        held.insert(snapshot.id, Held { snapshot: Arc::clone(snapshot), until });
        drop(held);
        control.spawn(Arc::clone(self).end(snapshot.id));
    }

    /// Lets a snapshot go when its time is over.
    async fn end(self: Arc<Self>, id: u64) {
        loop {
            let until = match self.held.lock().get(&id) {
                Some(held) => held.until,
                None => return,
            };
            tokio::time::sleep_until(until).await;
            let mut held = self.held.lock();
            if held.get(&id).is_some_and(|held| held.until <= Instant::now()) {
                held.remove(&id);
            }
        }
    }

    /// A snapshot that is kept.
    ///
    /// Errors: `SNAPSHOT_GONE`.
    pub fn get(&self, id: u64) -> Result<Arc<Snapshot>, Fault> {
        let held = self.held.lock().get(&id).map(|held| Arc::clone(&held.snapshot));
        held.ok_or_else(|| {
            let why = format!(
                "what it was planned on is kept for {} s, and the newest {SNAPSHOTS_MAX} of them",
                LEASE.as_secs()
            );
            Fault::new(Code::SNAPSHOT_GONE, "rows asked for too late", why)
        })
    }
}
