//! The little of a baseline that the fast detector needs, so that it can run where the calls are.
//!
//! **Holds** which operations the identity uses and which follows which, what a usual block of its calls
//! comes to, and from which sum on it is alarming: about 2 KiB, where a whole baseline takes five. With
//! the [`Others`] of the same moment it tells what [`Cusum`](crate::Cusum) adds up; both are copies, made
//! anew by whoever holds the baselines, and named by a hash over their written forms. **Misses** every
//! other channel, and what was learned since. **Warms up** with the baseline: below
//! [`Thresholds::minimum_history`] own calls there is none, since what a usual block is takes a thousand
//! calls to know. **Recovers** by being replaced.

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::bigrams::Adaptive;
use crate::block::Block;
use crate::cusum::{Pulse, weigh};
use crate::role::Others;
use crate::thresholds::Thresholds;
use crate::version::Version;

/// Version of the written form.
const VERSION: u16 = 2;

/// An identity's habits, as far as its calls in their order go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compact {
    version: Version<VERSION>,
    /// Own calls behind it.
    calls: u64,
    /// The sum that raises an alarm, in whole nats.
    alarm: u32,
    pulse: Pulse,
    sequence: Adaptive,
}

impl Compact {
    pub(crate) fn of(baseline: &Baseline, thresholds: &Thresholds) -> Option<Self> {
        (baseline.calls() >= thresholds.minimum_history).then(|| Self {
            version: Version,
            calls: baseline.calls(),
            // A cast saturates. A bar of 0 would make every block an alarm.
            alarm: (thresholds.sudden.notable.round() as u32).max(1),
            pulse: baseline.pulse,
            sequence: baseline.sequence.clone(),
        })
    }

    /// What a block of calls counts, in nats: see [`Cusum::weigh`](crate::Cusum::weigh).
    #[must_use]
    pub fn weigh(&self, block: &Block, others: Option<&Others>) -> f64 {
        weigh(block, (&self.sequence, self.pulse), others)
    }

    /// The sum from which on it is an alarm, in nats.
    #[must_use]
    pub fn alarm(&self) -> f64 {
        f64::from(self.alarm)
    }

    /// Own calls behind it.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Cusum, Event, Millis, OperationId, Role, Tracker};

    /// Calls by turns; the baseline that learned them, and the last block.
    fn known(windows: u64, names: &[&str]) -> (Baseline, Block) {
        let thresholds = Thresholds::default();
        let mut baseline = Baseline::empty();
        let mut last = Block::default();
        for window in 0..windows {
            let mut tracker = Tracker::new(Millis(0), Bounds::cold(&thresholds));
            for n in 0..100 {
                let name = names[n as usize % names.len()];
                let now = Millis((window * 100 + n) * 1_000);
                let _ = tracker.observe(&Event::of(OperationId::of(name)), now);
                last = tracker.take_block().unwrap_or(last);
            }
            let _ = baseline.absorb_cleared(&tracker.report().unwrap_or_default());
        }
        (baseline, last)
    }

    #[test]
    fn it_weighs_as_the_baseline_does_also_after_a_journey() {
        let (own, usual) = known(12, &["GET /a", "GET /b", "GET /a", "POST /a"]);
        let (other, strange) = known(12, &["GET /c", "GET /d"]);
        let role = Role::of([&other]).unwrap();
        let compact = own.compact(&Thresholds::default()).unwrap();
        let text = serde_json::to_string(&compact).unwrap();
        let compact: Compact = serde_json::from_str(&text).unwrap();
        for block in [usual, strange] {
            let there = Cusum::weigh(&block, &own, Some(&role));
            let here = compact.weigh(&block, Some(role.others()));
            assert_eq!(there.to_bits(), here.to_bits());
        }
        assert!(compact.weigh(&strange, Some(role.others())) > 10.0);
        assert!(compact.weigh(&usual, Some(role.others())) < 0.0);
        assert_eq!(compact.calls(), 1_200);
    }

    #[test]
    fn who_is_hardly_known_has_none() {
        let thresholds = Thresholds::default();
        assert_eq!(known(9, &["GET /a"]).0.compact(&thresholds), None);
        assert!(known(10, &["GET /a"]).0.compact(&thresholds).is_some());
    }

    #[test]
    fn another_version_is_refused_in_words() {
        let compact = known(10, &["GET /a"]).0.compact(&Thresholds::default());
        let mut value = serde_json::to_value(compact).unwrap();
        value["version"] = 7.into();
        let error = serde_json::from_value::<Compact>(value).unwrap_err();
        assert!(error.to_string().contains("version 7"), "{error}");
    }
}
