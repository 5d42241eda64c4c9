//! Which log `lanyard store`, `backup` and `restore` mean: the one a configuration, or a folder, names.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::backup::{self, BackupArgs, RestoreArgs};
use super::config::variables;
use super::output::Output;
use super::store::{self, StoreArgs};
use super::{CliError, config};
use crate::config::{ConfigError, Settings};
use crate::crypto::SealingRoot;

/// A command about a log on this machine's disk.
#[derive(Debug, Args)]
pub struct Stored<A: Args> {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    args: A,
}

/// Which log.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which log")]
struct Which {
    /// The broker's configuration, which names its data folder and sealing key
    #[arg(long, global = true, env = "LANYARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder [env: LANYARD_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// The sealing key; a folder of `lanyard dev` has its own [env: LANYARD_SEAL__KEY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    seal_key: Option<String>,
}

/// `lanyard store …`.
pub fn check(command: &Stored<StoreArgs>, output: Output) -> Result<(), CliError> {
    let place = command.which.place()?;
    store::run(
        &command.args,
        &place.folder,
        place.anchor_file.as_deref(),
        &place.seal()?,
        output,
    )
}

/// `lanyard backup …`.
pub fn backup(command: &Stored<BackupArgs>, output: Output) -> Result<(), CliError> {
    backup::run_backup(&command.args, &command.which.place()?.folder, output)
}

/// `lanyard restore …`.
pub fn restore(command: &Stored<RestoreArgs>, output: Output) -> Result<(), CliError> {
    let place = command.which.place()?;
    let seal = Arc::new(place.seal()?);
    backup::run_restore(
        &command.args,
        &place.folder,
        place.anchor_file.as_deref(),
        seal,
        output,
    )
}

struct Place {
    folder: PathBuf,
    anchor_file: Option<PathBuf>,
    seal_key_file: Option<PathBuf>,
}

impl Which {
    fn place(&self) -> Result<Place, CliError> {
        self.settings()
            .and_then(|settings| Place::of(&settings))
            .map_err(|error| CliError::usage(&error))
    }

    fn settings(&self) -> Result<Settings, ConfigError> {
        let flags: Vec<_> = [
            ("data_dir", &self.data_dir),
            ("seal.key_file", &self.seal_key),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
        .collect();
        let file = self.config.as_deref().map(config::read).transpose()?;
        let file = self.config.as_deref().zip(file.as_deref());
        Settings::gather(&[], file, &variables(), &flags)
    }
}

impl Place {
    fn of(settings: &Settings) -> Result<Self, ConfigError> {
        let folder = settings
            .path("data_dir")?
            .ok_or_else(|| ConfigError::required("data_dir", "say which log"))?;
        let own = Some(folder.join("seal.key")).filter(|own| own.exists());
        Ok(Self {
            anchor_file: settings.path("store.anchor_file")?,
            seal_key_file: settings.path("seal.key_file")?.or(own),
            folder,
        })
    }

    fn seal(&self) -> Result<SealingRoot, CliError> {
        let missing = || {
            ConfigError::required(
                "seal.key_file",
                "a log can only be read with its sealing key",
            )
        };
        let file = self
            .seal_key_file
            .as_deref()
            .ok_or_else(|| CliError::usage(&missing()))?;
        SealingRoot::from_file(file).map_err(|error| CliError::failed(&error))
    }
}
