//! Figures beside what they are to reach.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// One measured target.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Target {
    /// `P6-rps`.
    pub(super) id: &'static str,
    /// The middle of the rounds.
    pub(super) measured: f64,
    /// `x`, `us`, `ms`, …
    pub(super) unit: &'static str,
    /// The lowest of the rounds.
    pub(super) minimum: f64,
    /// The highest of the rounds.
    pub(super) maximum: f64,
    /// What measures it again.
    pub(super) command: Cow<'static, str>,
    /// What was asked for.
    #[serde(skip)]
    pub(super) goal: Goal,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
}

impl Target {
    /// From one value a round; nothing when there was no round.
    pub(super) fn of(
        id: &'static str,
        unit: &'static str,
        command: impl Into<Cow<'static, str>>,
        goal: Goal,
        rounds: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        let mut values: Vec<f64> = rounds
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            id,
            unit,
            command: command.into(),
            goal,
            measured: *values.get(values.len() / 2)?,
            minimum: *values.first()?,
            maximum: *values.last()?,
        })
    }

    /// Whether the middle of the rounds is what was asked for.
    pub(super) const fn is_reached(&self) -> bool {
        match self.goal {
            Goal::AtLeast(goal) => self.measured >= goal,
            Goal::AtMost(goal) => self.measured <= goal,
        }
    }
}

impl Target {
    /// A line of a Markdown table: id, goal, middle, lowest, highest, and whether it is reached.
    pub(super) fn row(&self) -> String {
        let word = match self.is_reached() {
            true => "reached",
            false => "**missed**",
        };
        let (id, unit, goal) = (self.id, self.unit, self.goal);
        format!(
            "| {id} | {goal} {unit} | {:.3} {unit} | {:.3} | {:.3} | {word}, `{}` |",
            self.measured, self.minimum, self.maximum, self.command
        )
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, ">= {goal}"),
            Self::AtMost(goal) => write!(f, "<= {goal}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_reached() {
            "reached"
        } else {
            "MISSED"
        };
        write!(
            f,
            "{:<24} {:>10.3} {:<3} ({:.3} to {:.3}), goal {} {}: {word}",
            self.id, self.measured, self.unit, self.minimum, self.maximum, self.goal, self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts_and_rounds_without_a_figure_do_not() {
        let rounds = [3.0, f64::NAN, 1.0, 2.0, f64::INFINITY];
        let target = Target::of("P0", "x", "none", Goal::AtLeast(2.0), rounds).unwrap();
        assert_eq!(
            (target.minimum, target.measured, target.maximum),
            (1.0, 2.0, 3.0)
        );
        assert!(target.is_reached());
        assert!(Target::of("P0", "x", "none", Goal::AtMost(2.0), []).is_none());
    }
}
