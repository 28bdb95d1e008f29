//! The followers of all metastores, and the maintenance of the store beside them: what `serve` and
//! `demo` run.
//!
//! Invariant: one follower per metastore of the catalog, none for a metastore that is not
//! declared.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use skep_catalog::change::FollowState;
use skep_catalog::fault::Fault;
use skep_catalog::mirror::{Asked, Extent, Mirror, Progress};
use skep_catalog::model::MetastoreId;
use skep_catalog::store::{Catalog, MAINTENANCE_INTERVAL, Maintenance};
use skep_hms::HmsSource;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::config::MetastoreConfig;
use crate::wire;

/// Between looks at the endpoints.
const ENDPOINTS_INTERVAL: Duration = Duration::from_millis(500);

/// Time for a follower to note that it was interrupted.
const STOP_TIMEOUT: Duration = Duration::from_millis(800);
/// Before a mirror that panicked begins again.
const RESTART_PAUSE: Duration = Duration::from_secs(60);

/// A metastore that is followed.
pub struct Follower {
    /// Number in the catalog.
    pub id: MetastoreId,
    /// How far its mirror is.
    pub progress: Arc<Progress>,
    asked: Arc<Asked>,
    config: MetastoreConfig,
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

/// All that are followed, by name.
pub struct Followers {
    catalog: Arc<Catalog>,
    running: BTreeMap<String, Follower>,
    maintenance: JoinHandle<()>,
}

/// What a new set of metastores came to, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// New ones.
    pub added: Vec<String>,
    /// Those with other options.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those that are not asked any more, and stay.
    pub paused: Vec<String>,
}

impl Followers {
    /// No metastore yet; the maintenance of the store begins.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let maintenance = tokio::spawn(keep_maintained(Arc::clone(&catalog)));
        Self { catalog, running: BTreeMap::new(), maintenance }
    }

    /// Those that are followed, by name.
    pub fn running(&self) -> &BTreeMap<String, Follower> {
        &self.running
    }

    /// Names and numbers of those that are followed.
    pub fn ids(&self) -> Vec<(String, MetastoreId)> {
        self.running.iter().map(|(name, follower)| (name.clone(), follower.id)).collect()
    }

    /// Makes `metastores` what is followed, but for those that are paused: removed ones are forgotten
    /// with all they hold, changed ones begin anew with what is mirrored, unchanged ones go on
    /// undisturbed.
    ///
    /// Errors: `CONFIG_*` for certificates, `STORE_*`; what was followed is followed on then.
    pub async fn set(
        &mut self,
        metastores: &[MetastoreConfig],
        paused: &BTreeSet<String>,
    ) -> Result<Reloaded, Fault> {
        let mut reloaded = Reloaded::default();
        let mut sources = BTreeMap::new();
        for metastore in metastores {
            let name = &metastore.options.name;
            match self.running.get(name) {
                Some(_) if paused.contains(name) => {
                    reloaded.paused.push(name.clone());
                    continue;
                }
                None if paused.contains(name) => continue,
                Some(follower) if follower.config == *metastore => continue,
                Some(_) => reloaded.changed.push(name.clone()),
                None => reloaded.added.push(name.clone()),
            }
            sources.insert(name.clone(), wire::source(metastore)?);
        }
        let is_declared = |name: &String| metastores.iter().any(|metastore| metastore.options.name == *name);
        reloaded.removed = self.running.keys().filter(|name| !is_declared(name)).cloned().collect();

        let catalog = Arc::clone(&self.catalog);
        let declared = metastores.to_vec();
        let ids = tokio::task::spawn_blocking(move || wire::declare(&catalog, &declared))
            .await
            .map_err(|error| Fault::internal("declaring the metastores", error.to_string()))??;
        let ended = reloaded.changed.iter().chain(&reloaded.removed).chain(&reloaded.paused);
        let ending: Vec<Follower> = ended.filter_map(|name| self.running.remove(name)).collect();
        stop_all(ending).await;
        for (metastore, id) in metastores.iter().zip(ids) {
            let name = &metastore.options.name;
            if let Some(source) = sources.remove(name) {
                self.running.insert(name.clone(), self.start(metastore, id, source));
            } else if paused.contains(name) {
                self.catalog.update_status(id, |status| {
                    status.state = FollowState::Paused;
                    status.next_run_at = None;
                });
            }
        }
        Ok(reloaded)
    }

    /// Asks for something of a metastore to be read again soon; `false` when it is not followed.
    pub fn refresh(&self, metastore: &str, extent: Extent) -> bool {
        let follower = self.running.get(metastore);
        follower.is_some_and(|follower| {
            follower.asked.ask(extent);
            true
        })
    }

    fn start(&self, metastore: &MetastoreConfig, id: MetastoreId, source: Arc<HmsSource>) -> Follower {
        let mirror = wire::mirror(&self.catalog, metastore, id, &source);
        let (progress, asked) = (Arc::clone(&mirror.progress), Arc::clone(&mirror.asked));
        self.catalog.update_status(id, |status| {
            // It was paused.
            if status.state == FollowState::Paused {
                status.state = FollowState::Pending;
            }
        });
        let (stop, stopped) = watch::channel(false);
        let show = show_endpoints(Arc::clone(&self.catalog), id, source, stopped.clone());
        // People know a metastore by name; the mirror says nothing of its own about which one it is.
        let span = tracing::error_span!("follow", metastore = %metastore.options.name);
        let tasks = [tokio::spawn(run(mirror, stopped).instrument(span)), tokio::spawn(show)];
        Follower { id, progress, asked, config: metastore.clone(), stop, tasks }
    }

    /// Ends all followers, within a second.
    pub async fn stop(self) {
        self.maintenance.abort();
        stop_all(self.running.into_values().collect()).await;
    }
}

/// A follower that does not end by itself in time is cut off: what it had under way is read again.
async fn stop_all(followers: Vec<Follower>) {
    for follower in &followers {
        // A follower that is gone needs no telling.
        let _ = follower.stop.send(true);
    }
    let ends = followers.into_iter().flat_map(|follower| follower.tasks).map(|mut task| async move {
        if tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
    });
    futures::future::join_all(ends).await;
}

/// Runs a mirror; a bug that ends it is told in its status, and it begins again.
async fn run(mirror: Mirror, stopped: watch::Receiver<bool>) {
    loop {
        let work = AssertUnwindSafe(mirror.run(stopped.clone())).catch_unwind();
        if work.await.is_ok() {
            return;
        }
        let fault = Fault::internal("mirror", "it panicked; it begins again in a minute");
        tracing::error!(%fault, "mirror failed");
        let now = mirror.catalog.clock().now_micros();
        mirror.catalog.update_status(mirror.metastore, |status| {
            status.state = FollowState::Error;
            status.error = Some((fault, now));
        });
        let mut stop = stopped.clone();
        tokio::select! {
            _ = stop.wait_for(|is_stopped| *is_stopped) => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
    }
}

/// Keeps `federation.endpoints` fresh.
async fn show_endpoints(
    catalog: Arc<Catalog>,
    id: MetastoreId,
    source: Arc<HmsSource>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        catalog.set_endpoints(id, source.client().endpoints());
        tokio::select! {
            _ = stopped.wait_for(|is_stopped| *is_stopped) => return,
            () = tokio::time::sleep(ENDPOINTS_INTERVAL) => {}
        }
    }
}

/// The maintenance of the store, beside the followers.
async fn keep_maintained(catalog: Arc<Catalog>) {
    loop {
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        let catalog = Arc::clone(&catalog);
        if let Err(error) = tokio::task::spawn_blocking(move || maintain(&catalog)).await {
            tracing::error!(%error, "maintenance of the store panicked, it goes on");
        }
    }
}

/// Maintains the store and logs what that came to. Blocks.
pub fn maintain(catalog: &Catalog) {
    let Maintenance { merged_count, rebuild, faults } = catalog.maintain();
    if merged_count != 0 {
        tracing::debug!(merged_count, "merged deltas into segments");
    }
    if let Some(rebuild) = rebuild {
        tracing::info!(
            before_bytes = rebuild.before_bytes,
            after_bytes = rebuild.after_bytes,
            elapsed_ms = rebuild.elapsed_ms,
            blocked_ms = rebuild.blocked_ms,
            "rebuilt the store"
        );
    }
    for fault in faults {
        tracing::warn!(%fault, "store not maintained, this is tried again");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use skep_catalog::fault::Code;
    use skep_catalog::ports::SystemClock;
    use skep_catalog::store::StoreOptions;
    use skep_hms::HmsDecoder;

    use super::*;
    use crate::config::options::MetastoreOptions;

    fn metastore(name: &str) -> MetastoreConfig {
        // Nobody listens there; what is followed is what matters.
        let uris = vec!["thrift://127.0.0.1:1".to_owned()];
        let options = MetastoreOptions { name: name.into(), uris, ..MetastoreOptions::default() };
        MetastoreConfig { options, tls: None, origin: "config" }
    }

    fn open(folder: &std::path::Path, disk_free_bytes_min: u64) -> Arc<Catalog> {
        let options = StoreOptions { disk_free_bytes_min, ..StoreOptions::default() };
        Catalog::open(folder, options, Arc::new(HmsDecoder), Arc::new(SystemClock)).unwrap().0
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn set_that_cannot_be_stored_leaves_the_old_one_followed() {
        let folder = tempfile::tempdir().unwrap();
        wire::declare(&open(folder.path(), 0), &[metastore("one"), metastore("two")]).unwrap();
        // No volume has so much space.
        let mut followers = Followers::new(open(folder.path(), u64::MAX));
        let running = |followers: &Followers| followers.running().keys().cloned().collect::<Vec<_>>();
        followers.set(&[metastore("one"), metastore("two")], &BTreeSet::new()).await.unwrap();
        assert_eq!(running(&followers), ["one", "two"]);
        let fault =
            followers.set(&[metastore("two"), metastore("three")], &BTreeSet::new()).await.unwrap_err();
        assert_eq!(fault.code, Code::STORE_FULL);
        assert_eq!(running(&followers), ["one", "two"]);
        assert!(followers.running().values().all(|follower| !*follower.stop.borrow()));
        followers.stop().await;
    }
}
