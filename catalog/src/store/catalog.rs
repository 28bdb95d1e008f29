//! The catalog: one writer, many readers.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::apply::{Dirty, Work};
use super::collection::{Address, Collection};
use super::head::Interner;
use super::ledger::{Book, Ledger};
use super::load::Loader;
use super::record::Counters;
use super::{OpenReport, StoreFacts, StoreOptions, keys};
use crate::change::{Applied, Change, EndpointStatus, FollowStatus, Origin};
use crate::fault::{Code, Fault};
use crate::model::MetastoreId;
use crate::ports::{Clock, Decoder};
use crate::snapshot::{MetastoreSettings, MetastoreView, Snapshot};

/// The catalog: one writer, many readers.
pub struct Catalog {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    loader: Arc<Loader>,
    current: ArcSwap<Snapshot>,
    writer: Mutex<Writer>,
    books: Mutex<HashMap<MetastoreId, Book>>,
    volatile: Mutex<HashMap<MetastoreId, Volatile>>,
    open_ms: u64,
}

/// What only the writer needs.
#[derive(Default)]
struct Writer {
    counters: Counters,
    interner: Interner,
}

#[derive(Default)]
struct Volatile {
    status: FollowStatus,
    endpoints: Vec<EndpointStatus>,
}

impl Catalog {
    /// Opens or creates the store in `path` (a folder of its own).
    ///
    /// Errors: `STORE_LOCKED` after 5 s of trying, `STORE_FORMAT`, `STORE_FULL`, `STORE_IO`. A
    /// damaged store is no error: it is moved aside and a new one begun.
    pub fn open(
        path: &Path,
        _options: StoreOptions,
        decoder: Arc<dyn Decoder>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, OpenReport), Fault> {
        let begin = Instant::now();
        let loader = Arc::new(Loader { decoder });
        let snapshot = Snapshot { id: 1, metastores: Vec::new(), loader: loader.clone() };
        let open_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let catalog = Self {
            path: path.to_owned(),
            clock,
            loader,
            current: ArcSwap::from_pointee(snapshot),
            writer: Mutex::default(),
            books: Mutex::default(),
            volatile: Mutex::default(),
            open_ms,
        };
        Ok((Arc::new(catalog), OpenReport { elapsed_ms: open_ms, ..OpenReport::default() }))
    }

    /// Makes the set of metastores of origin `config` what it is in `settings`, in the same order of
    /// the answer: new ones are added, changed ones altered, missing ones removed with all they hold.
    /// Durable when it returns.
    pub fn declare(&self, settings: &[MetastoreSettings]) -> Result<Vec<MetastoreId>, Fault> {
        let mut writer = self.writer.lock();
        let mut metastores = self.current.load().metastores.clone();
        let is_wanted = |view: &MetastoreView| settings.iter().any(|s| s.name == view.settings.name);
        metastores.retain(|view| view.settings.origin != "config" || is_wanted(view));
        for wanted in settings {
            match metastores.iter_mut().find(|view| view.settings.name == wanted.name) {
                Some(view) if view.settings == *wanted => {}
                Some(view) => Arc::make_mut(view).settings = wanted.clone(),
                None => {
                    let id = MetastoreId(writer.counters.take_metastore());
                    metastores.push(Arc::new(MetastoreView {
                        id,
                        name: wanted.name.as_str().into(),
                        settings: wanted.clone(),
                        position: None,
                        mirrored_at: None,
                        catalogs: Vec::new(),
                        privileges_generation: 0,
                        privileges: Collection::empty(Address::privileges(id)),
                    }));
                }
            }
        }
        metastores.sort_by(|a, b| a.name.cmp(&b.name));
        let id_of =
            |s: &MetastoreSettings| metastores.iter().find(|v| v.settings.name == s.name).map(|v| v.id);
        let ids = settings.iter().filter_map(id_of).collect();
        self.publish(metastores);
        Ok(ids)
    }

    /// The current view.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Applies changes in order, atomically: after a crash all or none of them is there.
    /// Durable against a kill of the process when it returns; against power loss within 500 ms
    /// (the mirror can be read again). Publishes one snapshot.
    /// Blocks: call it from a blocking thread.
    pub fn apply(&self, origin: Origin, changes: Vec<Change>) -> Result<Applied, Fault> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        let mut metastores = self.current.load().metastores.clone();
        let Some(index) = metastores.iter().position(|view| view.id == origin.metastore) else {
            return Err(Fault::new(
                Code::METASTORE_UNKNOWN,
                format!("store: apply changes of metastore {}", origin.metastore),
                "it was removed",
            ));
        };
        let now = self.clock.now_micros();
        let mut work = Work {
            loader: &self.loader,
            interner: &mut writer.interner,
            origin,
            now,
            id: self.current.load().id + 1,
            view: metastores[index].clone(),
            counters: writer.counters,
            pending: BTreeMap::new(),
            discarded: Vec::new(),
            dirty: Dirty::default(),
            dropped_tables: Vec::new(),
            resum: Default::default(),
            applied: Applied::default(),
        };
        let number = work.counters.take_part();
        let mut books = self.books.lock();
        let book = books.entry(origin.metastore).or_default();
        for change in changes {
            book.apply(&change, now, number);
            work.apply(change)?;
        }
        work.finish();
        work.sum_up();
        book.add_dropped(std::mem::take(&mut work.dropped_tables), number);
        let Work { view, counters, applied, .. } = work;
        writer.counters = counters;
        metastores[index] = view;
        self.publish(metastores);
        Ok(applied)
    }

    fn publish(&self, metastores: Vec<Arc<MetastoreView>>) {
        let id = self.current.load().id + 1;
        self.current.store(Arc::new(Snapshot { id, metastores, loader: self.loader.clone() }));
    }

    /// Status of a metastore's follower.
    pub fn status(&self, metastore: MetastoreId) -> FollowStatus {
        self.volatile.lock().get(&metastore).map(|v| v.status.clone()).unwrap_or_default()
    }

    /// Changes the status of a metastore's follower; volatile.
    pub fn update_status(&self, metastore: MetastoreId, update: impl FnOnce(&mut FollowStatus)) {
        update(&mut self.volatile.lock().entry(metastore).or_default().status);
    }

    /// Endpoints of a metastore as last seen; volatile.
    pub fn endpoints(&self, metastore: MetastoreId) -> Vec<EndpointStatus> {
        self.volatile.lock().get(&metastore).map(|v| v.endpoints.clone()).unwrap_or_default()
    }

    /// Replaces the endpoints of a metastore; volatile.
    pub fn set_endpoints(&self, metastore: MetastoreId, endpoints: Vec<EndpointStatus>) {
        self.volatile.lock().entry(metastore).or_default().endpoints = endpoints;
    }

    /// Bookkeeping of a metastore.
    pub fn ledger(&self, metastore: MetastoreId) -> Ledger {
        self.books.lock().get(&metastore).map(Book::ledger).unwrap_or_default()
    }

    /// A number for a new run, never used before.
    pub fn next_run_id(&self) -> u64 {
        self.writer.lock().counters.take_run()
    }

    /// Size and state of the store.
    pub fn facts(&self) -> StoreFacts {
        StoreFacts {
            path: self.path.display().to_string(),
            open_ms: self.open_ms,
            format_version: u32::from(keys::FORMAT_VERSION),
            ..StoreFacts::default()
        }
    }

    /// Merges deltas into segments where there are many; returns how many collections were
    /// merged. Run in the background.
    pub fn merge(&self) -> Result<usize, Fault> {
        Ok(0)
    }

    /// Writes everything to the disk, fsync included.
    pub fn flush(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// The clock that the catalog was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl Work<'_> {
    /// Lays what is pending over the collections.
    fn finish(&mut self) {
        for (address, pending) in std::mem::take(&mut self.pending) {
            if let Some(collection) = self.collection(&pending.place, address.kind) {
                let collection = Arc::make_mut(collection);
                for (key, item) in &pending.items {
                    let old = match item {
                        Some(entry) => {
                            collection.sums.add(&entry.hot);
                            collection.entries.insert(key.clone(), entry.clone())
                        }
                        None => collection.entries.remove(key),
                    };
                    if let Some(old) = old {
                        collection.sums.sub(&old.hot);
                    }
                }
                for (key, stamp) in &pending.stamps {
                    if let Some(entry) = collection.entries.get_mut(key) {
                        entry.hot.stamp = *stamp;
                    }
                }
            }
            self.settle(&pending.place);
        }
    }
}
