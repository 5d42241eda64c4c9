//! Checks within this process.

use std::error::Error;

use super::target::{Goal, Target};
use super::{Findings, Ratio, allocations, flood, guard, noted, refused, seen, shared};
use crate::progress::Progress;

pub(super) const COMMAND: &str = "lanyard-loadtest bench micro";

/// All of them, and what they tell of targets.
pub(super) async fn measure(rounds: usize) -> Result<(Vec<Ratio>, Findings), Box<dyn Error>> {
    // Seen tokens, and six more: observed, on two threads, junk, allocations, floods, instructions.
    let bar = Progress::of(seen::CASES.len() + 6);
    let mut findings = Findings::default();
    let mut checks = seen::measure(rounds, &bar)?;
    // Hot, ten thousand, a hundred thousand: in the order of the cases, the second algorithm's hot case left out.
    let goals = [
        (0, "P1-hot", 400.0),
        (2, "P1-10k", 45.0),
        (3, "P1-100k", 20.0),
    ];
    let told = goals.into_iter().filter_map(|(place, id, goal)| {
        let ratio = checks.get(place)?;
        Some(ratio.target(id, "x", Goal::AtLeast(goal)))
    });
    findings.add(told);
    bar.begin("a seen token observed");
    let (check, target) = noted::measure(rounds)?;
    checks.push(check);
    findings.add(target);
    bar.done();
    bar.begin("a seen token on two threads");
    let (check, target) = shared::measure(rounds)?;
    checks.push(check);
    findings.add(target);
    bar.done();
    bar.begin("junk");
    let (junk, target) = refused::measure(rounds)?;
    checks.extend(junk);
    findings.add(target);
    bar.done();
    bar.begin("allocations");
    allocations::measure(&mut findings).await?;
    bar.done();
    bar.begin("floods");
    findings.add(flood::measure(rounds)?);
    bar.done();
    bar.begin("instructions");
    guard::measure(&mut findings).await?;
    bar.done();
    Ok((checks, findings))
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
    /// A line of a Markdown table.
    pub(super) fn row(&self) -> String {
        format!(
            "| {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            self.name, self.ours_ns, self.baseline_ns, self.minimum, self.median, self.maximum
        )
    }

    fn target(&self, id: &'static str, unit: &'static str, goal: Goal) -> Target {
        Target {
            id,
            unit,
            goal,
            command: COMMAND.into(),
            measured: self.median,
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}
