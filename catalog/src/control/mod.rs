//! Control: every call that changes something, decided and recorded one after the other.
//!
//! A call is decided on the newest state, recorded in the journal together with its changes, and
//! only then seen by anybody: who is answered, is answered about what is on the disk. A process
//! that dies before has changed nothing; one that dies after answers a repeat with the same
//! idempotency key from the record.

mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::fault::{Code, Fault};
use crate::journal::{Disk, Journal};
use state::Record;
pub use state::{
    CALLS_KEPT_MAX, Call, Calls, Change, MetastoreOptions, REQUEST_BYTES_MAX, Request, State, Status,
    Touched, Versioned,
};

/// Bytes of records after which a checkpoint is made, when it is smaller than they are.
const CHECKPOINT_BYTES_MIN: u64 = 1 << 20;

/// What a call comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What changes; nothing for a call that finds all as it should be.
    pub changes: Vec<Change>,
    /// One per object.
    pub touched: Vec<Touched>,
    /// Something besides the state changes: a statement ends.
    pub has_effect: bool,
    /// It is accepted, and what it asks for happens after the answer.
    pub is_queued: bool,
}

impl Decision {
    /// What becomes of a call that comes to this.
    pub fn status(&self, is_dry_run: bool) -> Status {
        match (is_dry_run, self.is_queued, self.changes.is_empty() && !self.has_effect) {
            (true, _, _) => Status::Planned,
            (false, true, _) => Status::Queued,
            (false, false, true) => Status::Unchanged,
            (false, false, false) => Status::Applied,
        }
    }
}

/// See the module.
pub struct Control {
    journal: Mutex<Journal>,
    state: ArcSwap<State>,
    salts: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Control {
    /// Opens what is there, or begins. `salts` gives random numbers. Returns what was mended, to
    /// be logged. Blocks.
    ///
    /// Errors: `JOURNAL_IO`, `JOURNAL_DAMAGED`, `STORE_FORMAT`.
    pub fn open(
        disk: Box<dyn Disk>,
        salts: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<(Self, Option<String>), Fault> {
        let opened = Journal::open(disk, salts())?;
        let first = opened.journal.number() - opened.records.len() as u64;
        let mut state = match opened.checkpoint.as_deref() {
            None | Some([]) => State::default(),
            Some(bytes) => decode(bytes, first)?,
        };
        for (number, bytes) in (first + 1..).zip(&opened.records) {
            state.apply(&decode::<Record>(bytes, number)?, number);
        }
        let mended = opened.cut.map(|(bytes, kept)| {
            format!(
                "journal: its last {bytes} bytes cannot be read and are now in {kept}: a change that \
                 nobody was told of, unless the disk is damaged"
            )
        });
        let state = ArcSwap::from_pointee(state);
        Ok((Self { journal: Mutex::new(opened.journal), state, salts: Box::new(salts) }, mended))
    }

    /// What is decided until now.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// An id for a call that comes at this time (microseconds since 1970): later ones are mostly
    /// greater, and nobody can guess them.
    pub fn new_call_id(&self, now: i64) -> String {
        format!("{:012x}-{:016x}", now / 1_000, (self.salts)())
    }

    /// Decides a call, exactly once, and returns it when it is on the disk. Blocks.
    ///
    /// A key that was there before answers with the first call's result and [`Status::Replayed`];
    /// the newest [`CALLS_KEPT_MAX`] keys are known (fewer when their calls have more than 32 MiB of
    /// text), whatever else is called meanwhile.
    /// A decision that is an error is recorded as rejected, and returned as that error.
    ///
    /// Errors: those of `decide`; `CALL_INVALID` for a key that was used for another call;
    /// `JOURNAL_IO`, after which it is not known whether the call took effect; `STORE_FULL`.
    pub fn call(
        &self,
        request: Request,
        is_dry_run: bool,
        decide: impl FnOnce(&State) -> Result<Decision, Fault>,
    ) -> Result<Arc<Call>, Fault> {
        if REQUEST_BYTES_MAX < request.bytes() {
            let why = format!("its arguments have more than {REQUEST_BYTES_MAX} bytes");
            return Err(Fault::new(Code::CALL_INVALID, format!("CALL {}", request.procedure_name), why));
        }
        let mut journal = self.journal.lock();
        let state = self.state.load();
        let key = request.idempotency_key.as_deref();
        let before = key.and_then(|key| state.call_with_key(&request.principal, key));
        let (decided, error) = match before {
            Some(first) => match repeat(first, &request) {
                Ok(call) => (Ok((call, Vec::new())), None),
                Err(fault) => (Err(fault.clone()), Some(fault)),
            },
            None => match decide(&state) {
                Ok(decision) => (Ok(become_call(&request, decision, is_dry_run, journal.number() + 1)), None),
                Err(fault) => (Err(fault.clone()), Some(fault)),
            },
        };
        let (call, changes) = decided.unwrap_or_else(|fault| {
            // A key is used up by what took effect only: the caller mends the call and asks again.
            let request = Request { idempotency_key: None, ..request };
            let error = Some((fault.code.as_str().to_owned(), fault.message()));
            (Call { request, status: Status::Rejected, touched: Vec::new(), error }, Vec::new())
        });
        let record = Record { call: Arc::new(call), changes };
        let mut next = State::clone(&state);
        drop(state);
        let number = journal.append(&encode(&record)?)?;
        next.apply(&record, number);
        let next = Arc::new(next);
        self.state.store(Arc::clone(&next));
        self.checkpoint_if_due(&mut journal, &next);
        match error {
            Some(fault) => Err(fault),
            None => Ok(record.call),
        }
    }

    /// Begins a journal in another folder, with all that is decided until now. Blocks.
    ///
    /// Errors: `JOURNAL_IO`.
    pub fn copy(&self, disk: &dyn Disk) -> Result<(), Fault> {
        let journal = self.journal.lock();
        journal.copy(disk, &encode(self.state.load().as_ref())?, (self.salts)())
    }

    /// A failure is logged only: the records are there, and the next call tries again.
    fn checkpoint_if_due(&self, journal: &mut Journal, state: &State) {
        if journal.grown_bytes() < CHECKPOINT_BYTES_MIN.max(journal.begun_bytes()) {
            return;
        }
        if let Err(fault) = encode(state).and_then(|bytes| journal.checkpoint(&bytes, (self.salts)())) {
            tracing::warn!("{fault}");
        }
    }
}

/// The answer to a repeat of `first`.
fn repeat(first: &Call, request: &Request) -> Result<Call, Fault> {
    let is_same = first.request.procedure_name == request.procedure_name
        && first.request.arguments == request.arguments;
    if !is_same {
        let (what, key) = (&request.procedure_name, request.idempotency_key.as_deref().unwrap_or_default());
        let why = format!(
            "idempotency_key {key} was used by call {} of {} with other arguments",
            first.request.call_id, first.request.procedure_name
        );
        return Err(Fault::new(Code::CALL_INVALID, format!("CALL {what}"), why)
            .with_fix("Use a key of its own for every different call."));
    }
    let request = Request { call_id: first.request.call_id.clone(), ..request.clone() };
    Ok(Call { request, status: Status::Replayed, touched: first.touched.clone(), error: None })
}

fn become_call(request: &Request, decision: Decision, is_dry_run: bool, number: u64) -> (Call, Vec<Change>) {
    let status = decision.status(is_dry_run);
    let Decision { changes, mut touched, .. } = decision;
    for object in touched.iter_mut().filter(|object| object.after_json.is_some()) {
        let is_changed = !is_dry_run && !changes.is_empty() && object.before_json != object.after_json;
        object.version_after = if is_changed { Some(number) } else { object.version_before };
    }
    // A dry run does not use its key up.
    let idempotency_key = request.idempotency_key.clone().filter(|_| !is_dry_run);
    let request = Request { idempotency_key, ..request.clone() };
    (Call { request, status, touched, error: None }, if is_dry_run { Vec::new() } else { changes })
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| Fault::internal("journal: encode", error.to_string()))
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8], number: u64) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Its checksum is right, so it is what was written.
        Fault::new(Code::STORE_FORMAT, format!("journal: record {number}"), error.to_string())
            .with_fix("A newer skep wrote it: use that version.")
    })
}
