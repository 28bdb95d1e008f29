//! Connections as they come, with TLS or without, at most so many at a time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture};
use futures::{FutureExt, Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::certificate::names;
use crate::limits::{CONNECTIONS_MAX, FIRST_BYTES_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
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
    /// Until its client says something.
    silence: Option<Pin<Box<Sleep>>>,
    /// Ends when all connections are to be cut off.
    cut: Fuse<BoxFuture<'static, ()>>,
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
    cut: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    /// TLS connections that are being made; none of them holds up the others.
    making: JoinSet<Option<Connection>>,
    failures: Arc<Seldom>,
}

/// Connections as they come; those beyond [`CONNECTIONS_MAX`] are closed at once, and all of them
/// when `cut` is true, or nobody can say so any more.
pub fn connections(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    cut: watch::Receiver<bool>,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (making, failures) = (JoinSet::new(), Arc::default());
    let incoming = Incoming { listener, tls, cut, places, making, failures };
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
                Some(Connection::new(
                    Transport::Plain(stream),
                    peer,
                    place,
                    self.cut.clone(),
                    FIRST_BYTES_TIMEOUT,
                ))
            }
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls.config());
                let (cut, failures) = (self.cut.clone(), Arc::clone(&self.failures));
                self.making.spawn(async move {
                    let (stream, peer) = with_tls(acceptor, stream, address, &failures).await?;
                    Some(Connection::new(stream, peer, place, cut, FIRST_BYTES_TIMEOUT))
                });
                None
            }
        }
    }
}

async fn with_tls(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    failures: &Seldom,
) -> Option<(Transport, Peer)> {
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
            Some((Transport::Tls(Box::new(stream)), peer))
        }
        Err(why) => {
            if let Some(untold) = failures.tell() {
                tracing::warn!(client = %address, why, untold, "TLS connection not made");
            }
            None
        }
    }
}

impl Connection {
    fn new(
        stream: Transport,
        peer: Peer,
        place: OwnedSemaphorePermit,
        mut cut: watch::Receiver<bool>,
        first_bytes_timeout: Duration,
    ) -> Self {
        let cut = async move {
            // An error is as good: there is no door any more.
            let _ = cut.wait_for(|is_cut| *is_cut).await;
        };
        let silence = Some(Box::pin(tokio::time::sleep(first_bytes_timeout)));
        Self { stream, peer, silence, cut: cut.boxed().fuse(), _place: place }
    }

    /// Whether it has to end now; if not, whoever waits is woken when it has.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.cut.is_terminated() || self.cut.poll_unpin(context).is_ready() {
            return Some(io::ErrorKind::ConnectionAborted.into());
        }
        let is_silent =
            self.silence.as_mut().is_some_and(|silence| silence.as_mut().poll(context).is_ready());
        is_silent.then(|| io::ErrorKind::TimedOut.into())
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
        if let Some(error) = self.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if before < buffer.filled().len() {
            self.silence = None;
        }
        read
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_connects_and_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (cut, is_cut) = watch::channel(false);
        let places = Arc::new(Semaphore::new(1));
        let short = Duration::from_millis(50);
        let connect = async || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, address) = listener.accept().await.unwrap();
            let peer = Peer { address, certificate_names: Arc::default() };
            let place = Arc::clone(&places).acquire_owned().await.unwrap();
            (client, Connection::new(Transport::Plain(stream), peer, place, is_cut.clone(), short))
        };
        let (_silent, mut connection) = connect().await;
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(connection);

        // Who has said something may be silent from then on.
        let (mut client, mut connection) = connect().await;
        client.write_u8(7).await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), 7);
        let waiting = tokio::time::timeout(4 * short, connection.read_u8()).await;
        assert!(waiting.is_err(), "{waiting:?}");
        cut.send_replace(true);
        for _ in 0..2 {
            assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        }
    }
}
