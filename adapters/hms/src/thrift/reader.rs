//! Reads strict binary bytes that are all there.

use super::{Flaw, Kind, Limits, MessageType, Result, bounded, fail};

/// A cursor over a complete strict-binary message or struct body.
///
/// Every method fails with the offset when the bytes are not what they should be; nothing is
/// allocated.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    limits: Limits,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the start, with the limits of replies.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_limits(bytes, Limits::REPLY)
    }

    /// Reads `bytes` from the start.
    pub fn with_limits(bytes: &'a [u8], limits: Limits) -> Self {
        Self { bytes, position: 0, limits }
    }

    /// Offset of the next byte: two positions around [`Self::skip`] bound a value's bytes.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes that are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.remaining() {
            return fail(self.position, Flaw::Truncated { needed: count, left: self.remaining() });
        }
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(taken) = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<N>()) else {
            return fail(self.position, Flaw::Truncated { needed: N, left: self.remaining() });
        };
        self.position += N;
        Ok(*taken)
    }

    /// A message header: method name, message type, sequence id.
    pub fn message(&mut self) -> Result<(&'a str, MessageType, i32)> {
        let start = self.position;
        let version = u32::from_be_bytes(self.take_array()?);
        let Some(kind) =
            (version >> 16 == 0x8001).then_some(version & 0xff).and_then(|n| MessageType::from_u8(n as u8))
        else {
            return fail(start, Flaw::BadHeader(format!("it begins with {version:#010x}")));
        };
        let at = self.position;
        let length = self.i32()?;
        let length = bounded(at, "method name length", length.into(), self.limits.name_bytes_max)?;
        let name = self.text(length)?;
        Ok((name, kind, self.i32()?))
    }

    /// A field header; `None` at the end of the struct.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(Kind, i16)>> {
        let [number] = self.take_array()?;
        if number == 0 {
            return Ok(None);
        }
        let Some(kind) = Kind::from_u8(number) else {
            return fail(self.position - 1, Flaw::UnknownKind(number));
        };
        Ok(Some((kind, self.i16()?)))
    }

    /// Fails unless `actual` is the kind that belongs here.
    #[inline]
    pub fn expect(&self, expected: Kind, actual: Kind) -> Result<()> {
        if expected == actual { Ok(()) } else { fail(self.position, Flaw::WrongKind { expected, actual }) }
    }

    /// Goes past `bytes` if they are what comes next; whether they were.
    pub fn pass_over(&mut self, bytes: &[u8]) -> bool {
        let is_next = self.bytes[self.position..].starts_with(bytes);
        if is_next {
            self.position += bytes.len();
        }
        is_next
    }

    /// The bytes from here to where `later`, a clone that read on, is now.
    pub fn until(&self, later: &Self) -> &'a [u8] {
        self.bytes.get(self.position..later.position).unwrap_or_default()
    }

    /// A boolean; every byte but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.take_array::<1>()?[0] != 0)
    }

    /// A signed byte.
    #[inline]
    pub fn byte(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    /// A 16-bit integer.
    #[inline]
    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    /// A 32-bit integer.
    #[inline]
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    /// A 64-bit integer.
    #[inline]
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    /// A double.
    #[inline]
    pub fn double(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.take_array()?))
    }

    /// Bytes.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8]> {
        let at = self.position;
        let length = self.i32()?;
        let length = bounded(at, "string length", length.into(), self.limits.string_bytes_max)?;
        self.take(length)
    }

    /// Text, checked to be UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str> {
        let at = self.position;
        let length = self.i32()?;
        let length = bounded(at, "string length", length.into(), self.limits.string_bytes_max)?;
        self.text(length)
    }

    #[inline]
    fn text(&mut self, length: usize) -> Result<&'a str> {
        let at = self.position;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(e) => fail(at + e.valid_up_to(), Flaw::NotUtf8),
        }
    }

    /// A list or set header: kind of the elements and their number, which is bounded by the
    /// bytes that remain. The kind of an empty list means nothing.
    pub fn list(&mut self) -> Result<(Kind, usize)> {
        let [number] = self.take_array()?;
        let at = self.position;
        let count = self.i32()?;
        if count == 0 {
            return Ok((Kind::from_u8(number).unwrap_or(Kind::String), 0));
        }
        let Some(kind) = Kind::from_u8(number) else { return fail(at - 1, Flaw::UnknownKind(number)) };
        let count = bounded(at, "element count", count.into(), self.remaining() / kind.bytes_min())?;
        Ok((kind, count))
    }

    /// The header of a list whose elements must be of this kind.
    pub fn list_of(&mut self, expected: Kind) -> Result<usize> {
        let (actual, count) = self.list()?;
        if count != 0 {
            self.expect(expected, actual)?;
        }
        Ok(count)
    }

    /// The same where each element takes at least `bytes_min` bytes: room for that many may be made
    /// at once, as it is in proportion to the bytes that came.
    pub fn list_of_at_least(&mut self, expected: Kind, bytes_min: usize) -> Result<usize> {
        let count = self.list_of(expected)?;
        bounded(self.position, "element count", count as i64, self.remaining() / bytes_min.max(1))
    }

    /// The same where no more than `count_max` elements were asked for.
    pub fn list_of_at_most(&mut self, expected: Kind, count_max: usize) -> Result<usize> {
        let count = self.list_of(expected)?;
        bounded(self.position, "element count", count as i64, count_max)
    }

    /// A map header: kinds of keys and values, and the number of pairs, which is bounded by the
    /// bytes that remain. The kinds of an empty map mean nothing (the compact protocol drops them).
    pub fn map(&mut self) -> Result<(Kind, Kind, usize)> {
        let [key, value] = self.take_array()?;
        let at = self.position;
        let count = self.i32()?;
        if count == 0 {
            let kind = |n| Kind::from_u8(n).unwrap_or(Kind::String);
            return Ok((kind(key), kind(value), 0));
        }
        let Some(key) = Kind::from_u8(key) else { return fail(at - 2, Flaw::UnknownKind(key)) };
        let Some(value) = Kind::from_u8(value) else { return fail(at - 1, Flaw::UnknownKind(value)) };
        let limit = self.remaining() / (key.bytes_min() + value.bytes_min());
        Ok((key, value, bounded(at, "pair count", count.into(), limit)?))
    }

    /// The header of a map whose keys and values must be of these kinds.
    pub fn map_of(&mut self, key: Kind, value: Kind) -> Result<usize> {
        let (actual_key, actual_value, count) = self.map()?;
        if count != 0 {
            self.expect(key, actual_key)?;
            self.expect(value, actual_value)?;
        }
        Ok(count)
    }

    /// Passes over a value of any kind.
    #[inline]
    pub fn skip(&mut self, kind: Kind) -> Result<()> {
        self.skip_at(kind, 1)
    }

    /// Passes over a value and gives its bytes.
    #[inline]
    pub fn slice(&mut self, kind: Kind) -> Result<&'a [u8]> {
        let start = self.position;
        self.skip(kind)?;
        Ok(&self.bytes[start..self.position])
    }

    fn skip_at(&mut self, kind: Kind, depth: usize) -> Result<()> {
        if let Some(count) = kind.fixed_bytes() {
            return self.take(count).map(|_| ());
        }
        if kind == Kind::String {
            return self.binary().map(|_| ());
        }
        bounded(self.position, "nesting depth", depth as i64, self.limits.depth_max)?;
        match kind {
            Kind::Struct => {
                while let Some((kind, _)) = self.field()? {
                    self.skip_at(kind, depth + 1)?;
                }
            }
            Kind::Map => {
                let (key, value, count) = self.map()?;
                for _ in 0..count {
                    self.skip_at(key, depth + 1)?;
                    self.skip_at(value, depth + 1)?;
                }
            }
            _ => {
                let (element, count) = self.list()?;
                match element.fixed_bytes() {
                    Some(width) => self.take(width * count).map(|_| ())?,
                    None => {
                        for _ in 0..count {
                            self.skip_at(element, depth + 1)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
