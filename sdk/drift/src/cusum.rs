//! The fast detector: block by block of ten calls, without waiting for a window.
//!
//! A one-sided CUSUM (Page 1954) of one token. A block counts twice: half of its evidence from the
//! sequence model, which says "rather others than itself"; and how far that evidence is outside what
//! this identity's blocks usually are ([`Pulse`]), which says "not as usual for this one": people
//! differ in how regular they are. Sums below 0 are 0: what was fine before does not excuse what comes.
//!
//! **Catches** a theft within some fifty calls. **Misses** what does not pile up: single odd calls.
//! **Warms up** with the identity's baseline; without one the evidence is 0 and it stays silent.
//! **Recovers** by itself, since honest blocks pull it down; after an alarm it starts again at 0.
//! Why not only the window's belief: a window may begin just before the thief does. Why is it kept per
//! token and not added up across gateways: two interleaved streams would be each other's alarm.

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::bigrams::Adaptive;
use crate::block::Block;
use crate::model::Model;
use crate::role::{Others, Role};

/// How much of the evidence counts as it is.
const EVIDENCE: f64 = 0.5;
/// What one deviation outside the usual counts beside it: the usual deviation of a block is about
/// eight nats, so both halves weigh alike.
const DEVIATION: f64 = 4.0;
/// Deviations that are forgiven.
const SLACK: f64 = 1.0;
/// No block is further outside than this.
const CAP: f64 = 3.0;
/// A block of nothing but the owner's ways counts no more than six lesser ones.
const BEST: f64 = -60.0;
/// Deviations are never smaller than this: an identity that always does the same would else be
/// alarmed by one call.
const LEAST_DEVIATION: f64 = 3.0;
/// Weight of the latest block in what is usual: it remembers a thousand calls.
const ADAPTATION: f64 = 0.01;

/// The sum of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cusum {
    sum: f64,
}

/// Evidence of an identity's usual blocks: mean and variance, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    mean: i32,
    variance: i32,
}

impl Default for Pulse {
    /// What most identities come to: 10 nats a block in their favour, give or take 10.
    fn default() -> Self {
        Self {
            mean: -10_000,
            variance: 100_000,
        }
    }
}

impl Cusum {
    /// What a block counts, in nats.
    #[must_use]
    pub fn weigh(block: &Block, baseline: &Baseline, role: Option<&Role>) -> f64 {
        let own = (&baseline.sequence, baseline.pulse);
        weigh(block, own, role.map(Role::others))
    }

    /// Adds what a block counts; the sum if that raises an alarm, which is from `bar` nats on and starts
    /// it again.
    pub fn alarm(&mut self, counted: f64, bar: f64) -> Option<f64> {
        let sum = self.add(counted);
        if sum < bar {
            return None;
        }
        self.reset();
        Some(sum)
    }

    /// Adds what a block counts; the sum after it, in nats.
    pub fn add(&mut self, counted: f64) -> f64 {
        let sum = self.sum + counted;
        // Written so that a sum that is no number starts again.
        self.sum = if sum > 0.0 { sum } else { 0.0 };
        self.sum
    }

    /// Starts again, after an alarm was raised.
    pub fn reset(&mut self) {
        self.sum = 0.0;
    }
}

/// What a block counts beside an identity's sequence and its usual evidence.
pub(crate) fn weigh(block: &Block, own: (&Adaptive, Pulse), peers: Option<&Others>) -> f64 {
    let (own, usual) = own;
    counted(Model { own, peers }.block(block), usual)
}

fn counted(evidence: f64, usual: Pulse) -> f64 {
    let outside = usual.deviations(evidence).clamp(-CAP, CAP) - SLACK;
    EVIDENCE * evidence.max(BEST) + DEVIATION * outside
}

impl Pulse {
    /// How many deviations from the usual.
    fn deviations(self, evidence: f64) -> f64 {
        (evidence - self.mean()) / self.deviation()
    }

    /// Takes note of a block: of what is far out only as much as still belongs.
    pub(crate) fn note(&mut self, evidence: f64) {
        let reach = CAP * self.deviation();
        let seen = evidence.clamp(self.mean() - reach, self.mean() + reach);
        if seen.is_nan() {
            return;
        }
        let mean = self.mean() + ADAPTATION * (seen - self.mean());
        let spread = (seen - mean) * (seen - mean);
        let variance = f64::from(self.variance) / 1_000.0;
        self.mean = (mean * 1_000.0).round() as i32;
        self.variance = ((variance + ADAPTATION * (spread - variance)) * 1_000.0).round() as i32;
    }

    /// Mean evidence of a usual block, in nats.
    #[must_use]
    pub fn mean(self) -> f64 {
        f64::from(self.mean) / 1_000.0
    }

    fn deviation(self) -> f64 {
        let variance = f64::from(self.variance.max(0)) / 1_000.0;
        variance.sqrt().max(LEAST_DEVIATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(blocks: &[f64]) -> f64 {
        let mut cusum = Cusum::default();
        for evidence in blocks {
            cusum.add(counted(*evidence, Pulse::default()));
        }
        cusum.sum
    }

    #[test]
    fn a_thief_piles_up_and_the_owner_does_not() {
        assert_eq!(summed(&[-20.0; 50]), 0.0);
        assert!(summed(&[20.0; 5]) > 80.0);
        assert!(summed(&[20.0, -20.0, 20.0, -20.0]) < 30.0);
    }

    #[test]
    fn what_was_fine_before_does_not_excuse_what_comes() {
        let mut blocks = vec![-60.0; 100];
        blocks.extend([20.0; 5]);
        assert_eq!(summed(&blocks), summed(&[20.0; 5]));
    }

    #[test]
    fn an_irregular_identity_is_given_more_room_than_a_regular_one() {
        let (mut regular, mut irregular) = (Pulse::default(), Pulse::default());
        for n in 0..1_000 {
            regular.note(-30.0);
            irregular.note(if n % 2 == 0 { -40.0 } else { 10.0 });
        }
        assert!(regular.deviations(10.0) > 3.0 * irregular.deviations(10.0));
        assert!((regular.mean() + 30.0).abs() < 0.1);
    }

    #[test]
    fn an_alarm_is_raised_once_and_starts_again() {
        let mut cusum = Cusum::default();
        let raised: Vec<_> = (0..4).map(|_| cusum.alarm(30.0, 60.0)).collect();
        assert_eq!(raised, [None, Some(60.0), None, Some(60.0)]);
        assert_eq!(cusum.alarm(f64::NAN, 60.0), None);
    }

    #[test]
    fn nonsense_neither_alarms_nor_stays() {
        let mut cusum = Cusum::default();
        let mut pulse = Pulse::default();
        for evidence in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            pulse.note(evidence);
            cusum.add(counted(evidence, pulse));
        }
        cusum.add(counted(f64::NAN, pulse));
        assert_eq!(cusum.sum, 0.0);
        assert!(pulse.mean().is_finite() && pulse.deviation().is_finite());
    }
}
