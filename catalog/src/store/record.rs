//! Stored forms of what is not a segment.

use super::codec::{self, Encoder};
use crate::fault::{Code, Fault};
use crate::model::{ConstraintKind, Item, TableDetails};
use crate::ports::Decoder;

/// Numbers that are never given twice. The next free ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub metastore: u32,
    pub catalog: u32,
    pub database: u32,
    pub table: u64,
    /// Segments, deltas, graves, and chunks of rings.
    pub part: u64,
    pub run: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { metastore: 1, catalog: 1, database: 1, table: 1, part: 1, run: 1 }
    }
}

macro_rules! take {
    ($($function:ident, $field:ident, $type:ty);*) => {
        impl Counters {
            $(pub fn $function(&mut self) -> $type {
                self.$field += 1;
                self.$field - 1
            })*
        }
    };
}
take!(take_metastore, metastore, u32; take_catalog, catalog, u32; take_database, database, u32;
    take_table, table, u64; take_part, part, u64; take_run, run, u64);

/// Details of a table.
pub(crate) fn details(details: &TableDetails) -> Vec<u8> {
    let mut e = Encoder::default();
    e.u64(details.constraints.len() as u64);
    for item in &details.constraints {
        e.u8(item.value.kind as u8).bytes(&item.raw);
    }
    e.u64(details.column_statistics.len() as u64);
    for item in &details.column_statistics {
        e.bytes(&item.raw);
    }
    e.0
}

/// Reads [`details`].
pub(crate) fn read_details(bytes: &[u8], decoder: &dyn Decoder) -> Result<TableDetails, Fault> {
    let mut d = codec::Decoder::new(bytes);
    let mut details = TableDetails::default();
    for _ in 0..d.length()? {
        let kind = d.u8()?;
        let kind = ConstraintKind::ALL.into_iter().find(|k| *k as u8 == kind).ok_or_else(|| {
            Fault::new(Code::STORE_DAMAGED, "store: read a constraint", format!("no kind has number {kind}"))
        })?;
        let raw = d.owned_bytes()?;
        details.constraints.push(Item { value: decoder.constraint(kind, &raw)?, raw });
    }
    for _ in 0..d.length()? {
        let raw = d.owned_bytes()?;
        details.column_statistics.push(Item { value: decoder.column_statistic(&raw)?, raw });
    }
    Ok(details)
}
