//! The memory of all statements: first come, first served, up to a bound that can change while
//! they run. Lowered below what is in use, it refuses more until enough is given back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// The bound of a [`Pool`], in bytes.
#[derive(Clone, Debug)]
pub struct PoolBound(Arc<AtomicUsize>);

impl PoolBound {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// So many bytes from now on.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Pool {
    bound: PoolBound,
    used: AtomicUsize,
}

impl Pool {
    /// Nothing is used yet.
    pub fn new(bound: &PoolBound) -> Self {
        Self { bound: bound.clone(), used: AtomicUsize::new(0) }
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "skep"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let bound = self.bound.get();
        let grow = |used: usize| used.checked_add(additional).filter(|used| *used <= bound);
        let grown = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        grown.map(|_| ()).map_err(|used| {
            DataFusionError::ResourcesExhausted(format!(
                "{} needs {additional} bytes more than the {} that it has, and {} of {bound} bytes are free",
                reservation.consumer().name(),
                reservation.size(),
                bound.saturating_sub(used),
            ))
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bound.get())
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes used", self.reserved(), self.bound.get())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;

    #[test]
    fn a_bound_that_changes_holds_for_what_comes() {
        let bound = PoolBound::new(100);
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(&bound));
        let reservation = MemoryConsumer::new("sort").register(&pool);
        reservation.try_grow(80).unwrap();
        let refused = reservation.try_grow(30).unwrap_err().to_string();
        assert!(
            refused.contains("sort needs 30 bytes more than the 80 that it has, and 20 of 100"),
            "{refused}"
        );
        bound.set(120);
        reservation.try_grow(30).unwrap();
        bound.set(10);
        assert!(reservation.try_grow(1).is_err());
        reservation.shrink(105);
        reservation.try_grow(1).unwrap();
        assert_eq!(pool.reserved(), 6);
    }
}
