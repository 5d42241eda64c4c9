//! Is this identity in other hands by now? A belief that is carried from window to window.
//!
//! Log-odds, in nats. Before a window the belief is moved by what is likely anyway: out of a hundred
//! windows of an honest identity one begins a take-over ([`ENTERING`]), and one that is under way lasts
//! ten windows ([`STAYING`]). Then the window's evidence from the sequence model is added, a fifth of
//! it ([`INDEPENDENT`]): calls of one window hang together, a hundred of them say as much as a score
//! that do not. This is the forward recursion of a two-state hidden Markov model (Rabiner 1989).
//!
//! **Catches** somebody else's habits behind a known credential; and since the belief stays, a thief
//! who is quiet for one window is still suspected in the next. **Misses** whoever does what the owner
//! does.
//!
//! **Learning** follows the belief ([`Takeover::lesson`]): a window is learned when it is rather the
//! owner's; of one that may be his each kind of call once; of any other nothing. Everything
//! depends on that: with the truth in place of the belief, about a third of the remaining cost
//! disappears (docs/drift.md). Learning by weights in between gained nothing.
//!
//! **Poisoning.** Whoever changes slowly is learned, windows later, as the owner. So the windows are
//! also put beside the frozen anchor, and [`Takeover::estrangement`] is a slow average of that: an odd
//! day passes, but who does not come back is a stranger, however gently he came. It never refuses to
//! learn: an owner who has really changed would be locked out of his own habits.
//!
//! **Warms up** with the history: without one the evidence is 0 and the belief rests at the odds of a
//! stranger among a hundred; of a young one it counts in part ([`HALF_KNOWN`]), since what the owner has
//! not done yet is not what he never does. **Recovers** from a false alarm by its own windows, in one or two.
//! Why not a CUSUM over windows: it has no place for "the last one was a thief, so this one may be";
//! the per-request detector in the cusum module is one.

use serde::{Deserialize, Serialize};

/// Of a hundred windows one begins a take-over.
const ENTERING: f64 = 0.01;
/// A take-over lasts ten windows: a thousand calls.
const STAYING: f64 = 0.9;
/// One in so many nats of a window is independent of the others.
const INDEPENDENT: f64 = 5.0;
/// A history of so many calls says half of what a long one would: as many as are asked for before
/// statistics may end anything.
const HALF_KNOWN: f64 = 1_000.0;
/// Nats in a hundred calls that say nothing: twins of a role, and a table that has forgotten some
/// transitions, come to as much without anybody else's hands.
const NOISE: f64 = 10.0;
/// No belief is carried on surer than this: 160,000 to 1, so that one clear window of the owner ends it.
const SUREST: f64 = 12.0;
/// From here on a window is surely not the owner's: 50 to 1.
const SURELY_OTHERS: f64 = 3.9;
/// Weight of the latest window in the slow average: it remembers ten windows.
const SLOW: f64 = 0.1;

/// What is believed about an identity after its latest window, in thousandths of a nat: whole
/// numbers, so that equal histories are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    belief: i32,
    estrangement: i32,
}

impl Default for Takeover {
    fn default() -> Self {
        Self {
            belief: thousandths(log_odds(ENTERING)),
            estrangement: 0,
        }
    }
}

impl Takeover {
    /// Log-odds of other hands, in nats.
    #[must_use]
    pub fn belief(self) -> f64 {
        f64::from(self.belief) / 1_000.0
    }

    /// Slow average of the evidence against the anchor, in nats per hundred calls.
    #[must_use]
    pub fn estrangement(self) -> f64 {
        f64::from(self.estrangement) / 1_000.0
    }

    /// After another window: its evidence per hundred calls against the adaptive habits and against the
    /// anchor, which part of a hundred calls it has, and how many calls are known from before.
    #[must_use]
    pub(crate) fn after(self, adaptive: f64, anchor: Option<f64>, part: f64, known: u64) -> Self {
        let part = if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, 1.0)
        };
        let taken = 1.0 / (1.0 + (-self.belief().clamp(-SUREST, SUREST)).exp());
        let stays = STAYING.powf(part);
        let enters = 1.0 - (1.0 - ENTERING).powf(part);
        let before = log_odds(taken * stays + (1.0 - taken) * enters);
        let known = known as f64 / (known as f64 + HALF_KNOWN);
        let belief = before + (number(adaptive) - NOISE) * known * part / INDEPENDENT;
        let estrangement = anchor.map_or(self.estrangement(), |anchor| {
            let slow = SLOW * part;
            self.estrangement() + slow * (number(anchor) - self.estrangement())
        });
        Self {
            belief: thousandths(belief),
            estrangement: thousandths(estrangement),
        }
    }

    /// What may be learned of the window that led here.
    pub(crate) fn lesson(self) -> Lesson {
        let belief = self.belief();
        if belief < 0.0 {
            Lesson::Habits
        } else if belief < SURELY_OTHERS {
            Lesson::Kinds
        } else {
            Lesson::Nothing
        }
    }

    /// With the anchor set anew there is nothing to be estranged from.
    #[must_use]
    pub(crate) const fn reconciled(self) -> Self {
        Self {
            estrangement: 0,
            ..self
        }
    }
}

/// What a window teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// It is the owner's.
    Habits,
    /// It may be: that these kinds of calls exist.
    Kinds,
    /// It is not.
    Nothing,
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(1e-9, 1.0 - 1e-9);
    (probability / (1.0 - probability)).ln()
}

fn thousandths(nats: f64) -> i32 {
    // A cast saturates, and a value that is no number becomes 0.
    (nats * 1_000.0).round() as i32
}

/// What is no number says nothing.
fn number(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(-1_000.0, 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of a history that is not young.
    const LONG: u64 = 20_000;

    fn after(windows: &[f64]) -> Takeover {
        windows
            .iter()
            .fold(Takeover::default(), |takeover, evidence| {
                takeover.after(*evidence, Some(*evidence), 1.0, LONG)
            })
    }

    #[test]
    fn one_window_of_a_stranger_is_enough_and_one_of_the_owner_ends_it() {
        assert!(after(&[-100.0, -80.0]).belief() < -6.0);
        assert!(after(&[-100.0, 120.0]).belief() > 6.0);
        assert!(after(&[-100.0, 120.0, 120.0, -120.0]).belief() < -6.0);
    }

    #[test]
    fn an_ambiguous_window_counts_as_what_was_before_it() {
        assert!(after(&[-100.0, 30.0]).belief() < 0.0);
        assert!(after(&[-100.0, 150.0, 30.0]).belief() > 2.0);
    }

    #[test]
    fn whoever_does_not_come_back_is_estranged_and_an_odd_day_passes() {
        let odd_day = [-100.0, -100.0, 200.0, -100.0, -100.0];
        assert!(after(&odd_day).estrangement() < 0.0);
        assert!(after(&[180.0; 20]).estrangement() > 130.0);
        assert_eq!(after(&[180.0; 20]).reconciled().estrangement(), 0.0);
    }

    #[test]
    fn nothing_seen_changes_nothing_and_nonsense_is_nothing_seen() {
        let known = after(&[-100.0, 40.0]);
        assert_eq!(known.after(500.0, Some(500.0), 0.0, LONG), known);
        assert_eq!(known.after(500.0, Some(500.0), f64::NAN, LONG), known);
        let nonsense = known.after(f64::NAN, Some(f64::INFINITY), 1.0, LONG);
        assert_eq!(
            nonsense.belief(),
            known.after(0.0, None, 1.0, LONG).belief()
        );
        assert!(nonsense.estrangement().is_finite());
    }

    #[test]
    fn a_young_history_says_less_for_and_against_its_owner() {
        let known = Takeover::default();
        let belief = |history| known.after(120.0, None, 1.0, history).belief();
        assert!(belief(100) < 0.0, "{}", belief(100));
        assert!(belief(1_000) > belief(100) + 5.0);
        assert!(belief(LONG) > belief(1_000) + 5.0);
        assert!(known.after(-120.0, None, 1.0, 100).belief() > -8.0);
        assert!(known.after(120.0, None, 1.0, u64::MAX).belief() < 25.0);
    }

    #[test]
    fn two_halves_of_a_window_are_about_one_window() {
        let whole = after(&[-60.0]).after(90.0, None, 1.0, LONG).belief();
        let halves = after(&[-60.0])
            .after(90.0, None, 0.5, LONG)
            .after(90.0, None, 0.5, LONG);
        assert!((whole - halves.belief()).abs() < 2.0, "{whole} {halves:?}");
    }

    #[test]
    fn what_is_learned_follows_the_belief() {
        assert_eq!(after(&[-100.0]).lesson(), Lesson::Habits);
        assert_eq!(after(&[-100.0, 40.0]).lesson(), Lesson::Kinds);
        assert_eq!(after(&[-100.0, 150.0]).lesson(), Lesson::Nothing);
    }
}
