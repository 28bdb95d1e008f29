//! How many statements ended, how, and how long they took, since the process began.

use parking_lot::Mutex;

use crate::queries::EndedQuery;

/// Upper bounds of the groups of durations, in seconds; a last group is beyond them.
pub const DURATION_BOUNDS_S: [f64; 11] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

/// What is counted of statements that ended. Those that were only prepared are not among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatementCounts {
    /// Gave all their rows.
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Ended by their callers.
    pub cancelled: u64,
    /// Rows given out.
    pub rows: u64,
    /// From arrival to end, all together, in seconds.
    pub duration_s: f64,
    /// How many took no longer than each of [`DURATION_BOUNDS_S`] and longer than the one before;
    /// the last is beyond all.
    pub by_duration: [u64; DURATION_BOUNDS_S.len() + 1],
}

/// See [`StatementCounts`].
#[derive(Default)]
pub struct Counts(Mutex<StatementCounts>);

impl Counts {
    /// Counts one.
    pub fn add(&self, ended: &EndedQuery) {
        let micros = u64::try_from(ended.finished_at.saturating_sub(ended.query.started_at)).unwrap_or(0);
        let duration_s = micros as f64 / 1e6;
        let group = DURATION_BOUNDS_S.partition_point(|bound| *bound < duration_s);
        let mut counts = self.0.lock();
        match ended.state() {
            "done" => counts.done += 1,
            "cancelled" => counts.cancelled += 1,
            _ => counts.failed += 1,
        }
        counts.rows += ended.query.row_count.load(std::sync::atomic::Ordering::Relaxed);
        counts.duration_s += duration_s;
        counts.by_duration[group] += 1;
    }

    /// What was counted until now.
    pub fn now(&self) -> StatementCounts {
        self.0.lock().clone()
    }
}
