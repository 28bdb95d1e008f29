//! Executions whose rows are being fetched, so that they can be cancelled.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};
use tokio::sync::watch;

use crate::limits::CANCELLED_MAX;

/// By number of the execution.
#[derive(Default)]
pub struct Running {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fetches: HashMap<u64, Execution>,
    /// The oldest first.
    cancelled: VecDeque<u64>,
}

struct Execution {
    cancel: watch::Sender<bool>,
    /// The same ticket can be fetched several times.
    fetches: usize,
}

/// One fetch of an execution; over when dropped.
pub struct Fetch {
    running: Arc<Running>,
    execution: u64,
    cancelled: watch::Receiver<bool>,
}

fn cancelled() -> Fault {
    Fault::new(Code::SQL_CANCELLED, "statement ended", "its client cancelled it")
}

impl Running {
    /// A fetch begins.
    ///
    /// Errors: `SQL_CANCELLED`.
    pub fn begin(self: &Arc<Self>, execution: u64) -> Result<Fetch, Fault> {
        let mut state = self.state.lock();
        if state.cancelled.contains(&execution) {
            return Err(cancelled());
        }
        let entry = state
            .fetches
            .entry(execution)
            .or_insert_with(|| Execution { cancel: watch::Sender::new(false), fetches: 0 });
        entry.fetches += 1;
        let cancelled = entry.cancel.subscribe();
        Ok(Fetch { running: Arc::clone(self), execution, cancelled })
    }

    /// Ends all fetches of an execution; none begins later.
    pub fn cancel(&self, execution: u64) {
        let mut state = self.state.lock();
        if let Some(entry) = state.fetches.get(&execution) {
            entry.cancel.send_replace(true);
        }
        if !state.cancelled.contains(&execution) {
            if state.cancelled.len() == CANCELLED_MAX {
                state.cancelled.pop_front();
            }
            state.cancelled.push_back(execution);
        }
    }
}

impl Fetch {
    /// What `work` gives, unless it is cancelled before.
    ///
    /// Errors: `SQL_CANCELLED`.
    pub async fn unless_cancelled<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::select! {
            biased;
            _ = self.cancelled.wait_for(|is_cancelled| *is_cancelled) => Err(cancelled()),
            done = work => Ok(done),
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut state = self.running.state.lock();
        if let Some(entry) = state.fetches.get_mut(&self.execution) {
            entry.fetches -= 1;
            if entry.fetches == 0 {
                state.fetches.remove(&self.execution);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn cancelling_ends_the_fetches_under_way_and_those_to_come() {
        let running = Arc::new(Running::default());
        let (mut first, mut second) = (running.begin(1).unwrap(), running.begin(1).unwrap());
        let mut other = running.begin(2).unwrap();
        assert_eq!(first.unless_cancelled(async { 7 }).await, Ok(7));
        running.cancel(1);
        for fetch in [&mut first, &mut second] {
            let ended = fetch.unless_cancelled(std::future::pending::<()>()).await;
            assert_eq!(ended.unwrap_err().code, Code::SQL_CANCELLED);
        }
        assert_eq!(other.unless_cancelled(async { 7 }).await, Ok(7));
        assert_eq!(running.begin(1).err().unwrap().code, Code::SQL_CANCELLED);
        drop((first, second, other));
        assert!(running.state.lock().fetches.is_empty());
    }

    #[test]
    fn cancelled_executions_that_are_remembered_are_bounded() {
        let running = Arc::new(Running::default());
        (0..2 * CANCELLED_MAX as u64).for_each(|execution| running.cancel(execution));
        assert_eq!(running.state.lock().cancelled.len(), CANCELLED_MAX);
        assert!(running.begin(2 * CANCELLED_MAX as u64 - 1).is_err());
        assert!(running.begin(0).is_ok());
    }
}
