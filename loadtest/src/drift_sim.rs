//! A simulated fleet with thieves in it, in one process: `lanyard-loadtest drift-sim`.
//!
//! ```text
//! world ─► token ─► gateway: tracker ─report─► office: desk ─► ladder ─► tokens and credentials end
//! attackers ─┘                                                                │
//!     └──────────────── score: noticed when, taken how much ◄────────────────┘
//! ```
//! The engine's own trackers, desk and ladder, with enforcement on; no HTTP. Nine days are learned, with no word
//! about who is honest, then one attacker of each class begins. The score is kept beside: nothing that decides
//! sees who is an attacker. What honest callers lose is counted from their first call on, cold start included.
//!
//! Seeds from 1,000 on are for reporting, smaller ones for choosing; see [`crate::world`].

mod books;
mod gateways;
mod ledger;
mod office;
mod stage;
mod statistics;
mod summary;
mod table;
mod trial;

use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::attacker::cast;
use crate::world::calendar::midnight;
use crate::world::{FIRST_REPORTED_SEED, Fleet, World};
use stage::Stage;
use summary::{Gathered, Summary};

/// Days before the first attack: a whole week and two days of the next.
const LEARNING: u64 = 9;
/// Honest calls between two looks at the progress bar.
const STEP: u64 = 10_000;
/// Days of a world whose length is given in calls.
const LONGEST: u64 = 400;

/// `lanyard-loadtest drift-sim`.
#[derive(Debug, clap::Args)]
pub struct DriftSimArgs {
    /// Days of each world; attacks begin on the tenth, or on the last but two of a shorter one.
    #[arg(long, default_value_t = 13)]
    days: u64,
    /// The first seed.
    #[arg(long, default_value_t = FIRST_REPORTED_SEED)]
    seed: u64,
    /// So many worlds, with this seed and those after it.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// No attackers and a larger fleet: what honest callers suffer.
    #[arg(long)]
    benign_only: bool,
    /// Gateways without their fast detector: what it adds is the difference.
    #[arg(long)]
    without_fast_detector: bool,
    /// At most so many honest calls in each world; with `--benign-only` days do not end it before.
    #[arg(long)]
    calls: Option<u64>,
    /// Worlds at a time; as many as there are processors if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Plays the worlds and prints what came of them.
#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
pub fn run(args: &DriftSimArgs) -> Result<(), Box<dyn Error>> {
    let summary = simulate(args)?;
    print!("{}", table::table(&summary));
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&summary)?)?;
    }
    Ok(())
}

fn simulate(args: &DriftSimArgs) -> Result<Summary, Box<dyn Error>> {
    let seeds: Vec<u64> = (args.seed..args.seed.saturating_add(args.seeds.max(1))).collect();
    let processors = std::thread::available_parallelism()?.get();
    let threads = args.threads.unwrap_or(processors).clamp(1, seeds.len());
    let bar = progress(args, seeds.len() as u64);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let stage = play(args, *seed, &bar);
                    let deployments = stage.world().deployments();
                    // A poisoned lock means that another world panicked, which the scope tells.
                    if let Ok(mut played) = played.lock() {
                        played.push((*seed, stage.trials, stage.ledger, deployments));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut played = played.into_inner().unwrap_or_default();
    played.sort_by_key(|(seed, ..)| *seed);
    let mut gathered = Gathered::default();
    for (_, trials, ledger, deployments) in played {
        gathered.add(trials, &ledger, deployments);
    }
    Ok(gathered.summary(seeds, args.days, began.elapsed().as_secs_f64()))
}

fn play(args: &DriftSimArgs, seed: u64, bar: &ProgressBar) -> Stage {
    let (fleet, days) = if args.benign_only {
        let days = if args.calls.is_some() {
            LONGEST
        } else {
            args.days
        };
        (Fleet::LARGE, days)
    } else {
        (Fleet::SMALL, args.days)
    };
    let world = World::new(seed, &fleet, days);
    let attacks = if args.benign_only {
        Vec::new()
    } else {
        let learning = LEARNING.min(days.saturating_sub(3));
        cast(&world, seed, midnight(learning))
    };
    let mut stage = Stage::new(world, attacks, !args.without_fast_detector);
    let mut left = args.calls.unwrap_or(u64::MAX);
    while left > 0 && stage.play(STEP.min(left)) {
        left = left.saturating_sub(STEP);
        bar.inc(STEP);
    }
    stage
}

/// On standard error, and only if somebody is looking.
fn progress(args: &DriftSimArgs, worlds: u64) -> ProgressBar {
    let each = args.calls.unwrap_or(CALLS_PER_DAY * args.days);
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(each * worlds), target);
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} calls, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Honest calls of a small fleet on an average day, for the progress bar.
const CALLS_PER_DAY: u64 = 120_000;
