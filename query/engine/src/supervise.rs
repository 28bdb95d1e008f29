//! Sees a statement through: waits for a planner, plans, runs, keeps the clock, tells the end.
//!
//! The supervisor has a thread that does nothing else, so that it answers in time even when the
//! work does not stop at once. That work still holds its place, and a planner if it is planning.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement as SqlStatement;
use datafusion::sql::sqlparser::ast::Function;
use futures::StreamExt;
use skep_catalog::fault::{Code, Fault};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::engine::{EngineOptions, Inner, QueryResult};
use crate::errors::{from_datafusion, unknown_table};
use crate::guard::Parsed;
use crate::pinned::Pinned;
use crate::procedures::text::is_call;
use crate::queries::Query;
use crate::session::statement_state;
use crate::statement::{Prepared, Statement};
use crate::stop::{self, Stop, StopOnDrop};
use crate::{bytes, guard, parameters, procedures, spec};

/// Until a CALL is understood; what it does then takes its time.
const CALL_TIMEOUT_MS: u64 = 30_000;
/// Of work of the process itself: a guard against one that hangs.
const OWN_TIMEOUT_MS: u64 = 24 * 3_600_000;
/// Cells of what is handed to a reader at once.
const CELLS_MAX: usize = 1 << 18;
/// Bytes of the same, unless one row has more.
const PART_BYTES_MAX: usize = 8 << 20;

/// A statement that is typed: its parameters are still to be replaced.
struct Typed {
    state: SessionState,
    plan: LogicalPlan,
    /// Of the result, whatever the values are.
    schema: SchemaRef,
    parameters: Vec<DataType>,
}

/// A statement that is planned.
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

fn busy(what: &str, limit: usize) -> Fault {
    Fault::new(Code::SQL_BUSY, "statement refused", format!("{limit} {what} already"))
}

/// When something is over, and how the limit is called.
#[derive(Clone, Copy)]
pub struct Limit {
    at: Instant,
    limit_ms: u64,
    raise: &'static str,
    is_of_call: bool,
}

impl Limit {
    fn new(limit_ms: u64, raise: &'static str) -> Self {
        let at = Instant::now() + Duration::from_millis(limit_ms);
        Self { at, limit_ms, raise, is_of_call: false }
    }

    /// Of a whole statement: the engine's or, when that is sooner, the caller's.
    pub fn of_statement(options: &EngineOptions, statement: &Statement) -> Self {
        match statement.timeout_ms {
            _ if statement.is_own => Self::new(OWN_TIMEOUT_MS, "make less of it at once"),
            Some(limit_ms) if limit_ms < options.statement_timeout_ms && !is_call(&statement.sql) => {
                Self::new(limit_ms, "give it more time: the caller gave it no more")
            }
            // A timeout that is too short for any statement is mended by one.
            _ if is_call(&statement.sql) => {
                Self { is_of_call: true, ..Self::new(CALL_TIMEOUT_MS, "repeat it") }
            }
            _ => Self::new(options.statement_timeout_ms, "raise sql.statement_timeout_ms in the config"),
        }
    }

    /// Of planning, which ends with the statement at the latest.
    fn of_planning(options: &EngineOptions, of_statement: Self) -> Self {
        let own = Self::new(options.planning_timeout_ms, "raise sql.planning_timeout_ms in the config");
        if own.at < of_statement.at && !of_statement.is_of_call { own } else { of_statement }
    }

    fn exceeded(&self, doing: &str) -> Fault {
        let Self { limit_ms, raise, .. } = self;
        let why = format!("{doing} took longer than {limit_ms} ms");
        Fault::new(Code::SQL_TIMEOUT, "statement ended", why)
            .with_fix(format!("Narrow it down by metastore_name, database_name and table_name, or {raise}."))
    }
}

fn cancelled() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "nobody waits for its rows any more")
}

/// Where the caller waits.
pub type Answer<T> = oneshot::Sender<Result<T, Fault>>;

/// Sees to it that a statement is prepared, on the control thread.
pub async fn prepare(
    inner: Arc<Inner>,
    query: Arc<Query>,
    statement: Statement,
    stop: Arc<Stop>,
    mut answer: Answer<Prepared>,
) {
    let stop = StopOnDrop(stop);
    let limit = Limit::of_statement(&inner.options.load(), &statement);
    let worker = Arc::clone(&inner);
    let typing = async move {
        let prepared = prepare_now(&worker, &statement).await?;
        if let Some(given) = &statement.parameters {
            let fields = prepared.parameters.fields().iter();
            let types: Vec<DataType> = fields.map(|field| field.data_type().clone()).collect();
            parameters::values(&types, Some(given))?;
        }
        Ok(prepared)
    };
    let prepared = tokio::select! {
        prepared = on_planner(&inner, &stop.0, limit, typing) => prepared,
        fault = query.killed() => Err(fault),
        () = answer.closed() => Err(cancelled()),
    };
    match &prepared {
        Ok(_) => inner.shared.queries.forget(&query),
        Err(fault) => inner.shared.queries.end(&query, inner.shared.now(), Some(fault.clone())),
    }
    drop(stop);
    // Nobody waiting is no error.
    let _ = answer.send(prepared);
}

/// Sees a statement through, on the control thread. Dropping it stops the statement.
pub async fn supervise(
    inner: Arc<Inner>,
    query: Arc<Query>,
    statement: Statement,
    stop: Arc<Stop>,
    mut answer: Answer<QueryResult>,
) {
    let stop = StopOnDrop(stop);
    let limit = Limit::of_statement(&inner.options.load(), &statement);
    let (worker, stopped) = (Arc::clone(&inner), Arc::clone(&stop.0));
    let rows_max = if statement.is_own { u64::MAX } else { inner.options.load().result_rows_max };
    let planning = async move { plan_now(&worker, &statement, &stopped).await };
    let planned = tokio::select! {
        planned = on_planner(&inner, &stop.0, limit, planning) => planned,
        fault = query.killed() => Err(fault),
        () = answer.closed() => Err(cancelled()),
    };
    let end = |fault: Option<Fault>| inner.shared.queries.end(&query, inner.shared.now(), fault);
    let planned = match planned {
        Ok(planned) => planned,
        Err(fault) => {
            // Ended first, so that whoever has the answer also finds it in the history.
            end(Some(fault.clone()));
            drop(stop);
            // Nobody waiting is no error.
            let _ = answer.send(Err(fault));
            return;
        }
    };
    query.planned_at.store(u64::try_from(inner.shared.now()).unwrap_or(1).max(1), Ordering::Relaxed);
    let (rows, batches) = mpsc::channel(2);
    let (ended, end_seen) = watch::channel(None);
    let (cancel, cancelled_by_drop) = oneshot::channel::<()>();
    let schema = Arc::clone(&planned.schema);
    let result = QueryResult {
        query_id: query.query_id,
        schema,
        batches,
        end: end_seen,
        is_end_told: false,
        _cancel: cancel,
    };
    let work = run(planned, rows.clone(), Arc::clone(&query), rows_max);
    let mut run = stop.0.threads().spawn(work);
    let _ = answer.send(Ok(result));
    let fault = tokio::select! {
        ended = &mut run => match ended {
            Ok(Ok(())) => None,
            Ok(Err(fault)) => Some(fault),
            Err(e) if e.is_panic() => Some(Fault::internal("statement failed", "a part of it panicked")),
            Err(_) => Some(cancelled()),
        },
        () = tokio::time::sleep_until(limit.at) => {
            run.abort();
            Some(limit.exceeded("it"))
        }
        _ = cancelled_by_drop => {
            run.abort();
            Some(cancelled())
        }
        fault = query.killed() => {
            run.abort();
            Some(fault)
        }
    };
    end(fault.clone());
    // The work that waits is ended by the abort above, the work that does not by this.
    drop(stop);
    // Once, here; the reader of all rows looks when the last sender, dropped after this, is gone.
    ended.send_replace(Some(fault));
    drop(rows);
}

/// Does a planner's work on the statement's threads, within the planning limit.
pub async fn on_planner<T: Send + 'static>(
    inner: &Arc<Inner>,
    stop: &Arc<Stop>,
    limit: Limit,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let options = inner.options.load_full();
    let permit = match Arc::clone(&inner.planners).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            let waiting = Waiting::begin(&inner.planners_waiting);
            if options.planning_queue_max < waiting.number {
                return Err(busy("statements wait to be planned", options.planning_queue_max));
            }
            match tokio::time::timeout_at(limit.at, Arc::clone(&inner.planners).acquire_owned()).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(limit.exceeded("waiting to be planned")),
            }
        }
    };
    let stopped = Arc::clone(stop);
    let planning = stop.threads().spawn(async move {
        // Held until the work has ended, however long the answer has been given.
        let _permit = permit;
        stop::rule::planning(stopped, work).await
    });
    let limit = Limit::of_planning(&options, limit);
    match tokio::time::timeout_at(limit.at, planning).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Fault::internal("statement cannot be planned", "its planner panicked")),
        Err(_) => Err(limit.exceeded("planning it")),
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

/// Tells what a statement gives and takes.
async fn prepare_now(inner: &Inner, statement: &Statement) -> Result<Prepared, Fault> {
    let (schema, parameters, is_call) = match guard::parse(&statement.sql, statement.schema)? {
        Parsed::Query(query) => {
            let typed = type_now(inner, statement, *query).await?;
            (typed.schema, typed.parameters, false)
        }
        Parsed::Call(call) => (procedures::result_schema(), procedures::checked(&call)?, true),
        Parsed::ExplainCall(call) => (procedures::explain_schema(), procedures::checked(&call)?, false),
    };
    Ok(Prepared { schema, parameters: parameters::schema(&parameters), is_call })
}

/// Types a query.
async fn type_now(inner: &Inner, statement: &Statement, parsed: SqlStatement) -> Result<Typed, Fault> {
    let pinned = Arc::new(Pinned::new(
        Arc::clone(&inner.shared),
        statement.snapshot.clone(),
        statement.caller.clone(),
    ));
    let state = statement_state(&inner.base, &pinned, statement.schema);
    let references = state.resolve_table_references(&parsed).map_err(|e| from_datafusion(&e))?;
    for reference in &references {
        check_table(reference, statement.schema)?;
    }
    let plan = state.statement_to_plan(parsed).await.map_err(|e| from_datafusion(&e))?;
    guard::inlined::check(&plan).map_err(|e| from_datafusion(&e))?;
    let parameters = parameters::types(&plan)?;
    let typed: Result<_, DataFusionError> = (|| {
        // NULLs make its columns nullable wherever a value can.
        let with_nulls = match parameters.is_empty() {
            true => plan.clone(),
            false => plan.clone().with_param_values(parameters::nulls(&parameters)?)?,
        };
        match with_nulls {
            // Its columns are always the same; what cannot be analysed is told in its rows.
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Ok(with_nulls),
            plan => state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}),
        }
    })();
    let typed = typed.map_err(|e| from_datafusion(&e))?;
    let schema = Arc::clone(typed.schema().inner());
    check_zones(&schema)?;
    Ok(Typed { state, plan, schema, parameters })
}

async fn plan_now(inner: &Inner, statement: &Statement, stop: &Arc<Stop>) -> Result<Planned, Fault> {
    let query = match guard::parse(&statement.sql, statement.schema)? {
        Parsed::Query(query) => *query,
        Parsed::ExplainCall(call) => return explain_now(inner, statement, &call),
        // An effect is had by nothing but `Engine::call`.
        Parsed::Call(_) => {
            return Err(Fault::internal("statement cannot be planned", "a CALL was to be run as a query"));
        }
    };
    let Typed { state, plan, schema, parameters } = type_now(inner, statement, query).await?;
    let values = parameters::values(&parameters, statement.parameters.as_ref())?;
    let planned: Result<_, DataFusionError> = async {
        let plan = if values.is_empty() { plan } else { plan.with_param_values(values)? };
        let plan = state.optimize(&plan)?;
        let plan = guard::bounded::settled(plan, stop)?;
        let plan = stop::expression::stoppable(plan, stop)?;
        let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
        stop::operator::stoppable(plan, stop)
    }
    .await;
    let plan = planned.map_err(|e| from_datafusion(&e))?;
    Ok(Planned { plan, schema, context: state.task_ctx() })
}

/// EXPLAIN CALL is rows that are there already.
fn explain_now(inner: &Inner, statement: &Statement, call: &Function) -> Result<Planned, Fault> {
    let rows = procedures::explained(&inner.shared, call, statement)?;
    let schema = rows.schema();
    let plan = MemorySourceConfig::try_new_exec(&[vec![rows]], Arc::clone(&schema), None)
        .map_err(|e| from_datafusion(&e))?;
    Ok(Planned { plan, schema, context: inner.base.task_ctx() })
}

/// Planning takes any text for a time zone; nobody could read a result in one that is none.
fn check_zones(schema: &Schema) -> Result<(), Fault> {
    for field in schema.fields() {
        if let DataType::Timestamp(_, Some(zone)) = field.data_type()
            && zone.parse::<Tz>().is_err()
        {
            let why = format!("no time zone is named {zone}");
            return Err(Fault::new(Code::SQL_INVALID, "statement cannot be planned", why).with_fix(
                "Name one of the IANA database, such as Europe/Berlin, or an offset, such as +01:00.",
            ));
        }
    }
    Ok(())
}

fn check_table(reference: &TableReference, default: &str) -> Result<(), Fault> {
    if let Some(catalog) = reference.catalog().filter(|c| *c != spec::CATALOG) {
        let why = format!("no SQL catalog is named {catalog}");
        return Err(Fault::new(Code::SQL_INVALID, "statement cannot be planned", why).with_fix(
            "The one SQL catalog is skep; metastores are rows of federation.metastores, their tables rows of catalog.tables.",
        ));
    }
    let schema = reference.schema();
    match spec::find(schema.unwrap_or(default), reference.table()) {
        Some(_) => Ok(()),
        None => Err(unknown_table(schema, reference.table())),
    }
}

/// Makes rows and hands them on.
async fn run(
    planned: Planned,
    rows: mpsc::Sender<RecordBatch>,
    query: Arc<Query>,
    rows_max: u64,
) -> Result<(), Fault> {
    let mut stream = execute_stream(planned.plan, planned.context).map_err(|e| from_datafusion(&e))?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|e| from_datafusion(&e))?;
        let count = batch.num_rows() as u64;
        if rows_max < query.row_count.fetch_add(count, Ordering::Relaxed) + count {
            let why = format!("it has more than {rows_max} rows");
            return Err(Fault::new(Code::SQL_TOO_MANY_ROWS, "statement ended", why));
        }
        for part in parts(&batch) {
            if rows.send(part).await.is_err() {
                return Err(cancelled());
            }
        }
    }
    Ok(())
}

/// A batch in parts that a reader is done with soon: a statement that ended is not to go on for as
/// long as it takes to print a million cells.
fn parts(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let bytes =
        batch.columns().iter().map(|column| bytes::of(column.as_ref())).fold(0, usize::saturating_add);
    let by_cells = batch.num_rows().saturating_mul(batch.num_columns()).div_ceil(CELLS_MAX);
    let count = by_cells.max(bytes.div_ceil(PART_BYTES_MAX)).max(1);
    let rows = batch.num_rows().div_ceil(count).max(1);
    // An empty batch is one part: it may be the only one.
    let begins = (0..batch.num_rows().max(1)).step_by(rows);
    begins.map(move |begin| batch.slice(begin, rows.min(batch.num_rows() - begin)))
}
