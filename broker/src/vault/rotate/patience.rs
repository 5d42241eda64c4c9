//! How long a rotation waits between two tries, and when somebody is told that it does not get on.

use crate::clock::UnixMillis;

/// The first pause, in milliseconds; each is twice the one before.
const FIRST_PAUSE: u64 = 500;
/// The longest pause. Retries never end; a third party that is back is noticed within it.
const LONGEST_PAUSE: u64 = 30_000;
/// How long nothing may move until somebody is told: with the longest pause within a minute.
const TOLD_AFTER: u64 = 25_000;

/// What is remembered between tries; a new process begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    failing_since: Option<UnixMillis>,
    failures: u32,
    why: String,
}

impl Patience {
    /// A step was made.
    pub(super) fn restore(&mut self) {
        *self = Self::default();
    }

    /// A try brought nothing; how long to pause.
    pub(super) fn wear(&mut self, why: &str, now: UnixMillis) -> u64 {
        self.failing_since.get_or_insert(now);
        why.clone_into(&mut self.why);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }

    /// What somebody is to be told.
    pub(super) fn is_over(&self, now: UnixMillis) -> Option<&str> {
        let since = self.failing_since?;
        (now.millis_since(since) >= TOLD_AFTER).then_some(self.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fails_somebody_is_told_within_a_minute_and_it_is_tried_for_ever() {
        let mut patience = Patience::default();
        let mut now = UnixMillis(1_000_000);
        let mut told = None;
        for _ in 0..1_000 {
            now = now.plus_millis(patience.wear("it says no", now));
            if patience.is_over(now).is_some() && told.is_none() {
                told = Some(now);
            }
        }
        let told = told.unwrap().millis_since(UnixMillis(1_000_000));
        assert!(told <= 60_000, "{told} ms");
        patience.restore();
        assert_eq!(patience.wear("again", now), FIRST_PAUSE);
    }
}
