//! `lanyard root init`: the trust root is made before a broker first starts.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::CliError;
use super::output::{self, Output};
use crate::crypto::SealingRoot;
use crate::issue::keys::RootKeyFile;

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

/// Runs `lanyard root …`.
pub fn run(command: &RootCommand, output: Output) -> Result<(), CliError> {
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
