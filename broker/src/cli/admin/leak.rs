//! `lanyard leak`: what was found where it does not belong.

mod scan;

use std::io::Read;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::CliError;
use super::super::output::{self, Output};
use super::{Asks, Call, Noun, items};

/// `lanyard leak …`.
#[derive(Debug, Subcommand)]
pub enum LeakCommand {
    /// End keys and tokens that were found somewhere, and mark credentials of third parties to be exchanged
    Report {
        /// Where they are, one a line; `-` is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Where they were found, for the log
        #[arg(long, value_name = "URL")]
        found_at: Option<String>,
    },
    /// Look for API keys of Lanyard in files and folders; exit code 1 when there is one. Needs no broker
    Scan {
        /// Files and folders; links are not followed
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

/// Runs it.
pub fn run(noun: Noun<LeakCommand>, output: Output) -> Result<(), CliError> {
    match &noun.command {
        LeakCommand::Scan { paths } => scan::run(paths, output),
        LeakCommand::Report { .. } => super::run(noun, output),
    }
}

/// A little more than a broker takes.
const LONGEST: u64 = 300_000;

impl Asks for LeakCommand {
    fn call(&self) -> Result<Call, CliError> {
        let Self::Report { file, found_at } = self else {
            return Err(CliError::Usage("that asks no broker".to_owned()));
        };
        crate::broker::no_dumps();
        let mut text = Zeroizing::new(String::new());
        if file.as_os_str() == "-" {
            let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
            read.map_err(|error| CliError::cannot("read standard input", &error))?;
        } else {
            let opened = std::fs::File::open(file);
            let read = opened.and_then(|opened| opened.take(LONGEST).read_to_string(&mut text));
            read.map_err(|error| {
                CliError::cannot(format_args!("read `{}`", file.display()), &error)
            })?;
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let body = json!({"tokens": lines.collect::<Vec<_>>(), "url": found_at});
        Ok(Call::post("v1/leaks", body, words))
    }
}

fn words(answer: &Value) -> String {
    let count = |member: &str| output::shown(member, answer.get(member));
    let secrets: Vec<&str> = items(answer, "secrets")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let secrets = match secrets.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    format!(
        "keys and tokens that are ended: {}\ncredentials of third parties to be exchanged: {secrets}\nunknown: {}",
        count("ours"),
        count("unknown")
    )
}
