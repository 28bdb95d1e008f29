//! The compact protocol, transcoded: into strict binary as bytes arrive, out of it when sending.
//!
//! Nothing is lost on the way, but the kinds of an empty map (compact does not send them).

use bytes::{Buf, BufMut, BytesMut};

use super::room::make_room;
use super::{
    Flaw, Kind, Limits, Message, MessageType, Protocol, Reader, Result, ThriftError, Transport, Wire,
    bounded, fail,
};

const PROTOCOL_ID: u8 = 0x82;
const VERSION: u8 = 1;

/// The number of a kind in the compact protocol; booleans have two, the value.
fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => 1,
        Kind::Byte => 3,
        Kind::I16 => 4,
        Kind::I32 => 5,
        Kind::I64 => 6,
        Kind::Double => 7,
        Kind::String => 8,
        Kind::List => 9,
        Kind::Set => 10,
        Kind::Map => 11,
        Kind::Struct => 12,
    }
}

fn kind(number: u8) -> Option<Kind> {
    Some(match number {
        1 | 2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::I16,
        5 => Kind::I32,
        6 => Kind::I64,
        7 => Kind::Double,
        8 => Kind::String,
        9 => Kind::List,
        10 => Kind::Set,
        11 => Kind::Map,
        12 => Kind::Struct,
        _ => return None,
    })
}

/// Why a step could not be made.
enum Stop {
    /// The bytes of the step are not all there yet.
    Incomplete,
    Bad(ThriftError),
}

impl From<ThriftError> for Stop {
    fn from(error: ThriftError) -> Self {
        Self::Bad(error)
    }
}

type Step<T> = std::result::Result<T, Stop>;

/// Reads compact primitives; `offset` is that of `bytes` in the message, for errors.
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    offset: usize,
}

impl Cursor<'_> {
    fn at(&self) -> usize {
        self.offset + self.position
    }

    fn byte(&mut self) -> Step<u8> {
        let byte = *self.bytes.get(self.position).ok_or(Stop::Incomplete)?;
        self.position += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Step<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ThriftError { offset: self.at(), flaw: Flaw::BadVarint }.into())
    }

    fn zigzag(&mut self) -> Step<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn kind(&mut self, number: u8) -> Step<Kind> {
        match kind(number) {
            Some(kind) => Ok(kind),
            None => Err(ThriftError { offset: self.at(), flaw: Flaw::UnknownKind(number) }.into()),
        }
    }

    fn count(&mut self, what: &'static str, limit: usize) -> Step<usize> {
        let at = self.at();
        let count = self.varint()?;
        // Lengths are 32-bit and signed in the reference implementation: above 2^31 is negative.
        let count = if count > u64::from(u32::MAX) { i64::MAX } else { i64::from(count as u32 as i32) };
        Ok(bounded(at, what, count, limit)?)
    }
}

/// The part of a value that decides how it goes on.
enum Head {
    Fixed([u8; 8], usize),
    String(usize),
    Struct,
    List(Kind, usize),
    Map(Kind, Kind, usize),
}

enum Frame {
    Struct { last_id: i16 },
    List { element: Kind, left: usize },
    Map { key: Kind, value: Kind, left: usize, is_key_next: bool },
}

/// Turns one compact message into strict binary in as many steps as its bytes come in.
pub(super) struct Transcoder {
    limits: Limits,
    consumed: usize,
    header: Option<(String, MessageType, i32)>,
    /// Bytes of a string that are still to be copied.
    pending: usize,
    frames: Vec<Frame>,
    out: BytesMut,
}

impl Transcoder {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, consumed: 0, header: None, pending: 0, frames: Vec::new(), out: BytesMut::new() }
    }

    /// Takes what it can from the front of `input`; true once the message is complete.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> Result<bool> {
        // A byte becomes at most 8: a small number in a list.
        let more = self.room().min(8 * input.len());
        make_room(&mut self.out, more, self.limits.message_bytes_max);
        let mut position = 0;
        let outcome = loop {
            if self.pending > 0 {
                let copied = self.pending.min(input.len() - position);
                self.out.put_slice(&input[position..position + copied]);
                position += copied;
                self.pending -= copied;
                if self.pending > 0 {
                    break Ok(false);
                }
            }
            if self.header.is_some() && self.frames.is_empty() {
                break Ok(true);
            }
            let mut cursor = Cursor { bytes: input, position, offset: self.consumed };
            match self.step(&mut cursor) {
                Ok(()) => position = cursor.position,
                Err(Stop::Incomplete) => break Ok(false),
                Err(Stop::Bad(error)) => break Err(error),
            }
        };
        if outcome.is_ok() {
            input.advance(position);
            self.consumed += position;
        }
        outcome
    }

    /// The finished message. Only to be asked once [`Self::advance`] said so.
    pub(super) fn finish(self, transport: Transport) -> Message {
        let (name, message_type, sequence_id) =
            self.header.unwrap_or_else(|| (String::new(), MessageType::Exception, 0));
        let wire = Wire { protocol: Protocol::Compact, transport };
        Message { name, message_type, sequence_id, body: self.out.freeze(), wire }
    }

    /// Bytes that are written so far.
    pub(super) fn held_bytes(&self) -> usize {
        self.out.len()
    }

    fn room(&self) -> usize {
        self.limits.message_bytes_max.saturating_sub(self.out.len())
    }

    /// One step: all of its bytes are read before anything changes, so that an incomplete one
    /// can be tried again.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Step<()> {
        if self.header.is_none() {
            self.header = Some(self.read_header(cursor)?);
            self.frames.push(Frame::Struct { last_id: 0 });
            return Ok(());
        }
        match self.frames.last() {
            None | Some(Frame::List { left: 0, .. } | Frame::Map { left: 0, .. }) => {
                self.frames.pop();
            }
            Some(&Frame::Struct { last_id }) => {
                let byte = cursor.byte()?;
                if byte & 0x0f == 0 {
                    self.need(cursor, 1)?;
                    self.out.put_u8(0);
                    self.frames.pop();
                    return Ok(());
                }
                let kind = cursor.kind(byte & 0x0f)?;
                let id = match byte >> 4 {
                    0 => cursor.zigzag()? as i16,
                    delta => last_id.wrapping_add(delta.into()),
                };
                let head = match kind {
                    Kind::Bool => Head::Fixed([u8::from(byte & 0x0f == 1), 0, 0, 0, 0, 0, 0, 0], 1),
                    kind => self.read_head(cursor, kind)?,
                };
                self.need(cursor, 3)?;
                self.out.put_u8(kind as u8);
                self.out.put_i16(id);
                if let Some(Frame::Struct { last_id }) = self.frames.last_mut() {
                    *last_id = id;
                }
                self.enter(cursor, head)?;
            }
            Some(&Frame::List { element, .. }) => {
                let head = self.read_head(cursor, element)?;
                if let Some(Frame::List { left, .. }) = self.frames.last_mut() {
                    *left -= 1;
                }
                self.enter(cursor, head)?;
            }
            Some(&Frame::Map { key, value, is_key_next, .. }) => {
                let head = self.read_head(cursor, if is_key_next { key } else { value })?;
                if let Some(Frame::Map { left, is_key_next, .. }) = self.frames.last_mut() {
                    *left -= usize::from(!*is_key_next);
                    *is_key_next = !*is_key_next;
                }
                self.enter(cursor, head)?;
            }
        }
        Ok(())
    }

    fn read_header(&self, cursor: &mut Cursor<'_>) -> Step<(String, MessageType, i32)> {
        let bad = |offset, text: String| Stop::Bad(ThriftError { offset, flaw: Flaw::BadHeader(text) });
        let first = cursor.byte()?;
        if first != PROTOCOL_ID {
            return Err(bad(0, format!("it begins with {first:#04x}")));
        }
        let second = cursor.byte()?;
        let message_type = MessageType::from_u8(second >> 5)
            .filter(|_| second & 0x1f == VERSION)
            .ok_or_else(|| bad(1, format!("version and type {second:#04x}")))?;
        let sequence_id = cursor.varint()? as u32 as i32;
        let length = cursor.count("method name length", self.limits.name_bytes_max)?;
        let at = cursor.at();
        let name =
            cursor.bytes.get(cursor.position..cursor.position + length).ok_or(Stop::Incomplete)?.to_vec();
        cursor.position += length;
        let name = String::from_utf8(name).map_err(|_| ThriftError { offset: at, flaw: Flaw::NotUtf8 })?;
        Ok((name, message_type, sequence_id))
    }

    fn read_head(&self, cursor: &mut Cursor<'_>, kind: Kind) -> Step<Head> {
        let fixed = |bytes: &[u8]| {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            Head::Fixed(padded, bytes.len())
        };
        Ok(match kind {
            Kind::Bool => fixed(&[u8::from(cursor.byte()? == 1)]),
            Kind::Byte => fixed(&[cursor.byte()?]),
            Kind::I16 => fixed(&(cursor.zigzag()? as i16).to_be_bytes()),
            Kind::I32 => fixed(&(cursor.zigzag()? as i32).to_be_bytes()),
            Kind::I64 => fixed(&cursor.zigzag()?.to_be_bytes()),
            Kind::Double => {
                let mut bytes = [0; 8];
                for byte in &mut bytes {
                    *byte = cursor.byte()?;
                }
                bytes.reverse();
                Head::Fixed(bytes, 8)
            }
            Kind::String => {
                Head::String(cursor.count("string length", self.limits.string_bytes_max.min(self.room()))?)
            }
            Kind::Struct => Head::Struct,
            Kind::List | Kind::Set => {
                let byte = cursor.byte()?;
                let element = match byte & 0x0f {
                    0 if byte >> 4 == 0 => Kind::Byte,
                    number => cursor.kind(number)?,
                };
                let limit = self.room() / element.bytes_min();
                let count = match byte >> 4 {
                    15 => cursor.count("element count", limit)?,
                    count => bounded(cursor.at(), "element count", count.into(), limit)?,
                };
                Head::List(element, count)
            }
            Kind::Map => {
                let count = cursor.count("pair count", self.room() / 2)?;
                if count == 0 {
                    return Ok(Head::Map(Kind::String, Kind::String, 0));
                }
                let kinds = cursor.byte()?;
                let (key, value) = (cursor.kind(kinds >> 4)?, cursor.kind(kinds & 0x0f)?);
                let limit = self.room() / (key.bytes_min() + value.bytes_min());
                Head::Map(key, value, bounded(cursor.at(), "pair count", count as i64, limit)?)
            }
        })
    }

    fn need(&self, cursor: &Cursor<'_>, count: usize) -> Result<()> {
        let limit = self.limits.message_bytes_max;
        bounded(cursor.at(), "message length", (self.out.len() + count) as i64, limit).map(|_| ())
    }

    fn enter(&mut self, cursor: &Cursor<'_>, head: Head) -> Result<()> {
        self.need(cursor, 8)?;
        let frame = match head {
            Head::Fixed(bytes, count) => {
                self.out.put_slice(&bytes[..count]);
                return Ok(());
            }
            Head::String(length) => {
                self.need(cursor, 4 + length)?;
                self.out.put_u32(length as u32);
                self.pending = length;
                return Ok(());
            }
            Head::Struct => Frame::Struct { last_id: 0 },
            Head::List(element, left) => {
                self.out.put_u8(element as u8);
                self.out.put_u32(left as u32);
                Frame::List { element, left }
            }
            Head::Map(key, value, left) => {
                self.out.put_u8(key as u8);
                self.out.put_u8(value as u8);
                self.out.put_u32(left as u32);
                Frame::Map { key, value, left, is_key_next: true }
            }
        };
        bounded(cursor.at(), "nesting depth", self.frames.len() as i64 + 1, self.limits.depth_max)?;
        self.frames.push(frame);
        Ok(())
    }
}

/// Writes a message whose body is given in strict binary.
pub(super) fn encode_message(
    out: &mut BytesMut,
    name: &str,
    message_type: MessageType,
    sequence_id: i32,
    body: &[u8],
) -> Result<()> {
    out.put_u8(PROTOCOL_ID);
    out.put_u8((message_type as u8) << 5 | VERSION);
    put_varint(out, u64::from(sequence_id as u32));
    put_varint(out, name.len() as u64);
    out.put_slice(name.as_bytes());
    let mut reader = Reader::new(body);
    put_struct(out, &mut reader, 1)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_zigzag(out: &mut BytesMut, value: i64) {
    put_varint(out, (value << 1 ^ value >> 63) as u64);
}

fn put_struct(out: &mut BytesMut, reader: &mut Reader<'_>, depth: usize) -> Result<()> {
    let mut last_id = 0i16;
    while let Some((kind, id)) = reader.field()? {
        let number = match kind {
            Kind::Bool => 2 - u8::from(reader.bool()?),
            kind => number(kind),
        };
        match i32::from(id) - i32::from(last_id) {
            delta @ 1..=15 => out.put_u8((delta as u8) << 4 | number),
            _ => {
                out.put_u8(number);
                put_zigzag(out, id.into());
            }
        }
        last_id = id;
        if kind != Kind::Bool {
            put_value(out, reader, kind, depth + 1)?;
        }
    }
    out.put_u8(0);
    Ok(())
}

fn put_value(out: &mut BytesMut, reader: &mut Reader<'_>, kind: Kind, depth: usize) -> Result<()> {
    if depth > Limits::REPLY.depth_max + 1 {
        let limit = Limits::REPLY.depth_max as u64;
        return fail(
            reader.position(),
            Flaw::TooLarge { what: "nesting depth", actual: depth as u64, limit },
        );
    }
    match kind {
        Kind::Bool => out.put_u8(2 - u8::from(reader.bool()?)),
        Kind::Byte => out.put_i8(reader.byte()?),
        Kind::I16 => put_zigzag(out, reader.i16()?.into()),
        Kind::I32 => put_zigzag(out, reader.i32()?.into()),
        Kind::I64 => put_zigzag(out, reader.i64()?),
        Kind::Double => out.put_f64_le(reader.double()?),
        Kind::String => {
            let bytes = reader.binary()?;
            put_varint(out, bytes.len() as u64);
            out.put_slice(bytes);
        }
        Kind::Struct => put_struct(out, reader, depth)?,
        Kind::List | Kind::Set => {
            let (element, count) = reader.list()?;
            match count {
                0..15 => out.put_u8((count as u8) << 4 | number(element)),
                _ => {
                    out.put_u8(0xf0 | number(element));
                    put_varint(out, count as u64);
                }
            }
            for _ in 0..count {
                put_value(out, reader, element, depth + 1)?;
            }
        }
        Kind::Map => {
            let (key, value, count) = reader.map()?;
            put_varint(out, count as u64);
            if count > 0 {
                out.put_u8(number(key) << 4 | number(value));
            }
            for _ in 0..count {
                put_value(out, reader, key, depth + 1)?;
                put_value(out, reader, value, depth + 1)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn room_is_made_for_no_more_than_the_limit() {
        let limits = Limits { message_bytes_max: 1 << 20, ..Limits::REPLY };
        let mut writer = crate::thrift::Writer::new();
        writer.field_string(1, &"x".repeat(900 << 10));
        let body = writer.finish_struct();
        let mut input = BytesMut::new();
        encode_message(&mut input, "m", MessageType::Reply, 1, &body).unwrap();
        let mut transcoder = Transcoder::new(limits);
        assert!(transcoder.advance(&mut input).unwrap());
        let room = transcoder.out.capacity();
        assert!(room <= limits.message_bytes_max, "{room}");
        assert_eq!(transcoder.finish(Transport::Framed).body, body);
    }
}
