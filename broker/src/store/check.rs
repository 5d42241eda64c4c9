//! `lanyard store check`: reads everything and changes nothing.
//!
//! Every record is held against its CRC, the chain, its seal, its words and its place; the end against
//! the anchors; the index, when no broker runs, against its own sum and the log. The first damage is
//! named with segment and byte. It can be run beside a broker: what is just being written then looks like
//! a write that was never finished, and is said to be that.

use std::path::{Path, PathBuf};

use lanyard_token::Rev;
use serde::Serialize;

use super::StoreError;
use super::log::anchor::{self, Anchored};
use super::log::fields::hex;
use super::log::segments::{End, Segments, check_acknowledged, survey, walk};
use super::log::{anchor_path, index_mac, lock};
use super::sled::{FOLDER as INDEX, Index, Standing};
use crate::crypto::SealingRoot;

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The data folder.
    pub folder: PathBuf,
    /// Whose log it is.
    pub trust_domain: Option<String>,
    /// Segments in the chain.
    pub segments: usize,
    /// Records that are whole.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// The place of the last whole record.
    pub head: Option<Rev>,
    /// SHA-256 of the last whole record.
    pub head_hash: Option<String>,
    /// The last boot.
    pub boot: u32,
    /// Preallocated segments that wait for a full disk.
    pub reserves: usize,
    /// Bytes of a write that was never finished.
    pub unfinished_bytes: u64,
    /// The places the anchors hold.
    pub anchors: Vec<Rev>,
    /// How the index is, in words. It is never a damage: it can be rebuilt.
    pub index: String,
    /// The first damage, in words; `None` when the log is whole.
    pub damage: Option<String>,
}

impl CheckReport {
    /// Whether the log is whole.
    pub const fn is_whole(&self) -> bool {
        self.damage.is_none()
    }
}

/// Checks the log in `folder`. An error is only that the check could not be done; damage is in the report.
pub fn check(
    folder: &Path,
    anchor_file: Option<&Path>,
    root: &SealingRoot,
) -> Result<CheckReport, StoreError> {
    if !folder.join(super::log::segments::FOLDER).is_dir() {
        return Err(StoreError::Refused(format!(
            "`{}` holds no log",
            folder.display()
        )));
    }
    let mut report = CheckReport {
        folder: folder.to_owned(),
        trust_domain: None,
        segments: 0,
        records: 0,
        events: 0,
        head: None,
        head_hash: None,
        boot: 0,
        reserves: 0,
        unfinished_bytes: 0,
        anchors: Vec::new(),
        index: "not looked at".to_owned(),
        damage: None,
    };
    // The anchors first: a broker that runs moves them on, never back.
    let paths = [Some(anchor_path(folder)), anchor_file.map(Path::to_owned)];
    let mut anchors = Vec::new();
    for path in paths.into_iter().flatten() {
        match anchor::read(&path) {
            Ok(found) => anchors.extend(found),
            Err(error) => {
                report.damage = Some(words(error));
                return Ok(report);
            }
        }
    }
    report.anchors = anchors.iter().map(|anchored| anchored.rev).collect();
    match read_all(folder, root, &anchors, &mut report) {
        Ok(places) => report.index = check_index(folder, root, &report, &places),
        Err(StoreError::OtherKey) => return Err(StoreError::OtherKey),
        Err(error) => report.damage = Some(words(error)),
    }
    Ok(report)
}

/// Walks the whole chain; returns the places of its records.
fn read_all(
    folder: &Path,
    root: &SealingRoot,
    anchors: &[Anchored],
    report: &mut CheckReport,
) -> Result<Vec<Standing>, StoreError> {
    let segments = survey(folder, Some(root))?;
    report.describe(&segments);
    let mut places = Vec::new();
    let end = walk(&segments.chain, |segment, entry| {
        let (offset, standing) = (
            entry.offset,
            Standing {
                rev: entry.rev,
                hash: entry.hash,
            },
        );
        if let Some(seal) = &segment.seal {
            let record = entry
                .open(seal)
                .map_err(|reason| segment.damaged(offset, reason))?;
            report.events += record.events.len() as u64;
        }
        report.records += 1;
        report.head = Some(standing.rev);
        report.head_hash = Some(hex(&standing.hash));
        places.push(standing);
        Ok(())
    })?;
    report.unfinished_bytes = end.map_or(0, |end| end.torn_bytes);
    for anchored in anchors {
        check_anchor(&segments, end.as_ref(), anchored, &places)?;
    }
    Ok(places)
}

fn check_anchor(
    segments: &Segments,
    end: Option<&End>,
    anchored: &Anchored,
    places: &[Standing],
) -> Result<(), StoreError> {
    let Some(end) = end else {
        return Err(StoreError::RolledBack {
            found: Rev::ZERO,
            expected: anchored.rev,
        });
    };
    let found = places
        .binary_search_by_key(&anchored.rev, |place| place.rev)
        .ok();
    let hash = found
        .and_then(|position| places.get(position))
        .map(|place| &place.hash);
    check_acknowledged(&segments.chain, end, anchored.rev, &anchored.hash, hash)
}

/// Opening an index changes it, so a copy is opened, and only while no broker works on it.
fn check_index(
    folder: &Path,
    root: &SealingRoot,
    report: &CheckReport,
    places: &[Standing],
) -> String {
    let index = folder.join(INDEX);
    if !index.is_dir() {
        return "there is none: it is built at the next start".to_owned();
    }
    let Ok(_lock) = lock(folder) else {
        return "in use by a running broker, not looked at".to_owned();
    };
    let judged = Scratch::copy_of(&index)
        .map_err(|error| error.to_string())
        .and_then(|copy| {
            let trust_domain = report.trust_domain.clone().unwrap_or_default();
            let mac = index_mac(root, &trust_domain).map_err(|error| error.to_string())?;
            let index = Index::open(&copy.0, mac).map_err(|error| error.to_string())?;
            let rows = index
                .load(|_, _, _| Ok(()))
                .map_err(|error| error.to_string())?;
            match index.standing() {
                None => Ok("empty: it is filled at the next start".to_owned()),
                Some(standing) if places.contains(&standing) => Ok(format!(
                    "whole: {rows} rows, standing at rev {}",
                    standing.rev
                )),
                Some(_) => Err("it does not stand at a place of this log".to_owned()),
            }
        });
    judged.unwrap_or_else(|reason| format!("damaged, and rebuilt at the next start: {reason}"))
}

/// A folder of its own under the system's temporary one, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn copy_of(folder: &Path) -> std::io::Result<Self> {
        let name = crate::crypto::random::<8>().map_err(std::io::Error::other)?;
        let scratch = Self(std::env::temp_dir().join(format!("lanyard-check-{}", hex(&name))));
        copy_tree(folder, &scratch.0)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in the temporary folder and is never read again.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl CheckReport {
    fn describe(&mut self, segments: &Segments) {
        self.segments = segments.chain.len();
        self.reserves = segments.reserves.len();
        self.trust_domain = segments
            .chain
            .first()
            .map(|first| first.header.trust_domain.clone());
        self.boot = segments
            .chain
            .iter()
            .map(|segment| segment.header.boot)
            .max()
            .unwrap_or(0);
    }
}

/// The check itself need not say that the check should be run.
fn words(error: StoreError) -> String {
    match error {
        StoreError::Damaged(reason) | StoreError::Refused(reason) => reason
            .trim_end_matches(", or run `lanyard store check`")
            .to_owned(),
        StoreError::RolledBack { found, expected } => {
            format!("the log ends at rev {found}, but rev {expected} was acknowledged")
        }
        other => other.to_string(),
    }
}
