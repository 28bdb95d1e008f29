//! Ways in which a sample server misbehaves when a test asks for it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use skep_hms::thrift::{Kind, MessageType, Protocol, Transport, Wire, Writer, encode_message};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call is read and never answered.
    Hang,
    /// The answer comes late.
    Delay {
        /// How late.
        delay_ms: u64,
    },
    /// The answer comes byte by byte.
    Trickle {
        /// Time between two bytes; 1,000 is one byte a second.
        byte_interval_ms: u64,
    },
    /// Half of the answer, then the connection is reset (RST).
    Reset,
    /// Half of the answer, then the connection is closed (FIN).
    Close,
    /// The connection is closed without an answer.
    Hangup,
    /// Bytes that are not a valid answer, then the connection is closed.
    Garbage(Garbage),
    /// A `TApplicationException` of type 6 (internal error), as for exceptions that no method
    /// declares.
    Fail {
        /// Its text.
        message: String,
    },
    /// A `MetaException` where the method declares it, as when the metastore's database fails;
    /// else as [`Trouble::Fail`].
    Meta {
        /// Its text.
        message: String,
    },
    /// A `TApplicationException` of type 1, as if the server did not have the method.
    MissingMethod,
}

/// Kinds of invalid answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// A string of length -1.
    NegativeLength,
    /// A list of 2^31-1 elements.
    HugeCount,
    /// A list of 10,000,000 structs of which none comes.
    CountBeyondRest,
    /// Structs inside each other, 65 deep and deeper.
    TooDeep,
    /// A number where the result should be.
    WrongType,
    /// A right answer with the sequence id of another call.
    WrongSequenceId,
    /// A right answer to another method.
    WrongMethod,
    /// Text that is not UTF-8.
    NotUtf8,
    /// An HTTP answer.
    HttpText,
    /// A struct whose fields never end.
    EndlessStruct,
    /// A string of 100 MiB.
    HugeString,
    /// Bytes without any order.
    Noise,
}

impl Garbage {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::NegativeLength,
        Self::HugeCount,
        Self::CountBeyondRest,
        Self::TooDeep,
        Self::WrongType,
        Self::WrongSequenceId,
        Self::WrongMethod,
        Self::NotUtf8,
        Self::HttpText,
        Self::EndlessStruct,
        Self::HugeString,
        Self::Noise,
    ];
}

/// When something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleRule {
    /// Only calls of this method; `None` is every method.
    pub method: Option<String>,
    /// Only calls with this text among their arguments, such as a table's name.
    pub argument: Option<String>,
    /// The first so many calls that fit are let through.
    pub after_calls: usize,
    /// Only so many calls after that; `None` is every one.
    pub calls_max: Option<usize>,
    /// What goes wrong.
    pub trouble: Trouble,
}

impl TroubleRule {
    /// Every call.
    pub fn always(trouble: Trouble) -> Self {
        Self { method: None, argument: None, after_calls: 0, calls_max: None, trouble }
    }

    /// Every call of a method.
    pub fn on_method(method: impl Into<String>, trouble: Trouble) -> Self {
        Self { method: Some(method.into()), ..Self::always(trouble) }
    }

    /// Every call that names this text, such as a table.
    pub fn on_argument(argument: impl Into<String>, trouble: Trouble) -> Self {
        Self { argument: Some(argument.into()), ..Self::always(trouble) }
    }

    /// The same from a later call on.
    pub fn after(mut self, calls: usize) -> Self {
        self.after_calls = calls;
        self
    }

    /// The same for so many calls only.
    pub fn times(mut self, calls: usize) -> Self {
        self.calls_max = Some(calls);
        self
    }

    fn fits(&self, method: &str, body: &[u8]) -> bool {
        if self.method.as_deref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        match &self.argument {
            None => true,
            Some(text) => {
                let mut wanted = (text.len() as u32).to_be_bytes().to_vec();
                wanted.extend_from_slice(text.as_bytes());
                body.windows(wanted.len()).any(|window| window == wanted)
            }
        }
    }
}

/// The rules of a server, with how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    rules: Vec<(TroubleRule, usize)>,
}

impl Troubles {
    pub(crate) fn add(&mut self, rule: TroubleRule) {
        self.rules.push((rule, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What goes wrong with this call: the first rule that is due.
    pub(crate) fn due(&mut self, method: &str, body: &[u8]) -> Option<Trouble> {
        for (rule, met) in &mut self.rules {
            if !rule.fits(method, body) {
                continue;
            }
            *met += 1;
            let place = *met - 1;
            let is_over = rule.calls_max.is_some_and(|max| place >= rule.after_calls.saturating_add(max));
            if place >= rule.after_calls && !is_over {
                return Some(rule.trouble.clone());
            }
        }
        None
    }
}

/// The call that is answered with garbage.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) sequence_id: i32,
    pub(crate) wire: Wire,
    /// The right answer.
    pub(crate) right: &'a [u8],
}

/// Writes an invalid answer.
pub(crate) async fn write_garbage(
    out: &mut (impl AsyncWrite + Unpin),
    kind: Garbage,
    asked: &Asked<'_>,
) -> std::io::Result<()> {
    match kind {
        Garbage::EndlessStruct => {
            out.write_all(&header(asked)).await?;
            let mut field = Writer::new();
            for _ in 0..4_096 {
                field.field_i64(99, 0);
            }
            let fields = field.finish();
            loop {
                out.write_all(&fields).await?;
            }
        }
        Garbage::HugeString => {
            const BYTES: usize = 100 << 20;
            let mut start = BytesMut::from(&header(asked)[..]);
            start.put_u8(Kind::String as u8);
            start.put_i16(0);
            start.put_u32(BYTES as u32);
            out.write_all(&start).await?;
            let chunk = vec![b'x'; 1 << 20];
            for _ in 0..BYTES / chunk.len() {
                out.write_all(&chunk).await?;
            }
            out.write_all(&[0]).await
        }
        kind => out.write_all(&short_garbage(kind, asked)).await,
    }
}

/// The header of an unframed strict-binary reply.
fn header(asked: &Asked<'_>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(0x8001_0000 | MessageType::Reply as u32);
    out.put_u32(asked.method.len() as u32);
    out.put_slice(asked.method.as_bytes());
    out.put_i32(asked.sequence_id);
    out.freeze()
}

fn short_garbage(kind: Garbage, asked: &Asked<'_>) -> Bytes {
    let reply = |method: &str, sequence_id: i32, body: &[u8]| {
        encode_message(asked.wire, method, MessageType::Reply, sequence_id, body).unwrap_or_default()
    };
    let broken = |tail: &[u8]| {
        let mut out = BytesMut::from(&header(asked)[..]);
        out.put_slice(tail);
        // Some bytes more, so that a reader that trusts the number has something to read.
        out.put_bytes(0, 64);
        // In a frame the same bytes need a length in front.
        if asked.wire.transport == Transport::Framed && asked.wire.protocol == Protocol::Binary {
            let mut framed = BytesMut::new();
            framed.put_u32(out.len() as u32);
            framed.put_slice(&out);
            return framed.freeze();
        }
        out.freeze()
    };
    match kind {
        Garbage::NegativeLength => broken(&[11, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        Garbage::HugeCount => broken(&[15, 0, 0, 12, 0x7f, 0xff, 0xff, 0xff]),
        Garbage::CountBeyondRest => {
            let mut tail = vec![15, 0, 0, 12];
            tail.extend_from_slice(&10_000_000_u32.to_be_bytes());
            broken(&tail)
        }
        Garbage::TooDeep => {
            let mut tail = Vec::new();
            for _ in 0..10_000 {
                tail.extend_from_slice(&[12, 0, 1]);
            }
            broken(&tail)
        }
        Garbage::WrongType => {
            let mut w = Writer::new();
            w.field_i32(0, 7);
            reply(asked.method, asked.sequence_id, &w.finish_struct())
        }
        Garbage::WrongSequenceId => reply(asked.method, asked.sequence_id.wrapping_add(1), asked.right),
        Garbage::WrongMethod => reply("get_type", asked.sequence_id, asked.right),
        Garbage::NotUtf8 => {
            let mut w = Writer::new();
            w.field_list(0, Kind::String, 1);
            w.binary(&[0xff, 0xfe, 0xc3, 0x28]);
            reply(asked.method, asked.sequence_id, &w.finish_struct())
        }
        Garbage::HttpText => {
            Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Garbage::Noise => (0..512).map(|at| crate::random::mix(7, at) as u8 | 0x40).collect(),
        Garbage::EndlessStruct | Garbage::HugeString => Bytes::new(),
    }
}

/// Writes bytes one at a time.
pub(crate) async fn trickle(
    out: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    byte_interval_ms: u64,
) -> std::io::Result<()> {
    for byte in bytes {
        out.write_all(std::slice::from_ref(byte)).await?;
        tokio::time::sleep(Duration::from_millis(byte_interval_ms)).await;
    }
    Ok(())
}
