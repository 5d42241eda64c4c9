//! `lanyard seal`: the sealing key is made before a broker first starts, and can be exchanged beside one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::output::{self, Output};
use super::stored::{self, Stored};
use crate::clock::{Clock, SystemClock};
use crate::crypto::seal_ring::{self, RingStatus};
use crate::crypto::{HeldKey, RootKey, SealingRoot};
use crate::store::log;

/// `lanyard seal …`.
#[derive(Debug, Subcommand)]
pub enum SealCommand {
    /// Make a new sealing key in a file only its owner can read; back it up apart from the data
    Init {
        /// A new file, outside the data folder
        file: PathBuf,
    },
    /// Exchange the sealing key, or add a data key; nothing that is stored is encrypted anew
    Rotate(Stored<RotateArgs>),
    /// Which sealing key opens this folder, and how many data keys there are
    Status(Stored<StatusArgs>),
}

/// `lanyard seal rotate`.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RotateArgs {
    /// The new sealing key; a file that is not there is made
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Add a data key instead: what is stored after the next start is sealed under it
    #[arg(long)]
    data_key: bool,
}

/// `lanyard seal status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {}

/// Runs it.
pub fn run(command: &SealCommand, output: Output) -> Result<(), CliError> {
    match command {
        SealCommand::Init { file } => init(file, output),
        SealCommand::Rotate(command) => stored::rotate_seal(command, output),
        SealCommand::Status(command) => stored::seal_status(command, output),
    }
}

fn init(file: &Path, output: Output) -> Result<(), CliError> {
    crate::broker::no_dumps();
    SealingRoot::generate(file).map_err(|error| CliError::failed(&error))?;
    output.print(&json!({"file": file}), |_| file.display().to_string());
    output::message(format_args!(
        "set `seal.key_file` to it; without this key the log cannot be read, so keep a copy elsewhere"
    ));
    Ok(())
}

/// Exchanges the sealing key of the log in `folder`, or adds a data key.
pub(super) fn rotate(
    args: &RotateArgs,
    folder: &Path,
    current: &HeldKey,
    output: Output,
) -> Result<(), CliError> {
    // A wrong key would become the first data key of a log that it does not open.
    check(folder, current)?;
    let Some(file) = &args.to else {
        let status = seal_ring::add_data_key(folder, current, SystemClock.now())
            .map_err(|error| CliError::failed(&error))?;
        print(&status, output)?;
        output::message(format_args!(
            "a broker seals under data key {} from its next start on",
            status.newest
        ));
        return Ok(());
    };
    let new = if file.exists() {
        HeldKey::from_file(file)
    } else {
        HeldKey::generate(file)
    };
    let new = new.map_err(|error| CliError::failed(&error))?;
    let status = seal_ring::rotate(folder, current, &new, SystemClock.now())
        .map_err(|error| CliError::failed(&error))?;
    check(folder, &new)?;
    print(&status, output)?;
    output::message(format_args!(
        "next: keep a copy of `{file}` apart from the backups, set `seal.key_file` to it and restart the broker; \
         until it has started with it, both keys open everything, and then only the new one does",
        file = file.display()
    ));
    output::message(format_args!(
        "backups made before the restart still need the sealing key of now"
    ));
    Ok(())
}

/// Prints what may be known of the data keys in `folder`, if the key opens them.
pub(super) fn status(folder: &Path, key: &HeldKey, output: Output) -> Result<(), CliError> {
    check(folder, key)?;
    match seal_ring::status(folder).map_err(|error| CliError::failed(&error))? {
        Some(status) => print(&status, output),
        None => {
            let alone = json!({"sealing_key": key.id(), "next_sealing_key": null, "newest": 0, "data_keys": []});
            output.print(&alone, output::members);
            output::message(format_args!(
                "the sealing key itself is the only data key: `lanyard seal rotate --data-key` adds one of its own"
            ));
            Ok(())
        }
    }
}

fn check(folder: &Path, key: &HeldKey) -> Result<(), CliError> {
    if !log::is_begun(folder) {
        return Err(CliError::Failed(format!(
            "`{}` holds no log: start a broker first",
            folder.display()
        )));
    }
    let root = seal_ring::open(folder, key).map_err(|error| CliError::failed(&error))?;
    log::opens(folder, &root).map_err(|error| CliError::failed(&error))
}

fn print(status: &RingStatus, output: Output) -> Result<(), CliError> {
    let answer = serde_json::to_value(status).map_err(|error| CliError::failed(&error))?;
    output.print(&answer, |answer| {
        let mut lines = answer.clone();
        let keys = lines
            .as_object_mut()
            .and_then(|lines| lines.remove("data_keys"));
        let keys = keys.as_ref().and_then(|keys| keys.as_array().cloned());
        let keys = output::table(&keys.unwrap_or_default(), &["number", "made_at"]);
        format!("{}\n{keys}", output::members(&lines))
    });
    Ok(())
}
