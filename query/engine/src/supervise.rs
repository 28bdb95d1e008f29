//! Sees a statement through: waits for a planner, plans, runs, keeps the clock, tells the end.
//!
//! The supervisor has a thread that does nothing else, so that it answers in time even when the
//! work does not stop at once. That work still holds its place, and a planner if it is planning.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use skep_catalog::fault::{Code, Fault};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::engine::{Inner, QueryResult};
use crate::errors::{from_datafusion, unknown_table};
use crate::pinned::Pinned;
use crate::queries::Query;
use crate::session::statement_state;
use crate::stop::{self, Stop, StopOnDrop};
use crate::{bytes, guard, spec};

/// Cells of what is handed to a reader at once.
const CELLS_MAX: usize = 1 << 18;
/// Bytes of the same, unless one row has more.
const PART_BYTES_MAX: usize = 8 << 20;

/// A statement that is planned.
struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

fn busy(what: &str, limit: usize) -> Fault {
    Fault::new(Code::SQL_BUSY, "statement refused", format!("{limit} {what} already"))
}

fn timed_out(doing: &str, option: &str, limit_ms: u64) -> Fault {
    Fault::new(Code::SQL_TIMEOUT, "statement ended", format!("{doing} took longer than {limit_ms} ms"))
        .with_fix(format!(
            "Narrow it down by metastore_name, database_name and table_name, or raise {option} in the config."
        ))
}

/// The config's names of the limits.
const STATEMENT_TIMEOUT: &str = "sql.statement_timeout_ms";
const PLANNING_TIMEOUT: &str = "sql.planning_timeout_ms";

fn cancelled() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "nobody waits for its rows any more")
}

/// Where the caller waits.
pub type Answer = oneshot::Sender<Result<QueryResult, Fault>>;

/// Sees a statement through, on the control thread. Dropping it stops the statement.
pub async fn supervise(
    inner: Arc<Inner>,
    query: Arc<Query>,
    sql: String,
    stop: Arc<Stop>,
    mut answer: Answer,
) {
    let started = Instant::now();
    let stop = StopOnDrop(stop);
    let deadline = started + Duration::from_millis(inner.options.statement_timeout_ms);
    let planned = tokio::select! {
        planned = plan(&inner, sql, &stop.0, deadline) => planned,
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
    let work = run(planned, rows.clone(), Arc::clone(&query), inner.options.result_rows_max);
    let mut run = stop.0.threads().spawn(work);
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
            Some(timed_out("it", STATEMENT_TIMEOUT, inner.options.statement_timeout_ms))
        }
        _ = cancelled_by_drop => {
            run.abort();
            Some(cancelled())
        }
    };
    end(fault.clone());
    // The work that waits is ended by the abort above, the work that does not by this.
    drop(stop);
    // Set once, here; the reader looks when the last sender, dropped after this, is gone.
    let _ = end_slot.set(fault);
    drop(rows);
}

/// Plans on the statement's threads, within the planning limit.
async fn plan(
    inner: &Arc<Inner>,
    sql: String,
    stop: &Arc<Stop>,
    deadline: Instant,
) -> Result<Planned, Fault> {
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
                _ => {
                    return Err(timed_out(
                        "waiting to be planned",
                        STATEMENT_TIMEOUT,
                        options.statement_timeout_ms,
                    ));
                }
            }
        }
    };
    let (worker, stopped) = (Arc::clone(inner), Arc::clone(stop));
    let planning = stop.threads().spawn(async move {
        // Held until the work has ended, however long the answer has been given.
        let _permit = permit;
        stop::rule::planning(Arc::clone(&stopped), plan_now(&worker, &sql, &stopped)).await
    });
    let deadline = deadline.min(Instant::now() + Duration::from_millis(limit_ms));
    match tokio::time::timeout_at(deadline, planning).await {
        Ok(Ok(planned)) => planned,
        Ok(Err(_)) => Err(Fault::internal("statement cannot be planned", "its planner panicked")),
        Err(_) if limit_ms < options.statement_timeout_ms => {
            Err(timed_out("planning it", PLANNING_TIMEOUT, limit_ms))
        }
        Err(_) => Err(timed_out("planning it", STATEMENT_TIMEOUT, options.statement_timeout_ms)),
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

async fn plan_now(inner: &Inner, sql: &str, stop: &Arc<Stop>) -> Result<Planned, Fault> {
    let statement = guard::parse(sql)?;
    let pinned = Arc::new(Pinned::new(Arc::clone(&inner.shared)));
    let state = statement_state(&inner.base, &pinned);
    let references = state.resolve_table_references(&statement).map_err(|e| from_datafusion(&e))?;
    for reference in &references {
        check_table(reference)?;
    }
    let planned: Result<_, DataFusionError> = async {
        let logical = state.statement_to_plan(statement).await?;
        guard::inlined::check(&logical)?;
        let logical = state.optimize(&logical)?;
        let logical = guard::bounded::settled(logical, stop)?;
        let logical = stop::expression::stoppable(logical, stop)?;
        let physical = state.query_planner().create_physical_plan(&logical, &state).await?;
        stop::operator::stoppable(physical, stop)
    }
    .await;
    let plan = planned.map_err(|e| from_datafusion(&e))?;
    check_zones(&plan.schema())?;
    Ok(Planned { plan, context: state.task_ctx() })
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
