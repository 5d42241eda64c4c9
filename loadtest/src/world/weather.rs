//! What comes over a whole world: backends that fail for some minutes, and rushes of work.
//!
//! While a backend fails, callers repeat themselves, so a storm of 5xx is a storm of calls too. A rush
//! comes over one role at once: a campaign, a news story, an upstream that retries.

use lanyard_drift::Millis;

use super::calendar::{BEGIN, DAY, MINUTE};
use super::random::Random;

/// Failures of one backend per day.
const FAILURES_PER_DAY: f64 = 0.25;
/// Rushes over one role per day.
const RUSHES_PER_DAY: f64 = 0.7;
/// Share of answers that fail on an ordinary day.
const BACKGROUND: f64 = 0.001;

/// A stretch of time in which something is stronger.
#[derive(Clone, Copy, Debug)]
struct Spell {
    from: Millis,
    until: Millis,
    strength: f64,
}

/// The spells of one world, each list in order of time.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    failures: Vec<Vec<Spell>>,
    rushes: Vec<Vec<Spell>>,
}

impl Weather {
    /// The weather of so many days, over so many backends and roles.
    #[must_use]
    pub(super) fn new(days: u64, backends: usize, roles: usize, random: &mut Random) -> Self {
        let mut spells = |count: usize, per_day: f64, minutes: f64, low: f64, high: f64| {
            let one = |random: &mut Random| {
                let mut spells = Vec::new();
                let mut at = random.exponential(DAY as f64 / per_day);
                while at < (days * DAY) as f64 {
                    let length = random.log_normal(minutes, 0.5) * MINUTE as f64;
                    spells.push(Spell {
                        from: BEGIN.plus(at as u64),
                        until: BEGIN.plus((at + length) as u64),
                        strength: random.between(low, high),
                    });
                    at += length + random.exponential(DAY as f64 / per_day);
                }
                spells
            };
            (0..count).map(|_| one(random)).collect()
        };
        Self {
            failures: spells(backends, FAILURES_PER_DAY, 5.0, 0.3, 0.9),
            rushes: spells(roles, RUSHES_PER_DAY, 12.0, 2.0, 5.0),
        }
    }

    /// Share of a backend's answers that fail now.
    #[must_use]
    pub(super) fn failing(&self, backend: usize, now: Millis) -> f64 {
        current(self.failures.get(backend), now).unwrap_or(BACKGROUND)
    }

    /// How many times its usual work a role has now.
    #[must_use]
    pub(super) fn rush(&self, role: usize, now: Millis) -> f64 {
        current(self.rushes.get(role), now).unwrap_or(1.0)
    }
}

fn current(spells: Option<&Vec<Spell>>, now: Millis) -> Option<f64> {
    let spells = spells?;
    let next = spells.partition_point(|spell| spell.from <= now);
    let last = next.checked_sub(1).and_then(|last| spells.get(last))?;
    (now < last.until).then_some(last.strength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_fails_for_minutes_and_recovers() {
        let weather = Weather::new(30, 1, 1, &mut Random::seeded(3, 0));
        let spell = weather.failures[0][0];
        assert!(weather.failing(0, spell.from) >= 0.3);
        assert_eq!(weather.failing(0, spell.until), BACKGROUND);
        let minutes = (0..30 * 24 * 60).map(|minute| BEGIN.plus(minute * MINUTE));
        let failing = minutes.filter(|now| weather.failing(0, *now) > 0.1).count();
        assert!((5..300).contains(&failing), "{failing} minutes of 30 days");
    }

    #[test]
    fn a_rush_multiplies_the_work_of_its_role_alone() {
        let weather = Weather::new(30, 1, 2, &mut Random::seeded(3, 0));
        let spell = weather.rushes[0][0];
        assert!(weather.rush(0, spell.from) >= 2.0);
        assert_eq!(weather.rush(9, spell.from), 1.0);
    }
}
