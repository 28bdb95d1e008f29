//! Telling of what others can cause without end, but seldom.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two lines of a log.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets one line through now and then.
#[derive(Default)]
pub struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    told_at: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// How many were not told since the last, when this one is to be.
    pub fn tell(&self) -> Option<u64> {
        self.tell_at(Instant::now())
    }

    fn tell_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.told_at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            state.untold += 1;
            return None;
        }
        state.told_at = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_between_are_counted() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.tell_at(start), Some(0));
        assert_eq!(seldom.tell_at(start + PAUSE / 2), None);
        assert_eq!(seldom.tell_at(start + PAUSE / 2), None);
        assert_eq!(seldom.tell_at(start + PAUSE), Some(2));
        assert_eq!(seldom.tell_at(start + 2 * PAUSE), Some(0));
    }
}
