//! The paging budget: how near the share of alarms comes to what was asked for.
//!
//! One threshold for all, in time: the windows of all identities in the order of their number, so that everybody
//! drifts at once, as in a fleet. Masquerades page too: a budget governs what people are told, whoever causes it.

use std::collections::BTreeMap;

use lanyard_drift::Budget;

use super::number;
use crate::drift_eval::metrics::windows::share;
use crate::drift_eval::subject::Scored;

/// Shares of windows that may raise an alarm, in percent.
pub(in crate::drift_eval) const BUDGETS: [&str; 3] = ["1.0", "2.5", "5.0"];
/// Parts of the run, in time, that are told apart.
const QUARTERS: usize = 4;

/// What became of a budget: shares of windows that raised an alarm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::drift_eval) struct Paging {
    pub(in crate::drift_eval) realised: f64,
    /// The share in the quarter of the run that is furthest from the budget.
    pub(in crate::drift_eval) worst_quarter: f64,
}

/// One run over the windows of all for each budget.
pub(super) fn paging(scored: &[Scored]) -> BTreeMap<&'static str, Paging> {
    let scores = in_time(scored);
    let one = |name| (name, spent(&scores, number(name) / 100.0));
    BUDGETS.map(one).into()
}

/// Everybody's first window, everybody's second, and so on.
fn in_time(scored: &[Scored]) -> Vec<f64> {
    let longest = scored.iter().map(|person| person.windows.len()).max();
    (0..longest.unwrap_or(0))
        .flat_map(|window| {
            let at = move |person: &Scored| person.windows.get(window).copied();
            scored.iter().filter_map(at)
        })
        .collect()
}

fn spent(scores: &[f64], asked: f64) -> Paging {
    let mut budget = Budget::new(asked);
    let alarms: Vec<bool> = scores.iter().map(|score| budget.observe(*score)).collect();
    let realised = |alarms: &[bool]| {
        let raised = alarms.iter().filter(|alarm| **alarm).count();
        share(raised, alarms.len())
    };
    let quarters = alarms.chunks(alarms.len().div_ceil(QUARTERS).max(1));
    let far = |quarter: f64| (quarter - asked).abs();
    let worst = quarters
        .map(realised)
        .max_by(|left, right| far(*left).total_cmp(&far(*right)));
    Paging {
        realised: realised(&alarms),
        worst_quarter: worst.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(windows: Vec<f64>) -> Scored {
        Scored {
            identity: String::new(),
            windows,
            ..Scored::default()
        }
    }

    #[test]
    fn windows_of_all_identities_come_in_the_order_of_time() {
        let scored = [person(vec![1.0, 3.0, 5.0]), person(vec![2.0, 4.0])];
        assert_eq!(in_time(&scored), [1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn a_quarter_that_pages_nothing_is_the_worst() {
        // For three quarters each window is a little stranger than all before it, then all are alike.
        let rising = (0..3_000).map(f64::from);
        let scores: Vec<f64> = rising.chain(std::iter::repeat_n(0.0, 1_000)).collect();
        let paging = spent(&scores, 0.05);
        assert_eq!(paging.worst_quarter, 0.0);
        assert!(paging.realised > 0.0);
    }
}
