//! Writing and reading of stored forms: variable-length numbers, length-prefixed bytes.
//!
//! Reading never panics and never allocates more than the bytes at hand.

use bytes::Bytes;

use crate::fault::{Code, Fault};

/// Appends values to a buffer.
#[derive(Default)]
pub(crate) struct Encoder(pub Vec<u8>);

impl Encoder {
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// LEB128.
    pub fn u64(&mut self, mut value: u64) -> &mut Self {
        while 0x80 <= value {
            self.0.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// Zigzag, then LEB128.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.u64(zigzag(value))
    }

    pub fn i128(&mut self, value: i128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Eight bytes, for hashes.
    pub fn fixed(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.u64(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub fn str(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    pub fn option_str(&mut self, value: Option<&str>) -> &mut Self {
        self.option(value, |e, text| {
            e.str(text);
        })
    }

    pub fn option_i64(&mut self, value: Option<i64>) -> &mut Self {
        self.option(value, |e, number| {
            e.i64(number);
        })
    }
}

/// Reads what [`Encoder`] wrote.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, Fault>;

fn short() -> Fault {
    Fault::new(Code::STORE_DAMAGED, "store: read a record", "it ends too early or holds a wrong length")
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left: no list in them has more items than that.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn slice(&mut self, length: usize) -> Read<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn u8(&mut self) -> Read<u8> {
        Ok(self.slice(1)?[0])
    }

    pub fn bool(&mut self) -> Read<bool> {
        Ok(self.u8()? != 0)
    }

    pub fn u64(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(short())
    }

    pub fn u32(&mut self) -> Read<u32> {
        u32::try_from(self.u64()?).map_err(|_| short())
    }

    pub fn i64(&mut self) -> Read<i64> {
        Ok(unzigzag(self.u64()?))
    }

    pub fn i128(&mut self) -> Read<i128> {
        Ok(i128::from_le_bytes(self.slice(16)?.try_into().map_err(|_| short())?))
    }

    pub fn fixed(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.slice(8)?.try_into().map_err(|_| short())?))
    }

    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = usize::try_from(self.u64()?).map_err(|_| short())?;
        self.slice(length)
    }

    pub fn owned_bytes(&mut self) -> Read<Bytes> {
        Ok(Bytes::copy_from_slice(self.bytes()?))
    }

    pub fn str(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| short())
    }

    pub fn string(&mut self) -> Read<String> {
        Ok(self.str()?.to_owned())
    }

    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    pub fn option_str(&mut self) -> Read<Option<&'a str>> {
        self.option(Self::str)
    }

    pub fn option_string(&mut self) -> Read<Option<String>> {
        self.option(Self::string)
    }

    pub fn option_i64(&mut self) -> Read<Option<i64>> {
        self.option(Self::i64)
    }

    /// The length of a list, at most one item per byte that is left.
    pub fn length(&mut self) -> Read<usize> {
        let length = usize::try_from(self.u64()?).map_err(|_| short())?;
        if self.remaining() < length { Err(short()) } else { Ok(length) }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u64, b: i64, c: i128, d: String, e: Option<i64>) {
            let mut encoder = Encoder::default();
            encoder.u64(a).i64(b).i128(c).str(&d).option_i64(e).fixed(a);
            let mut decoder = Decoder::new(&encoder.0);
            prop_assert_eq!(decoder.u64().unwrap(), a);
            prop_assert_eq!(decoder.i64().unwrap(), b);
            prop_assert_eq!(decoder.i128().unwrap(), c);
            prop_assert_eq!(decoder.string().unwrap(), d);
            prop_assert_eq!(decoder.option_i64().unwrap(), e);
            prop_assert_eq!(decoder.fixed().unwrap(), a);
            prop_assert_eq!(decoder.remaining(), 0);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            while decoder.u64().is_ok() && decoder.bytes().is_ok() && decoder.option_i64().is_ok() {
                let _ = decoder.length();
                let _ = decoder.i128();
            }
        }
    }
}
