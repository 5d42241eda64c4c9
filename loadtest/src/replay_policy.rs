//! `lanyard-loadtest replay-policy`: recorded windows through another policy or other thresholds, without a
//! broker.
//!
//! ```text
//! lanyard drift windows --days 7 > windows.jsonl
//! lanyard-loadtest replay-policy --windows windows.jsonl --thresholds candidate.toml
//! ```
//! The same piece of code as `lanyard drift would`, over an export: for trying many candidates on another machine. Only a
//! broker's own rehearsal lets thresholds be frozen.

mod candidate;
mod table;

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use lanyard_drift::rehearsal::{RecordedWindow, Rehearsal, Rehearsing};
use serde::Serialize;

/// `lanyard-loadtest replay-policy`.
#[derive(Debug, clap::Args)]
pub struct ReplayPolicyArgs {
    /// Recorded windows, one line of JSON each, oldest first; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    windows: PathBuf,
    /// The candidate's thresholds, TOML; what is left out is the product's.
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// The kind of identity the thresholds are for; all kinds when it is not said.
    #[arg(long, requires = "thresholds")]
    kind: Option<String>,
    /// The candidate's table, caps and numbers of the ladder, TOML; what is left out is the product's.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Statistics are written down only, as in observe mode; without it they act.
    #[arg(long)]
    observe: bool,
    /// Prints JSON in place of the table.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Replayed {
    /// Lines that are no windows, or windows of a later release.
    unread: u64,
    rehearsal: Rehearsal,
}

/// Rehearses, and prints.
pub fn run(args: &ReplayPolicyArgs) -> Result<(), Box<dyn Error>> {
    let candidate = candidate::read(args)?;
    let mut rehearsing = Rehearsing::of(&candidate);
    let mut unread = 0;
    for line in open(&args.windows)?.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<RecordedWindow>(&line) {
            Ok(window) => rehearsing.take(&window),
            Err(_) => unread += 1,
        }
    }
    let replayed = Replayed {
        unread,
        rehearsal: rehearsing.end(),
    };
    if replayed.rehearsal.windows == 0 {
        return Err(format!(
            "there are no recorded windows in `{}`",
            args.windows.display()
        )
        .into());
    }
    let text = if args.json {
        serde_json::to_string_pretty(&replayed)?
    } else {
        table::of(&replayed)
    };
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        // A reader that went away is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let opened =
        File::open(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}
