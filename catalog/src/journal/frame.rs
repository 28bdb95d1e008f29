//! The bytes of a journal file: a head, then frames.
//!
//! | head | bytes |
//! | --- | --- |
//! | `skepjrnl` | 8 |
//! | format | 4 |
//! | volume | 8 |
//! | salt | 8 |
//! | checksum of the 28 before | 8 |
//!
//! | frame | bytes |
//! | --- | --- |
//! | mark of its begin: number, length of the record, checksum of both | 24 |
//! | record | as its mark says |
//! | mark of its end: number, checksum of the record, checksum of both | 24 |
//!
//! Numbers are little-endian, checksums xxh3 seeded with the salt. The salt differs from file to
//! file and nobody is told it: a record cannot hold what looks like a mark of its file.
//!
//! Either mark tells by itself how many records there were, so that damage to several records at
//! once is not taken for one write that was interrupted.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The first bytes of every journal.
const MAGIC: &[u8; 8] = b"skepjrnl";
/// What this skep writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Bytes of a head.
pub const HEAD_BYTES: usize = 36;
/// Bytes of a mark.
pub const MARK_BYTES: usize = 24;
/// Bytes of a frame besides its record.
pub const FRAME_BYTES: usize = 2 * MARK_BYTES;
/// Bytes of one record. A checkpoint, which is a record too, must fit.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`FORMAT`].
    pub format: u32,
    /// Its number, from 1.
    pub volume: u64,
    /// Seed of the checksums.
    pub salt: u64,
}

impl Head {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.format.to_le_bytes());
        bytes.extend(self.volume.to_le_bytes());
        bytes.extend(self.salt.to_le_bytes());
        let checksum = xxh3_64_with_seed(&bytes, self.salt);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// The head of a file; `None` when there is none.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let bytes = file.get(..HEAD_BYTES)?;
        let (content, checksum) = bytes.split_at(HEAD_BYTES - 8);
        let salt = number(content, 20)?;
        let is_whole = content.starts_with(MAGIC) && number(checksum, 0)? == xxh3_64_with_seed(content, salt);
        let format = u32::from_le_bytes(content.get(8..12)?.try_into().ok()?);
        is_whole.then_some(Self { format, volume: number(content, 12)?, salt })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// One record in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Counts all records but checkpoints, over all files. A checkpoint has that of the last
    /// record that it stands for.
    pub number: u64,
    /// The bytes that were written.
    pub record: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its bytes. The record is at most [`RECORD_BYTES_MAX`] long.
    pub fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes());
        bytes.extend(Mark { number: self.number, value: self.record.len() as u64 }.encode(salt));
        bytes.extend(self.record);
        let end = Mark { number: self.number, value: xxh3_64_with_seed(self.record, salt) };
        bytes.extend(end.encode(salt));
        bytes
    }

    /// The frame that these bytes begin with; `None` when they do not begin with a whole one.
    pub fn decode(bytes: &'a [u8], salt: u64) -> Option<Self> {
        let begin = Mark::decode(bytes, salt)?;
        let length = usize::try_from(begin.value).ok().filter(|length| *length <= RECORD_BYTES_MAX)?;
        let record = bytes.get(MARK_BYTES..)?.get(..length)?;
        let end = Mark { number: begin.number, value: xxh3_64_with_seed(record, salt) };
        let is_whole = Mark::decode(&bytes[MARK_BYTES + length..], salt)? == end;
        is_whole.then_some(Self { number: begin.number, record })
    }

    /// Bytes that it takes in a file.
    pub fn bytes(&self) -> usize {
        FRAME_BYTES + self.record.len()
    }
}

/// What stands at the begin and at the end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// That of its frame.
    pub number: u64,
    /// At the begin the length, at the end the checksum of the record.
    pub value: u64,
}

impl Mark {
    fn encode(self, salt: u64) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.value.to_le_bytes());
        let checksum = xxh3_64_with_seed(&bytes[..16], salt);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The mark that these bytes begin with; `None` when they do not begin with a whole one.
    pub fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let content = bytes.get(..16)?;
        let is_whole = number(bytes, 16)? == xxh3_64_with_seed(content, salt);
        is_whole.then_some(Self { number: number(content, 0)?, value: number(content, 8)? })
    }
}
