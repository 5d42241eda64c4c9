//! The reader's folder: what it knows survives restarts, and a gateway starts while brokers are down.
//!
//! | file | what |
//! | --- | --- |
//! | `snapshot` | the last snapshot, as the broker signed it |
//! | `frames` | the frames since, as the broker signed them, each with its length before it |
//! | `keys` | the root's delegations |
//! | `time` | the last heartbeat's time with the boot it was seen in, and a checksum |
//! | `instance` | the name of this reader among those of its gateway |
//! | `evidence/` | forks: both messages |
//!
//! Snapshot, frames and keys carry their own signatures, so a flipped bit cannot become a belief.
//! Frames cut short at the end are what a crash leaves behind: nobody was told of them. Any other
//! damage throws the whole state away, and everything is fetched anew.

mod journal;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use ring::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::config::FeedFailure;
use super::keys::Delegations;
use super::time::FeedTime;
use crate::clock::{BootTime, UnixMillis};
pub(super) use journal::{Journal, Persisted};

/// The longest file that is read back: a full snapshot, or the frames until the next one.
const MAX_FILE_BYTES: u64 = 128 * 1024 * 1024;

/// The folder, held by this process alone.
pub(super) struct StateFolder {
    folder: PathBuf,
    /// Released when it is closed.
    _lock: File,
}

/// What was found in it; of nothing has the signature been checked yet.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) delegations: Delegations,
    pub(super) snapshot: Option<Bytes>,
    pub(super) frames: Vec<Bytes>,
    pub(super) time: Option<FeedTime>,
}

impl StateFolder {
    /// Opens or makes the folder.
    pub(super) fn open(folder: &Path) -> Result<Self, FeedFailure> {
        let unusable = |source| FeedFailure::StateFolder {
            folder: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(unusable)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(FeedFailure::InUse {
                folder: folder.to_owned(),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// What is there; an error says in words what is damaged.
    pub(super) fn load(&self, boot_id: &str) -> Result<Saved, String> {
        let mut saved = Saved {
            time: self.load_time(boot_id),
            ..Saved::default()
        };
        if let Some(text) = self.read("keys")? {
            saved.delegations = serde_json::from_slice(&text)
                .map_err(|error| format!("`keys` is damaged: {error}"))?;
        }
        saved.snapshot = self.read("snapshot")?;
        if let Some(mut rest) = self.read("frames")? {
            while let Some((length, _)) = rest.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() - 4 < length {
                    tracing::info!(
                        "the last frame on disk was cut short by a crash; it is fetched again"
                    );
                    break;
                }
                rest.advance(4);
                saved.frames.push(rest.split_to(length));
            }
        }
        Ok(saved)
    }

    /// The name of this reader among those of its gateway: random, once, and kept.
    pub(super) fn instance(&self) -> Result<String, FeedFailure> {
        if let Ok(Some(name)) = self.read("instance")
            && let Ok(name) = std::str::from_utf8(&name)
            && name.len() == 16
            && name.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Ok(name.to_owned());
        }
        let name = format!("{:016x}", super::reader::random_u64());
        self.replace("instance", name.as_bytes(), true)
            .map_err(|source| FeedFailure::StateFolder {
                folder: self.folder.clone(),
                source,
            })?;
        Ok(name)
    }

    /// Throws the state away, except evidence and instance name.
    pub(super) fn clear(&self) -> io::Result<()> {
        for name in ["snapshot", "frames", "keys", "time"] {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        let path = self.folder.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("`{name}` cannot be read: {error}")),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("`{name}` cannot be read: {error}"))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(format!("`{name}` is too long"));
        }
        Ok(Some(bytes.into()))
    }

    /// Replaces a file in one step: whoever reads sees the old one or the new one.
    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        let next = self.folder.join(format!("{name}.next"));
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&next, self.folder.join(name))?;
        if durable {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// A time of another boot says nothing: its boot clock is another one.
    fn load_time(&self, boot_id: &str) -> Option<FeedTime> {
        let bytes = self.read("time").ok()??;
        let (checksum, text) = bytes.split_first_chunk::<32>()?;
        if digest(&SHA256, text).as_ref() != checksum {
            return None;
        }
        let saved: SavedTime = serde_json::from_slice(text).ok()?;
        let time = FeedTime::restored(
            saved.offset,
            UnixMillis(saved.last),
            BootTime(saved.received),
        );
        (saved.boot_id == boot_id && !boot_id.is_empty()).then_some(time)
    }

    fn save_time(&self, time: FeedTime, boot_id: &str) -> io::Result<()> {
        let saved = SavedTime {
            boot_id: boot_id.to_owned(),
            offset: time.offset(),
            last: time.last().0,
            received: time.received().0,
        };
        let text = serde_json::to_vec(&saved).map_err(io::Error::other)?;
        let mut bytes = digest(&SHA256, &text).as_ref().to_vec();
        bytes.extend_from_slice(&text);
        self.replace("time", &bytes, false)
    }
}

#[derive(Serialize, Deserialize)]
struct SavedTime {
    boot_id: String,
    offset: i64,
    last: u64,
    received: u64,
}

/// Which boot of the machine this is; empty where the system does not say.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
