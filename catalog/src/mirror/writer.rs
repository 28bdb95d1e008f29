//! Collects what the reads of a pass brought and applies it in lists of a sensible size.
//!
//! Lists are applied in the order in which they were sent. The channel is short, so readers wait
//! for the store and memory stays bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::session::{Session, Task, spawn};
use crate::change::{Applied, Change, EventRow, Found};
use crate::fault::Fault;

/// Objects in one list: two segments' worth.
const LIST_OBJECTS_MAX: usize = 2_000;
/// Raw bytes in one list.
const LIST_BYTES_MAX: usize = 4 << 20;
/// How long the first change of a list waits for others.
pub(super) const LIST_AGE_MAX: Duration = Duration::from_millis(200);

/// Changes on their way to the store.
pub(super) struct Parcel {
    pub changes: Vec<Change>,
    /// When the oldest of them was read, in microseconds since 1970.
    pub read_at: i64,
    /// Held until they are applied.
    pub gate: Option<OwnedRwLockReadGuard<()>>,
    /// Told when they are applied; nothing waits for company then.
    pub applied: Option<oneshot::Sender<()>>,
}

/// Starts a writer. It ends when all senders are gone, with the sum of what was applied; an
/// error of the store ends it at once, and sending fails from then on.
pub(super) fn start(
    session: Arc<Session>,
    reports_found: bool,
) -> (mpsc::Sender<Parcel>, Task<Result<Applied, Fault>>) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, spawn(write(session, reports_found, receiver)))
}

async fn write(
    session: Arc<Session>,
    reports_found: bool,
    mut parcels: mpsc::Receiver<Parcel>,
) -> Result<Applied, Fault> {
    let mut sum = Applied::default();
    let mut found: Vec<Found> = Vec::new();
    while let Some(first) = parcels.recv().await {
        let deadline = Instant::now() + LIST_AGE_MAX;
        let mut list = List::default();
        list.add(first);
        while list.has_room() {
            match timeout_at(deadline, parcels.recv()).await {
                Ok(Some(parcel)) => list.add(parcel),
                Ok(None) | Err(_) => break,
            }
        }
        let mut changes = list.changes;
        changes.extend(found_rows(std::mem::take(&mut found), session.now()));
        let applied = session.apply_holding(list.read_at, changes, list.gates).await?;
        sum.add_counts(&applied);
        if reports_found {
            found = applied.found;
        }
        for applied in list.waiting {
            // Whoever waited may have been stopped meanwhile.
            let _ = applied.send(());
        }
    }
    if let Some(rows) = found_rows(found, session.now()) {
        session.apply(session.now(), vec![rows]).await?;
    }
    Ok(sum)
}

pub(super) fn found_rows(found: Vec<Found>, now: i64) -> Option<Change> {
    let row = |found: Found| EventRow {
        event_id: None,
        event_type: found.what.to_string(),
        catalog_name: found.database.catalog,
        database_name: Some(found.database.database),
        table_name: found.table_name,
        partition_count: found.partition_count,
        event_at: None,
        applied_at: now,
    };
    (!found.is_empty()).then(|| Change::AddEvents(found.into_iter().map(row).collect()))
}

struct List {
    changes: Vec<Change>,
    read_at: i64,
    objects: usize,
    bytes: usize,
    gates: Vec<OwnedRwLockReadGuard<()>>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Default for List {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            read_at: i64::MAX,
            objects: 0,
            bytes: 0,
            gates: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

impl List {
    fn add(&mut self, parcel: Parcel) {
        for change in &parcel.changes {
            let (objects, bytes) = size(change);
            self.objects += objects;
            self.bytes += bytes;
        }
        self.changes.extend(parcel.changes);
        self.read_at = self.read_at.min(parcel.read_at);
        self.gates.extend(parcel.gate);
        self.waiting.extend(parcel.applied);
    }

    fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.objects < LIST_OBJECTS_MAX && self.bytes < LIST_BYTES_MAX
    }
}

/// Objects and raw bytes of a change.
pub(super) fn size(change: &Change) -> (usize, usize) {
    match change {
        Change::PutTable(_, item) => (1, item.raw.len()),
        Change::PutPartitions(_, items) => {
            (items.len(), items.iter().map(|(name, item)| name.len() + item.raw.len()).sum())
        }
        Change::DropPartitions(_, names) => (names.len(), names.iter().map(String::len).sum()),
        Change::SetFunctions(_, items, _) => (items.len(), items.iter().map(|item| item.raw.len()).sum()),
        Change::SetPrivileges(items) => (items.len(), items.iter().map(|item| item.raw.len()).sum()),
        Change::SetTableDetails(_, details) => {
            let constraints = details.constraints.iter().map(|item| item.raw.len());
            let statistics = details.column_statistics.iter().map(|item| item.raw.len());
            (1, constraints.chain(statistics).sum())
        }
        _ => (1, 0),
    }
}
