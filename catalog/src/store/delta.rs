//! Changed items that are not in a segment yet: one small record per collection and change.
//!
//! Rewriting a segment for every event would cost milliseconds; appending a delta costs
//! microseconds. Hot columns of changed items stay in memory (they are few: see
//! [`crate::limits::DELTA_ITEMS_MAX`]), their struct bytes in the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::codec::{Decoder, Encoder};
use super::collection::Address;
use super::entry::{Entry, Hot, ItemDigests, Sums};
use super::{keys, segment};
use crate::fault::Fault;

/// A stored record of changed items.
#[derive(Debug)]
pub(crate) struct Delta {
    pub address: Address,
    /// Never given twice; later ones hold newer items.
    pub number: u64,
    /// Length of the record.
    pub stored_bytes: u64,
    is_gone: AtomicBool,
}

impl Delta {
    pub fn new(address: Address, number: u64, stored_bytes: u64) -> Self {
        Self { address, number, stored_bytes, is_gone: AtomicBool::new(false) }
    }

    pub fn key(&self) -> Vec<u8> {
        keys::part(keys::Record::Delta, &self.address, self.number)
    }

    pub fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }
}

/// A changed item.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// `None` when it was removed.
    pub hot: Option<Hot>,
    /// The item of a segment that it hides.
    pub hides: Option<Hidden>,
    /// Where its struct bytes are: record, and place in it.
    pub delta: Arc<Delta>,
    pub index: usize,
}

/// What a hidden item had added to the sums of its segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Hidden {
    pub row_count: Option<i64>,
    pub total_size_bytes: Option<i64>,
    pub file_count: Option<i64>,
    pub content: u64,
}

impl Hidden {
    fn hot(&self) -> Hot {
        Hot {
            row_count: self.row_count,
            total_size_bytes: self.total_size_bytes,
            file_count: self.file_count,
            digests: ItemDigests { content: self.content, full: 0 },
            ..Hot::default()
        }
    }
}

impl Changed {
    /// Changes sums over the segments to sums with this item.
    pub fn lay_over(&self, sums: &mut Sums) {
        if let Some(hidden) = &self.hides {
            sums.sub(&hidden.hot());
        }
        if let Some(hot) = &self.hot {
            sums.add(hot);
        }
    }
}

/// One item of a delta record.
pub(crate) struct Row {
    pub name: Box<str>,
    pub entry: Option<Entry>,
    pub hides: Option<Hidden>,
}

/// Writes a delta record.
pub(crate) fn write(rows: &[Row]) -> Result<Vec<u8>, Fault> {
    let mut e = Encoder::default();
    e.u64(rows.len() as u64);
    for row in rows {
        e.str(&row.name);
        e.option(row.hides.as_ref(), |e, hidden| {
            e.option_i64(hidden.row_count).option_i64(hidden.total_size_bytes).option_i64(hidden.file_count);
            e.fixed(hidden.content);
        });
        e.option(row.entry.as_ref(), |e, Entry { hot, raw }| {
            e.option_str(hot.location.as_deref()).i64(hot.create_time).option_i64(hot.last_ddl_time);
            e.option_i64(hot.row_count).option_i64(hot.total_size_bytes).option_i64(hot.file_count);
            segment::write_stamp(e, hot.stamp);
            e.fixed(hot.digests.content).fixed(hot.digests.full).bytes(raw);
        });
    }
    segment::pack(&e.0)
}

/// Reads [`write`].
pub(crate) fn read(record: &[u8]) -> Result<Vec<Row>, Fault> {
    let bytes = Bytes::from(segment::unpack(record)?);
    let mut d = Decoder::new(&bytes);
    (0..d.length()?)
        .map(|_| {
            let name = d.str()?.into();
            let hides = d.option(|d| {
                Ok(Hidden {
                    row_count: d.option_i64()?,
                    total_size_bytes: d.option_i64()?,
                    file_count: d.option_i64()?,
                    content: d.fixed()?,
                })
            })?;
            let entry = d.option(|d| {
                let hot = Hot {
                    location: d.option_str()?.map(Box::from),
                    create_time: d.i64()?,
                    last_ddl_time: d.option_i64()?,
                    row_count: d.option_i64()?,
                    total_size_bytes: d.option_i64()?,
                    file_count: d.option_i64()?,
                    stamp: segment::read_stamp(d)?,
                    digests: ItemDigests { content: d.fixed()?, full: d.fixed()? },
                };
                Ok(Entry { hot, raw: bytes.slice_ref(d.bytes()?) })
            })?;
            Ok(Row { name, entry, hides })
        })
        .collect()
}
