//! The days that are looked at, and on which of them something was done.

use time::{Date, OffsetDateTime, UtcOffset};

/// The last so many whole days before one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    first: i32,
    days: u32,
}

/// Where a moment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the window.
    Before,
    /// On this day of it, from 0 on.
    Within(u32),
    /// On the day on which it ends, or later.
    After,
}

impl Window {
    /// The most days: a quarter of a year with its last invoices. Days are bits of one number.
    pub const MOST_DAYS: u32 = 120;

    /// The `days` before `until`; `None` when they are none, or more than [`Self::MOST_DAYS`].
    pub fn before(until: Date, days: u32) -> Option<Self> {
        let length = i32::try_from(days).ok()?;
        (1..=Self::MOST_DAYS).contains(&days).then(|| Self {
            first: until.to_julian_day() - length,
            days,
        })
    }

    /// How many days it has.
    pub const fn days(&self) -> u32 {
        self.days
    }

    /// Where a moment lies.
    pub fn place(&self, time: OffsetDateTime) -> Place {
        match u32::try_from(day(time) - self.first) {
            Err(_) => Place::Before,
            Ok(number) if number < self.days => Place::Within(number),
            Ok(_) => Place::After,
        }
    }

    /// For how many whole days something is so, at the end of the window.
    pub fn age(&self, since: OffsetDateTime) -> u32 {
        let end = self.first.saturating_add_unsigned(self.days);
        u32::try_from(end - day(since) - 1).unwrap_or(0)
    }
}

fn day(time: OffsetDateTime) -> i32 {
    time.to_offset(UtcOffset::UTC).date().to_julian_day()
}

/// Days of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days(u128);

impl Days {
    pub(super) fn add(&mut self, number: u32) {
        self.0 |= 1_u128.checked_shl(number).unwrap_or(0);
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The first of them.
    pub fn first(self) -> Option<u32> {
        (self.0 != 0).then(|| self.0.trailing_zeros())
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_window_is_of_whole_days_and_ends_before_its_last() {
        let window = Window::before(date!(2026 - 01 - 21), 20).unwrap();
        for (time, place) in [
            (datetime!(2025-12-31 23:59 UTC), Place::Before),
            (datetime!(2026-01-01 00:00 UTC), Place::Within(0)),
            (datetime!(2026-01-20 23:59 UTC), Place::Within(19)),
            (datetime!(2026-01-21 01:00 +02:00), Place::Within(19)),
            (datetime!(2026-01-21 00:00 UTC), Place::After),
        ] {
            assert_eq!(window.place(time), place, "{time}");
        }
        assert_eq!(window.age(datetime!(2025-12-31 23:59 UTC)), 20);
        assert_eq!(window.age(datetime!(2026-01-01 00:00 UTC)), 19);
        assert_eq!(window.age(datetime!(2026-03-01 00:00 UTC)), 0);
    }

    #[test]
    fn no_days_and_more_than_are_counted_are_no_window() {
        for days in [0, Window::MOST_DAYS + 1, u32::MAX] {
            assert_eq!(Window::before(date!(2026 - 01 - 21), days), None);
        }
        let mut days = Days::default();
        days.add(Window::MOST_DAYS - 1);
        days.add(0);
        days.add(0);
        assert_eq!(days.count(), 2);
    }
}
