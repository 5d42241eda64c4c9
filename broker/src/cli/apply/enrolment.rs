//! Where the enrolments of new gateways go: a file each, that nobody else can read.
//!
//! An enrolment holds a key, and a key is shown once. So its file is made first, empty: when there is no place for it, no
//! key is made. It is never printed, and an older file is never written over.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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

/// Refuses to go on where an earlier run ended between the file and the answer: an enrolled gateway whose file is empty.
///
/// Looked for at every run: else such a gateway would look enrolled for ever, with a key that nobody has.
pub(super) fn check_kept<'n>(
    folder: &Path,
    enrolled: impl Iterator<Item = &'n str>,
) -> Result<(), CliError> {
    for name in enrolled {
        let file = folder.join(format!("{name}.json"));
        if file
            .metadata()
            .is_ok_and(|found| found.is_file() && found.len() == 0)
        {
            return Err(CliError::Failed(format!(
                "`{}` is empty: an earlier run ended before the enrolment of `{name}` was written down, and nobody has its \
                 key: remove the file, and `lanyard key add {name}` makes another; nothing was done",
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
            // Whoever may write there can put a file of theirs, with a key of theirs, in the place of this one.
            let mode = folder.metadata().map_err(cannot)?.permissions().mode();
            if mode & 0o022 != 0 {
                return Err(CliError::Failed(format!(
                    "others may write in `{}`: `chmod go-w` it, or name another folder",
                    folder.display()
                )));
            }
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
            .and_then(|()| self.file.sync_all())
            .and_then(|()| self.sync_folder());
        written.map_err(|error| {
            let what = format_args!(
                "write `{}`: the gateway is enrolled, and its key is lost; `lanyard key add` makes it another, and what else \
                 an enrolment says is no secret",
                self.path.display()
            );
            CliError::cannot(what, &error)
        })
    }

    /// Without it a file that is new can be gone after a power cut, and the broker keeps its half.
    fn sync_folder(&self) -> std::io::Result<()> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Puts it away again, and says what may have come of it: only a refusal says that nothing has.
    pub(super) fn give_up(self, error: CliError) -> CliError {
        // It is empty, and whoever finds it in the way is told so.
        let _ = std::fs::remove_file(&self.path);
        let told = |words: String| {
            format!(
                "{words}; the gateway may be enrolled all the same, with a key that nobody has: `lanyard identity show` says \
                 whether, and `lanyard key add` makes it another"
            )
        };
        match error {
            CliError::Failed(words) => CliError::Failed(told(words)),
            CliError::Refused { words, status } if status >= 500 => CliError::Refused {
                words: told(words),
                status,
            },
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_enrolment_is_for_its_owner_alone_and_never_takes_the_place_of_another() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/door.json");
        check([path.as_path()].into_iter()).unwrap();
        let refused = || CliError::Refused {
            words: "no".to_owned(),
            status: 409,
        };
        let lost = || CliError::Failed("cannot reach the broker".to_owned());
        for (error, may_be) in [(refused(), false), (lost(), true)] {
            let told = format!("{:?}", Place::reserve(&path).unwrap().give_up(error));
            assert_eq!(
                told.contains("may be enrolled all the same"),
                may_be,
                "{told}"
            );
            assert!(!path.exists());
        }
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
    #[test]
    fn a_folder_of_others_and_what_an_earlier_run_left_are_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("shared");
        std::fs::create_dir(&folder).unwrap();
        let mode =
            |mode| std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o775);
        let path = folder.join("door.json");
        let Err(CliError::Failed(words)) = Place::reserve(&path).map(|_| ()) else {
            panic!("others may write there")
        };
        assert!(
            words.contains("others may write") && !path.exists(),
            "{words}"
        );
        mode(0o755);
        let left = Place::reserve(&path).unwrap();
        let enrolled = || ["door", "gate"].into_iter();
        let Err(CliError::Failed(words)) = check_kept(&folder, enrolled()) else {
            panic!("it is empty")
        };
        assert!(words.contains("lanyard key add door"), "{words}");
        left.keep(&json!({"client_id": "07"})).unwrap();
        check_kept(&folder, enrolled()).unwrap();
    }
}
