//! What one statement sees: one snapshot, and the state around it as of the statement's begin.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use skep_catalog::change::{FollowState, FollowStatus, Stamp};
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
    failed: HashSet<FailedObject>,
    failed_databases: HashSet<DatabaseName>,
}

#[derive(PartialEq, Eq, Hash)]
struct FailedObject {
    database: DatabaseName,
    table: Option<String>,
    partition: Option<String>,
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

    fn health(&self, metastore: MetastoreId) -> Option<&Health> {
        Some(self.health.get(&metastore)?.get_or_init(|| {
            let state = self.shared.catalog.status(metastore).state;
            let errors = self.shared.catalog.ledger(metastore).errors;
            let failed: HashSet<FailedObject> = errors
                .into_iter()
                .filter_map(|(_, _, _, error)| {
                    Some(FailedObject {
                        database: error.database?,
                        table: error.table_name,
                        partition: error.partition_name,
                    })
                })
                .collect();
            let failed_databases = failed.iter().map(|f| f.database.clone()).collect();
            Health {
                is_followed: matches!(state, FollowState::Following | FollowState::Mirroring),
                failed,
                failed_databases,
            }
        }))
    }

    /// `ok`, `stale` or `error` for an object.
    pub fn sync_status(
        &self,
        metastore: &MetastoreView,
        database: Option<&DatabaseName>,
        table: Option<&str>,
        partition: Option<&str>,
    ) -> &'static str {
        let Some(health) = self.health(metastore.id) else { return "stale" };
        let is_failed = database.is_some_and(|database| {
            health.failed_databases.contains(database)
                && health.failed.contains(&FailedObject {
                    database: database.clone(),
                    table: table.map(str::to_owned),
                    partition: partition.map(str::to_owned),
                })
        });
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
