//! Which log `lanyard store`, `backup`, `restore`, `seal` and `policy requests` mean: the one a configuration, or a
//! folder, names.

use std::path::{Path, PathBuf};

use clap::Args;

use super::backup::{self, BackupArgs, RestoreArgs};
use super::config::variables;
use super::output::{self, Output};
use super::policy::requests::{self, RequestsArgs};
use super::seal::{self, RotateArgs, StatusArgs};
use super::store::{self, StoreArgs};
use super::{CliError, config};
use crate::broker::{no_dumps, read_sealing_key};
use crate::config::{ConfigError, SealKey, Settings};
use crate::crypto::{HeldKey, SealingRoot, seal_ring};

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
    let place = command.which.gather();
    let folder = place.map_err(|error| CliError::usage(&error))?.folder;
    backup::run_backup(&command.args, &folder, output)
}

/// `lanyard policy requests`.
pub fn requests(command: &Stored<RequestsArgs>) -> Result<(), CliError> {
    let place = command.which.place()?;
    requests::run(&command.args, &place.folder, &place.seal()?)
}

/// `lanyard restore …`.
pub fn restore(command: &Stored<RestoreArgs>, output: Output) -> Result<(), CliError> {
    let place = command.which.place()?;
    let key = place.sealing_key()?;
    backup::run_restore(
        &command.args,
        &place.folder,
        place.anchor_file.as_deref(),
        &key,
        output,
    )
}

/// `lanyard seal rotate`.
pub fn rotate_seal(command: &Stored<RotateArgs>, output: Output) -> Result<(), CliError> {
    let place = command.which.place()?;
    seal::rotate(&command.args, &place.folder, &place.sealing_key()?, output)
}

/// `lanyard seal status`.
pub fn seal_status(command: &Stored<StatusArgs>, output: Output) -> Result<(), CliError> {
    let place = command.which.place()?;
    seal::status(&place.folder, &place.sealing_key()?, output)
}

struct Place {
    folder: PathBuf,
    /// The folder of the broker whose anchor that is.
    anchored_folder: PathBuf,
    anchor_file: Option<PathBuf>,
    seal_key: Option<SealKey>,
}

impl Which {
    fn place(&self) -> Result<Place, CliError> {
        let mut place = self.gather().map_err(|error| CliError::usage(&error))?;
        if let Some((anchor, other)) = place.leave_foreign_anchor() {
            output::message(format_args!(
                "the anchor `{}` is that of `{}`, not of `{}`: it is neither compared nor changed",
                anchor.display(),
                other.display(),
                place.folder.display()
            ));
        }
        Ok(place)
    }

    fn gather(&self) -> Result<Place, ConfigError> {
        let file = self.config.as_deref().map(config::read).transpose()?;
        let file = self.config.as_deref().zip(file.as_deref());
        Place::of(file, &variables(), &self.flags())
    }

    fn flags(&self) -> Vec<(&'static str, String)> {
        [
            ("data_dir", &self.data_dir),
            ("seal.key_file", &self.seal_key),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
        .collect()
    }
}

impl Place {
    /// A folder that is named for this once, by a flag or over the file's own, is not the one the
    /// configured anchor belongs to: `restore` into it would move on the anchor of a broker that runs.
    fn of(
        file: Option<(&Path, &str)>,
        variables: &[(String, String)],
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let settings = Settings::gather(&[], file, variables, flags)?;
        let in_file = Settings::gather(&[], file, &[], &[])?;
        let lasting = Settings::gather(&[], file, variables, &[])?;
        let named_together = in_file.said("data_dir").is_some()
            && in_file.text("store.anchor_file") == settings.text("store.anchor_file");
        let folder_of = |settings: &Settings| {
            settings
                .path("data_dir")?
                .ok_or_else(|| ConfigError::required("data_dir", "say which log"))
        };
        let folder = folder_of(&settings)?;
        let anchored_folder = folder_of(if named_together { &in_file } else { &lasting })?;
        let own = Some(folder.join("seal.key")).filter(|own| own.exists());
        Ok(Self {
            anchor_file: settings.path("store.anchor_file")?,
            seal_key: SealKey::said(&settings)?.or(own.map(SealKey::File)),
            anchored_folder,
            folder,
        })
    }

    /// Forgets an anchor of another folder; returns both.
    fn leave_foreign_anchor(&mut self) -> Option<(PathBuf, PathBuf)> {
        let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        let same = match (real(&self.folder), real(&self.anchored_folder)) {
            (Ok(folder), Ok(anchored)) => folder == anchored,
            _ => self.folder == self.anchored_folder,
        };
        (!same)
            .then(|| self.anchor_file.take())
            .flatten()
            .map(|anchor| (anchor, self.anchored_folder.clone()))
    }

    fn seal(&self) -> Result<SealingRoot, CliError> {
        seal_ring::open(&self.folder, &self.sealing_key()?)
            .map_err(|error| CliError::failed(&error))
    }

    fn sealing_key(&self) -> Result<HeldKey, CliError> {
        let missing = || {
            ConfigError::required(
                "seal.key_file",
                "a log can only be read with its sealing key",
            )
        };
        no_dumps();
        let source = self
            .seal_key
            .as_ref()
            .ok_or_else(|| CliError::usage(&missing()))?;
        read_sealing_key(source).map_err(|error| CliError::failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "data_dir = \"/live\"\n[store]\nanchor_file = \"/elsewhere/anchor\"";

    fn anchor(file: &str, variables: &[(&str, &str)], folder: Option<&str>) -> Option<PathBuf> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let flags: Vec<_> = folder
            .map(|folder| ("data_dir", folder.to_owned()))
            .into_iter()
            .collect();
        let file = Some((Path::new("lanyard.toml"), file));
        let mut place = Place::of(file, &variables, &flags).unwrap();
        place.leave_foreign_anchor();
        place.anchor_file
    }

    #[test]
    fn an_anchor_is_only_used_for_the_folder_it_is_configured_with() {
        let used = Some(PathBuf::from("/elsewhere/anchor"));
        assert_eq!(anchor(FILE, &[], None), used);
        assert_eq!(anchor(FILE, &[], Some("/live")), used);
        assert_eq!(anchor(FILE, &[], Some("/rehearsal")), None);
        let other = [("LANYARD_DATA_DIR", "/rehearsal")];
        assert_eq!(anchor(FILE, &other, None), None);
    }

    #[test]
    fn variables_that_name_folder_and_anchor_belong_together_and_a_flag_does_not() {
        let used = Some(PathBuf::from("/elsewhere/anchor"));
        let both = [
            ("LANYARD_DATA_DIR", "/live"),
            ("LANYARD_STORE__ANCHOR_FILE", "/elsewhere/anchor"),
        ];
        assert_eq!(anchor("", &both, None), used);
        assert_eq!(anchor("", &both, Some("/rehearsal")), None);
        let only_anchor = "[store]\nanchor_file = \"/elsewhere/anchor\"";
        assert_eq!(anchor(only_anchor, &both[..1], None), used);
    }
}
