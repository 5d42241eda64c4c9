//! Refusals of strangers as counters: one sample stands for all of a minute that look alike.
//!
//! A caller without credentials costs nothing to imitate, so an event for each refusal would let
//! anybody fill the log. Counted per reason, route, network and minute the log grows by at most
//! [`MOST_KINDS`] events a minute, whatever is thrown at it; what it misses is the order within the
//! minute, and the full address. Kinds past the bound fall together into one network called `other`.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_token::NodeId;

use crate::clock::UnixMillis;
use crate::store::event::Refusal;

/// Room for a scan from a thousand networks over four routes; about half a megabyte.
pub const MOST_KINDS: usize = 4_096;

const MINUTE_MILLIS: u64 = 60_000;

/// What refusals of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turned {
    /// The operator's reason.
    pub reason: &'static str,
    /// The route's template.
    pub route: String,
    /// A /24 or /48.
    pub network: String,
    /// When it is known.
    pub identity: Option<NodeId>,
}

/// The counts of the minutes that are not yet written.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: BTreeMap<(u64, Turned), u64>,
    /// Reasons and routes of which a sample was told, and in which minute. Fixed words, so these are few.
    sampled: BTreeSet<(u64, &'static str, String)>,
}

impl Refusals {
    /// Counts one; `true` when it is the first of its reason and route in this minute, from whatever
    /// network.
    pub fn count(&mut self, turned: &Turned, now: UnixMillis) -> bool {
        let minute = now.0 / MINUTE_MILLIS;
        let key = (minute, turned.clone());
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_add(1);
            return false;
        }
        let (minute, mut turned) = key;
        if self.counts.len() >= MOST_KINDS {
            // Reasons and routes are fixed words, so these are few.
            "other".clone_into(&mut turned.network);
            turned.identity = None;
        }
        let sample = (minute, turned.reason, turned.route.clone());
        let count = self.counts.entry((minute, turned)).or_insert(0);
        *count = count.saturating_add(1);
        self.sampled.insert(sample)
    }

    /// Takes out the minutes before `now`'s, or all.
    pub fn take(&mut self, now: Option<UnixMillis>) -> Vec<Refusal> {
        let this_minute = now.map_or(u64::MAX, |now| now.0 / MINUTE_MILLIS);
        let mut taken = Vec::new();
        self.sampled.retain(|(minute, _, _)| *minute >= this_minute);
        self.counts.retain(|(minute, turned), count| {
            let over = *minute < this_minute;
            if over {
                taken.push(Refusal {
                    reason: turned.reason.to_owned(),
                    route: turned.route.clone(),
                    network: turned.network.clone(),
                    identity: turned.identity,
                    count: *count,
                });
            }
            !over
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(network: String) -> Turned {
        Turned {
            reason: "no_token",
            route: "/v1/owners".to_owned(),
            network,
            identity: None,
        }
    }

    #[test]
    fn a_scan_from_everywhere_stays_within_the_bound_and_loses_no_count() {
        let mut refusals = Refusals::default();
        let samples = (0..100_000_u32)
            .filter(|network| refusals.count(&turned(network.to_string()), UnixMillis(1)))
            .count();
        assert_eq!(samples, 1, "one reason, one sample");
        let taken = refusals.take(None);
        assert_eq!(taken.len(), MOST_KINDS + 1);
        assert_eq!(
            taken.iter().map(|refusal| refusal.count).sum::<u64>(),
            100_000
        );
        assert!(refusals.take(None).is_empty());
    }

    #[test]
    fn only_minutes_that_are_over_are_taken() {
        let mut refusals = Refusals::default();
        assert!(refusals.count(&turned("a".to_owned()), UnixMillis(59_999)));
        assert!(!refusals.count(&turned("a".to_owned()), UnixMillis(59_999)));
        assert!(
            refusals.count(&turned("a".to_owned()), UnixMillis(60_000)),
            "a new minute, a new sample"
        );
        let taken = refusals.take(Some(UnixMillis(60_001)));
        assert_eq!(
            taken
                .iter()
                .map(|refusal| refusal.count)
                .collect::<Vec<_>>(),
            [2]
        );
    }
}
