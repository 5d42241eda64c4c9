//! The policies in force, which can be exchanged while decisions are made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::broken::Broken;
use super::bundle::Bundle;

/// The bundle in force, and where the next one is read from.
///
/// A decision takes the bundle once and keeps it to its end; exchanging it waits for nobody and nobody waits for it.
#[derive(Debug)]
pub struct Policies {
    current: ArcSwap<Bundle>,
    folder: ArcSwapOption<PathBuf>,
}

impl Policies {
    /// Those of a folder; of none: those that came with the program.
    pub fn open(folder: Option<&Path>) -> Result<Self, Broken> {
        Ok(Self {
            current: ArcSwap::from_pointee(read(folder)?),
            folder: ArcSwapOption::from_pointee(folder.map(Path::to_owned)),
        })
    }

    /// The bundle in force.
    pub fn current(&self) -> Arc<Bundle> {
        self.current.load_full()
    }

    /// Puts another in force.
    pub fn swap(&self, bundle: Arc<Bundle>) {
        self.current.store(bundle);
    }

    /// From now on they are read from this folder; of none: they are those that came with the program.
    pub fn read_from(&self, folder: Option<&Path>) {
        self.folder
            .store(folder.map(|folder| Arc::new(folder.to_owned())));
    }

    /// Where they are read from, in words.
    pub fn place(&self) -> String {
        let folder = self.folder.load();
        let shown = folder.as_ref().map(|folder| folder.display().to_string());
        shown.unwrap_or_else(|| "the policies that came with the program".to_owned())
    }

    /// Reads the folder again; changes nothing.
    pub fn read(&self) -> Result<Bundle, Broken> {
        read(self.folder.load().as_ref().map(|folder| folder.as_path()))
    }
}

fn read(folder: Option<&Path>) -> Result<Bundle, Broken> {
    folder.map_or_else(Bundle::embedded, Bundle::load)
}
