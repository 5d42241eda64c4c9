//! Which windows a person is told of: an alarm budget, kept by an adaptive threshold.
//!
//! **What it gives.** An operator says which share of windows may page, and gets that share, whatever
//! the scores look like, however they drift, and without anybody knowing their scale. Fixed thresholds
//! do not give it: a detector set to one alarm in a million calls fired every 150 on real people.
//!
//! **How.** A score counts by its place among the last [`MEMORY`] scores only, so the scale never
//! matters. It pages when its place from the top is within the tail that is allowed now. That tail is
//! the asked share, and every page makes it smaller, every window without one larger:
//! `threshold += GAIN x (alarm - share)`, where the threshold is minus the logarithm of the tail. Summed
//! up, the threshold stands at `GAIN x (pages so far - pages owed so far)`: the count itself is steered,
//! not only its rate, so errors do not pile up like those of a coin do. At one in a hundred a coin
//! deviates by a third within a thousand windows.
//!
//! **What it misses.** Everything about being right: it is a pager's budget, not a judgement, and must
//! never govern enforcement, or an attacker who raises many alarms would raise everyone's threshold.
//! Many alarms within a short time silence the pager until the budget has grown again; so callers let
//! one identity count once, and what does not page is still on the list. Scores that all look alike
//! never page: nothing stands out, and the share stays unspent.
//!
//! **How it warms up and recovers.** The first windows only fill the memory: nothing can be in the top
//! hundredth of fewer than a hundred. When scores shift, all of them look high, or none, until the
//! memory has turned over; what was then paged too much or too little is made up for afterwards, at
//! most [`CATCH_UP`] times as fast as asked. What is owed is bounded by [`MOST_OWED`]: after a quiet
//! month nobody is called out of bed for trifles all night.
//!
//! **Why not the simpler ones.** A fixed quantile of recent scores lags behind a drift and never makes
//! up for it. A step on the score itself needs the scale, and the scale drifts. A token bucket pages
//! the first windows of an hour, not the worst.

use serde::{Deserialize, Serialize};

/// Recent scores that a score is ranked among. At the smallest useful share, one in a hundred, the
/// tail is then one or two scores, and fewer would rank nothing; a memory twice as long pages nobody
/// for a quarter of a thousand windows after all scores have fallen (on simulated scores).
const MEMORY: usize = 128;
/// How far one page moves the logarithm of the allowed tail: to less than a quarter. What is owed then
/// stays within one or two pages, so that even three hundred windows at one in a hundred have their
/// three; with a third of it, every third quarter was off by 40 % (on simulated scores that rise, fall,
/// jump and burst).
const GAIN: f64 = 1.5;
/// How many times the asked share may be paged to make up for pages that were owed.
const CATCH_UP: f64 = 8.0;
/// Pages owed, or paid in advance, beyond which nothing more is remembered.
const MOST_OWED: f64 = 16.0;
/// The largest tail: from here down a score is like most others.
const WIDEST_TAIL: f64 = 0.5;
/// The smallest share that can be asked for: one window in a million.
const SMALLEST_SHARE: f64 = 1e-6;

/// A share of windows that may page, and a threshold that keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub struct Budget {
    share: f64,
    /// Pages asked for so far, less pages made: the budget in hand.
    owed: f64,
    windows: u64,
    pages: u64,
    recent: Vec<f64>,
    /// Where the next score goes once the memory is full.
    next: usize,
}

impl Budget {
    /// A budget for a share of windows, from 0 to 1/2. What is not a number asks for next to nothing.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self {
            share: fit_share(share),
            owed: 0.0,
            windows: 0,
            pages: 0,
            recent: Vec::with_capacity(MEMORY),
            next: 0,
        }
    }

    /// Asks for another share from now on; what was seen so far stays known.
    pub fn aim(&mut self, share: f64) {
        self.share = fit_share(share);
    }

    /// Counts a window, and says whether it pages. A score that is not a number says nothing: it
    /// neither pages nor counts.
    pub fn observe(&mut self, score: f64) -> bool {
        if score.is_nan() {
            return false;
        }
        let score = score.clamp(f64::MIN, f64::MAX);
        let page = self.threshold().is_some_and(|threshold| score > threshold);
        self.windows = self.windows.saturating_add(1);
        self.pages = self.pages.saturating_add(u64::from(page));
        let paid = if page { 1.0 } else { 0.0 };
        self.owed = (self.owed + self.share - paid).clamp(-MOST_OWED, MOST_OWED);
        self.remember(score);
        page
    }

    /// The score above which the next window pages; `None` while none would, because too few have
    /// been seen or too many have paged.
    #[must_use]
    pub fn threshold(&self) -> Option<f64> {
        // The next score is one more than those remembered: hence the place for itself.
        let places = self.tail() * (self.recent.len() + 1) as f64;
        let within = places.floor();
        let index = (within as usize).checked_sub(1)?;
        if index >= self.recent.len() {
            return None;
        }
        let mut scores = self.recent.clone();
        let (_, last_within, outside) =
            scores.select_nth_unstable_by(index, |left, right| right.total_cmp(left));
        let first_outside = outside.iter().copied().reduce(f64::max);
        let (last_within, first_outside) = (*last_within, first_outside.unwrap_or(*last_within));
        // Between two places the threshold lies between their scores, or small shares would only
        // ever be whole numbers of places. Halves, so that two huge scores do not overflow.
        let part = places - within;
        Some(last_within * (1.0 - part) + first_outside * part)
    }

    /// The share that is asked for.
    #[must_use]
    pub const fn share(&self) -> f64 {
        self.share
    }

    /// The share of windows that paged; 0 before the first window.
    #[must_use]
    pub fn realised(&self) -> f64 {
        self.pages as f64 / self.windows.max(1) as f64
    }

    /// Windows counted so far.
    #[must_use]
    pub const fn windows(&self) -> u64 {
        self.windows
    }

    /// Windows that paged so far.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// The part of all scores, from the top, that may page now.
    fn tail(&self) -> f64 {
        let most = (self.share * CATCH_UP).min(WIDEST_TAIL);
        (self.share * (GAIN * self.owed).exp()).min(most)
    }

    fn remember(&mut self, score: f64) {
        if self.recent.len() < MEMORY {
            self.recent.push(score);
            return;
        }
        if let Some(oldest) = self.recent.get_mut(self.next) {
            *oldest = score;
        }
        self.next = (self.next + 1) % MEMORY;
    }
}

/// A budget as it was written down: whatever is in there, what is made of it keeps the bounds.
#[derive(Deserialize)]
struct Saved {
    share: f64,
    owed: f64,
    windows: u64,
    pages: u64,
    recent: Vec<f64>,
    next: usize,
}

impl From<Saved> for Budget {
    fn from(saved: Saved) -> Self {
        let mut recent = saved.recent;
        recent.retain(|score| score.is_finite());
        recent.truncate(MEMORY);
        let owed = if saved.owed.is_finite() {
            saved.owed
        } else {
            0.0
        };
        Self {
            share: fit_share(saved.share),
            owed: owed.clamp(-MOST_OWED, MOST_OWED),
            windows: saved.windows,
            pages: saved.pages.min(saved.windows),
            recent,
            next: saved.next % MEMORY,
        }
    }
}

/// A share within bounds; not a number is the smallest.
fn fit_share(share: f64) -> f64 {
    if share.is_nan() {
        return SMALLEST_SHARE;
    }
    share.clamp(SMALLEST_SHARE, WIDEST_TAIL)
}
