//! A copy of the store in another folder, beside readers and the writer.

use std::path::Path;

use super::catalog::Catalog;
use crate::fault::Fault;

impl Catalog {
    /// Makes `to`, a folder without a store, a store with what is here now. Readers go on; who writes
    /// waits for the end of the copy only. Blocks, and waits for a rebuild that is under way.
    ///
    /// Errors: `STORE_FULL` when there is no room for it, `STORE_IO`, `STORE_DAMAGED`; what is in
    /// `to` then is no store.
    pub fn backup(&self, to: &Path) -> Result<(), Fault> {
        // A rebuild notes what is written too.
        let _no_rebuild = self.schedule.lock();
        self.flush()?;
        let copy = self.trees.copy_to(to)?;
        {
            let _writer = self.writer.lock();
            copy.begin();
        }
        copy.copy()?;
        let _writer = self.writer.lock();
        copy.finish()
    }
}
