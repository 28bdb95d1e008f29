//! Copying a tree beside its readers and its writer.
//!
//! First all records are copied while others are written; then, with the writer held, the ones
//! that were written meanwhile. Records are copied as they are, broken seals included, so that
//! damage is told where it would have been.

use std::collections::VecDeque;
use std::ops::RangeBounds;
use std::sync::atomic::Ordering;

use super::{Batch, Tree};
use crate::fault::{Code, Fault};

/// Bytes that are copied at once: more of them leave less garbage.
const BATCH_BYTES: u64 = 4 << 20;
/// Keys that are ahead of the records at least: more than a page of sled holds.
const AHEAD: usize = 32;
/// Nine of them are more than sled keeps in its log: a quarter of its segments of 512 KiB.
const LARGE_BYTES: usize = 14_500;

impl Tree {
    /// Begins to note the keys that are written, for [`Tree::copy_written`]; or ends it. Nobody
    /// may write meanwhile.
    pub fn note_written(&self, is_noted: bool) {
        *self.written.lock() = is_noted.then(Default::default);
    }

    /// Copies all records of a range of keys. Those that are written meanwhile may be there or
    /// not.
    ///
    /// sled writes a page anew with all it holds when it is split, and when it was changed ten
    /// times. So keys run ahead of their records: in order of key, pages are split into nine empty
    /// records each, and filling those does neither, so that each record is written once. Not so
    /// large ones: their pages become files, and were moved to them with the first change.
    pub fn copy_range<'k>(&self, copy: &Self, keys: impl RangeBounds<&'k [u8]>) -> Result<(), Fault> {
        let (mut ahead, mut bytes) = (VecDeque::new(), 0);
        let mut records = self.db.range(keys);
        while let Some((key, sealed)) = self.guard("copy", || records.next().transpose())? {
            bytes += (key.len() + sealed.len()) as u64;
            if LARGE_BYTES <= sealed.len() {
                copy.guard("write", || copy.db.insert(key, sealed))?;
            } else {
                copy.guard("write", || copy.db.insert(&key, sled::IVec::default()))?;
                ahead.push_back((key, sealed));
            }
            if BATCH_BYTES <= bytes {
                let length = ahead.len().saturating_sub(AHEAD);
                copy.fill(ahead.drain(..length))?;
                bytes = 0;
            }
        }
        copy.fill(ahead.drain(..))
    }

    fn fill(&self, records: impl Iterator<Item = (sled::IVec, sled::IVec)>) -> Result<(), Fault> {
        self.check_free()?;
        self.guard("write", || {
            for (key, sealed) in records {
                self.db.insert(key, sealed)?;
            }
            self.db.flush()
        })?;
        Ok(())
    }

    /// Makes the copy equal, after [`Tree::copy_range`]. Nobody may write meanwhile.
    pub fn copy_written(&self, copy: &Self) -> Result<(), Fault> {
        if self.is_broken.load(Ordering::Relaxed) {
            let what = format!("store {}: copy", self.path.display());
            let why = "a write to it failed, so that it may show what is not stored";
            return Err(Fault::new(Code::STORE_IO, what, why).with_fix("Restart skep."));
        }
        let mut batch = Batch::new();
        for key in self.written.lock().take().unwrap_or_default() {
            match self.guard("copy", || self.db.get(&key))? {
                Some(sealed) => batch.put_sealed(key, sealed),
                None => batch.remove(&key),
            }
            if BATCH_BYTES <= batch.bytes {
                copy.write(std::mem::take(&mut batch))?;
            }
        }
        copy.write(batch)
    }
}
