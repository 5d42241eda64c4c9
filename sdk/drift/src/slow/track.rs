//! One amount, hour after hour: its week, its deviation, and what has added up beyond them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rate::{PARTS, logarithm};

/// Parts of a week: two hours each, so that each is seen twice a week and the week fits in 84 bytes.
const CELLS: usize = 84;
/// Steps to an octave in a cell: twelve per cent each. The noise of an hour is more.
const STEPS: u64 = 6;
/// One deviation, in the units of the sum.
const ONE: i64 = 1_000;
/// Deviations that are taken off every hour: what is not half of one beyond the usual never adds up.
const SLACK: i64 = ONE / 2;
/// The most that one hour adds or takes off: a month's end is one night, not a fortnight.
const MOST: i64 = 3 * ONE;
/// From this sum on nothing is learned: half of what counts.
const SUSPECT: i64 = 4 * ONE;
/// Hours of suspicion after which it is a new habit: three days.
const LASTS: u16 = 72;
/// No sum is higher: by then it has been suspect for as long as it can be.
const HIGHEST: i64 = SUSPECT + LASTS as i64 * MOST;
/// Hours in a week: so long does a new habit take to be learned.
const WEEK: u16 = 168;
/// The deviation to begin with, and the least there can be, in parts of an octave: a factor of 1.6 and
/// of 1.2. Nobody is steadier for long.
const FIRST: u32 = 700;
const LEAST: u32 = 270;
/// One hour weighs this much in the deviation: two days.
const MEMORY: i64 = 48;

/// One amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    seen: bool,
    week: Week,
    /// In parts of an octave.
    deviation: u32,
    #[serde(deserialize_with = "read_sum")]
    sum: i64,
    /// Hours in which the sum was too high to learn; from [`LASTS`] on, hours of a new habit.
    suspect: u16,
    observed: u64,
    expected: u64,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            seen: false,
            week: Week::default(),
            deviation: FIRST,
            sum: 0,
            suspect: 0,
            observed: 0,
            expected: 0,
        }
    }
}

impl Track {
    /// The amount is known to somebody: from now on none of it means zero.
    pub(super) const fn is_seen(&mut self) {
        self.seen = true;
    }

    /// An hour is over. It is compared only if the week is known by now.
    pub(super) fn close(&mut self, amount: u64, hour_of_week: usize, known: bool) {
        if !self.seen {
            return;
        }
        let size = logarithm(amount);
        let usual = self.week.usual(hour_of_week);
        if let Some(usual) = usual.filter(|_| known) {
            self.compare(amount, size as i64 - usual as i64, usual);
        }
        if self.suspect >= LASTS + WEEK {
            self.suspect = 0;
        }
        if self.sum < SUSPECT {
            let anew = self.suspect >= LASTS;
            self.week.learn(hour_of_week, size, anew);
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

    fn compare(&mut self, amount: u64, beyond: i64, usual: u64) {
        if self.suspect >= LASTS {
            // A new habit has a week to be learned in, whatever it brings.
            self.calm();
            self.suspect = self.suspect.saturating_add(1);
            return;
        }
        let deviation = i64::from(self.deviation.max(LEAST));
        let beyond_by = (beyond * ONE / deviation).clamp(-MOST, MOST);
        self.sum = (self.sum + beyond_by - SLACK).max(0);
        if self.sum == 0 {
            self.calm();
        } else {
            self.observed = self.observed.saturating_add(amount);
            self.expected = self.expected.saturating_add(amount_of(usual));
        }
        if self.sum < SUSPECT {
            self.suspect = 0;
            // The mean distance of a normal variable is four fifths of its deviation.
            let distance = (beyond.abs() * 5 / 4).min(4 * i64::from(self.deviation));
            let moved = deviation + (distance - deviation) / MEMORY;
            self.deviation = u32::try_from(moved).unwrap_or(LEAST);
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

/// A sum that hours can come to: any other was not written here, and adding to it might overflow.
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
struct Week([u8; CELLS]);

impl Default for Week {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl Week {
    fn usual(&self, hour_of_week: usize) -> Option<u64> {
        let steps = self.0.get(hour_of_week / 2).copied()?.checked_sub(1)?;
        Some(u64::from(steps) * PARTS / STEPS)
    }

    /// Half of what it was and half of what it is; a quarter and three quarters of a new habit, which is
    /// seen twice in the week that it is given.
    fn learn(&mut self, hour_of_week: usize, size: u64, anew: bool) {
        let usual = self.usual(hour_of_week).unwrap_or(size);
        let half = u64::midpoint(usual, size);
        let learned = if anew {
            u64::midpoint(half, size)
        } else {
            half
        };
        if let Some(cell) = self.0.get_mut(hour_of_week / 2) {
            let steps = (learned * STEPS + PARTS / 2) / PARTS;
            *cell = u8::try_from(steps + 1).unwrap_or(u8::MAX);
        }
    }
}

/// About the amount of which this is the logarithm.
fn amount_of(size: u64) -> u64 {
    (size as f64 / PARTS as f64).exp2() as u64
}

impl Serialize for Week {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(2 * CELLS);
        for cell in self.0 {
            write!(text, "{cell:02x}").map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Week {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut week = Self::default();
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
