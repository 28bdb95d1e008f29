//! Takes statements and gives batches, within bounds of time, memory and rows.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use parking_lot::RwLock;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::snapshot::Snapshot;
use skep_catalog::store::Catalog;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::cache::Cache;
use crate::counts::StatementCounts;
use crate::guard;
use crate::jobs::Jobs;
use crate::leases::Leases;
use crate::memory;
use crate::pinned::{Node, Setting, Shared};
use crate::pool::{Pool, PoolBound};
use crate::procedures::text::is_call;
use crate::procedures::{Called, Procedures, call};
use crate::queries::{Queries, Query};
use crate::session::base_state;
use crate::statement::{Prepared, Statement};
use crate::stop::Stop;
use crate::supervise::{prepare, supervise};
use crate::threads::Places;

/// Bounds of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that one statement runs on.
    pub threads: usize,
    /// Memory of what all running statements together keep. Batches on their way between operators
    /// are beside it: up to 256 MiB for the worst of statements.
    pub memory_pool_bytes: usize,
    /// Decoded rows kept between statements. By default an eighth of the memory, but 256 MiB at
    /// least and 8 GiB at most: the hot columns of 10 million partitions take about 350 MB.
    pub cache_bytes: usize,
    /// From arrival to the last row.
    pub statement_timeout_ms: u64,
    /// From when a planner is free to the finished plan; never later than the statement's end.
    pub planning_timeout_ms: u64,
    /// Statements that wait for a planner.
    pub planning_queue_max: usize,
    /// Statements under way: those that wait, and those whose work has not ended yet although
    /// their callers have an answer.
    pub statements_max: usize,
    /// Rows of one result.
    pub result_rows_max: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            memory_pool_bytes: 512 << 20,
            cache_bytes: memory::cache_bytes(memory::usable_bytes()),
            statement_timeout_ms: 30_000,
            planning_timeout_ms: 2_000,
            planning_queue_max: 64,
            statements_max: 256,
            result_rows_max: 10_000_000,
        }
    }
}

/// What is measured of an engine.
#[derive(Clone, Debug)]
pub struct Meters {
    /// Statements that ended.
    pub statements: StatementCounts,
    /// Statements whose work has not ended, however they were answered.
    pub statements_under_way: usize,
    /// Memory that running statements keep.
    pub memory_reserved_bytes: usize,
    /// What they may keep together.
    pub memory_pool_bytes: usize,
    /// Decoded rows kept between statements.
    pub cache_bytes: u64,
    /// How many may be.
    pub cache_bytes_max: u64,
}

/// SQL over one catalog.
pub struct Engine {
    inner: Arc<Inner>,
    /// Keeps the clock of all statements. A runtime cannot be dropped inside another one: `Drop`
    /// ends it in the background.
    control: Option<Runtime>,
}

/// What statements share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) base: Arc<SessionState>,
    pub(crate) options: ArcSwap<EngineOptions>,
    pool: PoolBound,
    pub(crate) planners: Arc<Semaphore>,
    pub(crate) planners_waiting: AtomicUsize,
    places: Arc<Places>,
    leases: Arc<Leases>,
    control: tokio::runtime::Handle,
}

/// The rows of a statement, as they come. Dropping it cancels the statement.
pub struct QueryResult {
    /// Number, as in `runtime.queries`.
    pub query_id: u64,
    /// Columns.
    pub schema: SchemaRef,
    pub(crate) batches: mpsc::Receiver<RecordBatch>,
    /// Empty while it runs.
    pub(crate) end: watch::Receiver<Option<End>>,
    pub(crate) is_end_told: bool,
    pub(crate) _cancel: oneshot::Sender<()>,
}

/// How a statement ended. Beside the rows, so that no reader, however slow, takes a part for the
/// whole.
pub(crate) type End = Option<Fault>;

impl QueryResult {
    /// The next rows; `None` after the last. An error is the last item, and without
    /// one all rows were given.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        if self.is_end_told {
            return None;
        }
        let (batches, mut end) = (&mut self.batches, self.end.clone());
        // Work that does not stop at once keeps the channel of the rows open, so a fault is told
        // beside it.
        let fault = async {
            let seen = end.wait_for(|end| matches!(end, Some(Some(_)))).await;
            match seen.map(|end| Option::clone(&end).flatten()) {
                Ok(fault) => fault,
                Err(_) => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            biased;
            batch = batches.recv() => match batch {
                Some(batch) => return Some(Ok(batch)),
                None => self.end.borrow().clone().unwrap_or_else(|| Some(engine_stopped())),
            },
            fault = fault => fault,
        };
        self.is_end_told = true;
        end.map(Err)
    }

    /// All rows at once.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, Fault> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

impl Engine {
    /// An engine over `catalog`. Starts its own threads.
    /// Errors: `INTERNAL` when the machine gives no threads.
    pub fn new(catalog: Arc<Catalog>, options: EngineOptions) -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| Fault::internal("starting the SQL engine", e.to_string());
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("skep-sql-control")
            .enable_time()
            .build()
            .map_err(|e| failed(&e))?;
        let pool_bound = PoolBound::new(options.memory_pool_bytes);
        let pool = TrackConsumersPool::new(Pool::new(&pool_bound), std::num::NonZeroUsize::MIN);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|e| failed(&e))?;
        let shared = Arc::new(Shared {
            catalog,
            cache: Cache::new(options.cache_bytes),
            memory_pool: Arc::clone(&runtime.memory_pool),
            queries: Queries::default(),
            nodes: RwLock::default(),
            settings: RwLock::default(),
            jobs: Jobs::default(),
            procedures: OnceLock::new(),
        });
        let inner = Inner {
            shared,
            base: Arc::new(base_state(runtime, options.threads.max(1))),
            planners: Arc::new(Semaphore::new(2 * options.threads.max(1))),
            planners_waiting: AtomicUsize::new(0),
            places: Places::new(options.statements_max, options.threads.max(1)),
            leases: Arc::default(),
            control: control.handle().clone(),
            options: ArcSwap::from_pointee(options),
            pool: pool_bound,
        };
        Ok(Self { inner: Arc::new(inner), control: Some(control) })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.inner.shared.catalog
    }

    /// Bounds.
    pub fn options(&self) -> Arc<EngineOptions> {
        self.inner.options.load_full()
    }

    /// Changes bounds for statements that come from now on: both timeouts and `result_rows_max`;
    /// and for all, `memory_pool_bytes`. The other options stay as they are.
    pub fn set_bounds(&self, bounds: &EngineOptions) {
        let options = EngineOptions {
            memory_pool_bytes: bounds.memory_pool_bytes,
            statement_timeout_ms: bounds.statement_timeout_ms,
            planning_timeout_ms: bounds.planning_timeout_ms,
            result_rows_max: bounds.result_rows_max,
            ..EngineOptions::clone(&self.options())
        };
        self.inner.pool.set(options.memory_pool_bytes);
        self.inner.options.store(Arc::new(options));
    }

    /// Lets statements call procedures. Before, and in a process that does not say this, every CALL
    /// is refused; a second time changes nothing.
    pub fn set_procedures(&self, procedures: Procedures) {
        // They are there already then.
        let _ = self.inner.shared.procedures.set(procedures);
    }

    /// Statements whose work has not ended, however it was answered.
    pub fn statements_under_way(&self) -> usize {
        self.inner.places.taken()
    }

    /// What its meters show now.
    pub fn meters(&self) -> Meters {
        let shared = &self.inner.shared;
        Meters {
            statements: shared.queries.counts.now(),
            statements_under_way: self.statements_under_way(),
            memory_reserved_bytes: shared.memory_pool.reserved(),
            memory_pool_bytes: self.options().memory_pool_bytes,
            cache_bytes: shared.cache.bytes() as u64,
            cache_bytes_max: shared.cache.bytes_max() as u64,
        }
    }

    /// Sets the rows of `runtime.nodes`.
    pub fn set_nodes(&self, nodes: Vec<Node>) {
        *self.inner.shared.nodes.write() = nodes;
    }

    /// Sets the rows of `runtime.settings`.
    pub fn set_settings(&self, settings: Vec<Setting>) {
        *self.inner.shared.settings.write() = settings;
    }

    /// Plans and starts a statement without parameters on the newest snapshot; see [`Engine::run`].
    pub async fn query(&self, sql: &str) -> Result<QueryResult, Fault> {
        self.run(Statement::new(sql)).await
    }

    /// Plans and starts a statement. Works on any executor, or none.
    ///
    /// Errors: `SQL_*` faults and `INTERNAL`; those that come while rows are made come with the
    /// rows. Cancel safety: dropping the future or the result cancels the statement.
    pub async fn run(&self, statement: Statement) -> Result<QueryResult, Fault> {
        let (query, stop) = self.begin(&statement)?;
        let (answer, answered) = oneshot::channel();
        self.inner.control.spawn(supervise(Arc::clone(&self.inner), query, statement, stop, answer));
        answered.await.unwrap_or_else(|_| Err(engine_stopped()))
    }

    /// Runs a query, or calls a procedure: what is typed at a prompt is done once.
    ///
    /// Errors and cancel safety: as [`Engine::run`], and as [`Engine::call`].
    pub async fn execute(&self, statement: Statement) -> Result<QueryResult, Fault> {
        if !is_call(&statement.sql) {
            return self.run(statement).await;
        }
        let called = self.call(statement).await?;
        let (rows, batches) = mpsc::channel(1);
        let (cancel, _) = oneshot::channel();
        let schema = called.rows.schema();
        // The channel has room for it.
        let _ = rows.try_send(called.rows);
        // It has ended, well, and its sender is gone.
        let (_, end) = watch::channel(Some(None));
        Ok(QueryResult { query_id: 0, schema, batches, end, is_end_told: false, _cancel: cancel })
    }

    /// Calls a procedure: decided, recorded and done exactly once, whether anybody waits for the
    /// answer or not.
    ///
    /// Errors: `CALL_*`, `METASTORE_UNKNOWN`, `SQL_*` for what is no CALL that can be understood;
    /// `JOURNAL_IO`, after which it is not known whether it took effect. Cancel safety: dropping
    /// the future ends nothing.
    pub async fn call(&self, statement: Statement) -> Result<Called, Fault> {
        let (query, stop) = self.begin(&statement)?;
        let (answer, answered) = oneshot::channel();
        self.inner.control.spawn(call(Arc::clone(&self.inner), query, statement, stop, answer));
        answered.await.unwrap_or_else(|_| Err(engine_stopped()))
    }

    /// The answer of a call that was recorded, in this process or before; nothing happens.
    ///
    /// Errors: `TICKET_INVALID` when the audit log does not reach so far back.
    pub fn called(&self, call_id: &str, is_replay: bool) -> Result<Called, Fault> {
        Called::again(&self.inner.shared, call_id, is_replay)
    }

    /// Tells what a statement gives and takes; nothing is run. Values of parameters need not be
    /// there; those that are must fit. It is in `runtime.query_history` only when it fails.
    ///
    /// Errors and cancel safety: as [`Engine::run`].
    pub async fn prepare(&self, statement: Statement) -> Result<Prepared, Fault> {
        let (query, stop) = self.begin(&statement)?;
        let (answer, answered) = oneshot::channel();
        self.inner.control.spawn(prepare(Arc::clone(&self.inner), query, statement, stop, answer));
        answered.await.unwrap_or_else(|_| Err(engine_stopped()))
    }

    fn begin(&self, statement: &Statement) -> Result<(Arc<Query>, Arc<Stop>), Fault> {
        let inner = &self.inner;
        let stop = Stop::new(inner.places.take()?);
        let query = inner.shared.queries.begin(statement, inner.shared.now());
        // A text that is too long is not worth a thread.
        if let Err(fault) = guard::check_length(&statement.sql) {
            inner.shared.queries.end(&query, inner.shared.now(), Some(fault.clone()));
            return Err(fault);
        }
        Ok((query, stop))
    }

    /// Keeps the newest snapshot for [`LEASE`](crate::LEASE), for rows that are asked for later.
    pub fn lease(&self) -> Arc<Snapshot> {
        let snapshot = self.catalog().snapshot();
        self.inner.leases.keep(&snapshot, &self.inner.control);
        snapshot
    }

    /// The snapshot with this id, which [`Engine::lease`] gave in this process.
    ///
    /// Errors: `SNAPSHOT_GONE`.
    pub fn leased(&self, snapshot_id: u64) -> Result<Arc<Snapshot>, Fault> {
        self.inner.leases.get(snapshot_id)
    }

    /// Keeps it for another [`LEASE`](crate::LEASE) from now.
    ///
    /// Errors: `SNAPSHOT_GONE`.
    pub fn renew_lease(&self, snapshot_id: u64) -> Result<(), Fault> {
        let snapshot = self.inner.leases.get(snapshot_id)?;
        self.inner.leases.keep(&snapshot, &self.inner.control);
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

fn engine_stopped() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "the SQL engine was stopped")
}
