//! Where the enrolments of new gateways go: a file each, that nobody else can read.
//!
//! An enrolment holds a key, and a key is shown once. So its file is made first, empty: when there is no place for it, no
//! key is made. It is never printed, and an older file is never written over.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::CliError;

/// Refuses what would have no place, before anything is done.
pub(super) fn check<'p>(files: impl Iterator<Item = &'p Path>) -> Result<(), CliError> {
    for file in files {
        // A link that leads nowhere is in the way too.
        if file.symlink_metadata().is_ok() {
            return Err(CliError::Failed(format!(
                "`{}` exists already, and the broker has no such gateway: put it away, or name another folder; nothing \
                 was done",
                file.display()
            )));
        }
    }
    Ok(())
}

/// An empty file for one enrolment.
pub(super) struct Place {
    path: PathBuf,
    file: File,
}

impl Place {
    /// Makes it, and the folder if there is none.
    pub(super) fn reserve(path: &Path) -> Result<Self, CliError> {
        let cannot = |error: std::io::Error| {
            CliError::cannot(format_args!("make `{}`", path.display()), &error)
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(folder).map_err(cannot)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        Ok(Self {
            path: path.to_owned(),
            file: options.open(path).map_err(cannot)?,
        })
    }

    /// Writes the enrolment down.
    pub(super) fn keep(mut self, enrolment: &Value) -> Result<(), CliError> {
        let written = serde_json::to_string_pretty(enrolment)
            .map_err(std::io::Error::other)
            .and_then(|text| writeln!(self.file, "{text}"))
            .and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            let what = format_args!(
                "write `{}`: the gateway is enrolled, and its key is lost; `lanyard key add` makes it another, and what else \
                 an enrolment says is no secret",
                self.path.display()
            );
            CliError::cannot(what, &error)
        })
    }

    /// Puts it away again: nothing came of it.
    pub(super) fn give_up(self) {
        // It is empty, and whoever finds it in the way is told so.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn an_enrolment_is_for_its_owner_alone_and_never_takes_the_place_of_another() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/door.json");
        check([path.as_path()].into_iter()).unwrap();
        Place::reserve(&path).unwrap().give_up();
        assert!(!path.exists());
        let place = Place::reserve(&path).unwrap();
        assert!(Place::reserve(&path).is_err(), "it is taken");
        place.keep(&json!({"client_id": "07"})).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"client_id\": \"07\""), "{text}");
        let Err(CliError::Failed(words)) = check([path.as_path()].into_iter()) else {
            panic!("it is in the way")
        };
        assert!(words.contains("exists already"), "{words}");
    }
}
