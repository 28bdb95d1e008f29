//! Connections as they come, with TLS or without, at most so many at a time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::certificate::names;
use crate::limits::{CONNECTIONS_MAX, TLS_HANDSHAKE_TIMEOUT};
use crate::seldom::Seldom;
use crate::tls::Tls;

/// Pause after a connection could not be accepted: mostly too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other side of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Names in its certificate, which was checked.
    pub certificate_names: Arc<[String]>,
}

/// A connection, and its place among them.
pub struct Connection {
    stream: Transport,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where connections come from.
struct Incoming {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    places: Arc<Semaphore>,
    /// TLS connections that are being made; none of them holds up the others.
    making: JoinSet<Option<Connection>>,
    failures: Arc<Seldom>,
}

/// Connections as they come; those beyond [`CONNECTIONS_MAX`] are closed at once.
pub fn connections(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let incoming = Incoming { listener, tls, places, making: JoinSet::new(), failures: Arc::default() };
    stream::unfold(incoming, |mut incoming| async move { Some((Ok(incoming.next().await), incoming)) })
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let ready = match accepted {
                        Ok((stream, address)) => self.begin(stream, address),
                        Err(error) => {
                            tracing::warn!(%error, "connection not accepted");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                            None
                        }
                    };
                    if let Some(connection) = ready {
                        return connection;
                    }
                }
                Some(made) = self.making.join_next() => {
                    if let Ok(Some(connection)) = made {
                        return connection;
                    }
                }
            }
        }
    }

    /// The connection, when there is nothing to be made of it first.
    fn begin(&mut self, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!(client = %address, limit = CONNECTIONS_MAX, "connection refused: too many");
            return None;
        };
        // Only a matter of speed.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => {
                let peer = Peer { address, certificate_names: Arc::default() };
                Some(Connection { stream: Transport::Plain(stream), peer, _place: place })
            }
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls.config());
                self.making.spawn(with_tls(acceptor, stream, address, place, Arc::clone(&self.failures)));
                None
            }
        }
    }
}

async fn with_tls(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    failures: Arc<Seldom>,
) -> Option<Connection> {
    let made = match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it took longer than {} s", TLS_HANDSHAKE_TIMEOUT.as_secs())),
    };
    match made {
        Ok(stream) => {
            let chain = stream.get_ref().1.peer_certificates();
            let certificate_names = chain.and_then(<[_]>::first).map(names).unwrap_or_default().into();
            let peer = Peer { address, certificate_names };
            Some(Connection { stream: Transport::Tls(Box::new(stream)), peer, _place: place })
        }
        Err(why) => {
            if let Some(untold) = failures.tell() {
                tracing::warn!(client = %address, why, untold, "TLS connection not made");
            }
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
