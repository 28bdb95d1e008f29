//! What Linux knows of this process.

use std::fs;

/// See the names.
pub struct Process {
    pub resident_bytes: f64,
    /// Of all its threads, in user and system mode.
    pub cpu_s: f64,
    pub open_files: f64,
}

/// As it is now; `None` where there is no `/proc`.
pub fn now() -> Option<Process> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as f64;
    Some(Process { resident_bytes: resident_bytes(&status)?, cpu_s: cpu_s(&stat)?, open_files })
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

fn cpu_s(stat: &str) -> Option<f64> {
    /// Of every Linux that Rust's standard library runs on; see proc(5), `sysconf(_SC_CLK_TCK)`.
    const TICKS_PER_S: f64 = 100.0;
    // The second field is a name in brackets, which may hold anything; 14 and 15 are the times.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_linux_tells_is_read() {
        assert_eq!(resident_bytes("Name:\tskep\nVmRSS:\t  2048 kB\n"), Some(2_097_152.0));
        assert_eq!(cpu_s("7 (a) b) S 1 1 1 0 -1 4 1 0 0 0 250 50 0 0 20"), Some(3.0));
        assert_eq!((resident_bytes(""), cpu_s("7 (skep) S 1")), (None, None));
        let process = now().unwrap();
        assert!(1e6 < process.resident_bytes && 2.0 < process.open_files);
    }
}
