//! The Thrift server: sockets on loopback, messages in, answers out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use skep_catalog::fault::{Code, Fault};
use skep_hms::thrift::{
    ApplicationException, ExceptionKind, Limits, Message, MessageDecoder, MessageType, encode_message,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::generate::SampleSpec;
use crate::metastore::Metastore;
use crate::methods;
use crate::trouble::{Asked, Trouble, TroubleRule, Troubles, trickle, write_garbage};

/// How a server runs, whatever its data.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Threads that answer.
    pub threads: usize,
    /// Most events of one answer, however many are asked for.
    pub events_per_answer_max: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { port: 0, threads: 2, events_per_answer_max: 1_000_000 }
    }
}

/// What connections share.
struct Shared {
    metastore: RwLock<Metastore>,
    troubles: Mutex<Troubles>,
    /// Calls by method.
    calls: Mutex<BTreeMap<String, u64>>,
    events_per_answer_max: usize,
    release: &'static str,
}

/// A running sample metastore; dropping it closes its port and connections.
///
/// It has threads of its own, so it can be used with or without an async runtime around it.
pub struct SampleServer {
    name: String,
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl SampleServer {
    /// Makes the data of `spec` and listens.
    ///
    /// Errors: `PORT_TAKEN`, `INTERNAL` when no threads can be started.
    pub fn start(spec: &SampleSpec, options: ServerOptions) -> Result<Self, Fault> {
        Self::start_with(&spec.metastore_name, spec.build(), options)
    }

    /// Serves a metastore that is there already.
    ///
    /// Errors: as [`SampleServer::start`].
    pub fn start_with(name: &str, metastore: Metastore, options: ServerOptions) -> Result<Self, Fault> {
        let what = || format!("sample metastore {name}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("skep-sample")
            .enable_all()
            .build()
            .map_err(|e| Fault::internal(what(), e.to_string()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let taken = |e: std::io::Error| Fault::new(Code::PORT_TAKEN, what(), format!("{address}: {e}"));
        let listener = std::net::TcpListener::bind(address).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let port = listener.local_addr().map_err(taken)?.port();
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener).map_err(taken)?
        };
        let release = metastore.generation().reported_version();
        let shared = Arc::new(Shared {
            metastore: RwLock::new(metastore),
            troubles: Mutex::default(),
            calls: Mutex::default(),
            events_per_answer_max: options.events_per_answer_max,
            release,
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        tracing::debug!(metastore = name, port, release, "sample metastore listens");
        Ok(Self { name: name.to_owned(), port, shared, runtime: Some(runtime) })
    }

    /// The metastore's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `thrift://127.0.0.1:PORT`.
    pub fn uri(&self) -> String {
        format!("thrift://127.0.0.1:{}", self.port)
    }

    /// Works on the data, to look at it or to change it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Metastore) -> T) -> T {
        work(&mut self.shared.metastore.write())
    }

    /// From now on calls that fit go wrong. Rules add up; the first that is due counts.
    pub fn trouble(&self, rule: TroubleRule) {
        self.shared.troubles.lock().add(rule);
    }

    /// Nothing goes wrong any more, for calls from now on.
    pub fn calm(&self) {
        self.shared.troubles.lock().clear();
    }

    /// Calls so far, by method.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.calls.lock().clone()
    }

    /// Starts counting calls anew.
    pub fn forget_calls(&self) {
        self.shared.calls.lock().clear();
    }

    /// Closes port and connections, and waits (at most a second) until they are closed. Gives the
    /// data, for a server that takes its place.
    pub fn stop(mut self) -> Option<Metastore> {
        if let Some(runtime) = self.runtime.take() {
            // A runtime may not be waited for inside another one, so a thread does it.
            let waiting = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(1)));
            let _ = waiting.join();
        }
        let shared = Arc::clone(&self.shared);
        drop(self);
        Arc::into_inner(shared).map(|shared| shared.metastore.into_inner())
    }
}

impl Drop for SampleServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(%error, "sample metastore cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers the calls of one connection, one after the other. Bytes that are not Thrift close it
/// without an answer, as in Hive.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut decoder = MessageDecoder::detecting(Limits::REQUEST);
    loop {
        match decoder.next() {
            Ok(Some(message)) => {
                if !matches!(answer(&mut stream, &shared, &message).await, Ok(true)) {
                    return;
                }
            }
            Ok(None) => match stream.read_buf(decoder.buffer()).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            Err(error) => {
                tracing::debug!(%error, "sample metastore got bytes that are not Thrift");
                return;
            }
        }
    }
}

/// Answers one call; says whether the connection goes on.
async fn answer(stream: &mut TcpStream, shared: &Shared, message: &Message) -> std::io::Result<bool> {
    *shared.calls.lock().entry(message.name.clone()).or_default() += 1;
    if message.message_type == MessageType::Oneway || message.name == "shutdown" {
        // Clients say goodbye like this; the server goes on.
        return Ok(true);
    }
    let trouble = shared.troubles.lock().due(&message.name, &message.body);
    let (message_type, body) = match &trouble {
        Some(Trouble::Fail { message }) => {
            let exception = ApplicationException::new(ExceptionKind::Internal, message.clone());
            (MessageType::Exception, exception.encode())
        }
        Some(Trouble::Meta { message: text }) => {
            methods::answer_meta(shared.metastore.read().generation(), &message.name, text)
        }
        Some(Trouble::MissingMethod) => {
            let text = format!("Invalid method name: '{}'", message.name);
            (MessageType::Exception, ApplicationException::new(ExceptionKind::UnknownMethod, text).encode())
        }
        Some(Trouble::Hang) => {
            std::future::pending::<()>().await;
            return Ok(false);
        }
        Some(Trouble::Hangup) => return Ok(false),
        _ => methods::answer(
            &shared.metastore,
            shared.release,
            shared.events_per_answer_max,
            &message.name,
            &message.body,
        ),
    };
    let bytes = encode_message(message.wire, &message.name, message_type, message.sequence_id, &body)
        .map_err(std::io::Error::other)?;
    match trouble {
        Some(Trouble::Delay { delay_ms }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            stream.write_all(&bytes).await?;
        }
        Some(Trouble::Trickle { byte_interval_ms }) => trickle(stream, &bytes, byte_interval_ms).await?,
        Some(Trouble::Close) => {
            stream.write_all(&bytes[..bytes.len() / 2]).await?;
            return Ok(false);
        }
        Some(Trouble::Reset) => {
            stream.write_all(&bytes[..bytes.len() / 2]).await?;
            // Closing with a linger of zero sends RST instead of FIN.
            stream.set_zero_linger()?;
            return Ok(false);
        }
        Some(Trouble::Garbage(kind)) => {
            let asked = Asked {
                method: &message.name,
                sequence_id: message.sequence_id,
                wire: message.wire,
                right: &body,
            };
            write_garbage(stream, kind, &asked).await?;
            stream.flush().await?;
            return Ok(false);
        }
        _ => stream.write_all(&bytes).await?,
    }
    Ok(true)
}
