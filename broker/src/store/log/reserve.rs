//! Space kept for bad times: preallocated segments that take revocations when the disk is full.
//!
//! A reserve is written with zeros and synced when it is made, so using it later allocates nothing. When
//! the disk is full its header is overwritten in place, and it is the next segment of the chain. Two are
//! kept, so that a broker restarted while the disk is still full has one to boot with. On a file system
//! that copies on write (btrfs, zfs) overwriting needs space too; there, a quota or a reserved file
//! system of its own is the answer, and SECURITY.md says so.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, sync_folder};

/// How many are kept ready.
const RESERVES: usize = 2;
/// Free space that must be there before a full disk counts as healed: less, and it is full again at once.
const HEADROOM_BYTES: u64 = 1 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The reserves of one log.
pub(crate) struct Reserves {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    bytes: u64,
    ready: Vec<PathBuf>,
}

impl Reserves {
    /// `folder` is that of the segments; `ready` are those found there.
    pub(crate) fn new(
        folder: PathBuf,
        disk: Arc<dyn Disk>,
        bytes: u64,
        ready: Vec<PathBuf>,
    ) -> Self {
        Self {
            folder,
            disk,
            bytes,
            ready,
        }
    }

    /// Makes those that are missing.
    pub(crate) fn replenish(&mut self) -> io::Result<()> {
        while self.ready.len() < RESERVES {
            let path = self.free_name();
            let unfinished = path.with_extension("new");
            let made = self
                .write_zeros(&unfinished, self.bytes)
                .and_then(|()| std::fs::rename(&unfinished, &path));
            if let Err(error) = made {
                // What is left of it only takes space; it would be overwritten the next time anyway.
                let _ = std::fs::remove_file(&unfinished);
                return Err(error);
            }
            sync_folder(&self.folder)?;
            self.ready.push(path);
        }
        Ok(())
    }

    /// Takes one out of the reserve.
    pub(crate) fn take(&mut self) -> Option<PathBuf> {
        if self.ready.is_empty() {
            None
        } else {
            Some(self.ready.remove(0))
        }
    }

    /// Bytes of each.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is space again for what is missing and some more. Asks the file system first, then
    /// tries: quotas and thin volumes do not show in its answer.
    pub(crate) fn has_space_again(&self) -> bool {
        let missing = RESERVES.saturating_sub(self.ready.len()) as u64;
        let needed = HEADROOM_BYTES.saturating_add(missing.saturating_mul(self.bytes));
        if free_bytes(&self.folder).is_some_and(|free| free < needed) {
            return false;
        }
        let attempt = self.folder.join("space.new");
        let written = self.write_zeros(&attempt, needed);
        let removed = std::fs::remove_file(&attempt);
        written.is_ok() && removed.is_ok()
    }

    fn free_name(&self) -> PathBuf {
        (1_u64..)
            .map(|number| self.folder.join(format!("reserve-{number}.seg")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.folder.join("reserve-0.seg"))
    }

    fn write_zeros(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let mut left = bytes;
        while left > 0 {
            let chunk = ZEROS
                .get(..usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len()))
                .unwrap_or(&ZEROS);
            file.write_all(chunk)?;
            left = left.saturating_sub(chunk.len() as u64);
        }
        file.sync_all()?;
        // Through the disk as well, so that one that fails to sync is found here too.
        self.disk.sync(&file)
    }
}

/// Free bytes for this user; `None` when the file system does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(path).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}
