//! One amount, hour after hour or day after day: its week, its deviation, and what has added up beyond them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rate::{PARTS, logarithm};

/// Steps to an octave in a cell: twelve per cent each. The noise of an hour is more.
const STEPS: u64 = 6;
/// One deviation, in the units of the sum.
const ONE: i64 = 1_000;
/// Deviations that are taken off every time: what is not half of one beyond the usual never adds up.
const SLACK: i64 = ONE / 2;
/// The most that one time adds or takes off: a month's end is one night, not a fortnight.
const MOST: i64 = 3 * ONE;
/// No sum of any scale is higher: by then it has been suspect for as long as it can be.
const HIGHEST: i64 = HOURS.suspect + HOURS.lasts as i64 * MOST;

/// What differs between hours and days.
pub(super) struct Scale {
    /// From this sum on nothing is learned: half of what counts.
    suspect: i64,
    /// Times of suspicion after which it is a new habit.
    lasts: u16,
    /// Times that a new habit has to be learned in: a week.
    week: u16,
    /// The deviation to begin with, and the least there can be, in parts of an octave. Nobody is steadier
    /// for long.
    first: u32,
    least: u32,
    /// One time weighs this much in the deviation.
    memory: i64,
}

/// Three days of suspicion; a factor of 1.6 to begin with, of 1.2 at least, remembered for two days.
pub(super) const HOURS: Scale = Scale {
    suspect: 4 * ONE,
    lasts: 72,
    week: 168,
    first: 700,
    least: 270,
    memory: 48,
};
/// A week of suspicion. A day is the sum of many hours, whose noise evens out: a factor of 1.3 to begin
/// with, of 1.1 at least, remembered for two weeks.
pub(super) const DAYS: Scale = Scale {
    suspect: 5 * ONE / 2,
    lasts: 7,
    week: 7,
    first: 400,
    least: 140,
    memory: 14,
};

/// One amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Track<const CELLS: usize> {
    seen: bool,
    week: Week<CELLS>,
    /// In parts of an octave.
    deviation: u32,
    #[serde(deserialize_with = "read_sum")]
    sum: i64,
    /// Times at which the sum was too high to learn; from [`Scale::lasts`] on, those of a new habit.
    suspect: u16,
    observed: u64,
    expected: u64,
}

impl<const CELLS: usize> Track<CELLS> {
    /// Of nothing yet.
    pub(super) const fn new(scale: &Scale) -> Self {
        Self {
            seen: false,
            week: Week([0; CELLS]),
            deviation: scale.first,
            sum: 0,
            suspect: 0,
            observed: 0,
            expected: 0,
        }
    }

    /// The amount is known to somebody: from now on none of it means zero.
    pub(super) const fn is_seen(&mut self) {
        self.seen = true;
    }

    /// An hour or a day is over, which is this cell of the week. It is compared only if the week is known by now.
    pub(super) fn close(&mut self, amount: u64, cell: usize, known: bool, scale: &Scale) {
        if !self.seen {
            return;
        }
        let size = logarithm(amount);
        let usual = self.week.usual(cell);
        if let Some(usual) = usual.filter(|_| known) {
            self.compare(amount, size as i64 - usual as i64, usual, scale);
        }
        if self.suspect >= scale.lasts + scale.week {
            self.suspect = 0;
        }
        if self.sum < scale.suspect {
            let anew = self.suspect >= scale.lasts;
            self.week.learn(cell, size, anew);
        }
    }

    /// Deviations that have added up.
    pub(super) fn sum(&self) -> f64 {
        self.sum as f64 / ONE as f64
    }

    /// The amount since the sum began to rise, and what would have been usual.
    pub(super) fn since_it_began(&self) -> (f64, f64) {
        (self.observed as f64, self.expected as f64)
    }

    fn compare(&mut self, amount: u64, beyond: i64, usual: u64, scale: &Scale) {
        if self.suspect >= scale.lasts {
            // A new habit has a week to be learned in, whatever it brings.
            self.calm();
            self.suspect = self.suspect.saturating_add(1);
            return;
        }
        let deviation = i64::from(self.deviation.max(scale.least));
        let beyond_by = (beyond * ONE / deviation).clamp(-MOST, MOST);
        self.sum = (self.sum + beyond_by - SLACK).max(0);
        if self.sum == 0 {
            self.calm();
        } else {
            self.observed = self.observed.saturating_add(amount);
            self.expected = self.expected.saturating_add(amount_of(usual));
        }
        if self.sum < scale.suspect {
            self.suspect = 0;
            // The mean distance of a normal variable is four fifths of its deviation.
            let distance = (beyond.abs() * 5 / 4).min(4 * i64::from(self.deviation));
            let moved = deviation + (distance - deviation) / scale.memory;
            self.deviation = u32::try_from(moved).unwrap_or(scale.least);
        } else {
            self.suspect = self.suspect.saturating_add(1);
        }
    }

    const fn calm(&mut self) {
        self.sum = 0;
        self.observed = 0;
        self.expected = 0;
    }
}

/// A sum that hours or days can come to: any other was not written here, and adding to it might overflow.
fn read_sum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let sum = i64::deserialize(deserializer)?;
    if (0..=HIGHEST).contains(&sum) {
        Ok(sum)
    } else {
        Err(D::Error::custom("a sum that no hours come to"))
    }
}

/// The usual size in each part of a week, as steps plus one; 0 where nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Week<const CELLS: usize>([u8; CELLS]);

impl<const CELLS: usize> Week<CELLS> {
    fn usual(&self, cell: usize) -> Option<u64> {
        let steps = self.0.get(cell).copied()?.checked_sub(1)?;
        Some(u64::from(steps) * PARTS / STEPS)
    }

    /// Half of what it was and half of what it is; a quarter and three quarters of a new habit, which is
    /// seen once or twice in the week that it is given.
    fn learn(&mut self, cell: usize, size: u64, anew: bool) {
        let usual = self.usual(cell).unwrap_or(size);
        let half = u64::midpoint(usual, size);
        let learned = if anew {
            u64::midpoint(half, size)
        } else {
            half
        };
        if let Some(cell) = self.0.get_mut(cell) {
            let steps = (learned * STEPS + PARTS / 2) / PARTS;
            *cell = u8::try_from(steps + 1).unwrap_or(u8::MAX);
        }
    }
}

/// About the amount of which this is the logarithm.
fn amount_of(size: u64) -> u64 {
    (size as f64 / PARTS as f64).exp2() as u64
}

impl<const CELLS: usize> Serialize for Week<CELLS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(2 * CELLS);
        for cell in self.0 {
            write!(text, "{cell:02x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }
}

impl<'de, const CELLS: usize> Deserialize<'de> for Week<CELLS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut week = Self([0; CELLS]);
        if text.len() != 2 * CELLS {
            return Err(D::Error::custom("a week of another length"));
        }
        for (at, cell) in week.0.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).unwrap_or_default();
            *cell = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(week)
    }
}
