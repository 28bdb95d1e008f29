//! One connection: opening it, claiming a user, calling.
//!
//! Opening goes in layers: TCP, TLS when asked for, then the handshake that says who calls. SASL
//! (Kerberos, delegation tokens) is another handshake and another framing of the stream: its
//! place is between [`Opener::connect`] and [`Connection`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use rustls::pki_types::ServerName;
use skep_catalog::fault::{Code, Fault};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use super::{ClientOptions, tls};
use crate::thrift::{
    ApplicationException, LARGE_BYTES, Limits, Message, MessageDecoder, MessageType, ThriftError, Wire,
    Writer, encode_message,
};

/// What is read at once at most.
const READ_BYTES: usize = 1 << 20;
/// What is read of a reply without a turn.
const TURN_BYTES: usize = LARGE_BYTES / 2;

/// What a connection runs over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a connection is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// TCP could not be opened.
    Connect(String),
    /// TLS could not be agreed on.
    Tls(String),
    /// The deadline passed after so many bytes of the reply.
    Late { bytes: usize, timeout_ms: u64 },
    /// The deadline passed while the rest of a large reply waited for its turn.
    Crowded { bytes: usize, timeout_ms: u64 },
    /// The connection ended after so many bytes of the reply.
    Closed { bytes: usize, why: String },
    /// The reply is not what it should be.
    Malformed(String),
    /// The metastore does not take the claimed user.
    Refused(String),
}

impl Broken {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Connect(_) | Self::Tls(_) => Code::METASTORE_UNREACHABLE,
            Self::Late { .. } | Self::Crowded { .. } => Code::METASTORE_SLOW,
            Self::Closed { .. } => Code::METASTORE_CLOSED,
            Self::Malformed(_) => Code::METASTORE_MALFORMED,
            Self::Refused(_) => Code::METASTORE_REFUSED,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => f.write_str(why),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Late { bytes: 0, timeout_ms } => write!(f, "no answer within {timeout_ms} ms"),
            Self::Late { bytes, timeout_ms } => {
                write!(f, "no complete reply within {timeout_ms} ms, {bytes} bytes came")
            }
            Self::Crowded { bytes, timeout_ms } => write!(
                f,
                "no turn for the rest of a large reply within {timeout_ms} ms, {bytes} bytes came: other large replies of this metastore were not complete"
            ),
            Self::Closed { bytes: 0, why } => write!(f, "{why} before an answer came"),
            Self::Closed { bytes, why } => write!(f, "{why} after {bytes} bytes of the reply"),
            Self::Malformed(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "set_ugi: {why}"),
        }
    }
}

impl From<ThriftError> for Broken {
    fn from(error: ThriftError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// An answer.
pub(super) enum Reply {
    /// Body of the result struct.
    Result(ReplyBody),
    Exception(ApplicationException),
}

/// The body of a result struct. While a large one is there, no other large reply of the metastore is
/// read. Slices of its bytes may live on after it: a caller that keeps them bounds how many.
#[derive(Debug)]
pub struct ReplyBody {
    bytes: Bytes,
    _turn: Option<Turn>,
}

impl Deref for ReplyBody {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// How far a reply has come.
#[derive(Default)]
struct Progress {
    bytes: usize,
    /// It waits for its turn.
    waits: bool,
    turn: Option<Turn>,
}

/// The right to read the rest of a large reply. The large replies of a metastore are read one at a
/// time, so that they cannot take its limit for each of the calls under way; those of another one
/// are of no concern to it, however bad they are. Who has it waits for nothing else.
type Turn = OwnedSemaphorePermit;

/// Opens connections.
pub(super) struct Opener {
    wire: Wire,
    limits: Limits,
    connect_timeout_ms: u64,
    request_timeout_ms: u64,
    pub(super) turns: Arc<Semaphore>,
    tls: Option<(TlsConnector, Option<String>)>,
    /// User and groups to claim.
    claim: Option<(String, Vec<String>)>,
}

impl Opener {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, Fault> {
        let tls = match &options.tls {
            Some(tls) => {
                let connector = TlsConnector::from(tls::config(tls)?);
                Some((connector, tls.server_name.clone()))
            }
            None => None,
        };
        Ok(Self {
            wire: options.wire(),
            limits: options.limits(),
            connect_timeout_ms: options.connect_timeout_ms,
            request_timeout_ms: options.request_timeout_ms,
            turns: Arc::new(Semaphore::new(1)),
            tls,
            claim: options.user.clone().map(|user| (user, options.groups.clone())),
        })
    }

    /// Opens a connection that is ready for calls, within the connect timeout and `deadline`.
    pub(super) async fn open(
        &self,
        endpoint: &Endpoint,
        index: usize,
        deadline: Instant,
    ) -> Result<Connection, Broken> {
        let started = Instant::now();
        let connect_by = deadline.min(started + Duration::from_millis(self.connect_timeout_ms));
        let stream = match timeout_at(connect_by, self.connect(endpoint)).await {
            Ok(connected) => connected?,
            Err(_) => {
                let why = format!("no connection within {} ms", self.connect_timeout_ms);
                return Err(Broken::Connect(why));
            }
        };
        endpoint.connected(started.elapsed());
        let mut connection = Connection {
            stream,
            decoder: MessageDecoder::new(self.wire, self.limits),
            wire: self.wire,
            sequence_id: 0,
            request_timeout_ms: self.request_timeout_ms,
            turns: self.turns.clone(),
            endpoint: index,
            idle_since: started,
        };
        self.handshake(&mut connection, deadline).await?;
        Ok(connection)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, Broken> {
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(|e| Broken::Connect(e.to_string()))?;
        // Requests are written whole; waiting for more would only cost time.
        let _ = tcp.set_nodelay(true);
        let Some((connector, server_name)) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = server_name.as_ref().unwrap_or(&endpoint.host).clone();
        let name = ServerName::try_from(name).map_err(|e| Broken::Tls(e.to_string()))?;
        let tls = connector.connect(name, tcp).await.map_err(|e| Broken::Tls(e.to_string()))?;
        Ok(Box::new(tls))
    }

    /// Says who calls. An unsecured metastore takes it at its word.
    async fn handshake(&self, connection: &mut Connection, deadline: Instant) -> Result<(), Broken> {
        let Some((user, groups)) = &self.claim else { return Ok(()) };
        let mut writer = Writer::new();
        writer.field_string(1, user);
        writer.field_strings(2, groups);
        match connection.call("set_ugi", &writer.finish_struct(), deadline).await? {
            // Field 1 of the result is the declared MetaException.
            Reply::Result(body) => match crate::thrift::Reader::new(&body).field()? {
                Some((_, 1)) => Err(Broken::Refused("the metastore answered an error".to_owned())),
                _ => Ok(()),
            },
            Reply::Exception(exception) => Err(Broken::Refused(exception.message)),
        }
    }
}

/// An open connection, used by one call at a time.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    decoder: MessageDecoder,
    wire: Wire,
    sequence_id: i32,
    request_timeout_ms: u64,
    turns: Arc<Semaphore>,
    /// Place of its endpoint.
    pub(super) endpoint: usize,
    /// When it was last used.
    pub(super) idle_since: Instant,
}

impl Connection {
    /// Whether nothing came after the last reply.
    pub(super) fn is_reusable(&self) -> bool {
        self.decoder.is_idle()
    }

    /// One call. After an error the connection must be dropped.
    pub(super) async fn call(
        &mut self,
        method: &str,
        arguments: &[u8],
        deadline: Instant,
    ) -> Result<Reply, Broken> {
        self.sequence_id = self.sequence_id.wrapping_add(1);
        let request = encode_message(self.wire, method, MessageType::Call, self.sequence_id, arguments)?;
        let mut progress = Progress::default();
        let exchange = self.exchange(&request, &mut progress);
        let message = match timeout_at(deadline, exchange).await {
            Ok(message) => message?,
            Err(_) => {
                let (bytes, timeout_ms) = (progress.bytes, self.request_timeout_ms);
                return Err(match progress.waits {
                    true => Broken::Crowded { bytes, timeout_ms },
                    false => Broken::Late { bytes, timeout_ms },
                });
            }
        };
        self.check(method, message, progress.turn)
    }

    async fn exchange(&mut self, request: &[u8], progress: &mut Progress) -> Result<Message, Broken> {
        let closed =
            |bytes: usize, e: std::io::Error| Broken::Closed { bytes, why: format!("connection lost: {e}") };
        self.stream.write_all(request).await.map_err(|e| closed(0, e))?;
        self.stream.flush().await.map_err(|e| closed(0, e))?;
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            if progress.turn.is_none() && TURN_BYTES < self.decoder.held_bytes() {
                progress.waits = true;
                // It is never closed.
                progress.turn = self.turns.clone().acquire_owned().await.ok();
                progress.waits = false;
            }
            // TLS clears what it may write to before it writes.
            let mut room = self.decoder.buffer().limit(READ_BYTES);
            match self.stream.read_buf(&mut room).await {
                Ok(0) => {
                    let why = "connection closed".to_owned();
                    return Err(Broken::Closed { bytes: progress.bytes, why });
                }
                Ok(count) => progress.bytes += count,
                Err(e) => return Err(closed(progress.bytes, e)),
            }
        }
    }

    fn check(&self, method: &str, message: Message, turn: Option<Turn>) -> Result<Reply, Broken> {
        if message.name != method {
            return Err(Broken::Malformed(format!("the reply is of method {:?}", message.name)));
        }
        if message.sequence_id != self.sequence_id {
            let (expected, actual) = (self.sequence_id, message.sequence_id);
            return Err(Broken::Malformed(format!("the reply has sequence id {actual}, not {expected}")));
        }
        match message.message_type {
            MessageType::Reply => Ok(Reply::Result(ReplyBody { bytes: message.body, _turn: turn })),
            MessageType::Exception => Ok(Reply::Exception(ApplicationException::decode(&message.body)?)),
            other => Err(Broken::Malformed(format!("the reply is a {other:?}"))),
        }
    }
}

/// Keeps the type honest: connections move between tasks.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Connection>();
    is_send::<Arc<Opener>>();
};
