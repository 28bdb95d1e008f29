//! Where the items of one collection lie.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::delta::{Changed, Delta};
use super::entry::Sums;
use super::segment::{Segment, StampRun};
use crate::limits::SEGMENT_ITEMS_MAX;
use crate::model::{CatalogId, DatabaseId, MetastoreId, TableId};

/// What the items of a collection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Partitions of a table.
    Partitions = 1,
    /// Tables of a database.
    Tables = 2,
    /// Constraints and column statistics, one item per table of a database.
    Details = 3,
    /// Functions of a database.
    Functions = 4,
    /// Grants of a metastore.
    Privileges = 5,
}

impl Kind {
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Partitions, Self::Tables, Self::Details, Self::Functions, Self::Privileges]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Which collection. A table keeps the address it was born with, in whatever database it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub metastore: MetastoreId,
    pub catalog: CatalogId,
    pub database: DatabaseId,
    pub table: TableId,
    pub kind: Kind,
}

impl Address {
    /// A collection of a database.
    pub fn of_database(kind: Kind, metastore: MetastoreId, catalog: CatalogId, database: DatabaseId) -> Self {
        Self { metastore, catalog, database, table: TableId(0), kind }
    }

    /// The grants of a metastore.
    pub fn privileges(metastore: MetastoreId) -> Self {
        Self::of_database(Kind::Privileges, metastore, CatalogId(0), DatabaseId(0))
    }
}

/// The items of one collection, as one snapshot sees them: segments in order of name that do not
/// overlap, and changed items laid over them.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub address: Address,
    /// Over all items.
    pub sums: Sums,
    pub segments: Vec<Placed>,
    /// Changed items by name.
    pub changes: BTreeMap<Arc<str>, Arc<Changed>>,
    /// The records that hold the changed items.
    pub deltas: Vec<Arc<Delta>>,
}

/// A segment, and the stamps of items that were read again since it was written.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub segment: Arc<Segment>,
    pub stamps: Arc<Vec<StampRun>>,
}

impl Placed {
    /// A segment as it was written.
    pub fn new(segment: Segment) -> Self {
        Self { segment: Arc::new(segment), stamps: Arc::default() }
    }
}

impl Collection {
    /// Without items.
    pub fn empty(address: Address) -> Arc<Self> {
        Arc::new(Self {
            address,
            sums: Sums::default(),
            segments: Vec::new(),
            changes: BTreeMap::new(),
            deltas: Vec::new(),
        })
    }

    /// Makes the sums fit segments and changed items.
    pub fn sum_up(&mut self) {
        let mut sums = Sums::default();
        self.segments.iter().for_each(|placed| sums.join(&placed.segment.sums));
        self.changes.values().for_each(|changed| changed.lay_over(&mut sums));
        self.sums = sums;
    }

    /// How many chunks readers see: segments, or, when there are none, the changed items by
    /// [`SEGMENT_ITEMS_MAX`].
    pub fn chunk_count(&self) -> usize {
        if self.segments.is_empty() {
            self.changes.len().div_ceil(SEGMENT_ITEMS_MAX)
        } else {
            self.segments.len()
        }
    }

    /// The segment whose range a name falls into; `None` when there are no segments.
    pub fn segment_of(&self, name: &str) -> Option<usize> {
        let after = self.segments.partition_point(|placed| placed.segment.name_min.as_ref() <= name);
        (!self.segments.is_empty()).then(|| after.saturating_sub(1))
    }

    /// Changed items of one chunk.
    pub fn changes_of(&self, index: usize) -> impl Iterator<Item = (&Arc<str>, &Arc<Changed>)> {
        let bound = |index: usize| self.segments.get(index).map(|placed| &*placed.segment.name_min);
        let (skip, take) = if self.segments.is_empty() {
            (index * SEGMENT_ITEMS_MAX, SEGMENT_ITEMS_MAX)
        } else {
            (0, usize::MAX)
        };
        let from = if index == 0 {
            Bound::Unbounded
        } else {
            bound(index).map_or(Bound::Unbounded, Bound::Included)
        };
        let to = bound(index + 1).map_or(Bound::Unbounded, Bound::Excluded);
        self.changes.range::<str, _>((from, to)).skip(skip).take(take)
    }
}
