//! The segment files of a folder, put in order by their headers, and a walk over their records.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_token::Rev;

use super::disk::failed;
use super::fields::Hash;
use super::header::{HEADER_BYTES, Header, HeaderFault};
use super::record::{Cursor, Entry, Fault, Mark, holds_intact_record};
use crate::crypto::{SealingRoot, SequenceSeal};
use crate::store::StoreError;

/// Where segments lie inside the data folder.
pub(crate) const FOLDER: &str = "segments";
const READ_BUFFER_BYTES: usize = 1 << 20;

/// One segment that was begun.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) header_hash: Hash,
    /// Known when the sealing key is.
    pub(crate) seal: Option<Arc<SequenceSeal>>,
    /// How many bytes count, as its successor says; the last one has no successor.
    pub(crate) valid_length: Option<u64>,
}

/// Everything in the folder.
#[derive(Default)]
pub(crate) struct Segments {
    /// In the order of the chain.
    pub(crate) chain: Vec<Segment>,
    /// Preallocated and not yet begun.
    pub(crate) reserves: Vec<PathBuf>,
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// In the last segment, behind its last whole record.
    pub(crate) mark: Mark,
    /// Bytes of a write that was never finished.
    pub(crate) torn_bytes: u64,
}

impl Segment {
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Behind the header.
    pub(crate) fn start(&self) -> Mark {
        Mark {
            offset: HEADER_BYTES as u64,
            index: 0,
            rev: self.header.start(),
            hash: self.header_hash,
            at: self.header.begun_at,
        }
    }

    /// A cursor at `mark`, for records up to `end`.
    pub(crate) fn cursor(
        &self,
        mark: Mark,
        end: u64,
    ) -> Result<Cursor<impl Read + use<>>, StoreError> {
        let action = || format!("read the segment `{}`", self.name());
        let mut file = File::open(&self.path).map_err(failed(action()))?;
        file.seek(SeekFrom::Start(mark.offset))
            .map_err(failed(action()))?;
        Ok(Cursor::new(
            BufReader::with_capacity(READ_BUFFER_BYTES, file),
            mark,
            end,
        ))
    }

    pub(crate) fn damaged(&self, offset: u64, reason: &str) -> StoreError {
        StoreError::Damaged(format!(
            "segment `{}`, record at byte {offset}: {reason}",
            self.name()
        ))
    }
}

/// Reads all headers and puts them in order. With `root`, every header must be sealed under it: none that
/// is means another key, some that are not mean damage.
pub(crate) fn survey(folder: &Path, root: Option<&SealingRoot>) -> Result<Segments, StoreError> {
    let folder = folder.join(FOLDER);
    let mut segments = Segments::default();
    let mut foreign = None;
    for path in segment_files(&folder)? {
        match read_header(&path, root)? {
            Found::Segment(segment) => segments.chain.push(*segment),
            Found::Foreign(name) => foreign = Some(name),
            Found::Reserve => segments.reserves.push(path),
        }
    }
    if let Some(name) = foreign {
        return Err(if segments.chain.is_empty() {
            StoreError::OtherKey
        } else {
            StoreError::Damaged(format!(
                "segment `{name}`: it is not sealed under the key of the others, or its header was forged"
            ))
        });
    }
    segments.chain.sort_by_key(|segment| segment.header.ordinal);
    segments.reserves.sort();
    check_order(&mut segments.chain)?;
    Ok(segments)
}

fn segment_files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let action = || format!("read the folder `{}`", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(action()))? {
        let entry = entry.map_err(failed(action()))?;
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        if !entry.file_type().map_err(failed(action()))?.is_file() {
            return Err(StoreError::Refused(format!(
                "`{}` is not a regular file",
                path.display()
            )));
        }
        files.push(path);
    }
    Ok(files)
}

/// Whether a file's name says that it was preallocated.
pub(crate) fn is_reserve(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("reserve-"))
}

/// What a segment file is.
enum Found {
    Segment(Box<Segment>),
    /// Sealed under another key.
    Foreign(String),
    /// Preallocated, and not begun.
    Reserve,
}

fn read_header(path: &Path, root: Option<&SealingRoot>) -> Result<Found, StoreError> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut file = File::open(path).map_err(failed(format!("read the segment `{name}`")))?;
    let mut bytes = [0; HEADER_BYTES];
    let damaged = |reason: &str| StoreError::Damaged(format!("segment `{name}`: {reason}"));
    if file.read_exact(&mut bytes).is_err() {
        return Err(damaged("it is shorter than a header"));
    }
    let header = match Header::decode(&bytes) {
        Ok(header) => header,
        Err(HeaderFault::Unused) if is_reserve(path) => return Ok(Found::Reserve),
        // A header that was being written when the power went: the first record only comes after it is
        // durable, so such a reserve holds nothing.
        Err(HeaderFault::Damaged) if is_reserve(path) && rest_is_zero(file) => {
            return Ok(Found::Reserve);
        }
        Err(HeaderFault::Format(format)) => {
            return Err(StoreError::Refused(format!(
                "segment `{name}` has format {format}, and this version of lanyard knows formats up to {}: \
                 use a newer version, or run `lanyard store check`",
                super::header::FORMAT
            )));
        }
        Err(fault) => return Err(damaged(&fault.to_string())),
    };
    let mut seal = None;
    if let Some(root) = root {
        let key = header
            .sealed_by(&bytes, root)
            .map_err(|error| damaged(&error.to_string()))?;
        let Some(key) = key else {
            return Ok(Found::Foreign(name));
        };
        seal = Some(Arc::new(key));
    }
    let header_hash = Header::hash(&bytes);
    Ok(Found::Segment(Box::new(Segment {
        path: path.to_owned(),
        header,
        header_hash,
        seal,
        valid_length: None,
    })))
}

fn rest_is_zero(mut file: File) -> bool {
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).is_ok() && rest.iter().all(|byte| *byte == 0)
}

fn check_order(chain: &mut [Segment]) -> Result<(), StoreError> {
    for (expected, segment) in (1..).zip(chain.iter()) {
        let found = segment.header.ordinal;
        if found > expected {
            return Err(StoreError::Damaged(format!(
                "segment number {expected} of the chain is missing"
            )));
        }
        if found < expected {
            return Err(StoreError::Damaged(format!(
                "segment `{}` is there twice",
                segment.name()
            )));
        }
    }
    let mut successors = chain
        .iter()
        .skip(1)
        .map(|next| next.header.clone())
        .collect::<Vec<_>>()
        .into_iter();
    for segment in chain {
        let Some(next) = successors.next() else { break };
        let this = &segment.header;
        let same_life =
            next.epoch == this.epoch && next.first_number == next.previous_rev.number() + 1;
        let next_life = next.epoch > this.epoch && next.first_number == 1;
        if next.trust_domain != this.trust_domain
            || next.previous_rev.epoch() != this.epoch
            || !(same_life || next_life)
            || next.begun_at < this.begun_at
        {
            let reason = format!(
                "segment number {} does not continue `{}`",
                next.ordinal,
                segment.name()
            );
            return Err(StoreError::Damaged(reason));
        }
        segment.valid_length = Some(next.previous_length);
    }
    Ok(())
}

/// Visits every record of `chain` in order, from its first segment on, and says where it ends.
pub(crate) fn walk(
    chain: &[Segment],
    mut visit: impl FnMut(&Segment, Entry) -> Result<(), StoreError>,
) -> Result<Option<End>, StoreError> {
    let mut successors = chain.iter().skip(1);
    let mut end = None;
    for segment in chain {
        let next = successors.next();
        let length = match segment.valid_length {
            Some(length) => length,
            None => file_length(segment)?,
        };
        let mut cursor = segment.cursor(segment.start(), length)?;
        let torn_bytes = loop {
            match cursor.next() {
                Ok(Some(entry)) => visit(segment, entry)?,
                Ok(None) => break 0,
                Err(Fault::Torn(reason)) if next.is_none() => {
                    break tail(segment, cursor.mark(), reason)?;
                }
                Err(fault) => return Err(segment.damaged(cursor.mark().offset, &fault.to_string())),
            }
        };
        let mark = *cursor.mark();
        if let Some(next) = next
            && (next.header.previous_hash != mark.hash || next.header.previous_rev != mark.rev)
        {
            return Err(segment.damaged(mark.offset, "the next segment does not continue it"));
        }
        end = Some(End { mark, torn_bytes });
    }
    Ok(end)
}

pub(crate) fn file_length(segment: &Segment) -> Result<u64, StoreError> {
    let metadata = std::fs::metadata(&segment.path);
    Ok(metadata
        .map_err(failed(format!("read the segment `{}`", segment.name())))?
        .len())
}

/// Judges what stands behind the last whole record of the last segment: nothing (or zeros that
/// were written ahead), a write that was never finished, or damage in the middle. One record is written at a time
/// and the next only after it is durable, so an unfinished write is always the last thing there is.
fn tail(segment: &Segment, mark: &Mark, reason: &str) -> Result<u64, StoreError> {
    let action = || format!("read the segment `{}`", segment.name());
    let mut file = File::open(&segment.path).map_err(failed(action()))?;
    file.seek(SeekFrom::Start(mark.offset))
        .map_err(failed(action()))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).map_err(failed(action()))?;
    let written = rest
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    if holds_intact_record(&rest, written, mark.rev) {
        return Err(segment.damaged(
            mark.offset,
            &format!("{reason}, and intact records follow it"),
        ));
    }
    Ok(written as u64)
}

/// Whether the log may end at `end`, given what was acknowledged. `hash_at` is the hash of the record
/// that ends at `acknowledged`, if there is one.
pub(crate) fn check_acknowledged(
    chain: &[Segment],
    end: &End,
    acknowledged: Rev,
    acknowledged_hash: &Hash,
    hash_at: Option<&Hash>,
) -> Result<(), StoreError> {
    if hash_at == Some(acknowledged_hash) {
        return Ok(());
    }
    // A later epoch was begun knowing that what lay after `previous_rev` is lost.
    let given_up = chain.iter().any(|segment| {
        segment.header.epoch > acknowledged.epoch() && segment.header.previous_rev < acknowledged
    });
    if given_up {
        return Ok(());
    }
    if acknowledged > end.mark.rev {
        if end.torn_bytes > 0
            && let Some(last) = chain.last()
        {
            let reason =
                format!("it is broken, and the log was acknowledged up to rev {acknowledged}");
            return Err(last.damaged(end.mark.offset, &reason));
        }
        return Err(StoreError::RolledBack {
            found: end.mark.rev,
            expected: acknowledged,
        });
    }
    Err(StoreError::Damaged(format!(
        "it holds another history than the one acknowledged at rev {acknowledged}"
    )))
}

/// The segment that holds the record ending at `rev`: the last one that begins before it.
pub(crate) fn position_of(chain: &[Segment], rev: Rev) -> usize {
    chain
        .partition_point(|segment| segment.header.start() < rev)
        .saturating_sub(1)
}
