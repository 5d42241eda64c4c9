//! The only place that asks what time it is; everything else is told.
//!
//! Two clocks, because neither is enough alone. The wall clock may be a day off, stepped by an
//! operator or by whoever owns the network's time; so nothing is decided by it. The boot clock
//! (`CLOCK_BOOTTIME`) only counts on, also while the machine sleeps or is frozen, so it can tell
//! how old the feed is; but it does not know what day it is. Feed time is both: the broker's time
//! of the last heartbeat, plus the boot time passed since.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Whole seconds, as claims carry them (RFC 7519, NumericDate).
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000
    }
}

/// Milliseconds since the machine was booted, sleep included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// How long since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One moment, read once per request at the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What ages are measured with.
    pub boot: BootTime,
    /// What the machine believes the time to be. Only used where no heartbeat has ever been seen.
    pub wall: UnixMillis,
}

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            boot: BootTime(read(ClockId::Boottime)),
            // As of the kernel's last tick, some milliseconds ago: a quarter of the price, and only ever told
            // in whole seconds where no heartbeat has been seen.
            wall: UnixMillis(read(ClockId::RealtimeCoarse)),
        }
    }
}

/// Milliseconds of a clock. A clock before its origin reads zero.
fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_runs_backwards() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second.boot >= first.boot);
        assert_eq!(first.boot.since(BootTime(u64::MAX)), Duration::ZERO);
    }
}
