//! The door itself: listens, bounds connections and their time, stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use skep_catalog::fault::{Code, Fault};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use crate::answer::answer;
use crate::phase::Watched;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Time for the head of a request, and for a connection that nothing comes on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that one connection is kept, whoever reads or sends however slowly.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Pause after a connection could not be accepted: mostly too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address to listen on, when it is one that may be.
///
/// Errors: why not, and what to do.
pub fn check_listen(listen: &str, anybody_may_watch: bool) -> Result<SocketAddr, (String, &'static str)> {
    let address: SocketAddr = listen.parse().map_err(|_| {
        let fix = "Write an IP address and a port, such as 127.0.0.1:32080 or [::1]:32080.";
        (format!("\"{listen}\" is no address to listen on"), fix)
    })?;
    if !address.ip().is_loopback() && !anybody_may_watch {
        let fix = "Listen on 127.0.0.1, or add anybody_may_watch_without_authentication = true.";
        let why =
            format!("\"{listen}\" can be reached from other machines, and nobody is asked who they are");
        return Err((why, fix));
    }
    Ok(address)
}

/// A door that listens and answers nobody yet.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A door that answers. Dropping it closes it.
pub struct OpenDoor {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Door {
    /// Listens.
    ///
    /// Errors: `PORT_TAKEN`, also for an address that cannot be listened on for another reason.
    pub async fn listen(address: SocketAddr) -> Result<Self, Fault> {
        let refused = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => "another process listens there already".to_owned(),
                _ => error.to_string(),
            };
            Fault::new(Code::PORT_TAKEN, format!("HTTP door on {address}"), why)
                .with_fix("Stop what listens there, or change http.listen in the config.")
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, on the runtime of the caller.
    pub fn open(self, watched: Watched) -> OpenDoor {
        let serving = tokio::spawn(serve(self.listener, watched)).abort_handle();
        OpenDoor { address: self.address, serving }
    }
}

impl OpenDoor {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Ends with its task, and its connections with it.
async fn serve(listener: TcpListener, watched: Watched) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let watched = watched.clone();
                connections.spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, converse(stream, watched)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection to its end. What is wrong with it is the client's business.
async fn converse(stream: TcpStream, watched: Watched) {
    let service = service_fn(|request| {
        let watched = watched.clone();
        async move { Ok::<_, Infallible>(answer(&watched, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
