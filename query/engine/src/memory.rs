//! How much memory there is, and how much of it the rows kept between statements get.

use std::path::Path;

/// Memory of the machine or, when that is less, of the container, in bytes; `None` where nobody
/// tells.
pub fn usable_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).ok();
    let machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text));
    // Control groups, version 2 and 1. Without a limit they hold a word or a huge number.
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = limits.into_iter().filter_map(|path| read(path)?.trim().parse().ok());
    limits.chain(machine).min()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// See [`crate::EngineOptions::cache_bytes`].
pub fn cache_bytes(usable: Option<u64>) -> usize {
    let share = usable.unwrap_or_default() / 8;
    usize::try_from(share.clamp(256 << 20, 8 << 30)).unwrap_or(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_takes_a_share_of_the_memory_within_bounds() {
        let shares = [None, Some(1 << 30), Some(16 << 30), Some(1 << 40)].map(cache_bytes);
        assert_eq!(shares, [256 << 20, 256 << 20, 2 << 30, 8 << 30]);
    }

    #[test]
    fn memory_of_the_machine_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       24684156 kB\nMemFree:         6637352 kB\n";
        assert_eq!(machine_bytes(text), Some(24_684_156 << 10));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
        assert_eq!(machine_bytes("MemTotal: 99999999999999999999 kB\n"), None);
    }
}
