//! How many calls are under way at once, and how many begin per second.
//!
//! A metastore is shared and fragile: when it answers more than twice as slowly as it can, the
//! number of calls is halved; while it answers well, the number grows by one per round.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A reply of this size counts as one more unit of work, so that long replies do not look like
/// a slow metastore.
const UNIT_BYTES: f64 = 16_384.0;
/// Below this latency (per call, not per unit) nobody is in trouble.
const LATENCY_UNNOTICED: Duration = Duration::from_millis(10);
/// Weight of a new sample in the recent mean.
const RECENT_WEIGHT: f64 = 0.1;
/// How fast the best value is forgotten: a metastore may become slower for good.
const BEST_DRIFT: f64 = 0.001;
/// Most methods that latencies are kept of; the client calls about thirty.
const METHODS_MAX: usize = 100;

pub(super) struct Pacing {
    places: Arc<Semaphore>,
    limit_max: usize,
    interval: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Places to take away as soon as they are given back.
    debt: usize,
    /// Calls done since the limit last changed.
    done_since_change: usize,
    latencies: HashMap<String, Latency>,
    next_start: Option<Instant>,
}

/// Seconds per unit of work.
struct Latency {
    best: f64,
    recent: f64,
}

/// The right to have one call under way.
pub(super) struct Place {
    pacing: Arc<Pacing>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Pacing {
    pub(super) fn new(requests_in_flight_max: usize, requests_per_second_max: u32) -> Self {
        let limit_max = requests_in_flight_max.clamp(1, 1_000);
        let limit = limit_max.div_ceil(2);
        Self {
            places: Arc::new(Semaphore::new(limit)),
            limit_max,
            interval: (requests_per_second_max > 0).then(|| Duration::from_secs(1) / requests_per_second_max),
            state: Mutex::new(State {
                limit,
                debt: 0,
                done_since_change: 0,
                latencies: HashMap::new(),
                next_start: None,
            }),
        }
    }

    #[cfg(test)]
    fn limit(&self) -> usize {
        self.state.lock().limit
    }

    /// Waits for a place and for the moment to begin.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        // The semaphore is never closed.
        let permit = self.places.clone().acquire_owned().await.ok();
        let place = Place { pacing: self.clone(), permit };
        if let Some(start) = self.reserve(Instant::now()) {
            tokio::time::sleep_until(start).await;
        }
        place
    }

    /// When a call that is ready `now` may begin; `None` when there is no rate limit.
    fn reserve(&self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let mut state = self.state.lock();
        let start = state.next_start.map_or(now, |next| next.max(now));
        state.next_start = Some(start + interval);
        Some(start)
    }

    fn halve(&self, state: &mut State) {
        let limit = (state.limit / 2).max(1);
        let removed = state.limit - limit;
        let forgotten = self.places.forget_permits(removed);
        state.debt += removed - forgotten;
        state.limit = limit;
        state.done_since_change = 0;
    }
}

impl Place {
    /// Takes in how long a call took and how much it brought.
    pub(super) fn succeeded(&self, method: &str, elapsed: Duration, bytes: usize) {
        let pacing = &self.pacing;
        let mut state = pacing.state.lock();
        state.done_since_change += 1;
        let sample = elapsed.as_secs_f64() / (1.0 + bytes as f64 / UNIT_BYTES);
        if !state.latencies.contains_key(method) {
            if state.latencies.len() < METHODS_MAX {
                state.latencies.insert(method.to_owned(), Latency { best: sample, recent: sample });
            }
            return;
        }
        let Some(latency) = state.latencies.get_mut(method) else { return };
        latency.recent += (sample - latency.recent) * RECENT_WEIGHT;
        latency.best = match sample < latency.best {
            true => sample,
            false => latency.best + (sample - latency.best) * BEST_DRIFT,
        };
        let is_slow = latency.recent > 2.0 * latency.best && elapsed > LATENCY_UNNOTICED;
        if is_slow && state.limit > 1 && state.done_since_change > 2 * state.limit {
            pacing.halve(&mut state);
        } else if !is_slow && state.limit < pacing.limit_max && state.done_since_change > state.limit {
            state.limit += 1;
            state.done_since_change = 0;
            match state.debt {
                0 => pacing.places.add_permits(1),
                _ => state.debt -= 1,
            }
        }
    }

    /// Takes in that a call ran into its deadline.
    pub(super) fn was_late(&self) {
        let mut state = self.pacing.state.lock();
        self.pacing.halve(&mut state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pacing.state.lock();
        if let (true, Some(permit)) = (state.debt > 0, self.permit.take()) {
            state.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(place: &Place, millis: u64, times: usize) {
        (0..times).for_each(|_| place.succeeded("m", Duration::from_millis(millis), 0));
    }

    #[tokio::test]
    async fn the_limit_falls_when_latency_doubles_and_recovers() {
        let pacing = Arc::new(Pacing::new(8, 0));
        let place = pacing.enter().await;
        pass(&place, 20, 100);
        assert_eq!(pacing.limit(), 8);
        pass(&place, 80, 60);
        assert_eq!(pacing.limit(), 1);
        pass(&place, 20, 200);
        assert_eq!(pacing.limit(), 8);
        drop(place);
        // All places are there again, none too many.
        assert_eq!(pacing.places.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_shrunk_limit_counts_for_calls_under_way() {
        let pacing = Arc::new(Pacing::new(8, 0));
        let places = [pacing.enter().await, pacing.enter().await, pacing.enter().await, pacing.enter().await];
        places[0].was_late();
        assert_eq!(pacing.limit(), 2);
        drop(places);
        assert_eq!(pacing.places.available_permits(), 2);
    }

    #[test]
    fn calls_begin_no_faster_than_the_rate() {
        let pacing = Pacing::new(8, 10);
        let now = Instant::now();
        let starts: Vec<_> = (0..11).filter_map(|_| pacing.reserve(now)).collect();
        assert_eq!((starts[0], starts[10]), (now, now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(5);
        assert_eq!(pacing.reserve(later), Some(later));
        assert_eq!(Pacing::new(8, 0).reserve(now), None);
    }
}
