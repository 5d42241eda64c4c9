//! Processor time and memory of a process, as the kernel accounts them.

use std::fs;
use std::time::Duration;

/// Reads the processor time of one process; threads that ended before a reading are not in it.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorTime {
    process: u32,
}

impl ProcessorTime {
    /// Of this process.
    pub const fn of(process: u32) -> Self {
        Self { process }
    }

    /// Used so far by all its living threads; the kernel counts it in nanoseconds. Nothing where `/proc` is not to be
    /// had.
    pub fn used(self) -> Option<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process)).ok()?;
        let mut nanos = 0_u64;
        for task in tasks.flatten() {
            // First number: time on a processor (Documentation/scheduler/sched-stats.rst).
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let used = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok());
            nanos = nanos.saturating_add(used.unwrap_or(0));
        }
        Some(Duration::from_nanos(nanos))
    }
}

/// Memory of a process that is resident now. Nothing where `/proc` is not to be had.
pub fn resident_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// How many threads wanted to run, on average over the last minute: told beside every figure. Nothing where `/proc`
/// is not to be had.
pub fn machine_load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
