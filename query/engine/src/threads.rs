//! Threads of statements.
//!
//! Every statement under way has threads of its own, so that it is the operating system that
//! shares the cores between statements: one that keeps its threads busy for seconds takes time
//! from the others and never stops them. Idle threads are kept for the next statement; making
//! them anew would cost more than a short statement does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use tokio::runtime::{Builder, Handle, Runtime};

/// Stack of a thread: what the depth that is let through needs, many times over.
pub const STACK_BYTES: usize = 16 << 20;
/// Runtimes kept while nobody uses them.
const IDLE_MAX: usize = 16;

/// Places for statements, each with threads.
pub struct Places {
    places_max: usize,
    threads_per_place: usize,
    taken: AtomicUsize,
    idle: Mutex<Vec<Runtime>>,
}

/// A statement's place: given back when dropped.
pub struct Place {
    places: Arc<Places>,
    /// Taken out when dropped only.
    runtime: Option<Runtime>,
    /// Runs the statement's work.
    pub threads: Handle,
}

impl Places {
    /// No place is taken.
    pub fn new(places_max: usize, threads_per_place: usize) -> Arc<Self> {
        let (taken, idle) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { places_max, threads_per_place, taken, idle })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place.
    ///
    /// Errors: `SQL_BUSY` when all are taken or the machine gives no threads.
    pub fn take(self: &Arc<Self>) -> Result<Place, Fault> {
        let busy = |why: String| Fault::new(Code::SQL_BUSY, "statement refused", why);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < self.places_max).then_some(taken + 1)
        });
        if taken.is_err() {
            return Err(busy(format!("{} statements are under way already", self.places_max)));
        }
        let kept = self.idle.lock().pop();
        let made = kept.map_or_else(|| self.make(), Ok).inspect_err(|_| self.give_back());
        let runtime = made.map_err(|e| busy(format!("there are no threads to be had: {e}")))?;
        let threads = runtime.handle().clone();
        Ok(Place { places: Arc::clone(self), runtime: Some(runtime), threads })
    }

    fn make(&self) -> std::io::Result<Runtime> {
        Builder::new_multi_thread()
            .worker_threads(self.threads_per_place)
            .thread_name("skep-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let mut idle = self.places.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(runtime);
        } else {
            drop(idle);
            // Waits for nothing: this may be one of its own threads.
            runtime.shutdown_background();
        }
        self.places.give_back();
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for runtime in self.idle.get_mut().drain(..) {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_is_taken_until_it_is_dropped() {
        let places = Places::new(1, 1);
        let place = places.take().unwrap();
        assert_eq!(places.take().unwrap_err().code, Code::SQL_BUSY);
        assert_eq!(places.taken(), 1);
        drop(place);
        assert_eq!(places.taken(), 0);
        places.take().unwrap();
    }

    #[test]
    fn a_place_can_be_given_back_by_its_own_threads() {
        let places = Places::new(2 * IDLE_MAX, 1);
        let all: Vec<Place> = (0..2 * IDLE_MAX).map(|_| places.take().unwrap()).collect();
        let (told, tells) = std::sync::mpsc::channel();
        for place in all {
            let (threads, told) = (place.threads.clone(), told.clone());
            threads.spawn(async move {
                drop(place);
                // The test is over when it looks no more.
                let _ = told.send(());
            });
        }
        for _ in 0..2 * IDLE_MAX {
            tells.recv().unwrap();
        }
        assert_eq!(places.taken(), 0);
        assert_eq!(places.idle.lock().len(), IDLE_MAX);
    }
}
