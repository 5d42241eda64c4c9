//! The file of data keys on disk: exchanged whole, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::FILE;
use crate::crypto::CryptoError;

/// The few things that exchanging a file asks of a disk, one by one, so that each can fail.
pub(super) trait RingFile {
    /// For messages.
    fn path(&self) -> PathBuf;
    /// The file as it is; `None`: there is none.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;
    /// Writes the new one beside it.
    fn write_new(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the new one's content durable.
    fn sync_new(&self) -> io::Result<()>;
    /// Gives it the name.
    fn rename_new(&self) -> io::Result<()>;
    /// Makes the name durable.
    fn sync_names(&self) -> io::Result<()>;

    /// An error of the disk, in words.
    fn failed(&self, action: &'static str) -> Box<dyn FnOnce(io::Error) -> CryptoError> {
        let path = self.path();
        Box::new(move |source| CryptoError::Ring {
            action,
            path,
            source,
        })
    }
}

/// Exchanges the file. When it returns, the new one is there after any power cut; when it fails, the old
/// one or the new one is.
pub(super) fn replace(files: &dyn RingFile, bytes: &[u8]) -> io::Result<()> {
    files.write_new(bytes)?;
    files.sync_new()?;
    files.rename_new()?;
    files.sync_names()
}

/// In a data folder.
pub(super) struct InFolder<'a>(pub(super) &'a Path);

impl InFolder<'_> {
    /// One writer at a time, also from another process: the folder itself is locked, so that no file is
    /// left behind.
    pub(super) fn lock(&self) -> Result<File, CryptoError> {
        let folder = File::open(self.0).map_err(self.failed("lock"))?;
        folder.lock().map_err(self.failed("lock"))?;
        Ok(folder)
    }

    /// Durably; one that is not there is removed already.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync_names(),
        }
    }

    fn new_path(&self) -> PathBuf {
        self.0.join("seal.ring.new")
    }
}

impl RingFile for InFolder<'_> {
    fn path(&self) -> PathBuf {
        self.0.join(FILE)
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_new(&self, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.new_path())?
            .write_all(bytes)
    }

    fn sync_new(&self) -> io::Result<()> {
        File::open(self.new_path())?.sync_all()
    }

    fn rename_new(&self) -> io::Result<()> {
        std::fs::rename(self.new_path(), self.path())
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(self.0)?.sync_all()
    }
}
