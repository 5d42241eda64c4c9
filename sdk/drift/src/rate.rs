//! How much in a minute: calls, bytes, distinct objects.
//!
//! Catches minutes far busier than an identity's own. Works on logarithms, because traffic is
//! multiplicative: twice the usual is as far at ten calls as at ten thousand. What it misses: less
//! than twice the usual, kept up for days; and anything an identity does *less*. Warms up with the
//! first few whole minutes and says nothing before. Recovers by ageing: old minutes lose weight by
//! halves, and so does the highest peak. Minutes without a call are no minutes, so a nightly job is
//! compared with its nights. Why not a moving average with a factor: its memory is a number of
//! minutes somebody guessed, and a batch job at its full rate would be outside of it every time.
//!
//! Kept in whole numbers, so sums do not depend on the order of merging, nor on the machine.

mod written;

use serde::{Deserialize, Serialize};

/// Parts into which a doubling is divided.
pub(crate) const PARTS: u64 = 1024;
/// No identity is as steady as a metronome: a deviation below half a doubling is not believed.
const LEAST_DEVIATION: f64 = 0.5;
/// A minute this improbable is improbable enough; keeps one channel from shouting down others.
const MOST_WEIGHT: f64 = 18.0;

/// Amounts per minute: mean and deviation of their logarithms over whole minutes, and the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rate {
    minutes: u32,
    sum: u64,
    squares: u64,
    peak: u64,
}

/// What one busiest minute says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Surprise {
    /// The amount expected in such a minute.
    pub(crate) expected: f64,
    /// Log-likelihood ratio, clipped, never negative.
    pub(crate) weight: f64,
}

impl Rate {
    /// Adds a whole minute.
    pub(crate) fn record(&mut self, amount: u64) {
        let size = logarithm(amount);
        self.minutes = self.minutes.saturating_add(1);
        self.sum = self.sum.saturating_add(size);
        self.squares = self.squares.saturating_add(size.saturating_mul(size));
        self.raise_peak(amount);
    }

    /// Notes a minute that may not be over.
    pub(crate) fn raise_peak(&mut self, amount: u64) {
        self.peak = self.peak.max(amount);
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    pub(crate) fn minutes(&self) -> u32 {
        self.minutes
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.minutes = self.minutes.saturating_add(other.minutes);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
        self.raise_peak(other.peak);
    }

    /// Forgets half of the minutes and an eighth of the peak.
    pub(crate) fn age(&mut self) {
        self.minutes /= 2;
        self.sum /= 2;
        self.squares /= 2;
        self.peak -= self.peak / 8;
    }

    /// How surprising the busiest of `among` minutes is, when it held `amount`. It must be far from
    /// the mean and beyond the highest peak: a peak that the history contains is no surprise, and one
    /// a little higher is nearly none. `None` while the history has under `least` minutes.
    pub(crate) fn surprise(&self, amount: u64, among: u32, least: u32) -> Option<Surprise> {
        if self.minutes < least.max(1) {
            return None;
        }
        let minutes = f64::from(self.minutes);
        // A damaged sum must not make infinities; no logarithm of 64 bits is above 64.
        let mean = (self.sum as f64 / minutes / PARTS as f64).min(64.0);
        let square = self.squares as f64 / minutes / (PARTS * PARTS) as f64;
        let deviation = (square - mean * mean).max(0.0).sqrt().max(LEAST_DEVIATION);
        let size = logarithm(amount) as f64 / PARTS as f64;
        let from_mean = (size - mean).max(0.0) / deviation;
        let from_peak = (size - logarithm(self.peak) as f64 / PARTS as f64).max(0.0) / deviation;
        // The busiest of many minutes is naturally far out: it had that many chances.
        let chances = f64::from(among.max(1)).ln();
        let weight = (from_mean * from_mean / 2.0 - chances)
            .min(from_peak * from_peak / 2.0)
            .clamp(0.0, MOST_WEIGHT);
        Some(Surprise {
            expected: mean.exp2() - 1.0,
            weight,
        })
    }
}

/// Binary logarithm of `amount + 1` in 1/1024, by repeated squaring: whole numbers only, so every
/// machine gets the same.
pub(crate) fn logarithm(amount: u64) -> u64 {
    let amount = amount.saturating_add(1);
    let whole = u64::from(amount.ilog2());
    // 1 <= mantissa < 2, with 31 bits after the point.
    let mut mantissa = if whole > 31 {
        amount >> (whole - 31)
    } else {
        amount << (31 - whole)
    };
    let mut fraction = 0;
    let mut step = PARTS / 2;
    while step > 0 {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            fraction += step;
        }
        step /= 2;
    }
    whole * PARTS + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_number_logarithm_agrees_with_the_real_one() {
        for amount in [0u64, 1, 2, 3, 9, 99, 1_000, 123_456_789, 1 << 40, u64::MAX] {
            let real = (amount as f64 + 1.0).log2();
            let ours = logarithm(amount) as f64 / PARTS as f64;
            assert!(
                (real - ours).abs() < 0.002,
                "{amount}: {real} against {ours}"
            );
        }
    }

    #[test]
    fn ten_times_the_usual_is_a_surprise_and_the_usual_is_none() {
        let mut rate = Rate::default();
        for n in 0..60 {
            rate.record(90 + n % 20);
        }
        assert_eq!(rate.surprise(105, 1, 10).unwrap().weight, 0.0);
        let surprise = rate.surprise(1_000, 1, 10).unwrap();
        assert!(surprise.weight > 6.0, "{surprise:?}");
        assert!((surprise.expected - 99.0).abs() < 2.0, "{surprise:?}");
    }

    #[test]
    fn a_nightly_peak_once_learned_is_no_surprise() {
        let mut rate = Rate::default();
        for _ in 0..1_000 {
            rate.record(10);
        }
        assert!(rate.surprise(5_000, 1, 10).unwrap().weight > 6.0);
        rate.record(5_000);
        assert_eq!(rate.surprise(5_000, 1, 10).unwrap().weight, 0.0);
        assert!(rate.surprise(5_500, 1, 10).unwrap().weight < 1.0);
        assert!(rate.surprise(50_000, 1, 10).unwrap().weight > 6.0);
    }

    #[test]
    fn a_short_history_says_nothing() {
        let mut rate = Rate::default();
        rate.record(1);
        assert_eq!(rate.surprise(u64::MAX, 1, 10), None);
        assert_eq!(Rate::default().surprise(1, 1, 0), None);
    }

    #[test]
    fn absurd_amounts_stay_finite() {
        let mut rate = Rate::default();
        for _ in 0..100 {
            rate.record(u64::MAX);
            rate.record(0);
        }
        let surprise = rate.surprise(u64::MAX, u32::MAX, 1).unwrap();
        assert!(surprise.weight.is_finite() && surprise.expected.is_finite());
    }
}
