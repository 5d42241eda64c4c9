//! `lanyard-loadtest`: recorded traffic through the live loop, and measurements beside a baseline.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lanyard_loadtest::{
    bench, drift_eval, drift_sim, ended, fleet_rights, golden, replay, replay_policy, run, server,
};

/// Replays and measurements for Lanyard. Traffic goes to loopback only.
#[derive(Parser)]
#[command(name = "lanyard-loadtest", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Recorded traffic as real requests, through a gateway, with a live broker judging it.
    Replay(replay::ReplayArgs),
    /// What a check costs, beside a baseline in the same run.
    Bench(bench::BenchArgs),
    /// What good callers notice while something happens: storms, floods, outages.
    Run(run::RunArgs),
    /// How well drift is recognised in recorded behaviour whose outcome is known.
    DriftEval(drift_eval::DriftEvalArgs),
    /// A simulated fleet with thieves in it: who is caught, how soon, and what honest callers lose.
    DriftSim(drift_sim::DriftSimArgs),
    /// How well right-sizing does: a simulated fleet, tightened on twenty days and tried on the ten after them.
    FleetRights(fleet_rights::FleetRightsArgs),
    /// Whether an issued token is ever taken for a forged one while brokers are killed.
    Golden(golden::GoldenArgs),
    /// What another policy or other thresholds would have done about recorded windows.
    ReplayPolicy(replay_policy::ReplayPolicyArgs),
    /// A server to compare with, for the benchmarks.
    #[command(hide = true)]
    Serve(server::ServeArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A program may choose the process-wide TLS provider; a library may not. It fails only if chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match arguments.command {
        Command::Replay(args) => ended::unless_ended(replay::run(&args)),
        Command::Bench(args) => ended::unless_ended(bench::run(&args)),
        Command::Run(args) => ended::unless_ended(run::run(&args)),
        Command::DriftEval(args) => drift_eval::run(&args).map(success),
        Command::DriftSim(args) => drift_sim::run(&args).map(success),
        Command::FleetRights(args) => fleet_rights::run(&args).map(success),
        Command::Golden(args) => ended::unless_ended(golden::run(&args)),
        Command::ReplayPolicy(args) => replay_policy::run(&args).map(success),
        Command::Serve(args) => server::run(&args).map(success),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            explain(&*error);
            ExitCode::FAILURE
        }
    }
}

const fn success(_done: ()) -> ExitCode {
    ExitCode::SUCCESS
}

#[expect(
    clippy::print_stderr,
    reason = "messages to people go to standard error"
)]
fn explain(error: &dyn std::error::Error) {
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}
