//! When something was last used: to the day, because nobody asks for more, and a row that changed with
//! every token would be written with every token.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// A day, in milliseconds.
const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;

/// Since when an identity or a credential exists, and when it was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was made.
    pub made: UnixMillis,
    /// When somebody last said that it may be used.
    pub enabled: UnixMillis,
    /// The beginning of the last day on which a token was obtained with it, or for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<UnixMillis>,
}

impl Usage {
    /// Made at this moment, never used.
    pub const fn made(at: UnixMillis) -> Self {
        Self {
            made: at,
            enabled: at,
            last: None,
        }
    }

    /// Used at this moment; whether that is news.
    pub(super) fn note(&mut self, at: UnixMillis) -> bool {
        let day = day(at);
        if self.last >= Some(day) {
            return false;
        }
        self.last = Some(day);
        true
    }

    /// Enabled at this moment. Its days without use begin anew: who enables it means to use it.
    pub(super) fn enable(&mut self, at: UnixMillis) -> bool {
        let news = at > self.enabled;
        self.enabled = self.enabled.max(at);
        news
    }

    /// For how many whole days nobody has used it. The day of the last use does not count, nor does the
    /// present one; and days count from `awake` on, before which nobody could have used anything.
    pub fn quiet_days(&self, awake: UnixMillis, now: UnixMillis) -> u64 {
        quiet_days(self.enabled.max(awake), self.last, now)
    }

    /// For how many whole days it exists.
    pub const fn age_days(&self, now: UnixMillis) -> u64 {
        now.millis_since(self.made) / DAY_MILLIS
    }
}

/// For how many whole days something was not used that could be used from `began` on.
pub fn quiet_days(began: UnixMillis, last: Option<UnixMillis>, now: UnixMillis) -> u64 {
    let began = day(began).max(last.unwrap_or_default());
    whole_days(began, now).saturating_sub(1)
}

/// How many days lie between the days of two moments.
pub const fn whole_days(since: UnixMillis, now: UnixMillis) -> u64 {
    day(now).millis_since(day(since)) / DAY_MILLIS
}

/// Since when a broker has been at work.
///
/// A broker that lay still for months must not, at its start, find that nobody used anything: after a
/// silence of the log that is longer than [`Awake::SILENCE_MILLIS`], days begin to count anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awake {
    since: UnixMillis,
    last: UnixMillis,
}

impl Awake {
    /// Longer than a weekend on which nobody came, shorter than any limit worth setting.
    const SILENCE_MILLIS: u64 = 4 * DAY_MILLIS;

    /// Something was written.
    pub(super) fn note(&mut self, at: UnixMillis) {
        if at.millis_since(self.last) > Self::SILENCE_MILLIS {
            self.since = at;
        }
        self.last = self.last.max(at);
    }

    /// From here on days count.
    pub const fn since(&self) -> UnixMillis {
        self.since
    }
}

pub(super) const fn day(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0 - at.0 % DAY_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: UnixMillis = UnixMillis(20_000 * DAY_MILLIS + 5_000);

    fn after(days: u64) -> UnixMillis {
        MADE.plus_millis(days * DAY_MILLIS)
    }

    #[test]
    fn only_whole_days_without_use_count() {
        let mut usage = Usage::made(MADE);
        assert_eq!(usage.quiet_days(MADE, after(0)), 0);
        assert_eq!(usage.quiet_days(MADE, after(31)), 30);
        assert!(usage.note(after(31)));
        assert_eq!(usage.quiet_days(MADE, after(31)), 0);
        assert_eq!(usage.quiet_days(MADE, after(32)), 0);
        assert_eq!(usage.quiet_days(MADE, after(33)), 1);
        assert_eq!(usage.age_days(after(33)), 33);
    }

    #[test]
    fn a_second_use_on_the_same_day_and_a_clock_that_went_back_change_nothing() {
        let mut usage = Usage::made(MADE);
        assert!(usage.note(after(3)));
        let before = usage;
        assert!(!usage.note(after(3).plus_millis(60_000)));
        assert!(!usage.note(after(2)));
        assert!(!usage.enable(MADE));
        assert_eq!(usage, before);
    }

    #[test]
    fn days_on_which_the_broker_lay_still_are_nobodys_fault() {
        let usage = Usage::made(MADE);
        let mut awake = Awake::default();
        for days in [0, 3, 6, 10] {
            awake.note(after(days));
        }
        assert_eq!(usage.quiet_days(awake.since(), after(11)), 10);
        awake.note(after(300));
        assert_eq!(usage.quiet_days(awake.since(), after(301)), 0);
        awake.note(after(303));
        assert_eq!(usage.quiet_days(awake.since(), after(303)), 2);
    }

    #[test]
    fn what_was_enabled_again_is_not_unused_at_once() {
        let mut usage = Usage::made(MADE);
        assert_eq!(usage.quiet_days(MADE, after(200)), 199);
        assert!(usage.enable(after(200)));
        assert_eq!(usage.quiet_days(MADE, after(200)), 0);
    }
}
