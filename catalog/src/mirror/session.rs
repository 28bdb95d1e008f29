//! What everything that mirrors one metastore shares: where to read, where to keep, what failed
//! before, and the gate that keeps passes and events from overtaking each other.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinHandle;

use super::failures::Failures;
use super::{Asked, Mirror, MirrorOptions, Progress};
use crate::change::{Applied, Change, FollowStatus, MissingMethod, Origin, Stamp};
use crate::fault::{Code, Fault};
use crate::model::{DatabaseName, Function, MetastoreId, TableName};
use crate::ports::{Batch, Source};
use crate::snapshot::{MetastoreView, Snapshot, TableView};
use crate::store::Catalog;

/// No event is included yet, or there is no log.
const NO_EVENT: i64 = i64::MIN;

pub(super) struct Session {
    pub metastore: MetastoreId,
    pub source: Arc<dyn Source>,
    pub catalog: Arc<Catalog>,
    pub options: MirrorOptions,
    pub progress: Arc<Progress>,
    pub asked: Arc<Asked>,
    /// A pass holds it shared from the beginning of each read until what was read is applied;
    /// a page of events is read and applied while it is held exclusively. So what a pass read
    /// before an event is never applied after that event.
    gate: Arc<RwLock<()>>,
    /// Every read that begins now includes the events up to this id.
    included: AtomicI64,
    pub failures: Mutex<Failures>,
    /// Tables that were not found although they are mirrored. When all events up to a head asked
    /// after that are applied and they are still mirrored, no event tells where they went.
    pub suspects: Mutex<BTreeSet<TableName>>,
    tries: AtomicU32,
    has_worked: AtomicBool,
    is_followed: AtomicBool,
    is_other: AtomicBool,
    missing: Mutex<Vec<MissingMethod>>,
}

impl Session {
    pub fn new(mirror: &Mirror) -> Arc<Self> {
        let ledger = mirror.catalog.ledger(mirror.metastore);
        Arc::new(Self {
            metastore: mirror.metastore,
            source: mirror.source.clone(),
            catalog: mirror.catalog.clone(),
            options: mirror.options.clone(),
            progress: mirror.progress.clone(),
            asked: mirror.asked.clone(),
            gate: Arc::default(),
            included: AtomicI64::new(NO_EVENT),
            failures: Mutex::new(Failures::of(
                ledger.errors().map(|seen| &seen.error),
                mirror.catalog.clock().now_micros(),
            )),
            suspects: Mutex::default(),
            tries: AtomicU32::new(0),
            has_worked: AtomicBool::new(false),
            is_followed: AtomicBool::new(false),
            is_other: AtomicBool::new(false),
            missing: Mutex::new(ledger.missing_methods().to_vec()),
        })
    }

    pub fn now(&self) -> i64 {
        self.catalog.clock().now_micros()
    }

    /// How many calls to have under way at once.
    pub fn calls_max(&self) -> usize {
        self.source.requests_in_flight_max().max(1)
    }

    /// Says that every read that begins from now on includes the events up to `event_id`.
    pub fn include(&self, event_id: Option<i64>) {
        self.included.fetch_max(event_id.unwrap_or(NO_EVENT), Ordering::Relaxed);
    }

    /// Forgets what reads include: the metastore's log began anew.
    pub fn include_only(&self, event_id: Option<i64>) {
        self.included.store(event_id.unwrap_or(NO_EVENT), Ordering::Relaxed);
    }

    fn stamp(&self, synced_at: i64) -> Stamp {
        let event_id = self.included.load(Ordering::Relaxed);
        Stamp { synced_at, source_event_id: (event_id != NO_EVENT).then_some(event_id) }
    }

    pub async fn shared(&self) -> OwnedRwLockReadGuard<()> {
        self.gate.clone().read_owned().await
    }

    pub async fn exclusive(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// Applies changes that were read at `read_at` or later, on a blocking thread.
    pub async fn apply(&self, read_at: i64, changes: Vec<Change>) -> Result<Applied, Fault> {
        self.apply_holding(read_at, changes, ()).await
    }

    /// The same; drops `held` when they are applied, even if nobody waits for it any more.
    pub async fn apply_holding<H: Send + 'static>(
        &self,
        read_at: i64,
        changes: Vec<Change>,
        held: H,
    ) -> Result<Applied, Fault> {
        let origin = Origin { metastore: self.metastore, stamp: self.stamp(read_at) };
        let catalog = self.catalog.clone();
        let apply = move || {
            let applied = catalog.apply(origin, changes);
            drop(held);
            applied
        };
        let applied = blocking(apply).await?;
        if applied.is_err() {
            self.recall();
        }
        applied
    }

    /// Takes what failed and what the server lacks from the store again: what was about to be
    /// written did not get there.
    pub fn recall(&self) {
        let ledger = self.catalog.ledger(self.metastore);
        self.failures.lock().recall(ledger.errors().map(|seen| &seen.error), self.now());
        *self.missing.lock() = ledger.missing_methods().to_vec();
    }

    /// Counts a try in which not one call worked; whether to try again, or to give up after
    /// `max` of them.
    pub fn tries_again(&self, max: u32) -> bool {
        self.tries.fetch_add(1, Ordering::Relaxed) < max
    }

    /// Whether a follower of a log sees to tables that are found no more.
    pub fn follows(&self, is_followed: bool) {
        self.is_followed.store(is_followed, Ordering::Relaxed);
    }

    /// What becomes of a mirrored table that a pass did not find. Beside a follower, an event may
    /// be waiting that tells where it went.
    pub fn missed(&self, table: TableName) -> Option<Change> {
        if self.is_followed.load(Ordering::Relaxed) {
            self.suspects.lock().insert(table);
            None
        } else {
            Some(Change::DropTable(table))
        }
    }

    /// Another metastore answers than the one that was mirrored.
    pub fn found_other(&self) {
        self.is_other.store(true, Ordering::Relaxed);
    }

    /// Whether that was found.
    pub fn is_other(&self) -> bool {
        self.is_other.load(Ordering::Relaxed)
    }

    /// What follows from it is done.
    pub fn forget_other(&self) {
        self.is_other.store(false, Ordering::Relaxed);
    }

    /// A look or a pass went well.
    pub fn worked(&self) {
        self.tries.store(0, Ordering::Relaxed);
        self.has_worked.store(true, Ordering::Relaxed);
    }

    /// Whether something went well since this was last asked.
    pub fn has_worked(&self) -> bool {
        self.has_worked.swap(false, Ordering::Relaxed)
    }

    pub fn status(&self, update: impl FnOnce(&mut FollowStatus)) {
        self.catalog.update_status(self.metastore, update);
    }

    /// The metastore as mirrored now; `None` when it was removed from the catalog.
    pub fn view(&self) -> Option<View> {
        let snapshot = self.catalog.snapshot();
        let metastore = snapshot.metastores.iter().find(|view| view.id == self.metastore)?.clone();
        Some(View { snapshot, metastore })
    }

    /// The same, as an error when it was removed.
    pub fn current(&self) -> Result<View, Fault> {
        self.view().ok_or_else(|| {
            Fault::new(Code::METASTORE_UNKNOWN, "mirror", "the metastore was removed from the catalog")
        })
    }

    /// Remembers that the server lacks `method`; the change to apply when that is news.
    pub fn lacks(&self, methods: &[String]) -> Option<Change> {
        let mut missing = self.missing.lock();
        let before = missing.len();
        for method in methods {
            if missing.iter().all(|known| known.method != *method) {
                missing
                    .push(MissingMethod { method: method.clone(), object_kind: object_kind(method).into() });
            }
        }
        (before != missing.len()).then(|| Change::SetMissingMethods(missing.clone()))
    }

    /// What the server said that it lacks, just now: replaces what was known.
    pub fn lacks_only(&self, methods: &[String]) -> Option<Change> {
        let old = std::mem::take(&mut *self.missing.lock());
        let change = self.lacks(methods);
        let is_same = *self.missing.lock() == old;
        if is_same { None } else { change.or(Some(Change::SetMissingMethods(Vec::new()))) }
    }
}

/// One metastore of one snapshot.
pub(super) struct View {
    pub snapshot: Arc<Snapshot>,
    pub metastore: Arc<MetastoreView>,
}

impl View {
    pub fn has_database(&self, name: &DatabaseName) -> bool {
        self.metastore.database(&name.catalog, &name.database).is_some()
    }

    pub fn table(&self, name: &TableName) -> Option<Arc<TableView>> {
        let database = self.metastore.database(&name.database.catalog, &name.database.database)?;
        database.table(&name.table).cloned()
    }

    /// Names of all tables of a database, sorted.
    pub fn table_names(&self, name: &DatabaseName) -> Vec<String> {
        let Some(database) = self.metastore.database(&name.catalog, &name.database) else {
            return Vec::new();
        };
        database.tables.iter().map(|table| table.name.to_string()).collect()
    }

    pub fn database_names(&self) -> Vec<DatabaseName> {
        let name = |database: &crate::snapshot::DatabaseView| {
            DatabaseName::new(database.catalog_name.as_ref(), database.name.as_ref())
        };
        self.metastore.databases().map(|database| name(database)).collect()
    }

    /// Names of the mirrored partitions of a table that are not in `names` (sorted). Blocks.
    pub fn partitions_not_in(&self, table: &TableView, names: &[String]) -> Result<Vec<String>, Fault> {
        let mut vanished = Vec::new();
        for index in 0..self.snapshot.chunk_summaries(table).len() {
            let chunk = self.snapshot.load_chunk(table, index)?;
            let is_gone = |name: &str| names.binary_search_by(|other| other.as_str().cmp(name)).is_err();
            vanished.extend(chunk.names.into_iter().filter(|name| is_gone(name)).map(String::from));
        }
        Ok(vanished)
    }

    /// Those of `names` (sorted) that are not mirrored as read at `since` or later. Blocks.
    pub fn partitions_not_read_since(
        &self,
        table: &TableView,
        names: &[String],
        since: i64,
    ) -> Result<Arc<[String]>, Fault> {
        let mut is_left = vec![true; names.len()];
        for index in 0..self.snapshot.chunk_summaries(table).len() {
            let chunk = self.snapshot.load_chunk(table, index)?;
            for (name, stamp) in chunk.names.iter().zip(&chunk.stamps) {
                if let Ok(at) = names.binary_search_by(|other| other.as_str().cmp(name)) {
                    is_left[at] = stamp.synced_at < since;
                }
            }
        }
        let left = names.iter().zip(is_left).filter(|(_, is_left)| *is_left);
        Ok(left.map(|(name, _)| name.clone()).collect())
    }
}

/// What follows from having read the functions of a database, and why some failed: those stay as
/// they are mirrored.
pub(super) fn functions_read(name: &DatabaseName, batch: Batch<Function>) -> (Change, Vec<Fault>) {
    let functions = batch.items.into_iter().map(|(_, item)| item).collect();
    let kept = batch.failed.iter().map(|(name, _)| name.clone()).collect();
    let failed = |(name, fault): (String, Fault)| Fault { what: format!("{} {name}", fault.what), ..fault };
    let faults = batch.failed.into_iter().map(failed).collect();
    (Change::SetFunctions(name.clone(), functions, kept), faults)
}

/// What is not mirrored when the server lacks a method.
fn object_kind(method: &str) -> &'static str {
    let kinds = [
        ("function", "functions"),
        ("statistics", "column_stats"),
        ("key", "constraints"),
        ("constraint", "constraints"),
        ("privilege", "privileges"),
        ("catalog", "catalogs"),
        ("notification", "events"),
        ("partition", "partitions"),
        ("table", "tables"),
        ("database", "databases"),
    ];
    kinds.iter().find(|(word, _)| method.contains(word)).map_or("other", |(_, kind)| kind)
}

/// Whether a failed call says that the metastore is not to be asked again in this run.
pub(super) fn ends_the_run(fault: &Fault) -> bool {
    use Code::*;
    // Faults of this machine and bugs are not a single object's doing either.
    matches!(fault.code, METASTORE_SLOW | METASTORE_UNREACHABLE | METASTORE_UNKNOWN)
        || !fault.code.as_str().starts_with("METASTORE_")
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal("mirror", error.to_string()))
}

/// A task of its own (so that replies are decoded on all cores) that ends when it is dropped.
pub(super) struct Task<T>(JoinHandle<T>);

pub(super) fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(tokio::spawn(work))
}

/// Calls `call` for each item in a task of its own, as many at once as the metastore bears.
pub(super) fn each<Items, Item, Call, Answer, T>(
    session: &Arc<Session>,
    items: Items,
    call: Call,
) -> impl Stream<Item = Result<T, Fault>> + Unpin + use<Items, Item, Call, Answer, T>
where
    Items: IntoIterator<Item = Item>,
    Call: Fn(Arc<Session>, Item) -> Answer,
    Answer: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (session, calls_max) = (session.clone(), session.calls_max());
    let task = move |item| {
        let answer = call(session.clone(), item);
        spawn(async move { Ok(answer.await) })
    };
    stream::iter(items).map(task).buffer_unordered(calls_max)
}

impl<T> Future for Task<Result<T, Fault>> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|joined| joined.unwrap_or_else(|error| Err(Fault::internal("mirror", error.to_string()))))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_methods_name_what_is_not_mirrored() {
        assert_eq!(object_kind("get_all_functions"), "functions");
        assert_eq!(object_kind("get_unique_constraints"), "constraints");
        assert_eq!(object_kind("get_foreign_keys"), "constraints");
        assert_eq!(object_kind("get_table_column_statistics"), "column_stats");
        assert_eq!(object_kind("list_privileges"), "privileges");
        assert_eq!(object_kind("get_next_notification"), "events");
        assert_eq!(object_kind("get_catalogs"), "catalogs");
    }

    #[test]
    fn a_deadline_ends_the_run_and_one_bad_object_does_not() {
        let fault = |code| Fault::new(code, "", "");
        for code in [Code::METASTORE_SLOW, Code::METASTORE_UNREACHABLE, Code::STORE_FULL, Code::INTERNAL] {
            assert!(ends_the_run(&fault(code)), "{code:?}");
        }
        for code in [Code::METASTORE_ERROR, Code::METASTORE_MALFORMED, Code::METASTORE_METHOD_MISSING] {
            assert!(!ends_the_run(&fault(code)), "{code:?}");
        }
    }
}
