//! The data keys of an installation, each wrapped under the sealing key, in one small file beside the log.
//!
//! A new sealing key wraps the same data keys anew; nothing that was sealed is touched. While that is under
//! way each key is wrapped twice, so that at any instant, through a crash or a power cut, the sealing key
//! from before opens everything or the new one does, and mostly both. The old wraps go when a broker has
//! started with the new key. A new data key is only added: what was sealed before opens under its own.
//!
//! *What it catches:* a changed, exchanged or missing entry (a MAC under the first data key), another
//! sealing key, a write that was torn (it is renamed into place). *What it misses:* an older copy of the
//! whole file. It opens nothing to whoever could not have opened it then, and a key that it lacks is
//! missed as soon as something sealed under it is read. *Why not encrypt anew under the new key:* that
//! rewrites a log of any size, in which nothing may change, for the same protection.
//!
//! Installations from before there were data keys have no such file: their sealing key is data key 0, and
//! becomes the first entry when it is exchanged.

mod document;
mod file;
mod restoring;

use std::path::Path;

use serde::Serialize;

use super::{CryptoError, DataKey, DataKeyId, RootKey, RootKeyId, SealingRoot};
use crate::clock::UnixMillis;
use document::{Document, Entry, FORMAT, Ring, Role, alone};
use file::{InFolder, RingFile, replace};
pub use restoring::{Exchange, ForRestore, exchange, for_restore};

/// Its name in the data folder, and in a backup.
pub const FILE: &str = "seal.ring";

/// What everybody may know of the data keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingStatus {
    /// The sealing key they are wrapped under.
    pub sealing_key: RootKeyId,
    /// The one that takes its place when a broker starts with it.
    pub next_sealing_key: Option<RootKeyId>,
    /// What new things are sealed under.
    pub newest: DataKeyId,
    /// All, the oldest first.
    pub data_keys: Vec<DataKeyStatus>,
}

/// What everybody may know of one data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataKeyStatus {
    /// Its number.
    pub number: DataKeyId,
    /// Since when.
    pub made_at: UnixMillis,
}

/// Opens everything that was sealed in this folder. Without the file the sealing key is the only key.
pub fn open(folder: &Path, root: &dyn RootKey) -> Result<SealingRoot, CryptoError> {
    open_in(&InFolder(folder), root)
}

/// [`open`], of a new installation: makes the first data key, unless it is there.
pub fn begin(
    folder: &Path,
    root: &dyn RootKey,
    now: UnixMillis,
) -> Result<SealingRoot, CryptoError> {
    let files = InFolder(folder);
    let _held = files.lock()?;
    if read(&files)?.is_none() {
        write(&files, &Ring::first(root, now)?, &[root])?;
    }
    open_in(&files, root)
}

/// Wraps all data keys under `new` as well, durably. `current` is the sealing key of now.
pub fn rotate(
    folder: &Path,
    current: &dyn RootKey,
    new: &dyn RootKey,
    now: UnixMillis,
) -> Result<RingStatus, CryptoError> {
    let files = InFolder(folder);
    let _held = files.lock()?;
    rotate_in(&files, current, new, now)
}

/// Drops the wraps of the sealing key from before, if `root` has taken its place; says whether.
pub fn finish(folder: &Path, root: &dyn RootKey) -> Result<bool, CryptoError> {
    let files = InFolder(folder);
    let _held = files.lock()?;
    finish_in(&files, root)
}

/// Adds a data key: what is sealed from the next start on is sealed under it.
pub fn add_data_key(
    folder: &Path,
    root: &dyn RootKey,
    now: UnixMillis,
) -> Result<RingStatus, CryptoError> {
    let files = InFolder(folder);
    let _held = files.lock()?;
    finish_in(&files, root)?;
    let mut ring = Ring::of(&files, root, now)?;
    if ring.next.is_some() {
        return Err(CryptoError::Refused(
            "the sealing key is being exchanged: start the broker with the new one first",
        ));
    }
    let number = ring.next_number()?;
    ring.keys.push(Entry {
        number,
        role: Role::Data,
        made_at: now,
        key: DataKey::generate()?,
    });
    ring.newest = number;
    write(&files, &ring, &[root])?;
    Ok(ring.status())
}

/// What the file says; `None`: there is none. Needs no key, so nothing of it is authenticated.
pub fn status(folder: &Path) -> Result<Option<RingStatus>, CryptoError> {
    Ok(read(&InFolder(folder))?.map(|document| document.status()))
}

fn open_in(files: &dyn RingFile, root: &dyn RootKey) -> Result<SealingRoot, CryptoError> {
    match read(files)? {
        Some(document) => document.opened(root, &files.path())?.sealing_root(root),
        None => alone(root),
    }
}

fn rotate_in(
    files: &dyn RingFile,
    current: &dyn RootKey,
    new: &dyn RootKey,
    now: UnixMillis,
) -> Result<RingStatus, CryptoError> {
    if current.id() == new.id() {
        return Err(CryptoError::Refused("that is the sealing key of now"));
    }
    let mut ring = Ring::of(files, current, now)?;
    if *new.id() == ring.root {
        return Err(CryptoError::Refused(
            "that is the sealing key from before: make a new one, or go on with the old one",
        ));
    }
    ring.remember_sealing_key(current, now)?;
    ring.root = current.id().clone();
    ring.next = Some(new.id().clone());
    write(files, &ring, &[current, new])?;
    // Whoever is told that it is done can rely on either key.
    for root in [current, new] {
        open_in(files, root)?;
    }
    Ok(ring.status())
}

fn finish_in(files: &dyn RingFile, root: &dyn RootKey) -> Result<bool, CryptoError> {
    let Some(document) = read(files)? else {
        return Ok(false);
    };
    let mut ring = document.opened(root, &files.path())?;
    if ring.next.as_ref() != Some(root.id()) {
        return Ok(false);
    }
    ring.root = root.id().clone();
    ring.next = None;
    write(files, &ring, &[root])?;
    Ok(true)
}

fn read(files: &dyn RingFile) -> Result<Option<Document>, CryptoError> {
    let Some(bytes) = files.read().map_err(files.failed("read"))? else {
        return Ok(None);
    };
    let damaged = |why| CryptoError::RingDamaged {
        path: files.path(),
        why,
    };
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|_| damaged("it cannot be read"))?;
    if document.format != FORMAT {
        return Err(damaged("its format is that of another version of lanyard"));
    }
    Ok(Some(document))
}

fn write(files: &dyn RingFile, ring: &Ring, roots: &[&dyn RootKey]) -> Result<(), CryptoError> {
    let json = serde_json::to_vec_pretty(&ring.document(roots)?)
        .map_err(|_| CryptoError::Unusable("write the data keys"))?;
    replace(files, &json).map_err(files.failed("write"))
}

#[cfg(test)]
mod tests;
