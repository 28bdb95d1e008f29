//! Copying a tree beside its readers and its writer.
//!
//! First all records are copied while others are written; then, with the writer held, the ones
//! that were written meanwhile. Records are copied as they are, broken seals included, so that
//! damage is told where it would have been.

use std::sync::atomic::Ordering;

use super::{Batch, Tree};
use crate::fault::{Code, Fault};

/// Bytes that are copied with one write.
const BATCH_BYTES: u64 = 4 << 20;

impl Tree {
    /// Begins to note the keys that are written, for [`Tree::copy_written`]; or ends it. Nobody
    /// may write meanwhile.
    pub fn note_written(&self, is_noted: bool) {
        *self.written.lock() = is_noted.then(Default::default);
    }

    /// Copies all records. Those that are written meanwhile may be there or not.
    pub fn copy_all(&self, copy: &Self) -> Result<(), Fault> {
        let mut batch = Batch::new();
        let mut records = self.db.iter();
        while let Some((key, sealed)) = self.guard("copy", || records.next().transpose())? {
            batch.put_sealed(key, sealed);
            if BATCH_BYTES <= batch.bytes {
                copy.write(std::mem::take(&mut batch))?;
            }
        }
        copy.write(batch)
    }

    /// Makes the copy equal, after [`Tree::copy_all`]. Nobody may write meanwhile.
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
