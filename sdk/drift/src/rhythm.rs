//! The pauses between calls, and what the calls came back with: two small histograms.
//!
//! Pauses catch a different machine behind the same token: a script that fires every 50 ms where
//! a job used to wait seconds. They miss a thief who keeps the owner's pace, and they move with a
//! deployment or a slow upstream; so on their own they never count as strong evidence. Answers
//! catch probing: refused and missing objects where the owner finds what it asks for. Both are
//! shares against the own history, warmed up after [`LEAST`] entries, recovered by ageing.
//! Why not the full distribution: sixteen doublings of a millisecond tell a script from a job.

mod written;

use serde::{Deserialize, Serialize};

/// Pauses below 2 ms, below 4 ms, … and all of 32 s and more.
const CLASSES: usize = 16;
/// A histogram of fewer entries is not compared with.
const LEAST: u64 = 100;
/// Pauses that one window adds to a history at most.
const WINDOW: u64 = 100;
/// Answers to one token depend on each other: a window never weighs more than this many of them.
const MOST_INDEPENDENT: f64 = 100.0;
/// The least share of denied and missing answers that is expected of anybody. Windows that had some were
/// doubted and not learned, so a history always knows of fewer than there are: without this floor every
/// missing object was a surprise (seen in simulation), and one that recycled a token.
const LEAST_SHARE: f64 = 0.01;
/// Denied and missing answers in a window from which they are a pattern: one is none.
const PATTERN: u64 = 2;
/// Improbable enough; keeps one channel from shouting down others.
const MOST_WEIGHT: f64 = 18.0;

/// A histogram of the pauses between calls of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pauses {
    classes: [u32; CLASSES],
}

impl Pauses {
    pub(crate) fn record(&mut self, milliseconds: u64) {
        let class = (milliseconds.max(1).ilog2() as usize).min(CLASSES - 1);
        if let Some(count) = self.classes.get_mut(class) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, theirs) in self.classes.iter_mut().zip(&other.classes) {
            *count = count.saturating_add(*theirs);
        }
    }

    pub(crate) fn age(&mut self) {
        for count in &mut self.classes {
            *count /= 2;
        }
    }

    /// The median pause in milliseconds, to a factor of two; `None` without pauses.
    pub(crate) fn median(&self) -> Option<f64> {
        let total = self.total();
        let mut below = 0;
        for (class, count) in self.classes.iter().enumerate() {
            below += u64::from(*count);
            if below > total / 2 {
                return Some((class as f64 + 0.5).exp2());
            }
        }
        None
    }

    /// Adds a window to a history: at most [`WINDOW`] pauses of it, so that one busy burst does
    /// not outweigh a day of quiet windows.
    pub(crate) fn learn(&mut self, window: &Self) {
        let total = window.total();
        let mut share = *window;
        if total > WINDOW {
            for count in &mut share.classes {
                *count = u32::try_from(u64::from(*count) * WINDOW / total).unwrap_or(u32::MAX);
            }
        }
        self.merge(&share);
    }

    /// How far these pauses are from the usual ones: divergence in nats. Pauses of one window hang
    /// together, so a window is one draw and not as many as it has pauses: a job that is in a hurry
    /// in one window of twenty is 3 nats away when it is. `None` while either side is thin.
    pub(crate) fn distance_from(&self, usual: &Self) -> Option<f64> {
        let (n, total) = (self.total(), usual.total());
        if n < 10 || total < LEAST {
            return None;
        }
        let mut divergence = 0.0;
        for (count, theirs) in self.classes.iter().zip(&usual.classes) {
            let share = f64::from(*count) / n as f64;
            let expected = (f64::from(*theirs) + 0.5) / (total as f64 + CLASSES as f64 / 2.0);
            if share > 0.0 {
                divergence += share * (share / expected).ln();
            }
        }
        Some(divergence.clamp(0.0, MOST_WEIGHT))
    }

    fn total(&self) -> u64 {
        self.classes.iter().map(|count| u64::from(*count)).sum()
    }
}

/// Answers by class of HTTP status (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseMix {
    /// 1xx to 3xx.
    pub fine: u64,
    /// 401, 403 and 405: not for you.
    pub denied: u64,
    /// 404 and 410: nothing there.
    pub missing: u64,
    /// Every other 4xx.
    pub mistaken: u64,
    /// 5xx, and numbers that are no status.
    pub failed: u64,
}

impl ResponseMix {
    pub(crate) fn record(&mut self, status: u16) {
        let class = match status {
            100..=399 => &mut self.fine,
            401 | 403 | 405 => &mut self.denied,
            404 | 410 => &mut self.missing,
            400..=499 => &mut self.mistaken,
            _ => &mut self.failed,
        };
        *class = class.saturating_add(1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.fine = self.fine.saturating_add(other.fine);
        self.denied = self.denied.saturating_add(other.denied);
        self.missing = self.missing.saturating_add(other.missing);
        self.mistaken = self.mistaken.saturating_add(other.mistaken);
        self.failed = self.failed.saturating_add(other.failed);
    }

    pub(crate) fn age(&mut self) {
        self.fine /= 2;
        self.denied /= 2;
        self.missing /= 2;
        self.mistaken /= 2;
        self.failed /= 2;
    }

    /// All answers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fine
            .saturating_add(self.probing())
            .saturating_add(self.mistaken)
            .saturating_add(self.failed)
    }

    /// Share of denied and missing answers here and usually, and the binomial log-likelihood ratio
    /// between the two. `None` while either side is thin; a smaller share than usual weighs 0.
    pub(crate) fn probing_against(&self, usual: &Self) -> Option<(f64, f64, f64)> {
        let (n, total) = (self.total(), usual.total());
        if n == 0 || total < LEAST {
            return None;
        }
        let share = self.probing() as f64 / n as f64;
        let known = (usual.probing() as f64 + 0.5) / (total as f64 + 1.0);
        let expected = known.max(LEAST_SHARE);
        if share <= expected || self.probing() < PATTERN {
            return Some((share, expected, 0.0));
        }
        let mut divergence = share * (share / expected).ln();
        if share < 1.0 {
            divergence += (1.0 - share) * ((1.0 - share) / (1.0 - expected)).ln();
        }
        let weight = divergence * (n as f64).min(MOST_INDEPENDENT);
        Some((share, expected, weight.min(MOST_WEIGHT)))
    }

    fn probing(&self) -> u64 {
        self.denied.saturating_add(self.missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(milliseconds: u64, count: u32) -> Pauses {
        let mut pauses = Pauses::default();
        for _ in 0..count {
            pauses.record(milliseconds);
        }
        pauses
    }

    #[test]
    fn the_usual_pause_is_near_and_a_machine_gun_is_far() {
        let usual = pauses(3_000, 1_000);
        assert!(pauses(3_000, 50).distance_from(&usual).unwrap() < 0.1);
        assert!(pauses(20, 50).distance_from(&usual).unwrap() > 6.0);
        assert_eq!(pauses(3_000, 1).median(), Some(11.5f64.exp2()));
    }

    #[test]
    fn a_burst_once_in_twenty_windows_is_no_surprise_and_does_not_make_the_rest_one() {
        let mut usual = Pauses::default();
        for _ in 0..10 {
            usual.learn(&pauses(20, 50_000));
            for _ in 0..19 {
                usual.learn(&pauses(3_000, 40));
            }
        }
        assert!(pauses(20, 1_000).distance_from(&usual).unwrap() < 3.0);
        assert!(pauses(3_000, 30).distance_from(&usual).unwrap() < 1.0);
    }

    #[test]
    fn thin_histories_are_not_compared_with() {
        assert_eq!(pauses(20, 50).distance_from(&pauses(3_000, 50)), None);
        assert_eq!(pauses(20, 5).distance_from(&pauses(3_000, 500)), None);
        assert_eq!(Pauses::default().median(), None);
    }

    #[test]
    fn half_of_the_answers_missing_is_probing_where_one_in_a_hundred_was() {
        let usual = ResponseMix {
            fine: 990,
            missing: 10,
            ..ResponseMix::default()
        };
        let now = ResponseMix {
            fine: 4,
            missing: 3,
            denied: 1,
            ..ResponseMix::default()
        };
        let (share, expected, weight) = now.probing_against(&usual).unwrap();
        assert_eq!(share, 0.5);
        assert!((expected - 0.0105).abs() < 0.001);
        // 8 x KL(0.5 || 0.0105) = 8 x (0.5 ln 47.7 + 0.5 ln 0.505).
        assert!((weight - 12.73).abs() < 0.1, "{weight}");
    }

    #[test]
    fn a_missing_object_now_and_then_is_no_surprise_however_clean_the_history() {
        let clean = ResponseMix {
            fine: 50_000,
            ..ResponseMix::default()
        };
        let now = |fine, missing| {
            let mix = ResponseMix {
                fine,
                missing,
                ..ResponseMix::default()
            };
            mix.probing_against(&clean).unwrap().2
        };
        assert_eq!(now(0, 1), 0.0);
        assert!(now(98, 2) < 1.0);
        assert!(now(9, 2) < 12.0, "no witness");
        assert!(now(4, 6) > 12.0);
    }

    #[test]
    fn every_status_number_has_a_class() {
        let mut mix = ResponseMix::default();
        for status in 0..=u16::MAX {
            mix.record(status);
        }
        assert_eq!(mix.total(), 65_536);
        assert_eq!((mix.denied, mix.missing, mix.mistaken), (3, 2, 95));
    }
}
