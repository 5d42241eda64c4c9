//! Feed time as every call reads it: two loads, no lock, no count of readers.
//!
//! The two words are written one after the other, so a reader may find one of them a heartbeat older than
//! the other. Both readings lie between the times before and after that heartbeat: time is the later of
//! "boot + offset" and "last", and neither ever goes back by more than [`FeedTime`] allows.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::FeedTime;
use crate::clock::{BootTime, UnixMillis};

/// The latest feed time, written by the reader of the feed alone.
#[derive(Debug, Default)]
pub(in crate::feed) struct ToldTime {
    offset: AtomicI64,
    /// When the last heartbeat left, plus one; 0 before the first.
    last: AtomicU64,
}

impl ToldTime {
    /// The latest; `None` before the first heartbeat. What it says of when that came is not kept here.
    pub(in crate::feed) fn get(&self) -> Option<FeedTime> {
        let last = self.last.load(Ordering::Acquire).checked_sub(1)?;
        let offset = self.offset.load(Ordering::Relaxed);
        let received = BootTime(last.saturating_add_signed(offset.saturating_neg()));
        Some(FeedTime::restored(offset, UnixMillis(last), received))
    }

    pub(in crate::feed) fn set(&self, time: FeedTime) {
        self.offset.store(time.offset(), Ordering::Relaxed);
        let last = time.last().0.saturating_add(1);
        self.last.store(last, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_the_time_and_the_age_of_the_last_heartbeat() {
        let told = ToldTime::default();
        assert_eq!(told.get(), None);
        let first = FeedTime::first(UnixMillis(1_000_000), BootTime(500));
        let second = first.heartbeat(UnixMillis(1_000_400), BootTime(1_000));
        for time in [Some(first), second].into_iter().flatten() {
            told.set(time);
            let read = told.get().unwrap();
            for boot in [500, 1_000, 9_000].map(BootTime) {
                assert_eq!(read.now(boot), time.now(boot));
                assert_eq!(read.age(boot), time.age(boot));
            }
        }
    }

    #[test]
    fn before_1970_is_a_time_as_well() {
        let told = ToldTime::default();
        told.set(FeedTime::first(UnixMillis(0), BootTime(7)));
        assert_eq!(told.get().unwrap().now(BootTime(9)), UnixMillis(2));
    }
}
