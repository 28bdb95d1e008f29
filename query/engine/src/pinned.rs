//! What one statement sees: one snapshot, and the state around it as of the statement's begin.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::execution::memory_pool::MemoryPool;
use parking_lot::RwLock;
use skep_catalog::change::{EndpointStatus, FollowState, FollowStatus, ObjectError, Stamp};
use skep_catalog::model::{DatabaseName, MetastoreId};
use skep_catalog::snapshot::{MetastoreView, Snapshot};
use skep_catalog::store::Catalog;

use crate::cache::Cache;
use crate::caller::{Caller, Role};
use crate::jobs::Jobs;
use crate::procedures::Procedures;
use crate::queries::{EndedQuery, Queries, Query};
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
    /// Unit of both.
    pub unit: Option<&'static str>,
    /// `default`, `config` or `procedure`.
    pub origin: &'static str,
    /// What it does.
    pub comment: String,
    /// What it is about, when not the whole process: others may not see it.
    pub subject: Option<Subject>,
}

/// What a setting is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The metastore of this name.
    Metastore(String),
    /// The user of this name.
    User(String),
}

impl Setting {
    fn is_for(&self, caller: &Caller) -> bool {
        match &self.subject {
            None => true,
            Some(Subject::Metastore(name)) => caller.scope.has_metastore(name),
            Some(Subject::User(name)) => caller.role == Role::Admin || caller.principal.as_ref() == name,
        }
    }
}

/// What all statements share.
pub struct Shared {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Decoded rows.
    pub cache: Cache,
    /// Memory of all running statements.
    pub memory_pool: Arc<dyn MemoryPool>,
    /// Statements running and ended.
    pub queries: Queries,
    /// Rows of `runtime.nodes`.
    pub nodes: RwLock<Vec<Node>>,
    /// Rows of `runtime.settings`.
    pub settings: RwLock<Vec<Setting>>,
    /// Work that calls began.
    pub jobs: Jobs,
    /// Set when calls are taken.
    pub procedures: OnceLock<Procedures>,
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
    /// The view: only what the caller may see of it.
    pub snapshot: Arc<Snapshot>,
    /// Who asks.
    pub caller: Caller,
    /// Of every metastore in the snapshot, as it was then.
    live: HashMap<MetastoreId, Live>,
}

/// What is known of a metastore besides its mirror.
struct Live {
    status: FollowStatus,
    endpoints: Vec<EndpointStatus>,
    health: OnceLock<Health>,
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
    fn is_failed(&self, database: Option<&DatabaseName>, table: Option<&str>) -> bool {
        let Some(database) = database.and_then(|name| self.failed.get(name)) else { return false };
        database.itself || table.and_then(|name| database.parts.get(name)).is_some_and(|table| table.itself)
    }

    /// Partitions of a table that could not be read.
    fn failed_partitions(&self, database: &DatabaseName, table: &str) -> Option<&HashMap<String, ()>> {
        Some(&self.failed.get(database)?.parts.get(table)?.parts)
    }
}

impl Pinned {
    /// Pins a snapshot, the current one when `None`. Every table reads what the metastores hold from
    /// here, so that this is the one place where what the caller may not see is left out.
    pub fn new(shared: Arc<Shared>, snapshot: Option<Arc<Snapshot>>, caller: Caller) -> Self {
        let snapshot = snapshot.unwrap_or_else(|| shared.catalog.snapshot()).narrowed(&caller.scope);
        let live = snapshot.metastores.iter().map(|metastore| {
            let mut status = shared.catalog.status(metastore.id);
            status.error = status.error.map(|(fault, at)| (metastore.ledger.told(fault), at));
            let endpoints = shared.catalog.endpoints(metastore.id);
            (metastore.id, Live { status, endpoints, health: OnceLock::new() })
        });
        let live = live.collect();
        Self { shared, snapshot, caller, live }
    }

    /// Rows of `runtime.settings` that the caller may see.
    pub fn settings(&self) -> Vec<Setting> {
        self.shared.settings.read().iter().filter(|setting| setting.is_for(&self.caller)).cloned().collect()
    }

    /// Statements under way that the caller may see.
    pub fn queries(&self) -> impl Iterator<Item = Arc<Query>> {
        let running = self.shared.queries.running().into_iter();
        running.filter(|query| self.caller.sees_statements_of(&query.caller.principal))
    }

    /// Statements that ended that the caller may see, the oldest first.
    pub fn ended_queries(&self) -> impl Iterator<Item = EndedQuery> {
        let ended = self.shared.queries.ended().into_iter();
        ended.filter(|ended| self.caller.sees_statements_of(&ended.query.caller.principal))
    }

    /// Whether the caller may see what this principal called: what calls are about is not narrowed.
    pub fn sees_calls_of(&self, principal: &str) -> bool {
        let is_auditor = self.caller.role == Role::Admin && self.caller.scope.is_everything();
        is_auditor || self.caller.principal.as_ref() == principal
    }

    /// How a metastore's follower was when the statement began.
    pub fn status(&self, metastore: &MetastoreView) -> FollowStatus {
        self.live.get(&metastore.id).map(|live| live.status.clone()).unwrap_or_default()
    }

    /// How a metastore's addresses were when the statement began.
    pub fn endpoints(&self, metastore: &MetastoreView) -> &[EndpointStatus] {
        self.live.get(&metastore.id).map_or(&[], |live| &live.endpoints)
    }

    fn health(&self, metastore: &MetastoreView) -> Option<&Health> {
        let live = self.live.get(&metastore.id)?;
        Some(live.health.get_or_init(|| {
            let is_followed = matches!(live.status.state, FollowState::Following | FollowState::Mirroring);
            let mut health = Health { is_followed, failed: HashMap::new() };
            metastore.ledger.errors().for_each(|seen| health.add(&seen.error));
            health
        }))
    }

    /// `sync_status` of the partitions of a table.
    pub fn partition_statuses(
        &self,
        metastore: &MetastoreView,
        database: &DatabaseName,
        table: &str,
    ) -> PartitionStatuses<'_> {
        let health = self.health(metastore);
        PartitionStatuses {
            of_table: self.sync_status(metastore, Some(database), Some(table)),
            failed: health.and_then(|health| health.failed_partitions(database, table)),
        }
    }

    /// `ok`, `stale` or `error` for an object: what is below something that failed has failed.
    pub fn sync_status(
        &self,
        metastore: &MetastoreView,
        database: Option<&DatabaseName>,
        table: Option<&str>,
    ) -> &'static str {
        let Some(health) = self.health(metastore) else { return "stale" };
        let is_failed = health.is_failed(database, table);
        match (is_failed, health.is_followed) {
            (true, _) => "error",
            (false, true) => "ok",
            (false, false) => "stale",
        }
    }
}

/// `sync_status` of the partitions of one table.
pub struct PartitionStatuses<'a> {
    of_table: &'static str,
    failed: Option<&'a HashMap<String, ()>>,
}

impl PartitionStatuses<'_> {
    /// Of the partition of this name.
    pub fn of(&self, partition: &str) -> &'static str {
        if self.failed.is_some_and(|failed| failed.contains_key(partition)) { "error" } else { self.of_table }
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
        let database = DatabaseName::new("hive", "d");
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
            let partition =
                |name| health.failed_partitions(&database, "t").is_some_and(|f| f.contains_key(name));
            let of_table = |table| health.is_failed(Some(&database), table);
            [of_table(None), of_table(Some("t")), partition("p"), partition("q"), of_table(Some("u"))]
        };
        assert_eq!(told(&health(None, None)), [true, true, false, false, true]);
        assert_eq!(told(&health(Some("t"), None)), [false, true, false, false, false]);
        assert_eq!(told(&health(Some("t"), Some("p"))), [false, false, true, false, false]);
        assert!(!health(None, None).is_failed(None, None));
    }

    #[test]
    fn partitions_fail_with_their_table_or_alone() {
        let failed = HashMap::from([("p".to_owned(), ())]);
        let statuses = PartitionStatuses { of_table: "stale", failed: Some(&failed) };
        assert_eq!((statuses.of("p"), statuses.of("q")), ("error", "stale"));
        assert_eq!(PartitionStatuses { of_table: "error", failed: None }.of("q"), "error");
    }
}
