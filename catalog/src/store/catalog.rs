//! The catalog: one writer, many readers.
//!
//! Invariants: what a batch says is in the store before a snapshot shows it; a batch that could
//! not be written leaves no trace; a metastore that lost data to damage has neither position nor
//! `mirrored_at`, and its next `apply` fails once with `STORE_DAMAGED`, so that its follower
//! begins again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::apply::{Dirty, Stage, Work};
use super::collection::{Address, Collection};
use super::grave::Graveyard;
use super::head::Interner;
use super::keys::{self, Record};
use super::ledger::{Desk, Ledger};
use super::load::Loader;
use super::rebuild::{Outcome, Schedule};
use super::record::{self, Counters};
use super::tree::{Batch, Tree};
use super::trees::{self, Trees};
use super::{OpenReport, StoreFacts, StoreOptions, recover};
use crate::change::{Applied, Change, EndpointStatus, FollowStatus, Origin};
use crate::fault::{Code, Fault};
use crate::model::MetastoreId;
use crate::ports::{Clock, Decoder};
use crate::snapshot::{MetastoreSettings, MetastoreView, Snapshot};

/// The catalog: one writer, many readers.
pub struct Catalog {
    pub(super) path: PathBuf,
    pub(super) trees: Arc<Trees>,
    pub(super) loader: Arc<Loader>,
    pub(super) current: ArcSwap<Snapshot>,
    pub(super) writer: Mutex<Writer>,
    clock: Arc<dyn Clock>,
    next_run_id: AtomicU64,
    volatile: Mutex<HashMap<MetastoreId, Volatile>>,
    pub(super) schedule: Mutex<Schedule>,
    pub(super) rebuilt: Mutex<Outcome>,
    open_ms: u64,
    /// Declared last, so that it is let go after sled.
    _lock: File,
}

/// What only the writer needs.
#[derive(Default)]
pub(super) struct Writer {
    pub counters: Counters,
    interner: Interner,
    graveyard: Graveyard,
    /// Metastores that lost data and whose follower does not know it yet.
    pub lost: HashSet<MetastoreId>,
}

impl Writer {
    pub fn has_graves(&self) -> bool {
        !self.graveyard.is_empty()
    }
}

#[derive(Default)]
struct Volatile {
    status: FollowStatus,
    endpoints: Vec<EndpointStatus>,
    /// Whether they differ from what is stored.
    is_dirty: bool,
}

impl Catalog {
    /// Opens or creates the store in `path` (a folder of its own).
    ///
    /// Errors: `STORE_LOCKED` after 5 s of trying, `STORE_FORMAT`, `STORE_FULL`, `STORE_IO`. A
    /// damaged store is no error: it is moved aside and a new one begun.
    pub fn open(
        path: &Path,
        options: StoreOptions,
        decoder: Arc<dyn Decoder>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, OpenReport), Fault> {
        let begin = Instant::now();
        let opened = recover::open(path, &options, decoder.as_ref())?;
        let loaded = opened.loaded;
        let trees = Arc::new(opened.trees);
        let loader = Arc::new(Loader::new(trees.clone(), decoder));
        let snapshot = Snapshot { id: 1, metastores: loaded.metastores, loader: loader.clone() };
        let open_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let statuses = loaded.statuses.into_iter();
        let volatile =
            statuses.map(|(id, (status, endpoints))| (id, Volatile { status, endpoints, is_dirty: false }));
        let catalog = Self {
            path: path.to_owned(),
            trees,
            loader,
            current: ArcSwap::from_pointee(snapshot),
            writer: Mutex::new(Writer {
                counters: loaded.counters,
                interner: loaded.interner,
                graveyard: loaded.graveyard,
                ..Writer::default()
            }),
            clock,
            next_run_id: AtomicU64::new(loaded.counters.run),
            volatile: Mutex::new(volatile.collect()),
            schedule: Mutex::default(),
            rebuilt: Mutex::default(),
            open_ms,
            _lock: opened.lock,
        };
        Ok((Arc::new(catalog), OpenReport { elapsed_ms: open_ms, ..opened.report }))
    }

    /// Whether there is a store in `path`, whole or damaged.
    pub fn is_at(path: &Path) -> bool {
        trees::is_at(path)
    }

    /// Makes the set of metastores what it is in `settings`, in the same order of the answer: new ones are added, changed ones altered, missing ones removed with all they hold.
    /// Durable when it returns.
    pub fn declare(&self, settings: &[MetastoreSettings]) -> Result<Vec<MetastoreId>, Fault> {
        let mut writer = self.writer.lock();
        let mut counters = writer.counters;
        let mut stage = Stage::new();
        let mut metastores = self.current.load().metastores.clone();
        let is_wanted = |view: &MetastoreView| settings.iter().any(|s| s.name == view.settings.name);
        let removed: Vec<_> = metastores.extract_if(.., |view| !is_wanted(view)).collect();
        for view in &removed {
            stage_removal(view, &self.trees.current(), &mut stage)?;
        }
        for wanted in settings {
            let view = match metastores.iter_mut().find(|view| view.settings.name == wanted.name) {
                Some(view) if view.settings == *wanted => continue,
                Some(view) => {
                    Arc::make_mut(view).settings = wanted.clone();
                    view.clone()
                }
                None => {
                    let id = MetastoreId(counters.take_metastore());
                    let view = Arc::new(MetastoreView {
                        id,
                        name: wanted.name.as_str().into(),
                        settings: wanted.clone(),
                        position: None,
                        mirrored_at: None,
                        catalogs: Vec::new(),
                        privileges_generation: 0,
                        privileges: Collection::empty(Address::privileges(id)),
                        ledger: Ledger::default(),
                    });
                    metastores.push(view.clone());
                    view
                }
            };
            stage.batch.put(&keys::of_metastore(Record::Metastore, view.id), &record::metastore(&view));
        }
        metastores.sort_by(|a, b| a.name.cmp(&b.name));
        let id_of =
            |s: &MetastoreSettings| metastores.iter().find(|v| v.settings.name == s.name).map(|v| v.id);
        let ids = settings.iter().filter_map(id_of).collect();
        if !stage.batch.is_empty() {
            self.commit(&mut writer, stage, counters, metastores)?;
            self.trees.sync()?;
        }
        for view in removed {
            self.volatile.lock().remove(&view.id);
        }
        Ok(ids)
    }

    /// The current view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Applies changes in order, atomically: after a crash all or none of them is there.
    /// Durable against a kill of the process when it returns; against a loss of power after the next
    /// [`Catalog::sync`] (what is lost is read again, as the position is older too). Publishes one
    /// snapshot.
    /// Blocks: call it from a blocking thread.
    ///
    /// Errors: `METASTORE_UNKNOWN` when the metastore was removed, `STORE_FULL`, `STORE_IO`, and
    /// once `STORE_DAMAGED` when data of the metastore was lost: its `position` and `mirrored_at`
    /// are `None` then, and it is to be mirrored from the beginning.
    pub fn apply(&self, origin: Origin, changes: Vec<Change>) -> Result<Applied, Fault> {
        let mut writer = self.writer.lock();
        self.heal(&mut writer)?;
        if writer.lost.remove(&origin.metastore) {
            return Err(Fault::new(
                Code::STORE_DAMAGED,
                format!("store: apply changes of metastore {}", origin.metastore),
                "stored objects of it were damaged and removed; it has to be mirrored again",
            ));
        }
        let result = self.apply_locked(&mut writer, origin, changes);
        if result.as_ref().is_err_and(|fault| fault.code == Code::STORE_DAMAGED) {
            self.heal(&mut writer)?;
            writer.lost.remove(&origin.metastore);
        }
        result
    }

    fn apply_locked(
        &self,
        writer: &mut Writer,
        origin: Origin,
        changes: Vec<Change>,
    ) -> Result<Applied, Fault> {
        let current = self.current.load_full();
        let mut metastores = current.metastores.clone();
        let Some(index) = metastores.iter().position(|view| view.id == origin.metastore) else {
            return Err(Fault::new(
                Code::METASTORE_UNKNOWN,
                format!("store: apply changes of metastore {}", origin.metastore),
                "it was removed",
            ));
        };
        let mut work = Work {
            loader: &self.loader,
            interner: &mut writer.interner,
            origin,
            now: self.clock.now_micros(),
            id: current.id + 1,
            view: metastores[index].clone(),
            counters: writer.counters,
            pending: BTreeMap::new(),
            discarded: Vec::new(),
            dirty: Dirty::default(),
            dropped_tables: Vec::new(),
            resum: Default::default(),
            applied: Applied::default(),
        };
        let mut stage = Stage::new();
        let staged = work.run(&mut stage, changes);
        let Work { view, counters, applied, .. } = work;
        metastores[index] = view;
        let result = staged.and_then(|()| {
            self.stage_status(origin.metastore, &mut stage.batch);
            self.commit(writer, stage, counters, metastores)
        });
        match result {
            Ok(()) => Ok(applied),
            Err(fault) => {
                self.unstage_status(origin.metastore);
                Err(fault)
            }
        }
    }

    fn stage_status(&self, metastore: MetastoreId, batch: &mut Batch) {
        if let Some(volatile) = self.volatile.lock().get_mut(&metastore)
            && std::mem::take(&mut volatile.is_dirty)
        {
            let payload = record::status(&volatile.status, &volatile.endpoints);
            batch.put(&keys::of_metastore(Record::Status, metastore), &payload);
        }
    }

    /// What was staged was not written: it is staged again the next time.
    fn unstage_status(&self, metastore: MetastoreId) {
        if let Some(volatile) = self.volatile.lock().get_mut(&metastore) {
            volatile.is_dirty = true;
        }
    }

    /// Writes a batch, with the counters and the graves it needs, and publishes a snapshot.
    pub(super) fn commit(
        &self,
        writer: &mut Writer,
        stage: Stage,
        mut counters: Counters,
        metastores: Vec<Arc<MetastoreView>>,
    ) -> Result<(), Fault> {
        let Stage { mut batch, buried } = stage;
        let swept = writer.graveyard.sweep(&mut batch);
        let grave = counters.take_part();
        if !buried.is_empty() {
            Graveyard::stage(grave, &buried, &mut batch);
        }
        counters.run = self.next_run_id.load(Ordering::Relaxed);
        batch.put(&keys::all(Record::Counters), &record::counters(&counters));
        self.trees.current().write(batch)?;
        writer.counters = counters;
        writer.graveyard.close(&swept);
        if !buried.is_empty() {
            writer.graveyard.open(grave, buried);
        }
        let id = self.current.load().id + 1;
        self.current.store(Arc::new(Snapshot { id, metastores, loader: self.loader.clone() }));
        Ok(())
    }

    /// Status of a metastore's follower.
    pub fn status(&self, metastore: MetastoreId) -> FollowStatus {
        let mut status = self.volatile.lock().get(&metastore).map(|v| v.status.clone()).unwrap_or_default();
        status.lag_ms = status.lag_ms_at(self.clock().now_micros());
        status
    }

    /// Changes the status of a metastore's follower; written with the next change or
    /// [`Catalog::flush`]. Nothing happens when the metastore was removed.
    pub fn update_status(&self, metastore: MetastoreId, update: impl FnOnce(&mut FollowStatus)) {
        self.update_volatile(metastore, |volatile| {
            update(&mut volatile.status);
            volatile.is_dirty = true;
        });
    }

    fn update_volatile(&self, metastore: MetastoreId, update: impl FnOnce(&mut Volatile)) {
        let mut volatile = self.volatile.lock();
        // Looked up under the lock: `declare` publishes first and removes the entry then.
        if self.current.load().metastores.iter().any(|view| view.id == metastore) {
            update(volatile.entry(metastore).or_default());
        }
    }

    /// Endpoints of a metastore as last seen, in this process or in a former one.
    pub fn endpoints(&self, metastore: MetastoreId) -> Vec<EndpointStatus> {
        self.volatile.lock().get(&metastore).map(|v| v.endpoints.clone()).unwrap_or_default()
    }

    /// Replaces the endpoints of a metastore; written like its status.
    pub fn set_endpoints(&self, metastore: MetastoreId, endpoints: Vec<EndpointStatus>) {
        self.update_volatile(metastore, |volatile| {
            volatile.is_dirty |= volatile.endpoints != endpoints;
            volatile.endpoints = endpoints;
        });
    }

    /// Bookkeeping of a metastore, in the current view.
    pub fn ledger(&self, metastore: MetastoreId) -> Ledger {
        let snapshot = self.current.load();
        let view = snapshot.metastores.iter().find(|view| view.id == metastore);
        view.map(|view| view.ledger.clone()).unwrap_or_default()
    }

    /// A number for a new run, never used before: the first change of the run makes it durable.
    pub fn next_run_id(&self) -> u64 {
        self.next_run_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Size and state of the store.
    pub fn facts(&self) -> StoreFacts {
        let parts = parts(&self.snapshot());
        let tree = self.trees.current();
        let Outcome { last_rebuild, rebuild_error } = self.rebuilt.lock().clone();
        let mut facts = StoreFacts {
            segment_count: parts.segment_count,
            delta_count: parts.delta_count,
            live_bytes: parts.stored_bytes,
            path: self.path.canonicalize().unwrap_or_else(|_| self.path.clone()).display().to_string(),
            size_on_disk_bytes: tree.size_on_disk_bytes().unwrap_or(0),
            disk_free_bytes: tree.disk_free_bytes().unwrap_or(0),
            open_ms: self.open_ms,
            format_version: u32::from(keys::FORMAT_VERSION),
            last_rebuild,
            rebuild_error,
        };
        let small = Record::OF_METASTORE.into_iter().chain([Record::Counters, Record::Grave]);
        for kind in small.filter(|kind| !matches!(kind, Record::Hot | Record::Raw | Record::Delta)) {
            facts.live_bytes += tree.lengths(&keys::all(kind)).map_or(0, |(_, bytes)| bytes);
        }
        facts
    }

    /// Writes everything to the disk, the statuses that changed and fsync included. Blocks.
    pub fn flush(&self) -> Result<(), Fault> {
        let written = self.write_statuses();
        self.trees.sync()?;
        written
    }

    /// Makes what was written since the last time survive a loss of power. Part of
    /// [`Catalog::maintain`]. Blocks.
    pub fn sync(&self) -> Result<(), Fault> {
        self.trees.sync_written()
    }

    fn write_statuses(&self) -> Result<(), Fault> {
        // Held so that no metastore is removed meanwhile.
        let _writer = self.writer.lock();
        let mut batch = Batch::new();
        let ids: Vec<MetastoreId> = self.current.load().metastores.iter().map(|view| view.id).collect();
        ids.iter().for_each(|id| self.stage_status(*id, &mut batch));
        let written = self.trees.current().write(batch);
        if written.is_err() {
            ids.iter().for_each(|id| self.unstage_status(*id));
        }
        written
    }

    /// The clock that the catalog was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl Work<'_> {
    /// Applies all changes and stages what they come to.
    fn run(&mut self, stage: &mut Stage, changes: Vec<Change>) -> Result<(), Fault> {
        let (metastore, now) = (self.view.id, self.now);
        for change in changes {
            let mut desk = Desk { metastore, now, counters: &mut self.counters, batch: &mut stage.batch };
            Arc::make_mut(&mut self.view).ledger.apply(&change, &mut desk);
            self.apply(change)?;
        }
        self.finish(stage)?;
        let dropped = std::mem::take(&mut self.dropped_tables);
        let mut desk = Desk { metastore, now, counters: &mut self.counters, batch: &mut stage.batch };
        Arc::make_mut(&mut self.view).ledger.add_dropped(dropped, &mut desk);
        Ok(())
    }
}

/// All collections of a metastore.
pub(super) fn collections(view: &MetastoreView) -> impl Iterator<Item = &Arc<Collection>> {
    let databases = view.databases().flat_map(|database| {
        let own = [&database.table_items, &database.functions, &database.details];
        own.into_iter().chain(database.tables.iter().map(|table| &table.partitions))
    });
    std::iter::once(&view.privileges).chain(databases)
}

/// What all collections of a snapshot have in the store.
#[derive(Default)]
pub(super) struct Parts {
    pub segment_count: u64,
    pub delta_count: u64,
    pub stored_bytes: u64,
}

pub(super) fn parts(snapshot: &Snapshot) -> Parts {
    let mut parts = Parts::default();
    for collection in snapshot.metastores.iter().flat_map(|view| collections(view)) {
        parts.segment_count += collection.segments.len() as u64;
        parts.delta_count += collection.deltas.len() as u64;
        parts.stored_bytes += collection.segments.iter().map(|p| p.segment.stored_bytes).sum::<u64>();
        parts.stored_bytes += collection.deltas.iter().map(|delta| delta.stored_bytes).sum::<u64>();
    }
    parts
}

/// Stages the removal of a metastore with all it holds.
fn stage_removal(view: &MetastoreView, tree: &Tree, stage: &mut Stage) -> Result<(), Fault> {
    collections(view).for_each(|collection| stage.discard(collection));
    let parts = [Record::Hot, Record::Raw, Record::Delta, Record::Summary];
    for kind in Record::OF_METASTORE.into_iter().filter(|kind| !parts.contains(kind)) {
        tree.scan(&keys::of_metastore(kind, view.id), |key, _| {
            stage.batch.remove(key);
            Ok(())
        })?;
    }
    Ok(())
}
