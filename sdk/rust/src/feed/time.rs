//! Feed time: what the broker's clock says now, told from heartbeats and the boot clock.
//!
//! A heartbeat says what time it was when it left. The boot clock says how long ago it came. The
//! difference of the two is the *offset*, and `boot + offset` is the broker's time, as late as the
//! fastest heartbeat so far was late. It catches:
//! - a machine whose wall clock is a day off: the wall clock is not asked once a heartbeat came;
//! - a machine that was frozen: the boot clock ran on, so heartbeats left over in a socket's buffer
//!   arrive old, and the age says so until the buffer is empty;
//! - old heartbeats played again: only a later one makes the feed younger;
//! - a relay that lets heartbeats through ever more slowly: the offset gives way at [`SLEW`] only,
//!   and the rest of the delay is age.
//!
//! It misses a constant delay from the very first heartbeat on (nothing here knows the true time),
//! and a relay that stretches time by less than [`SLEW`].
//!
//! Why not the plain rule "the last heartbeat plus the time since"? Because every heartbeat held
//! back for a second would set the clock back a second, and an expired token would live again.
//! Time only ever slows down here: when the broker's clock is set back, feed time runs at nine
//! tenths of its speed until both agree, and the difference counts as age meanwhile.

mod told;

use std::time::Duration;

pub(super) use self::told::ToldTime;

use crate::clock::{BootTime, UnixMillis};

/// How much slower feed time may run to come down to the broker's: a tenth. Machines drift by
/// hundreds of millionths and are slewed by five hundred, so honest clocks never meet this bound; a
/// step back of ten seconds by a time daemon is healed within two minutes.
const SLEW: u64 = 10;

/// What the heartbeats so far say about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedTime {
    /// Broker time minus boot time, in milliseconds.
    offset: i64,
    /// When the last heartbeat left, by the broker's clock.
    last: UnixMillis,
    /// When it came, by the boot clock.
    received: BootTime,
}

impl FeedTime {
    /// From the first heartbeat.
    #[must_use]
    pub fn first(at: UnixMillis, received: BootTime) -> Self {
        Self {
            offset: offset(at, received),
            last: at,
            received,
        }
    }

    /// As it was told before a restart, within the same boot of the machine.
    #[must_use]
    pub const fn restored(offset: i64, last: UnixMillis, received: BootTime) -> Self {
        Self {
            offset,
            last,
            received,
        }
    }

    /// With a later heartbeat; `None` when it is not later: it says nothing new.
    #[must_use]
    pub fn heartbeat(self, at: UnixMillis, received: BootTime) -> Option<Self> {
        if at <= self.last {
            return None;
        }
        let elapsed = received.0.saturating_sub(self.received.0);
        let may_give_way = i64::try_from(elapsed / SLEW).unwrap_or(i64::MAX);
        let offset = offset(at, received).max(self.offset.saturating_sub(may_give_way));
        Some(Self {
            offset,
            last: at,
            received,
        })
    }

    /// The broker's time.
    #[must_use]
    pub fn now(self, boot: BootTime) -> UnixMillis {
        UnixMillis(boot.0.saturating_add_signed(self.offset).max(self.last.0))
    }

    /// How old the newest thing known is.
    #[must_use]
    pub fn age(self, boot: BootTime) -> Duration {
        Duration::from_millis(self.now(boot).0.saturating_sub(self.last.0))
    }

    /// When the last heartbeat left.
    #[must_use]
    pub const fn last(self) -> UnixMillis {
        self.last
    }

    /// When it came.
    #[must_use]
    pub const fn received(self) -> BootTime {
        self.received
    }

    /// Broker time minus boot time, in milliseconds.
    #[must_use]
    pub const fn offset(self) -> i64 {
        self.offset
    }
}

fn offset(at: UnixMillis, received: BootTime) -> i64 {
    let at = i64::try_from(at.0).unwrap_or(i64::MAX);
    at.saturating_sub(i64::try_from(received.0).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn time_runs_on_with_the_boot_clock_and_age_with_it() {
        let time = FeedTime::first(UnixMillis(1_000_000), BootTime(500));
        assert_eq!(time.now(BootTime(700)), UnixMillis(1_000_200));
        assert_eq!(time.age(BootTime(700)), Duration::from_millis(200));
    }

    #[test]
    fn a_frozen_machine_finds_the_buffered_heartbeats_old() {
        let mut time = FeedTime::first(UnixMillis(1_000_000), BootTime(0));
        // A minute frozen; then what the socket had kept is read at once.
        for beat in 1..=10 {
            time = time
                .heartbeat(UnixMillis(1_000_000 + beat * 500), BootTime(60_000 + beat))
                .unwrap();
            assert!(
                time.age(BootTime(60_000 + beat)) > Duration::from_secs(40),
                "beat {beat}"
            );
        }
        let time = time
            .heartbeat(UnixMillis(1_060_100), BootTime(60_100))
            .unwrap();
        assert_eq!(time.age(BootTime(60_100)), Duration::ZERO);
    }

    #[test]
    fn a_heartbeat_played_again_makes_nothing_younger() {
        let time = FeedTime::first(UnixMillis(1_000_000), BootTime(0));
        assert_eq!(time.heartbeat(UnixMillis(1_000_000), BootTime(9_000)), None);
        assert_eq!(time.heartbeat(UnixMillis(999_999), BootTime(9_000)), None);
    }

    #[test]
    fn time_never_runs_back_when_the_brokers_clock_does() {
        let mut time = FeedTime::first(UnixMillis(100 * HOUR), BootTime(0));
        time = time
            .heartbeat(UnixMillis(100 * HOUR + 500), BootTime(500))
            .unwrap();
        // Heartbeats of a broker whose clock was set back creep on by a millisecond each.
        let mut before = time.now(BootTime(500));
        for beat in 2..1_000 {
            let boot = BootTime(beat * 500);
            time = time
                .heartbeat(UnixMillis(100 * HOUR + 500 + beat), boot)
                .unwrap();
            assert!(time.now(boot) > before);
            before = time.now(boot);
        }
        assert!(
            time.age(BootTime(500_000)) > Duration::from_secs(400),
            "the difference is age"
        );
    }

    #[test]
    fn a_relay_that_slows_heartbeats_down_is_seen_in_the_age() {
        let mut time = FeedTime::first(UnixMillis(1_000_000), BootTime(0));
        // Each heartbeat a quarter later than the one before it.
        for beat in 1..=200 {
            time = time
                .heartbeat(UnixMillis(1_000_000 + beat * 500), BootTime(beat * 625))
                .unwrap();
        }
        assert!(time.age(BootTime(125_000)) > Duration::from_secs(10));
    }
}
