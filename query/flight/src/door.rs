//! The door itself: listens, bounds connections, answers calls, stops gracefully.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{Stream, stream};
use skep_catalog::fault::{Code, Fault};
use skep_query::Engine;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::calls::Calls;
use crate::execution::Executor;
use crate::limits::{
    CONNECTIONS_MAX, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::seal::Key;

/// Pause after a connection could not be accepted: mostly too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address to listen on, when it is one that may be.
///
/// Errors: why not, and what to do.
pub fn check_listen(listen: &str) -> Result<SocketAddr, (String, &'static str)> {
    let address: SocketAddr = listen.parse().map_err(|_| {
        let fix = "Write an IP address and a port, such as 127.0.0.1:32010 or [::1]:32010.";
        (format!("\"{listen}\" is no address to listen on"), fix)
    })?;
    if !address.ip().is_loopback() {
        let fix = "Listen on 127.0.0.1, and let others come through an SSH tunnel or a proxy that \
                   authenticates them.";
        let why = format!(
            "\"{listen}\" can be reached from other machines, and this build has neither TLS nor authentication"
        );
        return Err((why, fix));
    }
    Ok(address)
}

/// A door that listens and lets nobody in yet: who connects waits.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A door that is open.
pub struct OpenDoor {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
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
            Fault::new(Code::PORT_TAKEN, format!("SQL door on {address}"), why)
                .with_fix("Stop what listens there, or change flight.listen in the config.")
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls from now on, on the runtime of the caller.
    ///
    /// Errors: `INTERNAL`.
    pub fn open(self, engine: Arc<Engine>, key: Key) -> Result<OpenDoor, Fault> {
        let calls = Calls::new(Executor::new(engine, key)?);
        let service = FlightServiceServer::new(calls)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(service)
            .serve_with_incoming_shutdown(connections(self.listener), async {
                // Dropping the door stops it too.
                let _ = stopped.await;
            });
        Ok(OpenDoor { address: self.address, stop, serving: tokio::spawn(serving) })
    }
}

impl OpenDoor {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more, and ends when the last call has ended, at the latest after `grace`;
    /// `false` when calls were cut off then.
    pub async fn close(self, grace: Duration) -> bool {
        // An error means that it ended already.
        let _ = self.stop.send(());
        let abort = self.serving.abort_handle();
        let is_over = tokio::time::timeout(grace, self.serving).await.is_ok();
        abort.abort();
        is_over
    }
}

/// Connections as they come, at most [`CONNECTIONS_MAX`] at a time.
fn connections(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, places), |(listener, places)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        // Only a matter of speed.
                        let _ = stream.set_nodelay(true);
                        return Some((Ok(Connection { stream, _place: place }), (listener, places)));
                    }
                    Err(_) => {
                        tracing::warn!(%client, limit = CONNECTIONS_MAX, "connection refused: too many")
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A connection, and its place among them.
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        for listen in ["127.0.0.1:0", "[::1]:32010", "127.8.9.1:1"] {
            check_listen(listen).unwrap();
        }
        for listen in ["0.0.0.0:32010", "[::]:32010", "10.0.0.1:32010", "[fe80::1]:1"] {
            assert!(check_listen(listen).unwrap_err().0.contains("TLS"), "{listen}");
        }
        for listen in ["", "32010", "localhost:32010", "127.0.0.1", "127.0.0.1:99999", "grpc://127.0.0.1:1"] {
            assert!(check_listen(listen).unwrap_err().0.contains("no address"), "{listen}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_one_sentence() {
        let first = Door::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let fault = Door::listen(first.address()).await.err().unwrap();
        assert_eq!(fault.code, Code::PORT_TAKEN);
        assert!(fault.to_string().contains(&first.address().to_string()), "{fault}");
    }
}
