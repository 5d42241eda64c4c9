//! How often something was seen, in one byte.
//!
//! Exact up to 64; from there on in steps that double with the count, 32 to each doubling, so that one
//! addition is rounded by a thirty-second of the sum at most. What falls between two steps is rounded up
//! as often as it should be, by a draw that the caller brings: rounded always down, a habit of one call in
//! each window would stop growing. What it misses: a count that grew by thousands of single calls may be
//! off by a tenth, which is a tenth of a nat. Why not two bytes of count: a third fewer transitions would
//! fit, and what an identity does rarely is worth more than how often exactly it does the rest (both
//! measured, see docs/drift.md). Why not three or four bits of fraction: the errors of the windows add up.

/// A count between 0 and [`Weight::MOST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight(u8);

/// Steps to each doubling.
const STEPS: u32 = 32;

impl Weight {
    pub(super) const NONE: Self = Self(0);
    pub(super) const HEAVIEST: Self = Self(u8::MAX);
    /// The largest count: 63 steps of 64.
    pub(super) const MOST: u32 = 4_032;

    /// The count, or one of the two next to it: the upper one as often as it is near. Nothing above
    /// [`Weight::MOST`].
    pub(super) const fn of(count: u32, draw: u64) -> Self {
        let count = if count < Self::MOST {
            count
        } else {
            Self::MOST
        };
        if count < 2 * STEPS {
            return Self(count as u8);
        }
        let doublings = count.ilog2() - STEPS.ilog2();
        let rest = count & ((1 << doublings) - 1);
        let upper = ((draw as u32) & ((1 << doublings) - 1)) < rest;
        // One step more than the last of a doubling is the first of the next.
        let code = doublings * STEPS + (count >> doublings) + upper as u32;
        Self(code as u8)
    }

    /// The weight that says exactly this count; `None` where there is none.
    pub(super) const fn exactly(count: u32) -> Option<Self> {
        let near = Self::of(count, u64::MAX);
        if near.count() == count {
            Some(near)
        } else {
            None
        }
    }

    pub(super) const fn count(self) -> u32 {
        let code = self.0 as u32;
        if code < 2 * STEPS {
            return code;
        }
        let doublings = code / STEPS - 1;
        (code % STEPS + STEPS) << doublings
    }

    /// Half of it, and never nothing of something.
    pub(super) const fn halved(self) -> Self {
        let code = self.0 as u32;
        if code < 2 * STEPS {
            return Self(self.0.div_ceil(2));
        }
        Self((code - STEPS) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_counts_are_exact_and_large_ones_within_a_thirty_second() {
        for count in 0..=Weight::MOST {
            for draw in [0, 1, 17, u64::MAX] {
                let told = Weight::of(count, draw).count();
                assert!(told.abs_diff(count) * STEPS <= count, "{count} as {told}");
                assert!(count > 64 || told == count);
            }
        }
        assert_eq!(Weight::of(u32::MAX, 0).count(), Weight::MOST);
        assert_eq!(size_of::<Weight>(), 1);
    }

    #[test]
    fn what_falls_between_two_steps_is_not_lost_over_time() {
        let mut weight = Weight::of(1_000, 0);
        for draw in 0..1_000 {
            weight = Weight::of(weight.count() + 1, crate::event::mix(draw));
        }
        assert!((1_850..2_150).contains(&weight.count()), "{weight:?}");
    }

    #[test]
    fn every_weight_says_a_count_that_says_that_weight() {
        let mut last = None;
        for count in 0..=Weight::MOST {
            let Some(weight) = Weight::exactly(count) else {
                continue;
            };
            assert_eq!(weight.count(), count);
            assert!(last < Some(weight), "heavier is more");
            last = Some(weight);
        }
        assert_eq!(last, Some(Weight(u8::MAX)));
        assert_eq!(Weight::exactly(65), None);
        assert_eq!(Weight::exactly(Weight::MOST + 1), None);
    }

    #[test]
    fn half_of_something_is_something() {
        for count in 1..=Weight::MOST {
            let weight = Weight::of(count, 0);
            assert_eq!(weight.halved().count(), weight.count().div_ceil(2));
        }
        assert_eq!(Weight::NONE.halved(), Weight::NONE);
    }
}
