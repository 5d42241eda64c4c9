//! Closed windows, kept beside the log for rehearsals.
//!
//! Not in the log: they are no facts that anything follows from, there are many of them, and they are
//! forgotten after some days. Append-only segment files, sealed chunk by chunk under the root sealing
//! key: whoever can write the folder can neither read behaviour nor invent it, and a chunk cannot be
//! moved, since its place is sealed in. Windows of the last [`FLUSH_EVERY`] milliseconds may be lost
//! with the process; a rehearsal over days does not hang on them. Nothing waits for a disk here: what
//! cannot be written is counted and dropped.
//!
//! Every start begins a new segment, so what was written is never written to again, and a chunk that
//! was cut by a crash is the last of its file. The oldest segments go when the folder is larger than it
//! may be, or when all in them is older than it may be.

mod segment;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lanyard_drift::Millis;
use lanyard_drift::rehearsal::RecordedWindow;

use crate::clock::UnixMillis;
use crate::crypto::SealingRoot;
use segment::{Name, Reader, Writer};

/// How often windows are written, in milliseconds.
pub(super) const FLUSH_EVERY: u64 = 10_000;
/// A segment this large is full: what is forgotten at once when the folder is.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// For how many days.
    pub days: u32,
    /// Bytes of all segments together.
    pub bytes: u64,
}

/// A folder of recorded windows.
pub struct Recorder {
    folder: PathBuf,
    root: Arc<SealingRoot>,
    keeping: Keeping,
    writer: Mutex<Option<Writer>>,
}

/// What reading came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Windows that were read.
    pub windows: u64,
    /// Segments that end in something else than a whole chunk: cut by a crash, damaged, or sealed
    /// under another key. What stands before was read.
    pub cut: u64,
}

impl Recorder {
    /// Windows in the folder `windows` below this one.
    pub fn in_folder(folder: &Path, root: Arc<SealingRoot>, keeping: Keeping) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = folder.join("windows");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(Self {
            folder,
            root,
            keeping,
            writer: Mutex::new(None),
        })
    }

    /// Appends windows as one chunk, durably, and forgets what is too old or too much.
    pub fn append(&self, windows: &[RecordedWindow], now: UnixMillis) -> io::Result<()> {
        if windows.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer
            .as_ref()
            .is_none_or(|open| open.bytes() >= SEGMENT_BYTES)
        {
            // What cannot be forgotten now is forgotten next time.
            let _ = self.forget(now);
            let number = self.segments()?.last().map_or(0, |last| last.number + 1);
            let name = Name {
                number,
                started: now,
            };
            *writer = Some(Writer::create(&self.folder, name)?);
        }
        let Some(open) = writer.as_mut() else {
            return Ok(());
        };
        let appended = open.append(&self.root, windows);
        if appended.is_err() {
            // Whatever half a chunk is there stays the last of its file.
            *writer = None;
        }
        appended
    }

    /// Reads the windows that closed at `since` or later, oldest first, until `each` says `false`.
    pub fn read(
        &self,
        since: UnixMillis,
        mut each: impl FnMut(RecordedWindow) -> bool,
    ) -> io::Result<ReadBack> {
        let segments = self.segments()?;
        let mut back = ReadBack::default();
        for (at, name) in segments.iter().enumerate() {
            let next = segments.get(at + 1);
            if next.is_some_and(|next| next.started < since) {
                continue;
            }
            let mut reader = match Reader::open(&self.folder, *name) {
                Ok(reader) => reader,
                // Forgotten meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            while let Some(windows) = reader.next(&self.root)? {
                for window in windows {
                    if window.at < Millis(since.0) {
                        continue;
                    }
                    back.windows += 1;
                    if !each(window) {
                        return Ok(back);
                    }
                }
            }
            back.cut += u64::from(reader.is_cut());
        }
        Ok(back)
    }

    /// Removes the oldest segments while there are too many bytes, and those that are too old.
    fn forget(&self, now: UnixMillis) -> io::Result<()> {
        let segments = self.segments()?;
        let sizes: Vec<u64> = segments
            .iter()
            .map(|name| {
                let path = self.folder.join(name.to_string());
                fs::metadata(path).map_or(0, |found| found.len())
            })
            .collect();
        // Room for the segment that is about to begin.
        let mut bytes = sizes.iter().sum::<u64>().saturating_add(SEGMENT_BYTES);
        let oldest = now.0.saturating_sub(u64::from(self.keeping.days) * DAY);
        for (at, (name, size)) in segments.iter().zip(&sizes).enumerate() {
            // Everything in a segment is from before the next one was begun.
            let ended = segments.get(at + 1).map_or(now, |next| next.started);
            if bytes <= self.keeping.bytes && ended.0 >= oldest {
                break;
            }
            fs::remove_file(self.folder.join(name.to_string()))?;
            bytes = bytes.saturating_sub(*size);
        }
        Ok(())
    }

    /// All segments, oldest first. Other files in the folder are nobody's.
    fn segments(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            names.extend(name.to_str().and_then(Name::parse));
        }
        names.sort_unstable();
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
