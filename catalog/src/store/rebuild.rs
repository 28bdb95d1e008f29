//! Rebuilding the store in place: sled never gives space back, so that what lives is copied to a
//! tree of its own from time to time, and the old one is removed.
//!
//! Readers are not held up, and the writer only for the records that were written during the copy.

use std::time::{Duration, Instant};

use super::catalog::{Catalog, parts};
use super::trees::Step;
use crate::fault::{Code, Fault};

/// Bytes beyond one and a half times what a copy takes that are not worth a rebuild.
const SLACK_BYTES: u64 = 16 << 20;
/// Between exact looks whether a rebuild is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// After a rebuild, this many times as long as it took passes before the next, and not less than
/// the time beside it.
const PAUSE_FACTOR: u32 = 30;
const PAUSE_MIN: Duration = Duration::from_secs(10);
/// Before a rebuild that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(600);

/// What a rebuild came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// When it ended (microseconds since 1970).
    pub ended_at: i64,
    /// How long it took.
    pub elapsed_ms: u64,
    /// For how long nobody could write.
    pub blocked_ms: u64,
    /// Bytes on disk before.
    pub before_bytes: u64,
    /// Bytes on disk after.
    pub after_bytes: u64,
}

/// What came of rebuilding since opening.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub last_rebuild: Option<Rebuild>,
    pub rebuild_error: Option<(Fault, i64)>,
}

/// When to look again, and what a copy takes. Held by a rebuild from its begin to its end.
#[derive(Default)]
pub(super) struct Schedule {
    next_look: Option<Instant>,
    /// Live bytes and bytes on disk after the last rebuild.
    last_copy: Option<(u64, u64)>,
}

impl Schedule {
    /// What a copy would take: the live bytes, and as much beyond them as in the last copy.
    fn copy_bytes(&self, live_bytes: u64) -> u64 {
        let (live, taken) = self.last_copy.unwrap_or_default();
        let scaled = u128::from(live_bytes) * u128::from(taken) / u128::from(live.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX).max(live_bytes)
    }

    fn is_due(&self, live_bytes: u64, size_on_disk_bytes: u64) -> bool {
        let copy_bytes = self.copy_bytes(live_bytes);
        copy_bytes.saturating_add(copy_bytes / 2).saturating_add(SLACK_BYTES) < size_on_disk_bytes
    }
}

impl Catalog {
    /// Rebuilds the store when it has grown to more than one and a half times of what it needs, so
    /// that this takes a thirtieth of the time at most. Deltas are to be merged before.
    ///
    /// Errors: those of [`Catalog::rebuild`]; `STORE_IO` while the tree that the last one replaced is
    /// still there.
    pub(super) fn rebuild_if_due(&self) -> Result<Option<Rebuild>, Fault> {
        // One that is under way is enough.
        let Some(mut schedule) = self.schedule.try_lock() else { return Ok(None) };
        let outcome = match self.is_rebuild_due(&mut schedule) {
            Ok(false) => return Ok(None),
            Ok(true) => self.copy_and_switch(&mut schedule, |_| {}),
            Err(fault) => Err(fault),
        };
        self.note(&mut schedule, outcome).map(Some)
    }

    fn is_rebuild_due(&self, schedule: &mut Schedule) -> Result<bool, Fault> {
        let now = Instant::now();
        if schedule.next_look.is_some_and(|next| now < next) {
            return Ok(false);
        }
        // Small records are counted one by one: not when the others alone say no.
        let tree = self.trees.current();
        if !schedule.is_due(parts(&self.snapshot()).stored_bytes, tree.size_on_disk_bytes()?) {
            return Ok(false);
        }
        schedule.next_look = Some(now + LOOK_INTERVAL);
        let facts = self.facts();
        if !schedule.is_due(facts.live_bytes, facts.size_on_disk_bytes) {
            return Ok(false);
        }
        // Each rebuild would leave one more.
        if self.trees.has_others()? {
            let what = format!("store {}: rebuild", self.path.display());
            let why = "the tree that the last rebuild replaced is still there";
            return Err(Fault::new(Code::STORE_IO, what, why)
                .with_fix("Restart skep when this does not pass: the start removes the old tree."));
        }
        Ok(true)
    }

    /// Copies what lives to a tree of its own, and removes the old one with the garbage in it.
    /// Readers go on; who writes waits for the end of the copy only. Blocks, and waits for a
    /// rebuild that is under way.
    ///
    /// Errors: `STORE_FULL` when there is no room for a copy, `STORE_IO`, `STORE_DAMAGED`; the
    /// store goes on as it was then.
    pub fn rebuild(&self) -> Result<Rebuild, Fault> {
        self.rebuild_watched(|_| {})
    }

    pub(super) fn rebuild_watched(&self, step: fn(Step)) -> Result<Rebuild, Fault> {
        let mut schedule = self.schedule.lock();
        // Deltas and graves would be copied.
        let outcome = self.merge().and_then(|_| self.copy_and_switch(&mut schedule, step));
        self.note(&mut schedule, outcome)
    }

    /// Keeps what a rebuild came to, and says when to look again.
    fn note(&self, schedule: &mut Schedule, outcome: Result<Rebuild, Fault>) -> Result<Rebuild, Fault> {
        let mut rebuilt = self.rebuilt.lock();
        let pause = match &outcome {
            Ok(rebuild) => {
                *rebuilt = Outcome { last_rebuild: Some(rebuild.clone()), rebuild_error: None };
                PAUSE_MIN.max(Duration::from_millis(rebuild.elapsed_ms) * PAUSE_FACTOR)
            }
            Err(fault) => {
                rebuilt.rebuild_error = Some((fault.clone(), self.clock().now_micros()));
                RETRY_PAUSE
            }
        };
        schedule.next_look = Some(Instant::now() + pause);
        outcome
    }

    fn copy_and_switch(&self, schedule: &mut Schedule, step: fn(Step)) -> Result<Rebuild, Fault> {
        let begin = Instant::now();
        let before = self.facts();
        self.check_room(schedule.copy_bytes(before.live_bytes), before.disk_free_bytes)?;
        let successor = self.trees.successor()?;
        {
            let _writer = self.writer.lock();
            successor.begin();
        }
        successor.copy()?;
        step(Step::Copied);
        let blocked = {
            let _writer = self.writer.lock();
            let begin = Instant::now();
            successor.take_over(step)?;
            begin.elapsed()
        };
        let after = self.facts();
        schedule.last_copy = Some((after.live_bytes, after.size_on_disk_bytes));
        Ok(Rebuild {
            ended_at: self.clock().now_micros(),
            elapsed_ms: millis(begin.elapsed()),
            blocked_ms: millis(blocked),
            before_bytes: before.size_on_disk_bytes,
            after_bytes: after.size_on_disk_bytes,
        })
    }

    /// Errors: `STORE_FULL` when a copy of so many bytes does not fit beside what is kept free.
    fn check_room(&self, copy_bytes: u64, disk_free_bytes: u64) -> Result<(), Fault> {
        let needed = copy_bytes.saturating_add(self.trees.disk_free_bytes_min());
        if needed <= disk_free_bytes {
            return Ok(());
        }
        Err(Fault::new(
            Code::STORE_FULL,
            format!("store {}: rebuild", self.path.display()),
            format!(
                "the volume has {} MiB free, a copy beside the store and what is kept free take {} MiB",
                disk_free_bytes >> 20,
                needed >> 20
            ),
        ))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
