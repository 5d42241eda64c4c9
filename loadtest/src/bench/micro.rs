//! Checks within this process.

use std::error::Error;

use super::target::{Goal, Target};
use super::{Ratio, allocations, flood, noted, refused, seen, shared};

pub(super) const COMMAND: &str = "lanyard-loadtest bench micro";

/// All of them, and which targets they tell of.
pub(super) fn measure(rounds: usize) -> Result<(Vec<Ratio>, Vec<Target>), Box<dyn Error>> {
    let mut checks = seen::measure(rounds)?;
    // Hot, ten thousand, a hundred thousand: in the order of the cases, the second algorithm's hot case left out.
    let goals = [
        (0, "P1-hot", 400.0),
        (2, "P1-10k", 45.0),
        (3, "P1-100k", 20.0),
    ];
    let mut targets: Vec<Target> = goals
        .into_iter()
        .filter_map(|(place, id, goal)| {
            let ratio = checks.get(place)?;
            Some(ratio.target(id, "x", Goal::AtLeast(goal)))
        })
        .collect();
    for (check, target) in [noted::measure(rounds)?, shared::measure(rounds)?] {
        checks.push(check);
        targets.extend(target);
    }
    let (junk, target) = refused::measure(rounds)?;
    checks.extend(junk);
    targets.extend(target);
    targets.extend(allocations::measure()?);
    targets.extend(flood::measure(rounds)?);
    Ok((checks, targets))
}

/// A table.
#[expect(clippy::print_stdout, reason = "the table is the command's answer")]
pub(super) fn print(checks: &[Ratio]) {
    println!(
        "{:<58} {:>10} {:>12} {:>26}",
        "", "ours", "baseline", "times cheaper (min/med/max)"
    );
    for ratio in checks {
        println!(
            "{:<58} {:>7.0} ns {:>9.0} ns {:>8.1} /{:>7.1} /{:>7.1}",
            ratio.name,
            ratio.ours_ns,
            ratio.baseline_ns,
            ratio.minimum,
            ratio.median,
            ratio.maximum
        );
    }
}

impl Ratio {
    fn target(&self, id: &'static str, unit: &'static str, goal: Goal) -> Target {
        Target {
            id,
            unit,
            goal,
            command: COMMAND,
            measured: self.median,
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}
