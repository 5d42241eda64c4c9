//! A folder of recordings, of which any may be missing.

use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::replay::Recording;

/// The recordings that are known.
pub(super) const SCHONLAU: &str = "schonlau.csv.zst";
pub(super) const AGENTDOJO: &str = "agentdojo.csv.zst";
pub(super) const INVICTUS: &str = "cloudtrail-invictus.csv.zst";
pub(super) const STRATUS: &str = "cloudtrail-stratus.csv.zst";
pub(super) const WEBLOG: &str = "weblog-secrepo.csv.zst";
pub(super) const WEBSCAN: &str = "webscan.csv.zst";

/// Where recordings lie.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder must be there; what is in it may be incomplete.
    pub(super) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let real = path
            .canonicalize()
            .map_err(|error| format!("cannot open the folder `{}`: {error}", path.display()))?;
        if !real.is_dir() {
            return Err(format!("`{}` is no folder of recordings", path.display()).into());
        }
        Ok(Self(real))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// `None`, said aloud, when the folder has no such recording.
    pub(super) fn read(&self, file: &str) -> Result<Option<Recording>, Box<dyn Error>> {
        let path = self.0.join(file);
        if !path.exists() {
            say_missing(&format_args!("`{}`", path.display()));
            return Ok(None);
        }
        Ok(Some(Recording::open(&path)?))
    }
}

/// Says aloud what is missing.
#[expect(
    clippy::print_stderr,
    reason = "messages to people go to standard error"
)]
pub(super) fn say_missing(what: &impl Display) {
    eprintln!("missing: {what}; what is measured on it is left out");
}
