//! Calls a metastore: several endpoints with fail-over, deadlines that cover the whole reply, a
//! bounded pool of connections, and care not to overload what others depend on.
//!
//! Invariants: a connection is either idle in the pool or owned by exactly one call; one whose
//! reply was late, cut off or malformed is never used again.

mod connection;
mod endpoint;
mod options;
mod pacing;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use skep_catalog::change::EndpointStatus;
use skep_catalog::fault::{Code, Fault};
use tokio::time::Instant;

use crate::thrift::{ApplicationException, ExceptionKind};
use connection::{Broken, Connection, Opener, Reply};
use endpoint::Endpoint;
use pacing::Pacing;

pub use connection::ReplyBody;
pub use options::{ClientOptions, TlsOptions};

/// Why a call brought no result struct.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// The server answered a TApplicationException; the connection lives.
    Exception(ApplicationException),
    /// Anything else.
    Fault(Fault),
}

/// A client of one metastore. Cheap to clone; clones share pool, pacing and endpoint states.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    /// Name of the metastore, for messages.
    name: String,
    options: ClientOptions,
    opener: Opener,
    endpoints: Vec<Endpoint>,
    /// The endpoint to try first: the last one that worked.
    preferred: AtomicUsize,
    idle: Mutex<Vec<Connection>>,
    is_reaping: AtomicBool,
    pacing: Arc<Pacing>,
    gives_up: AtomicBool,
    /// The first late call, in the mode that gives up after it.
    gave_up: Mutex<Option<Fault>>,
}

impl Client {
    /// A client of the metastore `name`. Nothing is connected yet.
    ///
    /// Errors: `CONFIG_INVALID` for a bad URI, `CONFIG_UNREADABLE` for certificates that cannot
    /// be read.
    pub fn new(name: &str, options: ClientOptions) -> Result<Self, Fault> {
        let endpoints = endpoint::parse_all(&options.uris)?;
        let opener = Opener::new(&options)?;
        let pacing = Arc::new(Pacing::new(options.requests_in_flight_max, options.requests_per_second_max));
        let inner = Inner {
            name: name.to_owned(),
            options,
            opener,
            endpoints,
            preferred: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            is_reaping: AtomicBool::new(false),
            pacing,
            gives_up: AtomicBool::new(false),
            gave_up: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The metastore's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The options it was made with.
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// With `true`, the first call that runs into its deadline makes every later one fail at
    /// once with `METASTORE_SLOW`: for one-shot reads, which must not wait for each of a
    /// thousand objects. With `false` (the start) that is forgotten.
    pub fn give_up_after_deadline(&self, gives_up: bool) {
        self.inner.gives_up.store(gives_up, Ordering::Relaxed);
        if !gives_up {
            *self.inner.gave_up.lock() = None;
        }
    }

    /// The endpoints as last seen.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.inner.endpoints.iter().map(Endpoint::status).collect()
    }

    /// URI of the endpoint that calls go to.
    pub fn endpoint_uri(&self) -> String {
        self.inner.endpoints[self.inner.preferred.load(Ordering::Relaxed)].uri.clone()
    }

    /// Calls `method` with a struct body of arguments; gives the body of the result struct.
    ///
    /// A connection that the server closed while it was idle is replaced and the call repeated,
    /// and an endpoint that cannot be reached or closes the connection is passed over for the
    /// next one: only for methods that read.
    /// Waiting for a free place is not part of the deadline. Cancel safety: dropping the call
    /// drops its connection.
    pub async fn call(&self, method: &str, arguments: &[u8]) -> Result<ReplyBody, CallError> {
        let inner = &self.inner;
        inner.check_given_up(method)?;
        let place = inner.pacing.enter().await;
        inner.check_given_up(method)?;
        let started = Instant::now();
        let deadline = started + Duration::from_millis(inner.options.request_timeout_ms);
        let outcome = inner.call_somewhere(method, arguments, deadline).await;
        match outcome {
            Ok(Reply::Result(body)) => {
                place.succeeded(method, started.elapsed(), body.len());
                Ok(body)
            }
            Ok(Reply::Exception(exception)) => Err(CallError::Exception(exception)),
            Err(fault) => {
                if fault.code == Code::METASTORE_SLOW {
                    place.was_late();
                    if inner.gives_up.load(Ordering::Relaxed) {
                        inner.gave_up.lock().get_or_insert_with(|| fault.clone());
                    }
                }
                Err(CallError::Fault(fault))
            }
        }
    }

    /// What a call's error means to a caller that has no other use for exceptions: a missing
    /// method (type 1) is `METASTORE_METHOD_MISSING`, any other exception `METASTORE_ERROR`.
    pub fn fault(&self, method: &str, error: CallError) -> Fault {
        match error {
            CallError::Fault(fault) => fault,
            CallError::Exception(exception) => {
                let code = match exception.kind {
                    ExceptionKind::UnknownMethod => Code::METASTORE_METHOD_MISSING,
                    _ => Code::METASTORE_ERROR,
                };
                let kind = exception.kind.as_i32();
                Fault::new(code, self.what(method), format!("{} (exception type {kind})", exception.message))
            }
        }
    }

    /// "metastore dc1: get_table", the subject of faults.
    pub fn what(&self, method: &str) -> String {
        self.inner.what(method)
    }
}

impl Inner {
    fn what(&self, method: &str) -> String {
        format!("metastore {}: {method}", self.name)
    }

    fn check_given_up(&self, method: &str) -> Result<(), CallError> {
        match &*self.gave_up.lock() {
            Some(first) => {
                let why = format!("not asked again after {}", first.message());
                Err(CallError::Fault(Fault::new(Code::METASTORE_SLOW, self.what(method), why)))
            }
            None => Ok(()),
        }
    }

    async fn call_somewhere(
        self: &Arc<Self>,
        method: &str,
        arguments: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        while let Some(mut connection) = self.take_idle() {
            match connection.call(method, arguments, deadline).await {
                Ok(reply) => return Ok(self.put_back(connection, reply)),
                // Closed while it was idle: nothing was lost but the connection.
                Err(Broken::Closed { bytes: 0, .. }) => {}
                Err(broken) => return Err(self.blame(connection.endpoint, method, broken)),
            }
        }
        let count = self.endpoints.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let mut faults = Vec::new();
        for index in (0..count).map(|i| (first + i) % count) {
            let endpoint = &self.endpoints[index];
            let opened = self.opener.open(endpoint, index, deadline).await;
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(broken) => {
                    let is_late = matches!(broken, Broken::Late { .. });
                    let fault = self.blame(index, method, broken);
                    if is_late || fault.code == Code::METASTORE_REFUSED {
                        return Err(fault);
                    }
                    faults.push(fault);
                    continue;
                }
            };
            match connection.call(method, arguments, deadline).await {
                Ok(reply) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(self.put_back(connection, reply));
                }
                Err(broken @ Broken::Closed { .. }) => faults.push(self.blame(index, method, broken)),
                Err(broken) => return Err(self.blame(index, method, broken)),
            }
        }
        // All failed: the last word has what every endpoint said.
        let whys: Vec<_> = faults.iter().map(|fault| fault.why.as_str()).collect();
        let why = whys.join("; ");
        match faults.iter().find(|fault| fault.code != Code::METASTORE_UNREACHABLE).or(faults.first()) {
            Some(fault) => Err(Fault { why, ..fault.clone() }),
            None => Err(Fault::internal(self.what(method), "the metastore has no endpoint")),
        }
    }

    /// Notes an endpoint's failure, so that the next call begins elsewhere, and says it.
    fn blame(&self, index: usize, method: &str, broken: Broken) -> Fault {
        let endpoint = &self.endpoints[index];
        endpoint.failed(&broken.to_string());
        let next = (index + 1) % self.endpoints.len();
        // Lost when another call has moved on already.
        let _ = self.preferred.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        self.idle.lock().retain(|connection| connection.endpoint != index);
        let why = format!("{}: {broken}", endpoint.uri);
        let fault = Fault::new(broken.code(), self.what(method), why);
        match broken {
            Broken::Crowded { .. } => fault.with_fix(
                "Look at the metastore's load, raise request_timeout_ms, or lower requests_in_flight_max.",
            ),
            Broken::Tls(_) => fault.with_fix("Check the tls options and the metastore's certificate."),
            _ => fault,
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let idle_max = Duration::from_millis(self.options.idle_timeout_ms);
        let mut idle = self.idle.lock();
        // The newest is last: if it is too old, all are.
        let connection = idle.pop()?;
        if connection.idle_since.elapsed() < idle_max {
            return Some(connection);
        }
        idle.clear();
        None
    }

    fn put_back(self: &Arc<Self>, mut connection: Connection, reply: Reply) -> Reply {
        self.endpoints[connection.endpoint].worked();
        if connection.is_reusable() {
            connection.idle_since = Instant::now();
            self.idle.lock().push(connection);
            self.reap();
        }
        reply
    }

    /// Closes connections that nobody needs any more: each holds a thread of the metastore.
    fn reap(self: &Arc<Self>) {
        if self.is_reaping.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::downgrade(self);
        let idle_max = Duration::from_millis(self.options.idle_timeout_ms.max(1));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(idle_max).await;
                let Some(inner) = inner.upgrade() else { return };
                let mut idle = inner.idle.lock();
                idle.retain(|connection| connection.idle_since.elapsed() < idle_max);
                if idle.is_empty() {
                    inner.is_reaping.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
