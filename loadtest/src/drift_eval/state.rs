//! What the engine costs: bytes that it keeps, and the time an observed call takes.
//!
//! Times are medians over rounds, for each call: what a gateway does on the call itself, and what a broker does later
//! with the reports, shared out over the hundred calls of a report. Once for one identity again and again, whose
//! habits stay in the processor's cache, and once for a million identities in random order, of which none does. Where
//! the memory has no room for a million, for as many as it has; the table says how many. The identity has no peers
//! here.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use lanyard_drift::{
    Baseline, Event, Millis, OperationId, Thresholds, TokenReport, Tracker, judge,
};
use serde::Serialize;

use super::dice::Dice;
use super::people::WINDOW;
use super::tally::Tally;

/// Footprint and speed of the engine.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct State {
    pub(super) bytes_per_identity: usize,
    pub(super) bytes_per_token: usize,
    /// A call at a gateway.
    pub(super) ns_token: f64,
    /// A call judged and learned, one identity again and again.
    pub(super) ns_hot: f64,
    /// The same over `identities` in random order.
    pub(super) ns_million: f64,
    pub(super) identities: usize,
}

/// Windows timed of each: enough for a median that stays.
const ROUNDS: usize = 2_000;
/// Calls of an identity's history.
const HISTORY: usize = 5_000;
/// Operations of the synthetic identity, and how many usually follow one: what people use (measured).
const OPERATIONS: usize = 100;
const SUCCESSORS: usize = 4;
const SEED: u64 = 3;
/// A measurement must not push the machine into swapping: one part in so many of the free memory is left alone.
const LEFT_ALONE: usize = 3;
/// Where the system does not tell what is free.
const ASSUMED_FREE: usize = 4 << 30;

/// Counts the bytes and takes the times, over at most so many identities.
pub(super) fn measure(most: usize, tally: &Tally) -> State {
    tally.begin("state", 3);
    let owner = Identity::knowing(&walk(HISTORY));
    let calls = walk(ROUNDS * WINDOW);
    let reports = owner.reports(&calls);
    tally.step();

    let mut token = owner.tracker();
    let ns_token = median(calls.chunks_exact(WINDOW).map(|window| {
        timed(|| {
            for call in window {
                black_box(token.observe(&Event::of(*call), NO_CLOCK));
            }
        })
    }));
    let mut hot = owner.clone();
    let ns_hot = median(reports.iter().map(|report| timed(|| hot.judge(report))));
    tally.step();

    let bytes_per_token = busiest(&owner, &calls);
    let room = free_bytes() / LEFT_ALONE * (LEFT_ALONE - 1) / Baseline::bytes().max(1);
    let mut all = vec![owner; most.min(room).max(1)];
    let mut dice = Dice::named(SEED, "which identity");
    let ns_million = median(reports.iter().map(|report| {
        let chosen = dice.below(all.len());
        timed(|| all.get_mut(chosen).map(|one| one.judge(report)))
    }));
    tally.step();
    State {
        bytes_per_identity: Baseline::bytes(),
        bytes_per_token,
        ns_token,
        ns_hot,
        ns_million,
        identities: all.len(),
    }
}

/// What a live token takes at the end of a window, with the tables that its calls have filled: the most of all
/// windows.
fn busiest(owner: &Identity, calls: &[OperationId]) -> usize {
    let windows = calls.chunks_exact(WINDOW).map(|window| {
        let mut token = owner.tracker();
        for call in window {
            token.observe(&Event::of(*call), NO_CLOCK);
        }
        token.bytes()
    });
    windows.max().unwrap_or(0)
}

/// No clock, so that rates do not depend on how fast the measurement runs.
const NO_CLOCK: Millis = Millis(0);

/// An identity without peers.
#[derive(Clone)]
struct Identity {
    baseline: Baseline,
    thresholds: Thresholds,
}

impl Identity {
    fn knowing(calls: &[OperationId]) -> Self {
        let mut identity = Self {
            baseline: Baseline::empty(),
            thresholds: Thresholds::default(),
        };
        for report in identity.reports(calls) {
            let _ = identity.baseline.absorb_cleared(&report);
        }
        identity.baseline.set_anchor();
        identity
    }

    fn tracker(&self) -> Tracker {
        Tracker::new(NO_CLOCK, self.baseline.bounds(&self.thresholds))
    }

    /// What one token reports of these calls, a hundred at a time.
    fn reports(&self, calls: &[OperationId]) -> Vec<TokenReport> {
        let mut tracker = self.tracker();
        let report = |window: &[OperationId]| {
            for call in window {
                tracker.observe(&Event::of(*call), NO_CLOCK);
            }
            tracker.report()
        };
        calls.chunks_exact(WINDOW).filter_map(report).collect()
    }

    /// Judges a report and offers it for learning.
    fn judge(&mut self, report: &TokenReport) {
        let verdict = judge(report, &self.baseline, None, &self.thresholds, NO_CLOCK);
        let _ = black_box(self.baseline.absorb(report, &verdict, &self.thresholds));
    }
}

/// Nanoseconds for each call of a window.
fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_nanos() as f64 / WINDOW as f64
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The calls of a synthetic identity: after each operation mostly one of a few.
fn walk(calls: usize) -> Vec<OperationId> {
    let names: Vec<OperationId> = (0..OPERATIONS)
        .map(|n| OperationId::of(&format!("operation {n}")))
        .collect();
    let mut dice = Dice::named(SEED, "calls");
    let mut at = 0;
    let mut next = || {
        at = match dice.below(10) {
            0 => dice.below(OPERATIONS),
            _ => (at * 7 + dice.below(SUCCESSORS) * 11 + 1) % OPERATIONS,
        };
        names.get(at).copied()
    };
    (0..calls).filter_map(|_| next()).collect()
}

/// Bytes that processes may still have.
fn free_bytes() -> usize {
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    told.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<usize>().ok())
        .map_or(ASSUMED_FREE, |kibibytes| kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_calls_repeat_and_use_what_people_use() {
        assert_eq!(walk(500), walk(500));
        let mut kinds = walk(5_000);
        kinds.sort();
        kinds.dedup();
        assert!((OPERATIONS / 2..=OPERATIONS).contains(&kinds.len()));
    }

    #[test]
    fn no_more_identities_are_made_than_asked_for() {
        let state = measure(3, &Tally::of().unwrap());
        assert_eq!(state.identities, 3);
        assert!(state.bytes_per_identity > size_of::<Baseline>());
    }

    #[test]
    fn the_median_of_times_is_a_time_that_was_taken() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert!(median(std::iter::empty()).is_nan());
    }
}
