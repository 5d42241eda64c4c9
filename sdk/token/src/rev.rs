//! Revisions: places in the log.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Bits of a revision that count within one epoch.
const NUMBER_BITS: u32 = 40;
/// Bits of a revision that name its epoch; with the number they stay below 2^53, so a revision is
/// an exact integer in every JSON implementation.
const EPOCH_BITS: u32 = 13;

/// A place in the log: an epoch and a number within it, ordered, below 2^53.
///
/// A restore or a failover starts a new epoch, so that a revision of the lost past can never be
/// mistaken for one of the new present.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Rev(u64);

impl Rev {
    /// Before the first event of the first epoch.
    pub const ZERO: Self = Self(0);
    /// The largest epoch.
    pub const MAX_EPOCH: u16 = (1 << EPOCH_BITS) - 1;
    /// The largest number within an epoch.
    pub const MAX_NUMBER: u64 = (1 << NUMBER_BITS) - 1;
    /// Above every revision there can be.
    const END: u64 = 1 << (EPOCH_BITS + NUMBER_BITS);

    /// `None` when either part does not fit its bits.
    pub const fn new(epoch: u16, number: u64) -> Option<Self> {
        if epoch > Self::MAX_EPOCH || number > Self::MAX_NUMBER {
            return None;
        }
        Some(Self(((epoch as u64) << NUMBER_BITS) | number))
    }

    /// `None` at or above 2^53.
    pub const fn from_u64(value: u64) -> Option<Self> {
        if value >= Self::END {
            None
        } else {
            Some(Self(value))
        }
    }

    /// As claims and frames carry it.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Which life of the log it belongs to.
    pub const fn epoch(self) -> u16 {
        (self.0 >> NUMBER_BITS) as u16
    }

    /// Its number within the epoch.
    pub const fn number(self) -> u64 {
        self.0 & Self::MAX_NUMBER
    }

    /// `steps` events later in the same epoch; `None` when the epoch has no such number.
    pub const fn forward(self, steps: u64) -> Option<Self> {
        match self.number().checked_add(steps) {
            Some(number) => Self::new(self.epoch(), number),
            None => None,
        }
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch(), self.number())
    }
}

impl fmt::Debug for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Rev {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::from_u64(value).ok_or_else(|| serde::de::Error::custom("a revision is below 2^53"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_epoch_is_above_every_number_of_an_earlier_one() {
        let last = Rev::new(1, Rev::MAX_NUMBER).unwrap();
        let next = Rev::new(2, 0).unwrap();
        assert!(last < next);
        assert_eq!(last.forward(1), None);
    }

    #[test]
    fn two_to_the_53_is_no_revision() {
        assert_eq!(Rev::from_u64(1 << 53), None);
        assert!(serde_json::from_str::<Rev>("9007199254740992").is_err());
        assert_eq!(
            serde_json::from_str::<Rev>("1099511627778").unwrap(),
            Rev::new(1, 2).unwrap()
        );
    }
}
