//! A call from its text to its answer: bound, decided and recorded once, then done.
//!
//! Whoever waits for the answer may go away at any time: what was begun is ended all the same, so
//! that a call is either recorded with all that it does, or did nothing.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::Function;
use skep_catalog::control::{Call, Control, Request, State, Status};
use skep_catalog::fault::{Code, Fault};

use super::arguments::{Bound, Parameters, bind, parameter_types};
use super::decide::{Act, Facts, check_role, decide};
use super::host::{Effect, Host};
use super::rows;
use crate::engine::Inner;
use crate::guard::{self, Parsed};
use crate::parameters;
use crate::pinned::Shared;
use crate::queries::Query;
use crate::statement::Statement;
use crate::stop::{Stop, StopOnDrop};
use crate::supervise::{Answer, Limit, on_planner};

/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 200;

/// What calls need beside the engine.
pub struct Procedures {
    /// Records them.
    pub control: Arc<Control>,
    /// Does what they ask for.
    pub host: Arc<dyn Host>,
}

/// A call that was answered.
#[derive(Clone, Debug)]
pub struct Called {
    /// By which [`crate::Engine::called`] finds it again; of a replay, that of the first call.
    pub call_id: String,
    /// Whether it is the answer to a repeat of that call.
    pub is_replay: bool,
    /// Objects that it is about.
    pub object_count: usize,
    /// The answer.
    pub rows: RecordBatch,
}

impl Called {
    fn of(call: &Call) -> Result<Self, Fault> {
        Ok(Self {
            call_id: call.request.call_id.clone(),
            is_replay: call.status == Status::Replayed,
            object_count: call.touched.len(),
            rows: rows::result(call)?,
        })
    }

    /// The answer of a call that was recorded, as its caller got it.
    ///
    /// Errors: `TICKET_INVALID` when there is no such call any more.
    pub(crate) fn again(shared: &Shared, call_id: &str, is_replay: bool) -> Result<Self, Fault> {
        let state = shared.procedures().ok().map(|procedures| procedures.control.state());
        let call = state.as_ref().and_then(|state| state.call(call_id)).ok_or_else(|| {
            let why = format!("the call {call_id} is not in the audit log any more");
            Fault::new(Code::TICKET_INVALID, "answer of a call", why)
        })?;
        let mut call = Call::clone(call);
        if is_replay {
            call.status = Status::Replayed;
        }
        Self::of(&call)
    }
}

impl Shared {
    /// Errors: `CALL_NOT_HERE` for a process that takes no calls.
    pub(crate) fn procedures(&self) -> Result<&Procedures, Fault> {
        self.procedures
            .get()
            .ok_or_else(|| Fault::new(Code::CALL_NOT_HERE, "CALL", "this process keeps no journal of calls"))
    }
}

/// Sees a CALL through, on the control thread.
pub(crate) async fn call(
    inner: Arc<Inner>,
    query: Arc<Query>,
    statement: Statement,
    stop: Arc<Stop>,
    answer: Answer<Called>,
) {
    let stop = StopOnDrop(stop);
    let called = call_now(&inner, statement, &stop.0).await;
    // Ended first, so that whoever has the answer also finds it in the history.
    inner.shared.queries.end(&query, inner.shared.now(), called.as_ref().err().cloned());
    drop(stop);
    // Nobody waiting is no error.
    let _ = answer.send(called);
}

async fn call_now(inner: &Arc<Inner>, statement: Statement, stop: &Arc<Stop>) -> Result<Called, Fault> {
    let limit = Limit::of_statement(&inner.options.load(), &statement);
    let read = statement.clone();
    let binding = async move {
        match guard::parse(&read.sql, read.schema)? {
            Parsed::Call(call) => bound(&call, &read),
            _ => Err(Fault::internal("CALL", "a query was to be called")),
        }
    };
    let bound = on_planner(inner, stop, limit, binding).await?;
    // From here on nothing is given up: it is decided, recorded and done.
    let worker = Arc::clone(inner);
    let recording = stop.threads().spawn_blocking(move || record(&worker.shared, &statement, &bound));
    let (call, act) = recording.await.map_err(|_| Fault::internal("CALL", "deciding it panicked"))??;
    match act {
        Act::None => {}
        Act::Kill(query, fault) => query.kill(fault),
        Act::Host(effect) => perform(inner.shared.procedures()?, effect).await,
        Act::Job(effect) => {
            inner.shared.jobs.begin(Arc::clone(&call), inner.shared.now());
            tokio::spawn(see_through(Arc::clone(inner), Arc::clone(&call), effect));
        }
    }
    Called::of(&call)
}

/// A failure is told in the log and in the tables of what it is about: the call is recorded.
async fn perform(procedures: &Procedures, effect: Effect) {
    if let Err(fault) = Arc::clone(&procedures.host).perform(effect).await {
        tracing::error!(%fault, "what a call asked for is recorded and not done yet");
    }
}

/// Does the work of a call, after its answer.
async fn see_through(inner: Arc<Inner>, call: Arc<Call>, effect: Effect) {
    let result = match inner.shared.procedures() {
        Ok(procedures) => Arc::clone(&procedures.host).perform(effect).await,
        Err(fault) => Err(fault),
    };
    let (procedure, call_id) = (&call.request.procedure_name, &call.request.call_id);
    match &result {
        Ok(message) => tracing::info!(%procedure, %call_id, message, "what a call asked for is done"),
        Err(fault) => tracing::error!(%procedure, %call_id, %fault, "what a call asked for failed"),
    }
    inner.shared.jobs.end(&call, inner.shared.now(), result);
}

fn bound(call: &Function, statement: &Statement) -> Result<Bound, Fault> {
    let types = parameter_types(call)?;
    let values = parameters::values(&types, statement.parameters.as_ref())?;
    let bound = bind(call, Parameters::Values(&values))?;
    if let Some(key) = bound.text("idempotency_key")
        && (key.trim().is_empty() || KEY_BYTES_MAX < key.len())
    {
        return Err(bound.invalid(format!("idempotency_key is empty or longer than {KEY_BYTES_MAX} bytes")));
    }
    Ok(bound)
}

/// Decides a call and records it. Blocks until it is on the disk.
fn record(shared: &Shared, statement: &Statement, bound: &Bound) -> Result<(Arc<Call>, Act), Fault> {
    let procedures = shared.procedures()?;
    let (control, caller, now) = (&procedures.control, &statement.caller, shared.now());
    let mut request = Request {
        call_id: control.new_call_id(now),
        called_at: now,
        principal: caller.principal.to_string(),
        client: caller.client.to_string(),
        procedure_name: bound.procedure.full_name(),
        ..Request::default()
    };
    // Of those who may not call, only that they tried is kept: their texts would fill the log.
    if check_role(bound, caller).is_ok() {
        request.arguments = bound.shown();
        request.reason = bound.text("reason").map(str::to_owned);
        request.idempotency_key = bound.text("idempotency_key").map(str::to_owned);
    }
    let is_dry_run = bound.is("dry_run");
    let mut act = Act::None;
    let call = control.call(request, is_dry_run, |state| {
        let host = procedures.host.as_ref();
        let decided =
            decide(bound, &Facts { caller, state, host, queries: &shared.queries, jobs: &shared.jobs })?;
        if !is_dry_run {
            act = decided.act;
        }
        Ok(decided.decision)
    })?;
    Ok((call, act))
}

/// The rows of EXPLAIN CALL.
pub(crate) fn explained(
    shared: &Shared,
    call: &Function,
    statement: &Statement,
) -> Result<RecordBatch, Fault> {
    let bound = bound(call, statement)?;
    let nobody = super::NoHost;
    let (state, host): (Arc<State>, &dyn Host) = match shared.procedures.get() {
        Some(procedures) => (procedures.control.state(), procedures.host.as_ref()),
        None => (Arc::default(), &nobody),
    };
    let facts = Facts {
        caller: &statement.caller,
        state: &state,
        host,
        queries: &shared.queries,
        jobs: &shared.jobs,
    };
    rows::explain(&bound, &facts)
}

/// Types of the parameters of a CALL whose values are not known; whatever else can be wrong with
/// its arguments is.
pub(crate) fn checked(call: &Function) -> Result<Vec<DataType>, Fault> {
    bind(call, Parameters::Open)?;
    parameter_types(call)
}
