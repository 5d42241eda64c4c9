//! `lanyard backup`: a consistent copy of the log, taken beside a running broker.
//!
//! Segments never change once a successor has begun, and the last one only grows, so a copy up to the
//! acknowledged head is consistent by itself: nothing is locked and nobody waits. The copy holds the
//! segments, the wrapped data keys and a manifest with sizes and hashes; the index is left out, because it
//! can be rebuilt, and the sealing key is never in it: who has a backup has nothing without the key, and an
//! operator keeps the two apart. No key is needed to make one either.
//!
//! The data keys are copied after the segments: keys are only ever added, so the file that is there then
//! opens all of them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lanyard_token::Rev;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::log::anchor;
use super::log::anchor_path;
use super::log::disk::{failed, sync_folder};
use super::log::fields::hex;
use super::log::segments::{FOLDER, Segment, is_reserve, survey, walk};
use crate::crypto::seal_ring;

/// The manifest's name inside a backup; it is written last, so a copy without one is not finished.
pub(crate) const MANIFEST: &str = "manifest.json";
const COPY_BYTES: usize = 1 << 20;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this manifest; 1.
    pub format: u32,
    /// Which version of Lanyard made it.
    pub version: String,
    /// Whose log it is.
    pub trust_domain: String,
    /// The last place that is in it.
    pub head: Rev,
    /// Its epoch, for people: part of `head`.
    pub epoch: u16,
    /// SHA-256 of the record that ends there, hex.
    pub hash: String,
    /// The segments, in the order of the chain.
    pub segments: Vec<BackedUp>,
    /// The wrapped data keys; absent: the sealing key is the only key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_keys: Option<BackedUp>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackedUp {
    /// Name inside the folder `segments`.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Copies the log of `folder`, where a broker may be running, to `target`, which must be empty or not
/// there yet.
pub fn backup(folder: &Path, target: &Path) -> Result<Manifest, StoreError> {
    copy_log(folder, target, false)
}

/// [`backup`] of a log whose acknowledged end is lost, for want of anything newer: `restore` takes the copy
/// only with `accept_rollback`, and then ends every token.
pub fn backup_what_is_left(folder: &Path, target: &Path) -> Result<Manifest, StoreError> {
    copy_log(folder, target, true)
}

fn copy_log(folder: &Path, target: &Path, accept_rollback: bool) -> Result<Manifest, StoreError> {
    refuse_foreign_files(folder)?;
    let acknowledged = anchor::read(&anchor_path(folder))?;
    let segments = survey(folder, None)?;
    let Some(first) = segments.chain.first() else {
        return Err(StoreError::Refused(format!(
            "`{}` holds no log",
            folder.display()
        )));
    };
    let acknowledged = acknowledged.map(|anchored| anchored.rev);
    let copied = measure(&segments.chain, acknowledged)?;
    if let Some(expected) = acknowledged.filter(|rev| !accept_rollback && *rev > copied.head) {
        return Err(StoreError::RolledBack {
            found: copied.head,
            expected,
        });
    }
    prepare_target(folder, target)?;
    let done = copy_all(folder, target, &first.header.trust_domain, copied);
    if done.is_err() {
        remove_unfinished(target);
    }
    done
}

/// What is to be copied: segments with the number of bytes that count, and where that ends.
struct Measured<'a> {
    parts: Vec<(&'a Segment, u64)>,
    head: Rev,
    hash: [u8; 32],
}

fn measure(chain: &[Segment], acknowledged: Option<Rev>) -> Result<Measured<'_>, StoreError> {
    let mut measured = Measured {
        parts: Vec::new(),
        head: Rev::ZERO,
        hash: [0; 32],
    };
    let mut lengths = std::collections::BTreeMap::new();
    walk(chain, |segment, entry| {
        // What was written after the anchor was read belongs to the next backup.
        if acknowledged.is_none_or(|acknowledged| entry.rev <= acknowledged) {
            lengths.insert(
                segment.header.ordinal,
                entry.offset.saturating_add(entry.length()),
            );
            (measured.head, measured.hash) = (entry.rev, entry.hash);
        }
        Ok(())
    })?;
    let last = lengths.keys().next_back().copied().unwrap_or(0);
    let before_last = chain
        .iter()
        .filter(|segment| segment.header.ordinal <= last);
    measured.parts = before_last
        .map(|segment| {
            // An empty segment in the middle is its header alone.
            let length = lengths
                .get(&segment.header.ordinal)
                .copied()
                .unwrap_or(segment.start().offset);
            (segment, length)
        })
        .collect();
    Ok(measured)
}

fn copy_all(
    source: &Path,
    target: &Path,
    trust_domain: &str,
    measured: Measured<'_>,
) -> Result<Manifest, StoreError> {
    let folder = target.join(FOLDER);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(failed(format!("make the folder `{}`", folder.display())))?;
    let mut copied = Vec::new();
    for (segment, length) in measured.parts {
        copied.push(copy_file(
            &segment.path,
            &folder.join(segment.name()),
            length,
        )?);
    }
    let manifest = Manifest {
        format: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        trust_domain: trust_domain.to_owned(),
        head: measured.head,
        epoch: measured.head.epoch(),
        hash: hex(&measured.hash),
        segments: copied,
        data_keys: copy_data_keys(source, target)?,
    };
    sync_folder(&folder).map_err(failed("sync the backup"))?;
    let path = target.join(MANIFEST);
    let json = serde_json::to_vec_pretty(&manifest).map_err(|error| StoreError::Io {
        action: "write the manifest".to_owned(),
        reason: error.to_string(),
    })?;
    let written =
        new_file(&path).and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_all()));
    written
        .and_then(|()| sync_folder(target))
        .map_err(failed("write the manifest"))?;
    Ok(manifest)
}

fn copy_data_keys(source: &Path, target: &Path) -> Result<Option<BackedUp>, StoreError> {
    let from = source.join(seal_ring::FILE);
    let action = || format!("copy `{}`", from.display());
    // Read as one: it may be exchanged for another meanwhile, of another length.
    let bytes = match std::fs::read(&from) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(action())(error)),
    };
    new_file(&target.join(seal_ring::FILE))
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .map_err(failed(action()))?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    Ok(Some(BackedUp {
        name: seal_ring::FILE.to_owned(),
        bytes: bytes.len() as u64,
        sha256: hex(hash.as_ref()),
    }))
}

/// Copies the first `length` bytes, durably, and says what they were.
pub(crate) fn copy_file(from: &Path, to: &Path, length: u64) -> Result<BackedUp, StoreError> {
    let action = || format!("copy `{}` to `{}`", from.display(), to.display());
    let mut source = File::open(from).map_err(failed(action()))?.take(length);
    let mut target = new_file(to).map_err(failed(action()))?;
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0_u64;
    loop {
        let read = source.read(&mut buffer).map_err(failed(action()))?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hash.update(chunk);
        target.write_all(chunk).map_err(failed(action()))?;
        copied += chunk.len() as u64;
    }
    target.sync_all().map_err(failed(action()))?;
    if copied != length {
        return Err(StoreError::Damaged(format!(
            "`{}` became shorter while it was copied",
            from.display()
        )));
    }
    let name = to
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(BackedUp {
        name,
        bytes: copied,
        sha256: hex(hash.finish().as_ref()),
    })
}

fn new_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Anything but segments and unfinished files among the segments was put there by somebody else.
fn refuse_foreign_files(folder: &Path) -> Result<(), StoreError> {
    let segments = folder.join(FOLDER);
    let action = || format!("read the folder `{}`", segments.display());
    for entry in std::fs::read_dir(&segments).map_err(failed(action()))? {
        let entry = entry.map_err(failed(action()))?;
        let path = entry.path();
        let known = path
            .extension()
            .is_some_and(|extension| extension == "seg" || extension == "new");
        if !known || !entry.file_type().map_err(failed(action()))?.is_file() {
            let reason = format!("`{}` is not a segment: move it away first", path.display());
            return Err(StoreError::Refused(reason));
        }
    }
    Ok(())
}

fn prepare_target(source: &Path, target: &Path) -> Result<(), StoreError> {
    let action = || format!("use the folder `{}`", target.display());
    // Before anything is made: a folder left among the segments would stop every later backup.
    if lies_within(target, &source.join(FOLDER)) {
        let reason = format!(
            "`{}` lies among the segments it would copy",
            target.display()
        );
        return Err(StoreError::Refused(reason));
    }
    match std::fs::symlink_metadata(target) {
        Ok(metadata) if !metadata.is_dir() => Err(StoreError::Refused(format!(
            "`{}` is not a folder",
            target.display()
        ))),
        Ok(_) => {
            let mut entries = std::fs::read_dir(target).map_err(failed(action()))?;
            if entries.next().is_none() {
                return Ok(());
            }
            let reason = format!(
                "`{}` is not empty: name a new folder for each backup",
                target.display()
            );
            Err(StoreError::Refused(reason))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(target)
            .map_err(failed(action())),
        Err(error) => Err(failed(action())(error)),
    }
}

/// Whether `path`, or the nearest folder above it that is there, lies in `folder`.
fn lies_within(path: &Path, folder: &Path) -> bool {
    let (Ok(path), Ok(folder)) = (std::path::absolute(path), folder.canonicalize()) else {
        return false;
    };
    path.ancestors()
        .find_map(|above| above.canonicalize().ok())
        .is_some_and(|above| above.starts_with(folder))
}

fn remove_unfinished(target: &Path) {
    // Without a manifest it is refused by `restore` anyway; this only gives the space back.
    let _ = std::fs::remove_dir_all(target.join(FOLDER));
    let _ = std::fs::remove_file(target.join(seal_ring::FILE));
    let _ = std::fs::remove_file(target.join(MANIFEST));
}

/// Reads a backup's manifest and holds every file against it.
pub(crate) fn verify(from: &Path) -> Result<Manifest, StoreError> {
    let path: PathBuf = from.join(MANIFEST);
    let refused = |reason: String| {
        StoreError::Refused(format!(
            "`{}` is not a whole backup: {reason}",
            from.display()
        ))
    };
    let json = std::fs::read(&path)
        .map_err(|error| refused(format!("cannot read its manifest: {error}")))?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|error| refused(format!("cannot read its manifest: {error}")))?;
    if manifest.format != 1 {
        return Err(refused(format!(
            "its format is {}, and this version knows 1",
            manifest.format
        )));
    }
    for file in &manifest.segments {
        if file.name.contains('/') || !file.name.ends_with(".seg") {
            return Err(refused(format!("`{}` is not a segment's name", file.name)));
        }
    }
    let segments = manifest
        .segments
        .iter()
        .map(|file| (from.join(FOLDER).join(&file.name), file));
    let data_keys = manifest
        .data_keys
        .iter()
        .map(|file| (from.join(seal_ring::FILE), file));
    for (path, file) in segments.chain(data_keys) {
        let bytes = std::fs::read(&path)
            .map_err(|error| refused(format!("cannot read `{}`: {error}", file.name)))?;
        let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
        if bytes.len() as u64 != file.bytes || hex(hash.as_ref()) != file.sha256 {
            return Err(refused(format!("`{}` is not what was copied", file.name)));
        }
    }
    Ok(manifest)
}

/// The name a copied segment gets in a data folder: a reserve that was used is an ordinary segment there.
pub(crate) fn installed_name(segment: &Segment) -> String {
    if is_reserve(&segment.path) {
        return format!(
            "{:04}-{:08}.seg",
            segment.header.epoch, segment.header.ordinal
        );
    }
    segment.name()
}
