//! `lanyard-guard`: how many instructions the paths take that must stay short, beside what they took when somebody
//! last agreed to it.
//!
//! It counts instructions, as valgrind's callgrind simulates them, and no time: a count is the same on a busy machine
//! and on an idle one, so a growth of a twentieth is a fact and no noise. What it misses: caches, branches, locks that
//! two threads wait for, and the disk. `lanyard-loadtest bench` measures those, beside others in the same run, and
//! asserts nothing.
#![forbid(unsafe_code)]

mod baseline;
mod callgrind;
mod cases;
mod figure;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use baseline::{Baseline, Judgement};
use figure::Figure;

/// Counts the instructions of the paths that must stay short, and fails when one grew by more than a twentieth.
#[derive(Parser)]
#[command(name = "lanyard-guard", version, about)]
struct Arguments {
    /// What was agreed to.
    #[arg(long, default_value = "loadtest/guard/instructions.toml")]
    baseline: PathBuf,
    /// Agrees to what is measured now: the difference of the file is what reviewers read.
    #[arg(long)]
    update: bool,
    /// Writes the counts, and the targets that they tell of, as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What valgrind runs.
    #[arg(long, hide = true)]
    play: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    compiler: &'a str,
    figures: &'a [Figure],
    targets: Vec<figure::Target>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.play {
        true => cases::play().map(|()| true),
        false => measure(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            explain(&*error);
            ExitCode::from(2)
        }
    }
}

/// Whether nothing grew.
#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
fn measure(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let counts = callgrind::count(&std::env::current_exe()?)?;
    let figures = figure::all(&counts)?;
    let compiler = baseline::compiler()?;
    if let Some(file) = &arguments.json {
        let report = Report {
            compiler: &compiler,
            figures: &figures,
            targets: figure::targets(&counts)?,
        };
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    if arguments.update {
        Baseline::agreed(&compiler, &figures).write(&arguments.baseline)?;
    }
    let judgement = Baseline::read(&arguments.baseline)?.judge(&compiler, &figures);
    println!("{judgement}");
    for target in figure::targets(&counts)? {
        println!("{target}");
    }
    Ok(match &judgement {
        Judgement::Compared(rows) => rows.iter().all(|row| !row.has_grown()),
        // Nobody has looked at what this compiler makes of it: in CI that is a failure, as everything that could not
        // be tested is.
        Judgement::OtherCompiler { .. } => !std::env::var("CI").is_ok_and(|value| value == "true"),
    })
}

#[expect(
    clippy::print_stderr,
    reason = "messages to people go to standard error"
)]
fn explain(error: &dyn Error) {
    eprint!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}
