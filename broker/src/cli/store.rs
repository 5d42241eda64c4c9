//! `lanyard store check`.

use std::path::Path;

use clap::{Args, Subcommand};

use super::CliError;
use super::output::{self, Output};
use crate::crypto::SealingRoot;
use crate::store::check::{CheckReport, check};

/// Look after the log on disk.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum StoreCommand {
    /// Read the whole log and say whether it is what was written; changes nothing
    Check,
}

/// Runs the command on the log in `folder`.
pub fn run(
    args: &StoreArgs,
    folder: &Path,
    anchor_file: Option<&Path>,
    root: &SealingRoot,
    output: Output,
) -> Result<(), CliError> {
    let StoreCommand::Check = args.command;
    let report = check(folder, anchor_file, root).map_err(|error| CliError::failed(&error))?;
    let json = serde_json::to_value(&report).map_err(|error| CliError::failed(&error))?;
    output.print(&json, output::members);
    verdict(&report)
}

fn verdict(report: &CheckReport) -> Result<(), CliError> {
    match &report.damage {
        None => Ok(()),
        Some(damage) => Err(CliError::Failed(format!(
            "the log is damaged: {damage}; keep a copy of the folder, then put a backup in place with `lanyard restore DIR`"
        ))),
    }
}
