//! Hours of a day.

use std::fmt;

/// How many a day has.
const A_DAY: u8 = 24;

/// Some hours of the day, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hours(u32);

impl Hours {
    /// All of them.
    pub const ALL: Self = Self((1 << A_DAY) - 1);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of these that are none of the others.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// One of them.
    pub(super) const fn of(hour: u8) -> Self {
        Self(1 << hour)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..A_DAY).filter(move |hour| self.0 & (1 << hour) != 0)
    }
}

/// `0, 5, 6`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours: Vec<_> = self.iter().map(|hour| hour.to_string()).collect();
        f.write_str(&hours.join(", "))
    }
}
