//! How well right-sizing does: a simulated fleet, tightened on twenty days and tried on the ten after them.
//! `lanyard-loadtest fleet-rights`.
//!
//! ```text
//! fleet ─► identities.toml, requests.jsonl ─► lanyard policy tighten (days 1-20) ─► patch -p1
//!    └─ what is really needed ─► scores ◄─ lanyard policy diff --registrations (days 21-30) ◄─┘
//! ```
//! The program is the real one, over files, as a user would use it; what the fleet really needs is for scoring alone.
//! **Misses**: a client whose token is refused would make none of its calls; here the calls of the same day that need
//! other scopes still count as good, so of calls the figure is a lower bound. That of tokens is exact.

mod days;
mod fleet;
mod score;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::Value;

use crate::broker::beside_this_program;
use crate::world::random::Random;
use fleet::Fleet;
use score::Score;

/// Days that are looked at.
const LOOKED_AT: u32 = 20;
const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");
const REGISTERED: &str = include_str!("../../policies/registered/policy.cedar");

/// `lanyard-loadtest fleet-rights`.
#[derive(Debug, clap::Args)]
pub struct FleetRightsArgs {
    /// Identities of a fleet.
    #[arg(long, default_value_t = 400)]
    identities: usize,
    /// Fleets, each with a seed of its own from 1 on.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// The share of roles that get a release in the last ten days which begins to use what was granted all along.
    #[arg(long, default_value_t = 0.01)]
    releases: f64,
    /// The `lanyard` program; default: beside this program, else on the PATH.
    #[arg(long, env = "LANYARD_PROGRAM")]
    lanyard: Option<PathBuf>,
    /// Keeps the files of the last fleet in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome<'o> {
    identities: usize,
    releases: f64,
    fleets: &'o [Score],
}

/// Runs it and prints what came of it.
#[expect(clippy::print_stdout, reason = "the figures are this command's answer")]
pub fn run(args: &FleetRightsArgs) -> Result<(), Box<dyn Error>> {
    let lanyard = args.lanyard.clone().unwrap_or_else(beside_this_program);
    // It is started in the folder of the fleet's files; a bare name is looked for on the PATH.
    let lanyard = if lanyard.exists() {
        std::path::absolute(lanyard)?
    } else {
        lanyard
    };
    let mut scores = Vec::new();
    for seed in 1..=args.seeds {
        let temporary = tempfile::tempdir()?;
        let folder = args.keep.as_deref().unwrap_or(temporary.path());
        scores.push(tightened(args, &lanyard, folder, seed)?);
    }
    if args.json {
        let outcome = Outcome {
            identities: args.identities,
            releases: args.releases,
            fleets: &scores,
        };
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{}", score::table(&scores));
    }
    Ok(())
}

/// One fleet, from its first day to its score.
fn tightened(
    args: &FleetRightsArgs,
    lanyard: &Path,
    folder: &Path,
    seed: u64,
) -> Result<Score, Box<dyn Error>> {
    let fleet = Fleet::drawn(args.identities, args.releases, &mut Random::seeded(seed, 1));
    let requests = days::recorded(&fleet, &mut Random::seeded(seed, 2));
    let cut = days::time(LOOKED_AT).date().to_string();
    let (early, late): (Vec<&str>, Vec<&str>) =
        requests.lines().partition(|line| is_before(line, &cut));
    std::fs::create_dir_all(folder.join("policies/registered"))?;
    for (file, text) in [
        ("identities.toml", days::registrations(&fleet).as_str()),
        // Only these are there when the patch is made.
        ("requests.jsonl", early.join("\n").as_str()),
        ("later.jsonl", late.join("\n").as_str()),
        ("policies/schema.cedarschema", SCHEMA),
        ("policies/registered/policy.cedar", REGISTERED),
    ] {
        std::fs::write(folder.join(file), text)?;
    }
    let days = LOOKED_AT.to_string();
    let tighten = [
        "policy",
        "tighten",
        "--file",
        "identities.toml",
        "--bundle",
        "policies",
        "--requests",
        "requests.jsonl",
        "--days",
        &days,
        "--until",
        &cut,
        "--out",
        "tighten.patch",
        "--json",
    ];
    let told = ask(lanyard, folder, &tighten, &[0])?;
    patch(folder)?;
    let diff = [
        "policy",
        "diff",
        "policies",
        "policies",
        "--requests",
        "later.jsonl",
        "--registrations",
        "identities.toml",
        "--json",
    ];
    // 1: something would come out otherwise.
    let changed = ask(lanyard, folder, &diff, &[0, 1])?;
    Ok(Score::of(seed, &fleet, (&told, &changed), &late))
}

/// Lines are sorted by their time, which stands in each of them once.
fn is_before(line: &str, cut: &str) -> bool {
    let value: Option<Value> = serde_json::from_str(line).ok();
    let time = value
        .as_ref()
        .and_then(|line| line.pointer("/request/time"));
    time.and_then(Value::as_str).is_some_and(|time| time < cut)
}

fn ask(
    lanyard: &Path,
    folder: &Path,
    arguments: &[&str],
    good: &[i32],
) -> Result<Value, Box<dyn Error>> {
    let ran = Command::new(lanyard)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", lanyard.display()))?;
    if !ran.status.code().is_some_and(|code| good.contains(&code)) {
        return Err(String::from_utf8_lossy(&ran.stderr)
            .trim()
            .to_owned()
            .into());
    }
    Ok(serde_json::from_slice(&ran.stdout)?)
}

/// As a person would who agrees with every line.
fn patch(folder: &Path) -> Result<(), Box<dyn Error>> {
    let ran = Command::new("patch")
        .args(["-p1", "--input", "tighten.patch"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `patch`: {error}"))?;
    if ran.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&ran.stdout).into_owned().into())
    }
}
