//! Which starts of a gateway are counted apart.
//!
//! **What it catches.** A gateway, or whoever has its key, that calls each request a new start: what it tells would be counted
//! again each time, and be an event each time.
//!
//! **What it misses.** A gateway counts by itself, so it may say any number once for each of so many starts.
//!
//! **Recovery.** A start that has told nothing for [`FORGOTTEN_AFTER`] makes room for another one.
//!
//! **Why not refuse the request?** A fleet whose processes are started again and again would get no leases. Starts beyond
//! the bound are counted as one, by the largest number that any of them told: too little, and never twice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::UnixMillis;

/// Starts of one gateway that are counted apart at a time: as many as may ask at once, and some that are over.
pub(super) const MOST_STARTS: usize = 64;
/// How long a start is remembered that tells no more: one that is alive tells every twenty seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// The number of those beyond: no start has it.
pub(super) const OTHERS: u64 = 0;

/// The starts of one gateway.
#[derive(Default)]
pub(super) struct Starts {
    /// When each told last.
    told: BTreeMap<u64, UnixMillis>,
}

impl Starts {
    /// The number a start is counted under.
    pub(super) fn number(&mut self, boot: u64, now: UnixMillis) -> u64 {
        if !self.told.contains_key(&boot) && self.told.len() >= MOST_STARTS {
            let longest = u64::try_from(FORGOTTEN_AFTER.as_millis()).unwrap_or(u64::MAX);
            self.told
                .retain(|_, told| now.millis_since(*told) < longest);
            if self.told.len() >= MOST_STARTS {
                return OTHERS;
            }
        }
        self.told.insert(boot, now);
        boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_start_with_each_request_is_soon_counted_as_one() {
        let mut starts = Starts::default();
        let now = UnixMillis(1_000_000);
        for boot in 1..=64 {
            assert_eq!(starts.number(boot, now), boot);
        }
        for boot in 65..1_000 {
            assert_eq!(starts.number(boot, now), OTHERS);
        }
        assert_eq!(starts.number(7, now), 7, "those that are known stay apart");
    }

    #[test]
    fn a_start_that_tells_no_more_makes_room() {
        let mut starts = Starts::default();
        for boot in 1..=64 {
            starts.number(boot, UnixMillis(boot));
        }
        let later = UnixMillis(3_600_000 + 10);
        starts.number(64, later);
        assert_eq!(starts.number(100, later), 100);
        assert_eq!(starts.told.len(), 64 - 10 + 1);
    }
}
