//! Where figures are to be written: looked at before they are measured, since a run of minutes is a lot to lose to a
//! misspelt folder.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Nothing can be written there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(crate) struct Unwritable {
    path: PathBuf,
    source: io::Error,
}

impl Unwritable {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self { path, source }
    }
}

/// Whether a file can be written. One that is there keeps what it has, and one that is not does not appear.
pub(crate) fn check_file(file: &Path) -> Result<(), Unwritable> {
    let tried = match (file.exists(), file.parent()) {
        (false, Some(folder)) if folder == Path::new("") => tempfile::tempfile_in(".").map(drop),
        (false, Some(folder)) => tempfile::tempfile_in(folder).map(drop),
        _ => OpenOptions::new().append(true).open(file).map(drop),
    };
    tried.map_err(Unwritable::at(file))
}

/// Makes a folder, and sees whether files can be written there.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Unwritable> {
    fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder).map(drop))
        .map_err(Unwritable::at(folder))
}

/// Writes a file, or says which one could not be written.
pub(crate) fn write(file: &Path, contents: &[u8]) -> Result<(), Unwritable> {
    fs::write(file, contents).map_err(Unwritable::at(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_said_by_name_and_what_can_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing/figures.json");
        let why = check_file(&missing).unwrap_err().to_string();
        assert!(why.contains("missing/figures.json"), "{why}");
        let new = folder.path().join("figures.json");
        check_file(&new).unwrap();
        assert!(!new.exists());
        write(&new, b"before").unwrap();
        check_file(&new).unwrap();
        assert_eq!(fs::read(&new).unwrap(), b"before");
        let why = check_folder(&new).unwrap_err().to_string();
        assert!(why.contains("figures.json"), "{why}");
        check_folder(&folder.path().join("a/b")).unwrap();
    }
}
