//! What one statement sees: one snapshot, and the state around it as of the statement's begin.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use skep_catalog::change::{FollowState, FollowStatus, ObjectError, Stamp};
use skep_catalog::model::{DatabaseName, MetastoreId};
use skep_catalog::snapshot::{MetastoreView, Snapshot};
use skep_catalog::store::Catalog;

use crate::cache::Cache;
use crate::queries::Queries;
use crate::rows::Value;

/// A row of `runtime.nodes`.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Id of the process.
    pub node_id: String,
    /// Host name.
    pub host: String,
    /// `demo`, `sql`, `sync` or `serve`.
    pub role: String,
    /// Microseconds since 1970.
    pub started_at: i64,
    /// Door and address.
    pub listeners: Vec<(String, String)>,
}

/// A row of `runtime.settings`.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Name, as in the config file.
    pub name: String,
    /// Value in use.
    pub value: Option<String>,
    /// Value when nobody sets it.
    pub default_value: Option<String>,
    /// `default`, `config` or `procedure`.
    pub origin: &'static str,
    /// What it does.
    pub comment: String,
}

/// What all statements share.
pub struct Shared {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Decoded rows.
    pub cache: Cache,
    /// Statements running and ended.
    pub queries: Queries,
    /// Rows of `runtime.nodes`.
    pub nodes: RwLock<Vec<Node>>,
    /// Rows of `runtime.settings`.
    pub settings: RwLock<Vec<Setting>>,
}

impl Shared {
    /// Microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.catalog.clock().now_micros()
    }
}

/// See the head of this file.
pub struct Pinned {
    /// What all statements share.
    pub shared: Arc<Shared>,
    /// The view.
    pub snapshot: Arc<Snapshot>,
    health: HashMap<MetastoreId, OnceLock<Health>>,
}

/// What `sync_status` is told from.
struct Health {
    is_followed: bool,
    failed: HashMap<DatabaseName, FailedIn<FailedIn<()>>>,
}

/// What failed of an object: itself, or parts of it by name.
struct FailedIn<T> {
    itself: bool,
    parts: HashMap<String, T>,
}

impl<T> Default for FailedIn<T> {
    fn default() -> Self {
        Self { itself: false, parts: HashMap::new() }
    }
}

impl Health {
    fn add(&mut self, error: &ObjectError) {
        let Some(database) = error.database.clone() else { return };
        let database = self.failed.entry(database).or_default();
        let Some(table) = error.table_name.clone() else {
            database.itself = true;
            return;
        };
        let table = database.parts.entry(table).or_default();
        match error.partition_name.clone() {
            Some(partition) => {
                table.parts.insert(partition, ());
            }
            None => table.itself = true,
        }
    }

    /// Whether an object or anything above it could not be read.
    fn is_failed(
        &self,
        database: Option<&DatabaseName>,
        table: Option<&str>,
        partition: Option<&str>,
    ) -> bool {
        let Some(database) = database.and_then(|name| self.failed.get(name)) else { return false };
        let Some(table) = table.and_then(|name| database.parts.get(name)) else { return database.itself };
        let is_partition = partition.is_some_and(|name| table.parts.contains_key(name));
        database.itself || table.itself || is_partition
    }
}

impl Pinned {
    /// Pins the current snapshot.
    pub fn new(shared: Arc<Shared>) -> Self {
        let snapshot = shared.catalog.snapshot();
        let health = snapshot.metastores.iter().map(|m| (m.id, OnceLock::new())).collect();
        Self { shared, snapshot, health }
    }

    /// How a metastore's follower is.
    pub fn status(&self, metastore: &MetastoreView) -> FollowStatus {
        self.shared.catalog.status(metastore.id)
    }

    fn health(&self, metastore: &MetastoreView) -> Option<&Health> {
        Some(self.health.get(&metastore.id)?.get_or_init(|| {
            let state = self.status(metastore).state;
            let is_followed = matches!(state, FollowState::Following | FollowState::Mirroring);
            let mut health = Health { is_followed, failed: HashMap::new() };
            metastore.ledger.errors().for_each(|seen| health.add(&seen.error));
            health
        }))
    }

    /// `ok`, `stale` or `error` for an object: what is below something that failed has failed.
    pub fn sync_status(
        &self,
        metastore: &MetastoreView,
        database: Option<&DatabaseName>,
        table: Option<&str>,
        partition: Option<&str>,
    ) -> &'static str {
        let Some(health) = self.health(metastore) else { return "stale" };
        let is_failed = health.is_failed(database, table, partition);
        match (is_failed, health.is_followed) {
            (true, _) => "error",
            (false, true) => "ok",
            (false, false) => "stale",
        }
    }
}

/// `synced_at` and `source_event_id`.
pub fn stamp_values(stamp: &Stamp) -> [Value<'static>; 2] {
    [Value::Int(stamp.synced_at), stamp.source_event_id.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_catalog::fault::{Code, Fault};

    #[test]
    fn what_is_below_a_failure_has_failed() {
        let name = DatabaseName::new("hive", "d");
        let health = |table: Option<&str>, partition: Option<&str>| {
            let mut health = Health { is_followed: true, failed: HashMap::new() };
            health.add(&ObjectError {
                database: Some(DatabaseName::new("hive", "d")),
                table_name: table.map(str::to_owned),
                partition_name: partition.map(str::to_owned),
                fault: Fault::new(Code::METASTORE_SLOW, "get_table", "no answer"),
                at: 0,
            });
            health
        };
        let told = |health: &Health| {
            [
                (None, None),
                (Some("t"), None),
                (Some("t"), Some("p")),
                (Some("t"), Some("q")),
                (Some("u"), None),
            ]
            .map(|(table, partition)| health.is_failed(Some(&name), table, partition))
        };
        assert_eq!(told(&health(None, None)), [true; 5]);
        assert_eq!(told(&health(Some("t"), None)), [false, true, true, true, false]);
        assert_eq!(told(&health(Some("t"), Some("p"))), [false, false, true, false, false]);
        assert!(!health(None, None).is_failed(None, None, None));
    }
}
