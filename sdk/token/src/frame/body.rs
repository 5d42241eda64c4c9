//! What stands between the head and the signature of a message.
//!
//! A frame's entries are grouped by kind, so that a watermark costs its 8 bytes and nothing more:
//! number of groups (1 byte), then per group tag (1), number of entries (2) and the entries. Tags
//! rise and no group is empty, so there is one way to write a frame. A snapshot has four lists, each
//! with its number of items (4 bytes) before it.

use super::wire::{Reader, Writer};
use super::{Checkpoint, Entry, FrameError, MAX_ENTRIES, Snapshot, Suspension};

/// Tags and widths of the entries.
const TAGS: [(u8, usize); 6] = [
    (WATERMARK, 8),
    (SUSPEND, 16),
    (RESUME, 8),
    (NARROW, 8),
    (REMOVE_KEY, 43),
    (CHECKPOINT, 40),
];
const WATERMARK: u8 = 1;
const SUSPEND: u8 = 2;
const RESUME: u8 = 3;
const NARROW: u8 = 4;
const REMOVE_KEY: u8 = 5;
const CHECKPOINT: u8 = 6;

pub(super) fn write_entries(entries: &[Entry], out: &mut Writer) -> Result<(), FrameError> {
    if entries.len() > MAX_ENTRIES {
        return Err(FrameError::TooManyEntries);
    }
    let of_tag = |tag| entries.iter().filter(move |entry| tag_of(entry) == tag);
    let groups = TAGS
        .iter()
        .filter(|(tag, _)| of_tag(*tag).next().is_some())
        .count();
    out.u8(groups as u8);
    for (tag, _) in TAGS {
        let count = of_tag(tag).count();
        if count == 0 {
            continue;
        }
        out.u8(tag);
        out.u16(u16::try_from(count).map_err(|_| FrameError::TooManyEntries)?);
        for entry in of_tag(tag) {
            write_entry(entry, out);
        }
    }
    Ok(())
}

pub(super) fn read_entries(input: &mut Reader<'_>) -> Result<Vec<Entry>, FrameError> {
    let groups = input.u8()?;
    let mut entries = Vec::new();
    let mut last_tag = 0;
    for _ in 0..groups {
        let tag = input.u8()?;
        let count = usize::from(input.u16()?);
        let width = TAGS
            .iter()
            .find(|(known, _)| *known == tag)
            .ok_or(FrameError::Damaged)?
            .1;
        if tag <= last_tag || count == 0 {
            return Err(FrameError::Damaged);
        }
        if entries.len() + count > MAX_ENTRIES {
            return Err(FrameError::TooManyEntries);
        }
        last_tag = tag;
        entries.extend(input.list(count, width, |input| read_entry(tag, input))?);
    }
    Ok(entries)
}

pub(super) fn write_state(snapshot: &Snapshot, out: &mut Writer) -> Result<(), FrameError> {
    write_count(snapshot.watermarks.len(), out)?;
    for (node, rev) in &snapshot.watermarks {
        out.node(*node);
        out.rev(*rev);
    }
    write_count(snapshot.suspended.len(), out)?;
    for suspension in &snapshot.suspended {
        out.node(suspension.node);
        out.rev(suspension.rev);
        out.u64(suspension.until_ms);
    }
    write_count(snapshot.narrowed.len(), out)?;
    for (node, rev) in &snapshot.narrowed {
        out.node(*node);
        out.rev(*rev);
    }
    write_count(snapshot.removed_keys.len(), out)?;
    for kid in &snapshot.removed_keys {
        out.key_id(kid);
    }
    Ok(())
}

/// Fills the four lists of `snapshot`.
pub(super) fn read_state(
    snapshot: &mut Snapshot,
    input: &mut Reader<'_>,
) -> Result<(), FrameError> {
    let count = input.count()?;
    snapshot.watermarks = input.list(count, 16, |input| Ok((input.node()?, input.rev()?)))?;
    let count = input.count()?;
    snapshot.suspended = input.list(count, 24, |input| {
        Ok(Suspension {
            node: input.node()?,
            rev: input.rev()?,
            until_ms: input.u64()?,
        })
    })?;
    let count = input.count()?;
    snapshot.narrowed = input.list(count, 16, |input| Ok((input.node()?, input.rev()?)))?;
    let count = input.count()?;
    snapshot.removed_keys = input.list(count, 43, Reader::key_id)?;
    Ok(())
}

fn write_count(count: usize, out: &mut Writer) -> Result<(), FrameError> {
    out.u32(u32::try_from(count).map_err(|_| FrameError::TooLong)?);
    Ok(())
}

const fn tag_of(entry: &Entry) -> u8 {
    match entry {
        Entry::Watermark(_) => WATERMARK,
        Entry::Suspend { .. } => SUSPEND,
        Entry::Resume(_) => RESUME,
        Entry::Narrow(_) => NARROW,
        Entry::RemoveKey(_) => REMOVE_KEY,
        Entry::Checkpoint(_) => CHECKPOINT,
    }
}

fn write_entry(entry: &Entry, out: &mut Writer) {
    match entry {
        Entry::Watermark(node) | Entry::Resume(node) | Entry::Narrow(node) => out.node(*node),
        Entry::Suspend { node, until_ms } => {
            out.node(*node);
            out.u64(*until_ms);
        }
        Entry::RemoveKey(kid) => out.key_id(kid),
        Entry::Checkpoint(Checkpoint { root, size }) => {
            out.bytes(root);
            out.u64(*size);
        }
    }
}

fn read_entry(tag: u8, input: &mut Reader<'_>) -> Result<Entry, FrameError> {
    match tag {
        WATERMARK => input.node().map(Entry::Watermark),
        SUSPEND => Ok(Entry::Suspend {
            node: input.node()?,
            until_ms: input.u64()?,
        }),
        RESUME => input.node().map(Entry::Resume),
        NARROW => input.node().map(Entry::Narrow),
        REMOVE_KEY => input.key_id().map(Entry::RemoveKey),
        CHECKPOINT => Ok(Entry::Checkpoint(Checkpoint {
            root: *input.take()?,
            size: input.u64()?,
        })),
        _ => Err(FrameError::Damaged),
    }
}
