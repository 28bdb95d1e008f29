//! What is kept of one item of a collection, and sums over such items.

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::change::Stamp;
use crate::mirror::digest;
use crate::model::{Item, Partition, parameter_count};
use crate::snapshot::{Digests, Totals};

/// One item of a collection: its hot columns and the bytes it came from. Only partitions use all
/// of the hot columns; for other kinds all but the stamp and the digests stay empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    pub hot: Hot,
    pub raw: Bytes,
}

/// The columns of an item that can be read without its bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hot {
    pub location: Option<Box<str>>,
    pub create_time: i64,
    pub last_ddl_time: Option<i64>,
    pub row_count: Option<i64>,
    pub total_size_bytes: Option<i64>,
    pub file_count: Option<i64>,
    pub stamp: Stamp,
    pub digests: ItemDigests,
}

/// Two hashes per item, enough to see a change and to compare sums without its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ItemDigests {
    /// Of name and facets, `rest` left out: what `partitions_digest` sums up.
    pub content: u64,
    /// Of everything: another value means that the item is written again.
    pub full: u64,
}

impl ItemDigests {
    /// Of an item that has facets.
    pub fn of_facets(name: &str, facets: &Digests) -> Self {
        let mut hasher = Xxh3::new();
        for facet in [facets.schema, facets.storage, facets.parameters, facets.location, facets.statistics] {
            hasher.update(&facet.to_le_bytes());
        }
        hasher.update(name.as_bytes());
        let content = hasher.digest();
        hasher.update(&facets.rest.to_le_bytes());
        Self { content, full: hasher.digest() }
    }

    /// Of an item that has none: of its stored bytes.
    pub fn of_bytes(raw: &[u8]) -> Self {
        let hash = xxh3_64(raw);
        Self { content: hash, full: hash }
    }
}

impl Entry {
    /// An item without hot columns.
    pub fn plain(raw: Bytes, stamp: Stamp) -> Self {
        let digests = ItemDigests::of_bytes(&raw);
        Self { hot: Hot { stamp, digests, ..Hot::default() }, raw }
    }

    /// A partition.
    pub fn partition(name: &str, item: Item<Partition>, stamp: Stamp) -> Self {
        let value = &item.value;
        let count = |key| parameter_count(&value.parameters, key);
        let hot = Hot {
            location: value.storage.location.as_deref().map(Box::from),
            create_time: value.create_time,
            last_ddl_time: count("transient_lastDdlTime"),
            row_count: count("numRows"),
            total_size_bytes: count("totalSize"),
            file_count: count("numFiles"),
            stamp,
            digests: ItemDigests::of_facets(name, &digest::partition(value)),
        };
        Self { hot, raw: item.raw }
    }
}

/// Exact sums over items: wide enough that adding and taking away never saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub count: u64,
    pub rows: Sum,
    pub size: Sum,
    pub files: Sum,
    /// Wrapping sum of [`ItemDigests::content`].
    pub digest: u64,
}

/// A sum and how many values it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub value: i128,
    pub known: u64,
}

impl Sum {
    fn add(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            self.value += i128::from(value);
            self.known += 1;
        }
    }

    fn sub(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            self.value -= i128::from(value);
            self.known = self.known.saturating_sub(1);
        }
    }

    fn join(&mut self, other: &Sum) {
        self.value += other.value;
        self.known += other.known;
    }

    fn saturated(&self) -> i64 {
        i64::try_from(self.value).unwrap_or(if self.value < 0 { i64::MIN } else { i64::MAX })
    }
}

impl Sums {
    pub fn add(&mut self, hot: &Hot) {
        self.count += 1;
        self.rows.add(hot.row_count);
        self.size.add(hot.total_size_bytes);
        self.files.add(hot.file_count);
        self.digest = self.digest.wrapping_add(hot.digests.content);
    }

    pub fn sub(&mut self, hot: &Hot) {
        self.count = self.count.saturating_sub(1);
        self.rows.sub(hot.row_count);
        self.size.sub(hot.total_size_bytes);
        self.files.sub(hot.file_count);
        self.digest = self.digest.wrapping_sub(hot.digests.content);
    }

    pub fn join(&mut self, other: &Sums) {
        self.count += other.count;
        self.rows.join(&other.rows);
        self.size.join(&other.size);
        self.files.join(&other.files);
        self.digest = self.digest.wrapping_add(other.digest);
    }

    /// As readers see them.
    pub fn totals(&self) -> Totals {
        Totals {
            partition_count: self.count,
            row_count: self.rows.saturated(),
            row_count_known: self.rows.known,
            total_size_bytes: self.size.saturated(),
            total_size_known: self.size.known,
            file_count: self.files.saturated(),
            file_count_known: self.files.known,
        }
    }
}
