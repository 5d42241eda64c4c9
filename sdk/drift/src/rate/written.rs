//! A rate on the wire.

use super::{Rate, logarithm};
use crate::wire::{Reader, Unreadable, Writer};

impl Rate {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.number(u64::from(self.minutes));
        if self.minutes > 0 {
            to.number(self.sum);
            to.number(self.squares);
        }
        to.number(self.peak);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let minutes = from.small()?;
        let (sum, squares) = if minutes > 0 {
            (from.number()?, from.number()?)
        } else {
            (0, 0)
        };
        let peak = from.number()?;
        let rate = Self {
            minutes,
            sum,
            squares,
            peak,
        };
        if rate.can_be() {
            Ok(rate)
        } else {
            Err(Unreadable::Impossible("minutes that do not add up"))
        }
    }

    /// Whether minutes can have added up to this, and none of them was above the peak.
    pub(crate) fn can_be(&self) -> bool {
        let (minutes, sum) = (u128::from(self.minutes), u128::from(self.sum));
        let squares = u128::from(self.squares);
        let largest = u128::from(logarithm(self.peak));
        // Sums that have reached the end of their numbers say nothing any more.
        let saturated =
            self.sum == u64::MAX || self.squares == u64::MAX || self.minutes == u32::MAX;
        let spread = sum * sum <= minutes * squares;
        saturated || (sum <= minutes * largest && squares <= sum * largest && spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_were_written() {
        let mut rate = Rate::default();
        for amount in [0, 1, 17, 4_000_000_000, u64::MAX] {
            rate.record(amount);
            let mut writer = Writer::default();
            rate.write(&mut writer);
            assert_eq!(Rate::read(&mut Reader::new(&writer.finish())), Ok(rate));
        }
    }

    #[test]
    fn minutes_that_cannot_have_come_about_are_refused() {
        let rate = |minutes, sum, squares, peak| Rate {
            minutes,
            sum,
            squares,
            peak,
        };
        let one = logarithm(100);
        assert!(rate(1, one, one * one, 100).can_be());
        assert!(!rate(1, one + 1, one * one, 100).can_be(), "above the peak");
        assert!(
            !rate(2, one, one * one / 4, 100).can_be(),
            "squares too small"
        );
        assert!(
            !rate(1, one, one * one + one, 100).can_be(),
            "squares too large"
        );
        assert!(!rate(1, 1, 1, 0).can_be());
    }
}
