//! Work that calls began and that goes on after their answers: `runtime.jobs`.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use skep_catalog::control::Call;
use skep_catalog::fault::{Code, Fault};

/// Jobs that are kept, those that run included.
const JOBS_MAX: usize = 1_000;
/// Jobs that run at once.
const RUNNING_MAX: usize = 4;

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// The call that began it.
    pub call: Arc<Call>,
    /// Microseconds since 1970.
    pub started_at: i64,
    /// When it ended, and what it came to in words.
    pub end: Option<(i64, Result<String, Fault>)>,
}

impl Job {
    /// `running`, `done` or `failed`.
    pub fn state(&self) -> &'static str {
        match &self.end {
            None => "running",
            Some((_, Ok(_))) => "done",
            Some((_, Err(_))) => "failed",
        }
    }
}

/// The newest jobs of this process, oldest first.
#[derive(Default)]
pub struct Jobs(Mutex<VecDeque<Job>>);

impl Jobs {
    /// Errors: `SQL_BUSY` when as many run as may.
    pub fn check_room(&self) -> Result<(), Fault> {
        let running = self.0.lock().iter().filter(|job| job.end.is_none()).count();
        if running < RUNNING_MAX {
            return Ok(());
        }
        let why = format!("{RUNNING_MAX} jobs run already");
        Err(Fault::new(Code::SQL_BUSY, "CALL", why).with_fix("Wait for one of runtime.jobs to end."))
    }

    /// The job of a call begins.
    pub fn begin(&self, call: Arc<Call>, started_at: i64) {
        let mut jobs = self.0.lock();
        if jobs.len() == JOBS_MAX {
            jobs.pop_front();
        }
        jobs.push_back(Job { call, started_at, end: None });
    }

    /// It ends.
    pub fn end(&self, call: &Call, at: i64, result: Result<String, Fault>) {
        let mut jobs = self.0.lock();
        let job = jobs.iter_mut().rev().find(|job| job.call.request.call_id == call.request.call_id);
        if let Some(job) = job {
            job.end = Some((at, result));
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Job> {
        self.0.lock().iter().cloned().collect()
    }
}
