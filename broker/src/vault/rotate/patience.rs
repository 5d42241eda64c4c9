//! How long a rotation waits between two tries, and when somebody is told that it does not get on.

use crate::clock::UnixMillis;

/// The first pause, in milliseconds; each is twice the one before.
const FIRST_PAUSE: u64 = 500;
/// The longest pause. Retries never end; a third party that is back is noticed within it.
const LONGEST_PAUSE: u64 = 30_000;
/// How long nothing may move until somebody is told: with the longest pause within a minute.
pub(super) const TOLD_AFTER: u64 = 25_000;
/// How long a call may take until somebody is told, where nothing failed before it: with the time between two looks within
/// a minute.
const CALL_TOLD_AFTER: u64 = 45_000;

/// What a try was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The next step, and whether what is in force works.
    Steps,
    /// Whether somebody still uses the old credential.
    Uses,
}

/// What is remembered between tries.
///
/// Pauses begin anew with each process, but not the time until somebody is told: a process that carries on what another
/// one began counts its first failure from the last step in the log, else one that is started again and again would tell
/// nobody. *What that costs:* where nobody carried on for long, since no broker ran, the first failure tells at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// When the step was made that an earlier process left.
    left_at: Option<UnixMillis>,
    /// And about what it was last.
    failing: Option<(UnixMillis, About)>,
    failures: u32,
    why: String,
}

impl Patience {
    /// For a rotation that stands since then; `None`: it only waits, and nothing says how long it has failed.
    pub(super) fn since(left_at: Option<UnixMillis>) -> Self {
        Self {
            left_at,
            ..Self::default()
        }
    }

    /// A step was made.
    pub(super) fn restore(&mut self) {
        *self = Self::default();
    }

    /// A try brought what was expected, while time has to pass. It ends failures of its kind: of two things that are asked
    /// in turn, one that never answers would not be noticed for the other one.
    pub(super) fn answered(&mut self, about: About) {
        if self.failing.is_some_and(|(_, last)| last == about) {
            self.restore();
        }
    }

    /// Whether nothing moves.
    pub(super) const fn is_worn(&self) -> bool {
        self.failing.is_some()
    }

    /// In how many milliseconds somebody is to be told of a call that has not ended by then, and of what before it.
    pub(super) fn left(&self, now: UnixMillis) -> (u64, Option<&str>) {
        match self.failing {
            None => (CALL_TOLD_AFTER, None),
            Some((since, _)) => {
                let told = since.plus_millis(TOLD_AFTER);
                (told.millis_since(now), Some(self.why.as_str()))
            }
        }
    }

    /// A try that began then brought nothing by now; how long to pause.
    pub(super) fn wear(
        &mut self,
        about: About,
        why: &str,
        began: UnixMillis,
        now: UnixMillis,
    ) -> u64 {
        let began = began.min(now);
        let since = self.left_at.map_or(began, |left_at| left_at.min(began));
        let (since, _) = self.failing.unwrap_or((since, about));
        self.failing = Some((since, about));
        why.clone_into(&mut self.why);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }

    /// What somebody is to be told.
    pub(super) fn is_over(&self, now: UnixMillis) -> Option<&str> {
        let (since, _) = self.failing?;
        (now.millis_since(since) >= TOLD_AFTER).then_some(self.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_lives_for_ten_seconds_tells_what_those_before_it_could_not() {
        let step = UnixMillis(1_000_000);
        let mut now = step;
        for _ in 0..12 {
            let mut patience = Patience::since(Some(step));
            let born = now;
            while now.millis_since(born) < 10_000 {
                now = now.plus_millis(patience.wear(About::Steps, "it says no", now, now));
                if patience.is_over(now).is_some() {
                    let told = now.millis_since(step);
                    assert!((25_000..=60_000).contains(&told), "{told} ms");
                    return;
                }
            }
        }
        panic!("nobody was told in {} ms", now.millis_since(step));
    }

    #[test]
    fn what_only_waits_may_have_waited_for_long_when_it_fails_for_the_first_time() {
        let mut patience = Patience::since(None);
        let now = UnixMillis(1_000_000);
        patience.wear(About::Steps, "it says no", now, now);
        assert_eq!(patience.is_over(now.plus_millis(TOLD_AFTER - 1)), None);
        // And a step takes away what was left by another process.
        let mut patience = Patience::since(Some(UnixMillis(1_000)));
        patience.restore();
        patience.wear(About::Steps, "it says no", now, now);
        assert_eq!(patience.is_over(now), None);
    }

    #[test]
    fn whatever_fails_somebody_is_told_within_a_minute_and_it_is_tried_for_ever() {
        let mut patience = Patience::default();
        let mut now = UnixMillis(1_000_000);
        let mut told = None;
        for _ in 0..1_000 {
            now = now.plus_millis(patience.wear(About::Steps, "it says no", now, now));
            if patience.is_over(now).is_some() && told.is_none() {
                told = Some(now);
            }
        }
        let told = told.unwrap().millis_since(UnixMillis(1_000_000));
        assert!(told <= 60_000, "{told} ms");
        patience.restore();
        assert_eq!(patience.wear(About::Steps, "again", now, now), FIRST_PAUSE);
    }
    #[test]
    fn what_answers_again_has_not_failed_since_and_hides_nothing_else_that_fails() {
        let begun = UnixMillis(1_000_000);
        let long_after = begun.plus_millis(10 * TOLD_AFTER);
        let mut patience = Patience::default();
        patience.wear(About::Steps, "no answer", begun, begun);
        patience.answered(About::Uses);
        assert!(patience.is_over(long_after).is_some());
        patience.answered(About::Steps);
        assert_eq!(patience.is_over(long_after), None);
        assert!(!patience.is_worn());
        // Asked in turn.
        for seconds in 0..30 {
            let now = begun.plus_millis(seconds * 1_000);
            patience.wear(About::Uses, "it does not say", now, now);
            patience.answered(About::Steps);
        }
        assert!(patience.is_over(begun.plus_millis(30_000)).is_some());
    }
}
