//! `lanyard seal init` and `lanyard root init`: keys are made before a broker first starts.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::CliError;
use super::output::{self, Output};
use crate::crypto::SealingRoot;
use crate::issue::keys::RootKeyFile;

/// `lanyard seal …`.
#[derive(Debug, Subcommand)]
pub enum SealCommand {
    /// Make a new sealing key in a file only its owner can read; back it up apart from the data
    Init {
        /// A new file, outside the data folder
        file: PathBuf,
    },
}

/// `lanyard root …`.
#[derive(Debug, Subcommand)]
pub enum RootCommand {
    /// Make a new root key and print its public half, which gateways pin
    Init {
        /// A new file
        file: PathBuf,
        /// Encrypt it under this sealing key
        #[arg(long, value_name = "FILE")]
        seal_key: Option<PathBuf>,
    },
}

/// Runs `lanyard seal …`.
pub fn seal(command: &SealCommand, output: Output) -> Result<(), CliError> {
    let SealCommand::Init { file } = command;
    SealingRoot::generate(file).map_err(|error| CliError::failed(&error))?;
    output.print(&json!({"file": file}), |_| file.display().to_string());
    output::message(format_args!(
        "set `seal.key_file` to it; without this key the log cannot be read, so keep a copy elsewhere"
    ));
    Ok(())
}

/// Runs `lanyard root …`.
pub fn root(command: &RootCommand, output: Output) -> Result<(), CliError> {
    let RootCommand::Init { file, seal_key } = command;
    let seal = seal_key
        .as_deref()
        .map(SealingRoot::from_file)
        .transpose()
        .map_err(|error| CliError::failed(&error))?;
    let signer = RootKeyFile::at(file)
        .generate(seal.as_ref())
        .map_err(|error| CliError::failed(&error))?;
    let public = signer.public().to_string();
    output.print(&json!({"file": file, "root": public}), |_| public.clone());
    output::message(format_args!(
        "set `trust.root_key_file` to `{}`",
        file.display()
    ));
    Ok(())
}
