//! Finds the end of a strict-binary message while its bytes arrive.

use super::{Flaw, Kind, Limits, Result, bounded, fail};

/// A struct or container that is being passed over.
enum Frame {
    Struct,
    List { element: Kind, left: usize },
    Map { key: Kind, value: Kind, left: usize, is_key_next: bool },
}

/// Passes over one message (header and struct) in as many steps as its bytes come in; every byte
/// is looked at once.
pub(super) struct Scanner {
    limits: Limits,
    /// Everything before this offset is passed.
    position: usize,
    /// Bytes of a string or run of fixed-width values that are still to be passed.
    pending: usize,
    frames: Vec<Frame>,
    is_in_body: bool,
}

impl Scanner {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, position: 0, pending: 0, frames: Vec::new(), is_in_body: false }
    }

    /// Goes on over `bytes`, the whole message so far; gives its length once it is complete.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        if !self.is_in_body {
            if !self.header(bytes)? {
                return Ok(None);
            }
            self.is_in_body = true;
            self.frames.push(Frame::Struct);
        }
        loop {
            if self.pending > 0 {
                let passed = self.pending.min(bytes.len() - self.position);
                self.position += passed;
                self.pending -= passed;
                if self.pending > 0 {
                    return Ok(None);
                }
            }
            let Some(frame) = self.frames.last_mut() else { return Ok(Some(self.position)) };
            let kind = match frame {
                Frame::Struct => {
                    let Some(&number) = bytes.get(self.position) else { return Ok(None) };
                    if number == 0 {
                        self.position += 1;
                        self.frames.pop();
                        continue;
                    }
                    let Some(kind) = Kind::from_u8(number) else {
                        return fail(self.position, Flaw::UnknownKind(number));
                    };
                    if bytes.len() - self.position < 3 + header_bytes(kind) {
                        return Ok(None);
                    }
                    self.position += 3;
                    kind
                }
                Frame::List { left: 0, .. } | Frame::Map { left: 0, .. } => {
                    self.frames.pop();
                    continue;
                }
                Frame::List { element, left } => {
                    let kind = *element;
                    if bytes.len() - self.position < header_bytes(kind) {
                        return Ok(None);
                    }
                    *left -= 1;
                    kind
                }
                Frame::Map { key, value, left, is_key_next } => {
                    let kind = if *is_key_next { *key } else { *value };
                    if bytes.len() - self.position < header_bytes(kind) {
                        return Ok(None);
                    }
                    *left -= usize::from(!*is_key_next);
                    *is_key_next = !*is_key_next;
                    kind
                }
            };
            self.enter(bytes, kind)?;
        }
    }

    /// Begins a value whose header bytes are there.
    fn enter(&mut self, bytes: &[u8], kind: Kind) -> Result<()> {
        let at = self.position;
        let i32_at = |offset: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&bytes[offset..offset + 4]);
            i64::from(i32::from_be_bytes(number))
        };
        let rest = self.limits.message_bytes_max.saturating_sub(at);
        if let Some(width) = kind.fixed_bytes() {
            self.pending = width;
            return Ok(());
        }
        if kind == Kind::String {
            let limit = self.limits.string_bytes_max.min(rest);
            self.pending = bounded(at, "string length", i32_at(at), limit)?;
            self.position += 4;
            return Ok(());
        }
        bounded(at, "nesting depth", self.frames.len() as i64 + 1, self.limits.depth_max)?;
        let known = |offset: usize| match Kind::from_u8(bytes[offset]) {
            Some(kind) => Ok(kind),
            None => fail(offset, Flaw::UnknownKind(bytes[offset])),
        };
        match kind {
            Kind::Struct => self.frames.push(Frame::Struct),
            Kind::Map => {
                self.position += 6;
                let count = i32_at(at + 2);
                if count != 0 {
                    let (key, value) = (known(at)?, known(at + 1)?);
                    let limit = rest / (key.bytes_min() + value.bytes_min());
                    let left = bounded(at + 2, "pair count", count, limit)?;
                    self.frames.push(Frame::Map { key, value, left, is_key_next: true });
                }
            }
            _ => {
                self.position += 5;
                let count = i32_at(at + 1);
                if count != 0 {
                    let element = known(at)?;
                    let left = bounded(at + 1, "element count", count, rest / element.bytes_min())?;
                    match element.fixed_bytes() {
                        Some(width) => self.pending = width * left,
                        None => self.frames.push(Frame::List { element, left }),
                    }
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(&start) = bytes.first_chunk::<4>() else { return Ok(false) };
        if start[..2] != [0x80, 0x01] {
            return fail(0, Flaw::BadHeader(format!("it begins with {:#010x}", u32::from_be_bytes(start))));
        }
        let Some(&length) = bytes.get(4..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(false) };
        let length = i32::from_be_bytes(length).into();
        let length = bounded(4, "method name length", length, self.limits.name_bytes_max)?;
        let end = 4 + 4 + length + 4;
        if bytes.len() < end {
            return Ok(false);
        }
        self.position = end;
        Ok(true)
    }
}

/// Bytes that must be there before a value of this kind can be entered.
fn header_bytes(kind: Kind) -> usize {
    match kind {
        Kind::String => 4,
        Kind::Map => 6,
        Kind::List | Kind::Set => 5,
        _ => 0,
    }
}
