//! Takes statements and gives batches, within bounds of time, memory and rows.
//!
//! A statement passes three places, none of which can hold up another: a planner thread (large
//! stack, a few at once, a short wall limit), the workers that run its plan, and a supervisor on a
//! thread of its own that keeps the clock. The supervisor answers in time even when the planner or
//! a worker does not: what is busy then is left to end by itself, still counted against the number
//! of planners.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use parking_lot::RwLock;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::store::Catalog;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::cache::Cache;
use crate::errors::{from_datafusion, unknown_table};
use crate::pinned::{Node, Pinned, Setting, Shared};
use crate::queries::{Queries, Query};
use crate::session::{base_state, statement_state};
use crate::{guard, spec};

/// Stack of planner and worker threads: what the depth that is let through needs, many times over.
pub const STACK_BYTES: usize = 16 << 20;

/// Bounds of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Threads that plans run on.
    pub threads: usize,
    /// Memory of all running statements together.
    pub memory_pool_bytes: usize,
    /// Decoded rows kept between statements.
    pub cache_bytes: usize,
    /// From arrival to the last row.
    pub statement_timeout_ms: u64,
    /// From when a planner is free to the finished plan; never later than the statement's end.
    pub planning_timeout_ms: u64,
    /// Statements that wait for a planner.
    pub planning_queue_max: usize,
    /// Statements under way, waiting ones included.
    pub statements_max: usize,
    /// Rows of one result.
    pub result_rows_max: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            memory_pool_bytes: 512 << 20,
            cache_bytes: 256 << 20,
            statement_timeout_ms: 30_000,
            planning_timeout_ms: 2_000,
            planning_queue_max: 64,
            statements_max: 256,
            result_rows_max: 10_000_000,
        }
    }
}

/// SQL over one catalog.
pub struct Engine {
    inner: Arc<Inner>,
    /// Runtimes cannot be dropped inside another one: `Drop` ends them in the background.
    runtimes: Option<(Runtime, Runtime)>,
}

struct Inner {
    shared: Arc<Shared>,
    base: Arc<SessionState>,
    options: EngineOptions,
    planners: Arc<Semaphore>,
    planners_waiting: AtomicUsize,
    statements: AtomicUsize,
    work: tokio::runtime::Handle,
    control: tokio::runtime::Handle,
}

/// The rows of a statement, as they come. Dropping it cancels the statement.
pub struct QueryResult {
    /// Number, as in `runtime.queries`.
    pub query_id: u64,
    /// Columns.
    pub schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    end: Arc<OnceLock<End>>,
    is_end_told: bool,
    _cancel: oneshot::Sender<()>,
}

/// How a statement ended. Beside the rows, so that no reader, however slow, takes a part for the
/// whole.
type End = Option<Fault>;

impl QueryResult {
    /// The next rows; `None` after the last. An error is the last item, and without
    /// one all rows were given.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        if let Some(batch) = self.batches.recv().await {
            return Some(Ok(batch));
        }
        if std::mem::replace(&mut self.is_end_told, true) {
            return None;
        }
        let end = self.end.get().cloned().unwrap_or_else(|| Some(engine_stopped()));
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

/// A statement that is planned.
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    state: SessionState,
}

impl Engine {
    /// An engine over `catalog`. Starts its own threads.
    /// Errors: `INTERNAL` when the machine gives no threads.
    pub fn new(catalog: Arc<Catalog>, options: EngineOptions) -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| Fault::internal("starting the SQL engine", e.to_string());
        let work = Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("skep-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
            .map_err(|e| failed(&e))?;
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("skep-sql-control")
            .enable_time()
            .build()
            .map_err(|e| failed(&e))?;
        let pool = TrackConsumersPool::new(
            GreedyMemoryPool::new(options.memory_pool_bytes),
            std::num::NonZeroUsize::MIN,
        );
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|e| failed(&e))?;
        let shared = Arc::new(Shared {
            catalog,
            cache: Cache::new(options.cache_bytes),
            queries: Queries::default(),
            nodes: RwLock::default(),
            settings: RwLock::default(),
        });
        let inner = Inner {
            shared,
            base: Arc::new(base_state(runtime, options.threads.max(1))),
            planners: Arc::new(Semaphore::new(2 * options.threads.max(1))),
            planners_waiting: AtomicUsize::new(0),
            statements: AtomicUsize::new(0),
            work: work.handle().clone(),
            control: control.handle().clone(),
            options,
        };
        Ok(Self { inner: Arc::new(inner), runtimes: Some((work, control)) })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.inner.shared.catalog
    }

    /// Bounds.
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    /// Sets the rows of `runtime.nodes`.
    pub fn set_nodes(&self, nodes: Vec<Node>) {
        *self.inner.shared.nodes.write() = nodes;
    }

    /// Sets the rows of `runtime.settings`.
    pub fn set_settings(&self, settings: Vec<Setting>) {
        *self.inner.shared.settings.write() = settings;
    }

    /// Plans and starts a statement. Works on any executor, or none.
    ///
    /// Errors: `SQL_*` faults and `INTERNAL`; those that come while rows are made come with the
    /// rows. Cancel safety: dropping the future or the result cancels the statement.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, Fault> {
        let inner = &self.inner;
        if inner.options.statements_max <= inner.statements.fetch_add(1, Ordering::Relaxed) {
            inner.statements.fetch_sub(1, Ordering::Relaxed);
            return Err(busy("statements are under way", inner.options.statements_max));
        }
        let query = inner.shared.queries.begin(sql, inner.shared.now());
        // A text that is too long is not worth a copy.
        let sql = sql.get(..sql.len().min(guard::TEXT_BYTES_MAX + 4)).unwrap_or(sql).to_owned();
        let (answer, answered) = oneshot::channel();
        inner.control.spawn(supervise(Arc::clone(inner), query, sql, answer));
        answered.await.unwrap_or_else(|_| Err(engine_stopped()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((work, control)) = self.runtimes.take() {
            work.shutdown_background();
            control.shutdown_background();
        }
    }
}

fn busy(what: &str, limit: usize) -> Fault {
    Fault::new(Code::SQL_BUSY, "statement refused", format!("{limit} {what} already"))
}

fn timed_out(doing: &str, limit_ms: u64) -> Fault {
    Fault::new(Code::SQL_TIMEOUT, "statement ended", format!("{doing} took longer than {limit_ms} ms"))
}

fn engine_stopped() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "the SQL engine was stopped")
}

fn cancelled() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "nobody waits for its rows any more")
}

type Answer = oneshot::Sender<Result<QueryResult, Fault>>;

/// Sees a statement through, on the control thread.
async fn supervise(inner: Arc<Inner>, query: Arc<Query>, sql: String, mut answer: Answer) {
    let started = Instant::now();
    let deadline = started + Duration::from_millis(inner.options.statement_timeout_ms);
    let planned = tokio::select! {
        planned = plan(&inner, sql, deadline) => planned,
        () = answer.closed() => Err(cancelled()),
    };
    let end = |fault: Option<Fault>| {
        inner.shared.queries.end(&query, inner.shared.now(), fault);
        inner.statements.fetch_sub(1, Ordering::Relaxed);
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(fault) => {
            // Ended first, so that whoever has the answer also finds it in the history.
            end(Some(fault.clone()));
            // Nobody waiting is no error.
            let _ = answer.send(Err(fault));
            return;
        }
    };
    query.planned_at.store(u64::try_from(inner.shared.now()).unwrap_or(1).max(1), Ordering::Relaxed);
    let (rows, batches) = mpsc::channel(2);
    let end_slot = Arc::new(OnceLock::new());
    let (cancel, cancelled_by_drop) = oneshot::channel::<()>();
    let schema = planned.plan.schema();
    let result = QueryResult {
        query_id: query.query_id,
        schema,
        batches,
        end: Arc::clone(&end_slot),
        is_end_told: false,
        _cancel: cancel,
    };
    let mut run =
        inner.work.spawn(run(planned, rows.clone(), Arc::clone(&query), inner.options.result_rows_max));
    let _ = answer.send(Ok(result));
    let fault = tokio::select! {
        ended = &mut run => match ended {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(fault),
            Err(e) if e.is_panic() => Some(Fault::internal("statement failed", "a part of it panicked")),
            Err(_) => Some(cancelled()),
        },
        () = tokio::time::sleep_until(deadline) => {
            run.abort();
            Some(timed_out("it", inner.options.statement_timeout_ms))
        }
        _ = cancelled_by_drop => {
            run.abort();
            Some(cancelled())
        }
    };
    end(fault.clone());
    // Set once, here; the reader looks when the last sender, dropped after this, is gone.
    let _ = end_slot.set(fault);
    drop(rows);
}

/// Plans on a planner thread, within the planning limit.
async fn plan(inner: &Arc<Inner>, sql: String, deadline: Instant) -> Result<Planned, Fault> {
    let options = &inner.options;
    let limit_ms = options.planning_timeout_ms;
    let permit = match Arc::clone(&inner.planners).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            let waiting = Waiting::begin(&inner.planners_waiting);
            if options.planning_queue_max < waiting.number {
                return Err(busy("statements wait to be planned", options.planning_queue_max));
            }
            match tokio::time::timeout_at(deadline, Arc::clone(&inner.planners).acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(timed_out("waiting to be planned", options.statement_timeout_ms)),
            }
        }
    };
    let worker = Arc::clone(inner);
    let planning = inner.work.spawn_blocking(move || {
        // Held until the thread is free again, however long the answer has been given.
        let _permit = permit;
        let handle = worker.work.clone();
        handle.block_on(plan_now(&worker, &sql))
    });
    let deadline = deadline.min(Instant::now() + Duration::from_millis(limit_ms));
    match tokio::time::timeout_at(deadline, planning).await {
        Ok(Ok(planned)) => planned,
        Ok(Err(_)) => Err(Fault::internal("statement cannot be planned", "its planner panicked")),
        Err(_) => Err(timed_out("planning it", limit_ms)),
    }
}

struct Waiting<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        Self { count, number: count.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn plan_now(inner: &Inner, sql: &str) -> Result<Planned, Fault> {
    let statement = guard::parse(sql)?;
    let pinned = Arc::new(Pinned::new(Arc::clone(&inner.shared)));
    let state = statement_state(&inner.base, &pinned);
    let references = state.resolve_table_references(&statement).map_err(|e| from_datafusion(&e))?;
    for reference in &references {
        check_table(reference)?;
    }
    let planned: Result<_, DataFusionError> = async {
        let logical = state.statement_to_plan(statement).await?;
        state.create_physical_plan(&logical).await
    }
    .await;
    let plan = planned.map_err(|e| from_datafusion(&e))?;
    Ok(Planned { plan, state })
}

fn check_table(reference: &TableReference) -> Result<(), Fault> {
    if let Some(catalog) = reference.catalog().filter(|c| *c != spec::CATALOG) {
        let why = format!("no SQL catalog is named {catalog}");
        return Err(Fault::new(Code::SQL_INVALID, "statement cannot be planned", why).with_fix(
            "The one SQL catalog is skep; metastores are rows of federation.metastores, their tables rows of catalog.tables.",
        ));
    }
    let schema = reference.schema();
    match spec::find(schema.unwrap_or(spec::DEFAULT_SCHEMA), reference.table()) {
        Some(_) => Ok(()),
        None => Err(unknown_table(schema, reference.table())),
    }
}

/// Makes rows and hands them on, on the workers.
async fn run(
    planned: Planned,
    rows: mpsc::Sender<RecordBatch>,
    query: Arc<Query>,
    rows_max: u64,
) -> Result<(), Fault> {
    let mut stream =
        execute_stream(planned.plan, planned.state.task_ctx()).map_err(|e| from_datafusion(&e))?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|e| from_datafusion(&e))?;
        let count = batch.num_rows() as u64;
        if rows_max < query.row_count.fetch_add(count, Ordering::Relaxed) + count {
            let why = format!("it has more than {rows_max} rows");
            return Err(Fault::new(Code::SQL_TOO_MANY_ROWS, "statement ended", why));
        }
        if rows.send(batch).await.is_err() {
            return Err(cancelled());
        }
    }
    Ok(())
}
