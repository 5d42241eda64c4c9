//! The few things the log asks of a disk, behind one trait so that a failing disk can be tried.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::store::StoreError;

/// Writes and syncs of the log. Tests put a failing one in its place.
pub trait Disk: Send + Sync + 'static {
    /// Writes all bytes at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when everything written to the file would survive a power cut (fdatasync).
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// Makes the names in a folder durable: a file that was created or renamed is not, before this.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether an error only says that there is no space, by size or by quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Turns an operating system's error into words; what was tried is in `action`.
pub(crate) fn failed(action: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
    move |error| {
        if is_full(&error) {
            return StoreError::Full;
        }
        StoreError::Io {
            action: action.into(),
            reason: error.to_string(),
        }
    }
}
