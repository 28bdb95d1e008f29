//! Messages: a header and one struct body, in three wire forms.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::binary::Scanner;
use super::compact::{self, Transcoder};
use super::room::{LARGE_BYTES, make_room};
use super::{Flaw, Kind, Limits, Reader, Result, ThriftError, bounded, fail};

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    /// A request.
    Call = 1,
    /// An answer; its body is the result struct of the method.
    Reply = 2,
    /// An answer; its body is a [`super::ApplicationException`].
    Exception = 3,
    /// A request without an answer.
    Oneway = 4,
}

impl MessageType {
    /// The type with this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Call,
            2 => Self::Reply,
            3 => Self::Exception,
            4 => Self::Oneway,
            _ => return None,
        })
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Strict binary: the default of every Hive.
    #[default]
    Binary,
    /// Compact (`hive.metastore.thrift.compact.protocol.enabled`).
    Compact,
}

/// How messages are bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Not at all: a message ends where its struct ends. The default of every Hive.
    #[default]
    Unframed,
    /// A length in front (`hive.metastore.thrift.framed.transport.enabled`).
    Framed,
}

/// Protocol and transport of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// How values are written.
    pub protocol: Protocol,
    /// How messages are bounded.
    pub transport: Transport,
}

/// A message as it came, its body in strict binary whatever the wire form was.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Method name.
    pub name: String,
    /// Call, reply, ...
    pub message_type: MessageType,
    /// Number that ties an answer to its request.
    pub sequence_id: i32,
    /// Struct body, stop byte included; checked to be one well-formed struct within the limits.
    pub body: Bytes,
    /// The wire form that it came in, for the answer.
    pub wire: Wire,
}

/// A message ready to be sent. `body` is a strict-binary struct body.
///
/// Errors: a compact message whose body is not well-formed.
pub fn encode_message(
    wire: Wire,
    name: &str,
    message_type: MessageType,
    sequence_id: i32,
    body: &[u8],
) -> Result<Bytes> {
    let mut out = BytesMut::with_capacity(body.len() + name.len() + 16);
    if wire.transport == Transport::Framed {
        out.put_u32(0);
    }
    match wire.protocol {
        Protocol::Binary => {
            out.put_u32(0x8001_0000 | message_type as u32);
            out.put_u32(u32::try_from(name.len()).unwrap_or(u32::MAX));
            out.put_slice(name.as_bytes());
            out.put_i32(sequence_id);
            out.put_slice(body);
        }
        Protocol::Compact => compact::encode_message(&mut out, name, message_type, sequence_id, body)?,
    }
    if wire.transport == Transport::Framed {
        let length = bounded(0, "frame length", (out.len() - 4) as i64, i32::MAX as usize)?;
        out[..4].copy_from_slice(&(length as u32).to_be_bytes());
    }
    Ok(out.freeze())
}

/// What is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Puts messages together from the chunks that a connection delivers.
///
/// Every byte is looked at once, however small the chunks are. The buffer never holds more than
/// the message limit and one chunk. After an error the connection is worth nothing any more.
pub struct MessageDecoder {
    /// `None`: told by the first bytes of each message.
    wire: Option<Wire>,
    limits: Limits,
    buffer: BytesMut,
    state: State,
}

enum State {
    Start,
    Binary(Scanner),
    Compact(Box<Transcoder>),
    Frame(usize),
}

impl MessageDecoder {
    /// For a client: the other side is known to speak `wire`.
    pub fn new(wire: Wire, limits: Limits) -> Self {
        Self { wire: Some(wire), limits, buffer: BytesMut::new(), state: State::Start }
    }

    /// For a server: the wire form of each message is told by its first byte
    /// (`80` binary, `82` compact, `00` to `3f` a frame length).
    pub fn detecting(limits: Limits) -> Self {
        Self { wire: None, limits, buffer: BytesMut::new(), state: State::Start }
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read from a socket into (`read_buf`), with room for at least
    /// 64 KiB.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.make_room(CHUNK_BYTES);
        &mut self.buffer
    }

    fn make_room(&mut self, more: usize) {
        make_room(&mut self.buffer, more, self.limits.message_bytes_max + CHUNK_BYTES);
    }

    /// Bytes of the message that is coming in.
    pub fn held_bytes(&self) -> usize {
        let transcoded = match &self.state {
            State::Compact(transcoder) => transcoder.held_bytes(),
            _ => 0,
        };
        self.buffer.len() + transcoded
    }

    /// Whether no part of a message is waiting for its rest.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && matches!(self.state, State::Start)
    }

    /// The next message, once it is complete.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Message>> {
        loop {
            match &mut self.state {
                State::Start => {
                    let Some(&first) = self.buffer.first() else { return Ok(None) };
                    let wire = match self.wire {
                        Some(wire) => wire,
                        None => detect(first)?,
                    };
                    if wire.transport == Transport::Framed {
                        let Some(&length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
                        let length = i32::from_be_bytes(length).into();
                        let length = bounded(0, "frame length", length, self.limits.message_bytes_max)
                            .map_err(|e| self.explain(e))?;
                        self.buffer.advance(4);
                        self.state = State::Frame(length);
                    } else if wire.protocol == Protocol::Compact {
                        self.state = State::Compact(Box::new(Transcoder::new(self.limits)));
                    } else {
                        self.state = State::Binary(Scanner::new(self.limits));
                    }
                }
                State::Binary(scanner) => {
                    let end = match scanner.advance(&self.buffer) {
                        Ok(end) => end,
                        Err(e) => return Err(self.explain(e)),
                    };
                    let Some(end) = end else {
                        let length = self.buffer.len();
                        return match length > self.limits.message_bytes_max {
                            true => Err(self.too_large(length)),
                            false => Ok(None),
                        };
                    };
                    if end > self.limits.message_bytes_max {
                        return Err(self.too_large(end));
                    }
                    self.state = State::Start;
                    let bytes = self.take(end);
                    return binary_message(bytes, self.limits, Transport::Unframed).map(Some);
                }
                State::Compact(transcoder) => {
                    if !transcoder
                        .advance(&mut self.buffer)
                        .map_err(|e| explain(&self.buffer, self.wire, e))?
                    {
                        return Ok(None);
                    }
                    let State::Compact(transcoder) = std::mem::replace(&mut self.state, State::Start) else {
                        return Ok(None);
                    };
                    return Ok(Some(transcoder.finish(Transport::Unframed)));
                }
                State::Frame(length) => {
                    let length = *length;
                    if self.buffer.len() < length {
                        return Ok(None);
                    }
                    self.state = State::Start;
                    let frame = self.take(length);
                    let is_compact = match self.wire {
                        Some(wire) => wire.protocol == Protocol::Compact,
                        None => frame.first() == Some(&0x82),
                    };
                    return match is_compact {
                        true => compact_frame(BytesMut::from(frame), self.limits),
                        false => binary_message(frame, self.limits, Transport::Framed),
                    }
                    .map(Some);
                }
            }
        }
    }

    /// The first `count` bytes of the buffer. A message that fills little of it is copied, so
    /// that keeping a part of the message does not keep the whole buffer; otherwise the buffer
    /// goes with the message.
    fn take(&mut self, count: usize) -> Bytes {
        if count < self.buffer.capacity() / 4 {
            let bytes = Bytes::copy_from_slice(&self.buffer[..count]);
            self.buffer.advance(count);
            if self.buffer.is_empty() && LARGE_BYTES < self.buffer.capacity() {
                self.buffer = BytesMut::new();
            }
            return bytes;
        }
        let bytes = self.buffer.split_to(count).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        bytes
    }

    fn too_large(&self, actual: usize) -> ThriftError {
        let limit = self.limits.message_bytes_max as u64;
        ThriftError {
            offset: self.limits.message_bytes_max,
            flaw: Flaw::TooLarge { what: "message length", actual: actual as u64, limit },
        }
    }

    fn explain(&self, error: ThriftError) -> ThriftError {
        explain(&self.buffer, self.wire, error)
    }
}

/// Says what the other side seems to speak, when an error at the very start lets it be seen.
fn explain(start: &[u8], wire: Option<Wire>, error: ThriftError) -> ThriftError {
    let guess = match start {
        [b'H', b'T', b'T', b'P', ..] | [b'P', b'O', b'S', b'T', ..] | [b'G', b'E', b'T', b' ', ..] => {
            "the other side speaks HTTP"
        }
        [0x15 | 0x16, 0x03, ..] => "the other side speaks TLS",
        [0x80, 0x01, ..] if wire.is_some_and(|wire| wire.transport == Transport::Framed) => {
            "the other side does not use the framed transport"
        }
        [0x80, 0x01, ..] if wire.is_some_and(|wire| wire.protocol == Protocol::Compact) => {
            "the other side uses the binary protocol"
        }
        [0x82, ..] if wire.is_some_and(|wire| wire.protocol == Protocol::Binary) => {
            "the other side uses the compact protocol"
        }
        [0, _, _, _, 0x80, 0x01, ..] => "the other side uses the framed transport",
        _ => return error,
    };
    if error.offset > 4 {
        return error;
    }
    ThriftError { offset: error.offset, flaw: Flaw::BadHeader(guess.to_owned()) }
}

fn detect(first: u8) -> Result<Wire> {
    match first {
        0x80 => Ok(Wire::default()),
        0x82 => Ok(Wire { protocol: Protocol::Compact, transport: Transport::Unframed }),
        // A frame length below 1 GiB; the letters of HTTP lie above and lengths are checked anyway.
        0x00..=0x3f => Ok(Wire { protocol: Protocol::Binary, transport: Transport::Framed }),
        _ => fail(0, Flaw::BadHeader(format!("it begins with {first:#04x}"))),
    }
}

fn binary_message(bytes: Bytes, limits: Limits, transport: Transport) -> Result<Message> {
    let mut reader = Reader::with_limits(&bytes, limits);
    let (name, message_type, sequence_id) = reader.message()?;
    let name = name.to_owned();
    let start = reader.position();
    if transport == Transport::Framed {
        // An unframed message was walked through to find its end.
        reader.skip(Kind::Struct)?;
        if reader.remaining() > 0 {
            return fail(reader.position(), Flaw::BadHeader("bytes follow in the same frame".to_owned()));
        }
    }
    let wire = Wire { protocol: Protocol::Binary, transport };
    Ok(Message { name, message_type, sequence_id, body: bytes.slice(start..), wire })
}

fn compact_frame(mut frame: BytesMut, limits: Limits) -> Result<Message> {
    let mut transcoder = Transcoder::new(limits);
    let length = frame.len();
    if !transcoder.advance(&mut frame)? {
        return fail(length, Flaw::Truncated { needed: 1, left: 0 });
    }
    if !frame.is_empty() {
        let offset = length - frame.len();
        return fail(offset, Flaw::BadHeader("bytes follow in the same frame".to_owned()));
    }
    Ok(transcoder.finish(Transport::Framed))
}
