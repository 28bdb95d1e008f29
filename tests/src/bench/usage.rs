//! Time, processor time and memory of a process (Linux).

use std::time::Instant;

/// Kernel clock ticks per second: 100 on every Linux that Rust runs on (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// Processor time of a process so far, all threads, in seconds; 0 when it is gone.
pub fn cpu_s(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
}

/// Resident memory of this process.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// What it allocated, in bytes: without the pages of the binary, which are loaded when they are run
    /// first.
    pub allocated_bytes: u64,
}

impl Resident {
    /// At this moment.
    pub fn now() -> Self {
        let bytes = |key| {
            let text = super::field("/proc/self/status", key).unwrap_or_default();
            super::first_number(&text).unwrap_or(0) * 1_024
        };
        Self { total_bytes: bytes("VmRSS"), allocated_bytes: bytes("RssAnon") }
    }
}

/// What some work took.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Time that went by, in seconds.
    pub wall_s: f64,
    /// Processor time of this process, in seconds.
    pub own_cpu_s: f64,
    /// Processor time of the server's process, in seconds.
    pub server_cpu_s: f64,
}

/// Measures work against a server in a process of its own.
pub fn measure<T>(server: u32, work: impl FnOnce() -> T) -> (T, Spent) {
    let own = std::process::id();
    let (own_before, server_before, begin) = (cpu_s(own), cpu_s(server), Instant::now());
    let result = work();
    let spent = Spent {
        wall_s: begin.elapsed().as_secs_f64(),
        own_cpu_s: cpu_s(own) - own_before,
        server_cpu_s: cpu_s(server) - server_before,
    };
    (result, spent)
}
