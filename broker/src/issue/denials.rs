//! Denials of known identities as counters: one sample stands for all of a minute that look alike.
//!
//! A client that asks for the same wrong thing in a loop must not fill the log, and what was denied and why must be
//! there to look up: `lanyard policy diff` tries these samples against other policies. Counted per identity, actor,
//! reason and minute. What it misses: other requests of the same identity that were denied for the same reason within
//! the minute, of which only the number is kept.

use std::collections::BTreeMap;

use lanyard_token::NodeId;

use crate::clock::UnixMillis;
use crate::store::event::Denial;

/// Room for a thousand identities that are all wrong in the same minute; a sample is some hundred bytes, with a task
/// at most some ten thousand. Those beyond are counted in no sample; the counters of refusals have them.
const MOST_SAMPLES: usize = 1_024;
const MINUTE_MILLIS: u64 = 60_000;

/// What denials of one sample have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Occasion {
    pub(super) identity: NodeId,
    pub(super) actor: Option<NodeId>,
    pub(super) reason: &'static str,
}

/// The samples of the minutes that are not yet written.
#[derive(Debug, Default)]
pub(super) struct Denials(BTreeMap<(u64, Occasion), Denial>);

impl Denials {
    /// Counts one, and says the how many-th of its sample it is; 0: there is no room.
    pub(super) fn count(
        &mut self,
        occasion: Occasion,
        now: UnixMillis,
        sample: impl FnOnce() -> Denial,
    ) -> u64 {
        let key = (now.0 / MINUTE_MILLIS, occasion);
        if let Some(known) = self.0.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            return known.count;
        }
        if self.0.len() >= MOST_SAMPLES {
            return 0;
        }
        self.0.insert(key, sample()).map_or(1, |known| known.count)
    }

    /// Takes out the minutes before `now`'s, or all.
    pub(super) fn take(&mut self, now: Option<UnixMillis>) -> Vec<Denial> {
        let Some(now) = now else {
            return std::mem::take(&mut self.0).into_values().collect();
        };
        let this_minute = (
            now.0 / MINUTE_MILLIS,
            Occasion {
                identity: NodeId::from_u64(0),
                actor: None,
                reason: "",
            },
        );
        let later = self.0.split_off(&this_minute);
        std::mem::replace(&mut self.0, later)
            .into_values()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::event::{AskedFor, ContentHash, Decided, Grant};

    fn sample(occasion: Occasion) -> Denial {
        Denial {
            identity: occasion.identity,
            actor: occasion.actor,
            reason: occasion.reason.to_owned(),
            grant: Grant::ClientCredentials,
            decided: Decided {
                bundle: ContentHash([0; 32]),
                policies: Vec::new(),
                approvals: Vec::new(),
                asked: AskedFor::default(),
            },
            task: None,
            unbound: Vec::new(),
            count: 1,
        }
    }

    fn occasion(identity: u64) -> Occasion {
        Occasion {
            identity: NodeId::from_u64(identity),
            actor: None,
            reason: "scope",
        }
    }

    #[test]
    fn a_loop_of_denials_is_one_sample_a_minute_with_its_count() {
        let mut denials = Denials::default();
        let mut count = |at| denials.count(occasion(7), UnixMillis(at), || sample(occasion(7)));
        assert_eq!(count(1), 1);
        assert_eq!(count(59_999), 2);
        assert_eq!(count(60_000), 1);
        let over = denials.take(Some(UnixMillis(60_001)));
        assert_eq!(
            over.iter().map(|denial| denial.count).collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(denials.take(None).len(), 1);
        assert!(denials.take(None).is_empty());
    }

    #[test]
    fn more_identities_than_there_is_room_for_are_not_remembered() {
        let mut denials = Denials::default();
        for identity in 0..5_000 {
            denials.count(occasion(identity), UnixMillis(1), || {
                sample(occasion(identity))
            });
        }
        assert_eq!(denials.take(None).len(), MOST_SAMPLES);
    }
}
