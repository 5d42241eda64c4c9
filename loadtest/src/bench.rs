//! What a check costs, as a ratio to a baseline measured in the same run.
//!
//! Machines are shared and noisy, so an absolute time says little. What counts is the thread's own processor time, not
//! the time that others had the processor; the two sides take turns in short rounds, and each round gives one ratio;
//! the report shows the lowest, the median and the highest of them.

mod noted;
mod seen;
mod shared;

use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;

/// `lanyard-loadtest bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Rounds of each case.
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Writes the figures as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How much cheaper ours is than the baseline.
#[derive(Debug, Serialize)]
struct Ratio {
    name: String,
    ours_ns: f64,
    baseline_ns: f64,
    minimum: f64,
    median: f64,
    maximum: f64,
}

/// Runs the benchmarks and prints a table.
#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
pub fn run(args: &BenchArgs) -> Result<(), Box<dyn Error>> {
    if cfg!(debug_assertions) {
        println!("note: this is a debug build; figures of a release build differ");
    }
    let rounds = args.rounds.max(3);
    let mut ratios = seen::measure(rounds)?;
    ratios.push(noted::measure(rounds)?);
    ratios.push(shared::measure(rounds)?);
    println!(
        "{:<58} {:>10} {:>12} {:>26}",
        "", "ours", "baseline", "times cheaper (min/med/max)"
    );
    for ratio in &ratios {
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
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&ratios)?)?;
    }
    Ok(())
}

impl Ratio {
    /// From nanoseconds an operation, one pair a round.
    fn of(name: String, rounds: &[(f64, f64)]) -> Self {
        let sorted = |pick: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let middle = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        let ratios = sorted(|(ours, baseline)| baseline / ours);
        Self {
            name,
            ours_ns: middle(&sorted(|(ours, _)| *ours)),
            baseline_ns: middle(&sorted(|(_, baseline)| *baseline)),
            minimum: ratios.first().copied().unwrap_or(f64::NAN),
            median: middle(&ratios),
            maximum: ratios.last().copied().unwrap_or(f64::NAN),
        }
    }
}

/// Processor time that this thread has used so far, in nanoseconds.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_formed_in_each_round_and_then_ordered() {
        let ratio = Ratio::of("x".to_owned(), &[(1.0, 100.0), (2.0, 100.0), (1.0, 300.0)]);
        assert_eq!(
            (ratio.minimum, ratio.median, ratio.maximum),
            (50.0, 100.0, 300.0)
        );
        assert_eq!((ratio.ours_ns, ratio.baseline_ns), (1.0, 100.0));
    }
}
