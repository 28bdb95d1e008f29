//! Records that are no longer part of the current view but that a reader may still need.
//!
//! A grave is stored (its keys) with the change that made it, so that what a crash leaves behind
//! is removed at the next start. Graves are bounded: when readers hold on for too long, the
//! oldest are removed all the same, and such a reader gets an error that tells it to begin again.

use std::sync::Arc;

use super::codec::{Decoder, Encoder};
use super::delta::Delta;
use super::keys;
use super::segment::Segment;
use super::tree::Batch;
use crate::fault::Fault;

/// Segments and deltas kept for readers of older snapshots.
const BURIED_MAX: usize = 50_000;

/// A segment or delta that was replaced.
pub(crate) enum Buried {
    Segment(Arc<Segment>),
    Delta(Arc<Delta>),
}

impl Buried {
    /// Whether no snapshot holds it any more.
    fn is_free(&self) -> bool {
        match self {
            Self::Segment(segment) => Arc::strong_count(segment) == 1,
            Self::Delta(delta) => Arc::strong_count(delta) == 1,
        }
    }

    fn set_gone(&self) {
        match self {
            Self::Segment(segment) => segment.set_gone(),
            Self::Delta(delta) => delta.set_gone(),
        }
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Segment(segment) => vec![segment.hot_key(), segment.raw_key()],
            Self::Delta(delta) => vec![delta.key()],
        }
    }
}

/// What one change replaced.
struct Grave {
    number: u64,
    buried: Vec<Buried>,
}

/// All graves, oldest first.
#[derive(Default)]
pub(crate) struct Graveyard {
    graves: Vec<Grave>,
    /// Left behind by a process that ended: key of the grave, and what it names.
    old: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Graveyard {
    pub fn is_empty(&self) -> bool {
        self.graves.is_empty() && self.old.is_empty()
    }

    /// Takes over a grave that was found at start: no reader can need it.
    pub fn add_old(&mut self, key: Vec<u8>, keys: Vec<Vec<u8>>) {
        self.old.push((key, keys));
    }

    /// Stages the removal of what nobody needs; returns the numbers of the emptied graves for
    /// [`Graveyard::close`].
    pub fn sweep(&self, batch: &mut Batch) -> Vec<u64> {
        for (key, keys) in &self.old {
            keys.iter().for_each(|key| batch.remove(key));
            batch.remove(key);
        }
        let mut excess =
            self.graves.iter().map(|grave| grave.buried.len()).sum::<usize>().saturating_sub(BURIED_MAX);
        let mut swept = Vec::new();
        for grave in &self.graves {
            if excess == 0 && !grave.buried.iter().all(Buried::is_free) {
                continue;
            }
            excess = excess.saturating_sub(grave.buried.len());
            for buried in &grave.buried {
                buried.set_gone();
                buried.keys().iter().for_each(|key| batch.remove(key));
            }
            batch.remove(&keys::grave(grave.number));
            swept.push(grave.number);
        }
        swept
    }

    /// Forgets graves whose removal is written.
    pub fn close(&mut self, swept: &[u64]) {
        self.old.clear();
        self.graves.retain(|grave| !swept.contains(&grave.number));
    }

    /// Stages the record of a new grave.
    pub fn stage(number: u64, buried: &[Buried], batch: &mut Batch) {
        let keys: Vec<Vec<u8>> = buried.iter().flat_map(Buried::keys).collect();
        let mut e = Encoder::default();
        e.u64(keys.len() as u64);
        keys.iter().for_each(|key| {
            e.bytes(key);
        });
        batch.put(&keys::grave(number), &e.0);
    }

    /// Keeps what a written change replaced.
    pub fn open(&mut self, number: u64, buried: Vec<Buried>) {
        self.graves.push(Grave { number, buried });
    }
}

/// The keys that a stored grave names.
pub(crate) fn read(record: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut d = Decoder::new(record);
    (0..d.length()?).map(|_| Ok(d.bytes()?.to_vec())).collect()
}
