//! Baselines in a file beside the log.
//!
//! Written whole to a new file, synced, renamed over the old one: after a power cut there is the old
//! or the new one. The old one stays beside it, for when the new one cannot be read one day. Sealed under the root sealing key, so that whoever can write the folder can
//! neither read habits nor make abuse a habit. An older genuine copy is told by its version, which
//! the log remembers.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BaselineError, BaselineStore};
use crate::crypto::SealingRoot;

/// What it is sealed for.
const PURPOSE: &str = "baselines";
/// Where; changes with the format around the sealed part.
const PLACE: &[u8] = b"baselines file 1";

/// One file in the data folder.
pub struct BaselineFile {
    path: PathBuf,
    root: Arc<SealingRoot>,
}

impl BaselineFile {
    /// The file `baselines` in this folder, sealed under this root.
    #[must_use]
    pub fn in_folder(folder: &Path, root: Arc<SealingRoot>) -> Self {
        Self {
            path: folder.join("baselines"),
            root,
        }
    }
}

impl BaselineStore for BaselineFile {
    fn load(&self) -> Result<Option<Vec<u8>>, BaselineError> {
        self.open(&self.path)
    }

    fn load_before(&self) -> Result<Option<Vec<u8>>, BaselineError> {
        self.open(&self.before())
    }

    fn save(&self, plain: &[u8]) -> Result<(), BaselineError> {
        let sealed = self.root.seal(PURPOSE, PLACE, plain)?;
        let new = self.path.with_extension("new");
        write_synced(&new, &sealed).map_err(|source| BaselineError::Io {
            action: "write",
            path: new.clone(),
            source,
        })?;
        self.keep_before()
            .and_then(|()| fs::rename(&new, &self.path))
            .and_then(|()| sync_folder(&self.path))
            .map_err(|source| BaselineError::Io {
                action: "replace",
                path: self.path.clone(),
                source,
            })
    }

    fn set_aside(&self) -> Result<(), BaselineError> {
        let aside = self.path.with_extension("refused");
        match fs::rename(&self.path, &aside) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BaselineError::Io {
                action: "set aside",
                path: self.path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

impl BaselineFile {
    fn open(&self, path: &Path) -> Result<Option<Vec<u8>>, BaselineError> {
        let sealed = match fs::read(path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(BaselineError::Io {
                    action: "read",
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let plain = self
            .root
            .open(PURPOSE, PLACE, &sealed)
            .map_err(|_| BaselineError::Damaged)?;
        Ok(Some(plain.to_vec()))
    }

    /// Gives the present file a second name, so that at every moment the first one names a whole file.
    fn keep_before(&self) -> io::Result<()> {
        let link = self.path.with_extension("linked");
        for made in [fs::remove_file(&link), fs::hard_link(&self.path, &link)] {
            match made {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => made?,
            }
        }
        match fs::rename(&link, self.before()) {
            // There is no present file yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    fn before(&self) -> PathBuf {
        self.path.with_extension("before")
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, key: u8) -> BaselineFile {
        BaselineFile::in_folder(folder.path(), Arc::new(SealingRoot::from_bytes(&[key; 32])))
    }

    #[test]
    fn what_was_saved_last_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, 1);
        assert!(file.load().unwrap().is_none());
        for text in ["one", "two"] {
            file.save(text.as_bytes()).unwrap();
        }
        assert_eq!(file.load().unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_changed_byte_or_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let good = file(&folder, 1);
        good.save(b"habits").unwrap();
        assert!(matches!(
            file(&folder, 2).load(),
            Err(BaselineError::Damaged)
        ));
        let path = folder.path().join("baselines");
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(
                matches!(good.load(), Err(BaselineError::Damaged)),
                "byte {at}"
            );
        }
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            assert!(
                matches!(good.load(), Err(BaselineError::Damaged)),
                "length {len}"
            );
        }
    }

    #[test]
    fn the_copy_before_stays_readable_when_the_newest_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, 1);
        for text in ["one", "two", "three"] {
            file.save(text.as_bytes()).unwrap();
        }
        fs::write(folder.path().join("baselines"), b"junk").unwrap();
        assert!(matches!(file.load(), Err(BaselineError::Damaged)));
        assert_eq!(file.load_before().unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn what_was_refused_is_kept_aside_and_no_longer_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder, 1);
        fs::write(folder.path().join("baselines"), b"junk").unwrap();
        file.set_aside().unwrap();
        assert!(file.load().unwrap().is_none());
        assert_eq!(
            fs::read(folder.path().join("baselines.refused")).unwrap(),
            b"junk"
        );
        file.set_aside().unwrap();
    }
}
