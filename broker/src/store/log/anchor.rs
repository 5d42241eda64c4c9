//! The anchor: the last place that was acknowledged, kept beside the log and, if the operator likes,
//! somewhere else too.
//!
//! It catches what a chain alone cannot: a log whose newest records are simply gone (a cut tail, an older
//! copy of the folder). It is written after every durable record but synced only at checkpoints, so after
//! a power cut it may be older than the log, never newer. Two slots, written in turn, so that a torn write
//! leaves the one before. The copy inside the folder misses an older copy of the *whole* folder; the one
//! outside catches that too.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lanyard_token::Rev;

use super::disk::{failed, sync_folder};
use super::fields::{Fields, Hash};
use crate::store::StoreError;

const MAGIC: [u8; 8] = *b"lanyanch";
const SLOT_BYTES: usize = 68;
/// Slots lie on pages of their own: a torn page never takes both.
const SLOT_SPACING: u64 = 4_096;

/// The last place that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) rev: Rev,
    /// Of the record that ends there.
    pub(crate) hash: Hash,
    /// The boot that wrote it.
    pub(crate) boot: u32,
}

/// One anchor file, open for writing.
pub(crate) struct Anchor {
    file: File,
    path: PathBuf,
    turn: u64,
    failing: bool,
}

/// Reads an anchor file; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Anchored>, StoreError> {
    Ok(newest_slot(path)?.map(|(_, anchored)| anchored))
}

fn newest_slot(path: &Path) -> Result<Option<(u64, Anchored)>, StoreError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(failed(format!("read the anchor `{}`", path.display()))(
                error,
            ));
        }
    };
    let slots = bytes.chunks(SLOT_SPACING as usize).filter_map(decode);
    slots.max_by_key(|(turn, _)| *turn).map(Some).ok_or_else(|| {
        StoreError::Damaged(format!(
            "the anchor `{0}` holds no readable place; if the check finds the log whole, move `{0}` away",
            path.display()
        ))
    })
}

impl Anchor {
    /// Opens the file, or makes it with `first` in it, durably.
    pub(crate) fn open(path: &Path, first: Anchored) -> Result<Self, StoreError> {
        let action = || format!("write the anchor `{}`", path.display());
        let found = newest_slot(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed(action()))?;
        let turn = found.map_or(0, |(turn, _)| turn);
        let mut anchor = Self {
            file,
            path: path.to_owned(),
            turn,
            failing: false,
        };
        if found.is_none() {
            // Both slots at once, so that later writes need no more space.
            for _ in 0..2 {
                anchor.put(first).map_err(failed(action()))?;
            }
            anchor.file.sync_all().map_err(failed(action()))?;
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            sync_folder(folder.unwrap_or(Path::new("."))).map_err(failed(action()))?;
        }
        Ok(anchor)
    }

    /// Moves the anchor. A disk that refuses is said once: detection suffers, the log does not.
    pub(crate) fn set(&mut self, anchored: Anchored) {
        let written = self.put(anchored);
        if let (Err(error), false) = (&written, self.failing) {
            tracing::warn!(path = %self.path.display(), %error, "the anchor cannot be written: rollback would not be noticed");
        }
        self.failing = written.is_err();
    }

    /// Moves the anchor and makes that durable.
    pub(crate) fn set_durably(&mut self, anchored: Anchored) -> Result<(), StoreError> {
        self.put(anchored)
            .and_then(|()| self.file.sync_data())
            .map_err(failed(format!(
                "write the anchor `{}`",
                self.path.display()
            )))
    }

    /// Makes the anchor durable; failing that, it is only older after a power cut.
    pub(crate) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(path = %self.path.display(), %error, "the anchor cannot be synced");
        }
    }

    fn put(&mut self, anchored: Anchored) -> std::io::Result<()> {
        let turn = self.turn.saturating_add(1);
        self.file
            .write_all_at(&encode(turn, anchored), (turn % 2) * SLOT_SPACING)?;
        self.turn = turn;
        Ok(())
    }
}

fn encode(turn: u64, anchored: Anchored) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&turn.to_le_bytes());
    bytes.extend_from_slice(&anchored.rev.as_u64().to_le_bytes());
    bytes.extend_from_slice(&anchored.boot.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&anchored.hash);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(slot: &[u8]) -> Option<(u64, Anchored)> {
    let mut fields = Fields(slot);
    let body = fields.slice(SLOT_BYTES - 4)?;
    if fields.u32()? != crc32fast::hash(body) {
        return None;
    }
    let mut fields = Fields(body);
    if fields.bytes()? != MAGIC {
        return None;
    }
    let turn = fields.u64()?;
    let rev = Rev::from_u64(fields.u64()?)?;
    let boot = fields.u32()?;
    let _unused: [u8; 4] = fields.bytes()?;
    Some((
        turn,
        Anchored {
            rev,
            hash: fields.bytes()?,
            boot,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Anchored {
        Anchored {
            rev: Rev::new(1, number).unwrap(),
            hash: [number as u8; 32],
            boot: 1,
        }
    }

    #[test]
    fn a_torn_write_leaves_the_place_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        let mut anchor = Anchor::open(&path, place(1)).unwrap();
        anchor.set(place(2));
        anchor.set(place(3));
        assert_eq!(read(&path).unwrap(), Some(place(3)));
        let newest = (anchor.turn % 2) * SLOT_SPACING;
        anchor.file.write_all_at(&[0xff; 30], newest).unwrap();
        assert_eq!(read(&path).unwrap(), Some(place(2)));
        let mut again = Anchor::open(&path, place(9)).unwrap();
        again.set(place(4));
        assert_eq!(read(&path).unwrap(), Some(place(4)));
    }

    #[test]
    fn an_anchor_with_no_readable_slot_is_damage_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        assert_eq!(read(&path).unwrap(), None);
        std::fs::write(&path, [1; 8_192]).unwrap();
        assert!(matches!(read(&path), Err(StoreError::Damaged(_))));
    }
}
