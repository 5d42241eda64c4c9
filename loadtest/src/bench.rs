//! What a check costs, as a ratio to a baseline measured in the same run.
//!
//! Machines are shared and noisy, so an absolute time says little. What counts is the thread's own processor time, not
//! the time that others had the processor; the two sides take turns in short rounds, and each round gives one ratio;
//! the report shows the lowest, the median and the highest of them.

mod absent;
mod allocations;
mod asked;
mod broker;
mod curve;
mod flood;
mod gateway;
mod guard;
mod memory;
mod micro;
mod noted;
mod refused;
mod report;
mod revocation;
mod seen;
mod shared;
mod target;
mod turns;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use allocations::SeenPath;

use crate::broker::BrokerArgs;
use crate::load::machine_load;
use crate::writable;
use absent::Absent;
use curve::Curve;
use report::Report;
use target::Target;
use turns::Turns;

/// `lanyard-loadtest bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, default_value = "micro")]
    what: What,
    /// Rounds of each case; default: 60 short ones for `micro`, 5 of a second for servers.
    #[arg(long)]
    rounds: Option<NonZeroUsize>,
    /// Connections to a server.
    #[arg(long, default_value = "16")]
    connections: NonZeroUsize,
    /// Tokens that are tracked, and that a restarted broker had issued. A million is what is asked for; it takes
    /// minutes and gigabytes.
    #[arg(long, default_value = "100000")]
    tokens: NonZeroUsize,
    /// Nodes of the storm of revocations.
    #[arg(long, default_value = "1000000")]
    nodes: NonZeroUsize,
    /// Writes the figures as JSON as well: every target that is asked for, measured or not.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes pictures and `report.md` into this folder.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// A check in this process, beside `jsonwebtoken`.
    Micro,
    /// A whole service behind the gateway layer, beside other gateways.
    Gateway,
    /// The token endpoint, beside other issuers.
    Broker,
    /// How soon what is revoked is refused everywhere.
    Revocation,
    /// What it takes to remember tokens, and to start again with them.
    Memory,
    /// All of them.
    All,
}

impl What {
    fn includes(self, part: Self) -> bool {
        self == part || self == Self::All
    }

    /// As the command line has it.
    const fn word(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Gateway => "gateway",
            Self::Broker => "broker",
            Self::Revocation => "revocation",
            Self::Memory => "memory",
            Self::All => "all",
        }
    }
}

/// What a part found out.
#[derive(Debug, Default)]
struct Findings {
    targets: Vec<Target>,
    curves: Vec<Curve>,
    notes: Vec<String>,
    missing: Vec<Absent>,
}

impl Findings {
    fn add(&mut self, target: impl IntoIterator<Item = Target>) {
        self.targets.extend(target);
    }

    /// Something that whoever reads the figures must know, when it is so.
    fn note(&mut self, so: bool, words: String) {
        if so {
            self.notes.push(words);
        }
    }
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

/// Runs the benchmarks and prints tables.
#[expect(clippy::print_stdout, reason = "the tables are this command's answer")]
pub async fn run(args: &BenchArgs) -> Result<(), Box<dyn Error>> {
    if let Some(file) = &args.json {
        writable::check_file(file)?;
    }
    if let Some(folder) = &args.svg {
        writable::check_folder(folder)?;
    }
    if cfg!(debug_assertions) {
        println!("note: this is a debug build; figures of a release build differ");
    }
    let mut report = Report {
        machine_load: machine_load(),
        ..Report::default()
    };
    if let Some(load) = report.machine_load {
        println!("note: {load} threads wanted to run on this machine when it began");
    }
    let whole = args.rounds.map_or(5, NonZeroUsize::get);
    // First, before anything else has used memory.
    if args.what.includes(What::Memory) {
        let found = memory::measure(&args.broker, whole, args.tokens.get()).await;
        report.part(What::Memory, found, Report::add);
    }
    if args.what.includes(What::Micro) {
        let rounds = args.rounds.map_or(60, NonZeroUsize::get).max(3);
        let found = micro::measure(rounds).await;
        report.part(What::Micro, found, |report, (checks, findings)| {
            micro::print(&checks);
            report.checks = checks;
            report.add(findings);
        });
    }
    let turns = Turns {
        rounds: whole,
        lasting: Duration::from_secs(1),
        connections: args.connections.get(),
    };
    if args.what.includes(What::Gateway) {
        let found = gateway::measure(&args.broker, turns).await;
        report.part(What::Gateway, found, Report::add_servers);
    }
    if args.what.includes(What::Broker) {
        let found = broker::measure(&args.broker, turns).await;
        report.part(What::Broker, found, Report::add_servers);
    }
    if args.what.includes(What::Revocation) {
        let mut findings = Findings::default();
        let nodes = args.nodes.get();
        let found = revocation::measure(&args.broker, whole, nodes, &mut findings).await;
        report.add(findings);
        report.part(What::Revocation, found, |_, ()| {});
    }
    println!();
    for why in &report.missing {
        println!("missing: {why}");
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    for target in &report.targets {
        println!("{target}");
    }
    if let Some(file) = &args.json {
        report.write_json(args.what, file)?;
    }
    if let Some(folder) = &args.svg {
        report.write_pictures(args.what, folder)?;
    }
    match report.broken.as_slice() {
        [] => Ok(()),
        broken => Err(broken.join("; ").into()),
    }
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
