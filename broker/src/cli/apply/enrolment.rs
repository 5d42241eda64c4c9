//! Where the enrolments of new gateways go: a file each, that nobody else can read.
//!
//! An enrolment holds a key, and a key is shown once. So its file is made first, empty: when there is no place for it, no
//! key is made. It is never printed, and an older file is never written over.

use std::borrow::Cow;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::cli::{CliError, output};

/// A longer file is no enrolment of ours: those have less than 4 KiB.
const LONGEST: u64 = 64 * 1024;

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

/// Refuses to go on where an earlier run ended before the file was whole: an enrolled gateway whose file holds no key.
///
/// Looked for at every run: else such a gateway would look enrolled for ever, with a key that nobody has.
pub(super) fn check_kept<'n>(
    folder: &Path,
    enrolled: impl Iterator<Item = &'n str>,
) -> Result<(), CliError> {
    for name in enrolled {
        let file = folder.join(format!("{name}.json"));
        // What cannot be read, or is something else, is somebody's own affair.
        let is_one = |found: std::fs::Metadata| found.is_file() && found.len() <= LONGEST;
        if !file.metadata().is_ok_and(is_one) {
            continue;
        }
        let Ok(text) = std::fs::read(&file).map(Zeroizing::new) else {
            continue;
        };
        if !holds_a_key(&text) {
            return Err(CliError::Failed(format!(
                "`{}` is not whole: an earlier run ended before the enrolment of `{name}` was written down, and nobody has \
                 its key. Remove the file. {}; nothing was done",
                file.display(),
                another(name)
            )));
        }
    }
    Ok(())
}

fn holds_a_key(text: &[u8]) -> bool {
    /// The key stays where it was read into: it has no escapes.
    #[derive(Deserialize)]
    struct Kept<'t> {
        #[serde(borrow)]
        client_secret: Cow<'t, str>,
    }
    let kept = serde_json::from_slice::<Kept<'_>>(text);
    kept.is_ok_and(|kept| !kept.client_secret.is_empty())
}

/// How a gateway whose key is lost gets another enrolment: the broker makes one once.
fn another(name: &str) -> String {
    format!(
        "`lanyard key add {name}` makes another key: put it as `client_secret` into a copy of another gateway's enrolment, \
         whose `issuer` and `root` are the same, with `client_id` and `audiences` as `lanyard identity show {name}` says. \
         Where there is no other, disable it and enrol one under another name"
    )
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

    /// Writes the enrolment of a gateway down.
    pub(super) fn keep(mut self, enrolment: &Value) -> Result<(), CliError> {
        let written = serde_json::to_string_pretty(enrolment)
            .map_err(std::io::Error::other)
            .map(Zeroizing::new)
            .and_then(|text| writeln!(self.file, "{}", *text))
            .and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            let what = format_args!(
                "write `{}`: the gateway is enrolled, and its key is lost. Remove the file. {}",
                self.path.display(),
                another(&self.name())
            );
            CliError::cannot(what, &error)
        })?;
        if let Err(error) = self.sync_folder() {
            output::message(format_args!(
                "warning: `{}` is written whole, but its folder would not be synced ({error}): after a power cut it may be gone",
                self.path.display()
            ));
        }
        Ok(())
    }

    /// Without it a file that is new can be gone after a power cut, and the broker keeps its half.
    fn sync_folder(&self) -> std::io::Result<()> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The gateway's: the file is called after it.
    fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Puts it away again, and says what may have come of it: only a refusal says that nothing has.
    pub(super) fn give_up(self, error: CliError) -> CliError {
        // It is empty, and whoever finds it in the way is told so.
        let _ = std::fs::remove_file(&self.path);
        let told = |words: String| {
            format!(
                "{words}; the gateway may be enrolled all the same, with a key that nobody has: `lanyard identity show` says \
                 whether, and then: {}",
                another(&self.name())
            )
        };
        match error {
            CliError::Failed(words) => CliError::Failed(told(words)),
            CliError::Unreachable(words) => CliError::Unreachable(told(words)),
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
        left.keep(&json!({"client_id": "07", "client_secret": "s"}))
            .unwrap();
        check_kept(&folder, enrolled()).unwrap();
        // The disk was full.
        let text = std::fs::read(&path).unwrap();
        for length in 0..text.len() - 2 {
            std::fs::write(&path, &text[..length]).unwrap();
            let Err(CliError::Failed(words)) = check_kept(&folder, enrolled()) else {
                panic!("{length} bytes of it are not whole")
            };
            assert!(words.contains("is not whole"), "{words}");
        }
    }

    #[test]
    fn a_file_whose_folder_cannot_be_synced_is_whole_and_its_key_is_not_lost() {
        let home = tempfile::tempdir().unwrap();
        let (folder, moved) = (home.path().join("new"), home.path().join("moved"));
        let place = Place::reserve(&folder.join("door.json")).unwrap();
        std::fs::rename(&folder, &moved).unwrap();
        let enrolment = json!({"client_secret": "s"});
        place.keep(&enrolment).unwrap();
        let text = std::fs::read(moved.join("door.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), enrolment);
    }
}
