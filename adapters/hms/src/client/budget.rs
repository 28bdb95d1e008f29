//! Memory of large replies, of all metastores together.
//!
//! Each reply has a limit, but many metastores can answer at once. A small reply never waits; one
//! that gets large takes its share, which is its limit, before the rest of it is read. It asks once
//! and waits for nothing else while it has it, so that replies cannot wait for each other in a
//! circle; while it waits, its deadline runs on.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the large replies of a process may take together: two at their limits.
const BYTES_MAX: usize = 512 << 20;
/// What is counted as one.
const UNIT_BYTES: usize = 64 << 10;

static OF_PROCESS: LazyLock<ReplyBudget> = LazyLock::new(|| ReplyBudget::new(BYTES_MAX));

/// Bytes that the large replies of all clients with the same budget take together. Clones are the
/// same budget; the default is the one of the process.
#[derive(Clone, Debug)]
pub struct ReplyBudget {
    bytes_max: usize,
    units: Arc<Semaphore>,
}

/// Given back when dropped.
pub(super) type Share = OwnedSemaphorePermit;

impl Default for ReplyBudget {
    fn default() -> Self {
        OF_PROCESS.clone()
    }
}

impl ReplyBudget {
    /// A budget of its own.
    pub fn new(bytes_max: usize) -> Self {
        let units = Arc::new(Semaphore::new(bytes_max.div_ceil(UNIT_BYTES).clamp(1, u32::MAX as usize >> 4)));
        Self { bytes_max, units }
    }

    /// All of it.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Waits for as many bytes, or for all there are. Cancel safety: nothing is taken.
    pub(super) async fn share(&self, bytes: usize) -> Option<Share> {
        let units = bytes.min(self.bytes_max).div_ceil(UNIT_BYTES).max(1);
        // It is never closed, so there is always a share.
        Arc::clone(&self.units).acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX >> 4)).await.ok()
    }
}
