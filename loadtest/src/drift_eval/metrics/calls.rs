//! Per request: how many runs of somebody else's calls raise an alarm, and after how many calls.
//!
//! The rule, for a threshold `h` on the engine's CUSUM after each call:
//!
//! * an alarm is a call after which the CUSUM is above `h`, counted from where it stood at the last alarm: an alarm
//!   sets the sum back to zero, as a recycled token starts afresh. `max(0, S - m)` with `m` the lowest value since
//!   that alarm is exactly the sum that would have been restarted there, so one pass of the engine serves every `h`;
//! * nothing else sets it back: where a run begins and ends is known to the scoring alone;
//! * an alarm on an owner's call is a false alarm, also in the wake of somebody else's;
//! * a run is a stretch of neighbouring hostile windows of one identity. It is caught by an alarm inside it, and its
//!   delay is the number of its calls up to and with the first one.
//!
//! The threshold is the lowest one at which false alarms stay within the rate on the very data reported: this figure
//! tells how quick an alarm is at a known price, not how well a threshold travels.

use crate::drift_eval::people::{Labels, WINDOW};
use crate::drift_eval::subject::Scored;

/// Thresholds tried, from the highest sum down in equal ratios: 2 % apart.
const STEPS: i32 = 400;
const RATIO: f64 = 0.98;

/// What one rate of false alarms buys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::drift_eval) struct Caught {
    pub(in crate::drift_eval) runs: usize,
    /// Calls from the beginning of each caught run to its alarm.
    pub(in crate::drift_eval) delays: Vec<usize>,
}

impl Caught {
    pub(in crate::drift_eval) fn share(&self) -> f64 {
        super::windows::share(self.delays.len(), self.runs)
    }

    /// Of the runs that were caught; `None` when none was.
    pub(in crate::drift_eval) fn median_delay(&self) -> Option<f64> {
        median(&self.delays)
    }

    /// Both together, as if they were one set of runs.
    pub(in crate::drift_eval) fn pooled(mut self, other: &Self) -> Self {
        self.runs += other.runs;
        self.delays.extend(&other.delays);
        self
    }
}

/// The runs caught at so many false alarms per 10,000 calls of owners.
pub(in crate::drift_eval) fn caught(
    scored: &[Scored],
    labels: &Labels,
    per_ten_thousand: f64,
) -> Caught {
    lowest(scored, labels, per_ten_thousand).1.caught
}

/// The lowest sum with no more false alarms than that, in nats: what gateways alarm by was chosen with it.
pub(in crate::drift_eval) fn level(
    scored: &[Scored],
    labels: &Labels,
    per_ten_thousand: f64,
) -> f64 {
    lowest(scored, labels, per_ten_thousand).0
}

fn lowest(scored: &[Scored], labels: &Labels, per_ten_thousand: f64) -> (f64, At) {
    let walks: Vec<Walk<'_>> = scored.iter().map(|one| Walk::of(one, labels)).collect();
    let benign: usize = walks.iter().map(Walk::benign).sum();
    let allowed = per_ten_thousand / 10_000.0 * benign as f64 + 1e-9;
    let highest = scored
        .iter()
        .flat_map(|person| &person.calls)
        .fold(0.0_f64, |highest, sum| highest.max(f64::from(*sum)));
    let mut best = (highest, at(&walks, highest));
    for step in 1..=STEPS {
        let threshold = highest * RATIO.powi(step);
        let lower = at(&walks, threshold);
        if lower.false_alarms as f64 > allowed {
            break;
        }
        best = (threshold, lower);
    }
    best
}

/// One identity's CUSUM, and which of its calls somebody else made.
struct Walk<'a> {
    sums: &'a [f32],
    hostile: Vec<bool>,
}

impl<'a> Walk<'a> {
    fn of(scored: &'a Scored, labels: &Labels) -> Self {
        let windows = scored.calls.len().div_ceil(WINDOW);
        Self {
            sums: &scored.calls,
            hostile: (0..windows)
                .map(|window| labels.is_masquerade(&scored.identity, window))
                .collect(),
        }
    }

    fn is_hostile(&self, call: usize) -> bool {
        self.hostile.get(call / WINDOW).copied().unwrap_or(false)
    }

    fn benign(&self) -> usize {
        (0..self.sums.len())
            .filter(|call| !self.is_hostile(*call))
            .count()
    }
}

struct At {
    false_alarms: usize,
    caught: Caught,
}

fn at(walks: &[Walk<'_>], threshold: f64) -> At {
    let mut found = At {
        false_alarms: 0,
        caught: Caught::default(),
    };
    for walk in walks {
        let mut lowest = 0.0_f64;
        // Where the present run began, and whether it has been caught.
        let mut run: Option<(usize, bool)> = None;
        for (call, sum) in walk.sums.iter().enumerate() {
            let sum = f64::from(*sum);
            lowest = lowest.min(sum);
            let alarm = sum - lowest > threshold;
            if alarm {
                lowest = sum;
            }
            if !walk.is_hostile(call) {
                run = None;
                found.false_alarms += usize::from(alarm);
                continue;
            }
            let (began, caught) = run.get_or_insert_with(|| {
                found.caught.runs += 1;
                (call, false)
            });
            if alarm && !*caught {
                *caught = true;
                found.caught.delays.push(call - *began + 1);
            }
        }
    }
    found
}

fn median(values: &[usize]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten windows of one person, of which some belong to somebody else, with sums given by call.
    fn world(hostile: &[usize], sum: impl Fn(usize) -> f32) -> (Vec<Scored>, Labels) {
        let scored = Scored {
            identity: "u".to_owned(),
            windows: vec![0.0; 10],
            calls: (0..1_000).map(sum).collect(),
            ..Scored::default()
        };
        let labels = Labels::of([(
            "u".to_owned(),
            (0..10).map(|w| hostile.contains(&w)).collect(),
        )]);
        (vec![scored], labels)
    }

    #[test]
    fn neighbouring_windows_are_one_run_and_its_delay_counts_from_its_first_call() {
        // Windows 3 and 4 are one run, 7 another; the sum jumps at call 349 and stays low in window 7.
        let (scored, labels) = world(&[3, 4, 7], |call| {
            if (349..500).contains(&call) { 9.0 } else { 1.0 }
        });
        let caught = caught(&scored, &labels, 0.0);
        assert_eq!((caught.runs, &caught.delays), (2, &vec![50]));
        assert_eq!((caught.share(), caught.median_delay()), (0.5, Some(50.0)));
    }

    #[test]
    fn an_alarm_sets_the_sum_back_so_a_high_sum_is_one_alarm_and_not_hundreds() {
        let (scored, labels) = world(&[], |call| if call >= 500 { 10.0 } else { 0.0 });
        let walks: Vec<_> = scored.iter().map(|one| Walk::of(one, &labels)).collect();
        assert_eq!(at(&walks, 5.0).false_alarms, 1);
    }

    #[test]
    fn a_sum_restarted_at_an_alarm_is_the_sum_less_its_lowest_value_since() {
        // Up by 1 a call, alarm above 4: at 5, at 10, and after a fall to 0 at 5 again.
        let sums: Vec<f32> = (0..12).chain(0..6).map(|n: u8| f32::from(n)).collect();
        let (mut scored, labels) = world(&[], |_| 0.0);
        scored[0].calls = sums;
        let walks: Vec<_> = scored.iter().map(|one| Walk::of(one, &labels)).collect();
        assert_eq!(at(&walks, 4.0).false_alarms, 3);
    }

    #[test]
    fn a_false_alarm_too_many_raises_the_threshold_and_the_run_below_it_is_missed() {
        // The owner reaches 20 once, the other 10.
        let (scored, labels) = world(&[5], |call| match call {
            100 => 20.0,
            520 => 10.0,
            _ => 0.0,
        });
        assert_eq!(caught(&scored, &labels, 0.0).delays, Vec::<usize>::new());
        // One alarm in 900 calls is 11.1 in 10,000.
        assert_eq!(caught(&scored, &labels, 12.0).delays, vec![21]);
        assert!(level(&scored, &labels, 0.0) > 19.0);
        assert!(level(&scored, &labels, 12.0) < 10.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        assert_eq!(median(&[4, 1, 3, 2]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
