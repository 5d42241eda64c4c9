//! The end of the chain: writes records into the current segment and begins the next one.
//!
//! A segment is written by one boot only. After every start a new one is begun, and so a number of its
//! key's sequence is never used twice: what a crash left behind the last whole record is not overwritten
//! but left out, by the length the next header gives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_token::Rev;

use super::disk::{Disk, is_full, sync_folder};
use super::fields::{Hash, sha256};
use super::header::{HEADER_BYTES, Header};
use super::payload::Payload;
use super::record::{MAX_RECORD_BYTES, Mark, encode};
use super::reserve::Reserves;
use super::segments::Segment;
use crate::clock::UnixMillis;
use crate::crypto::{SealingRoot, SequenceSeal, random};

/// The most that is prepared at once, ten thousand tokens or so: whoever comes just then waits some hundredths of a
/// second, and must be fewer than one in a hundred.
const PREPARE_MOST: u64 = 16 << 20;

/// Why a record was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// No space; nothing of it counts.
    Full,
    /// It is larger than a record may be; nothing was tried.
    TooLarge,
    /// It is not known what is on disk now: the process must not go on.
    Fatal(String),
}

/// A durable record.
pub(crate) struct Written {
    pub(crate) rev: Rev,
    pub(crate) hash: Hash,
    /// Behind it.
    pub(crate) mark: Mark,
    /// The segment it began, when it began one.
    pub(crate) begun: Vec<Segment>,
}

/// The last place of the chain, as the next header tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) ordinal: u64,
    pub(crate) rev: Rev,
    pub(crate) hash: Hash,
    pub(crate) at: UnixMillis,
    pub(crate) length: u64,
}

struct Current {
    file: File,
    seal: Arc<SequenceSeal>,
    mark: Mark,
    /// Of a preallocated segment.
    capacity: Option<u64>,
    /// Up to here the file holds zeros or records: writing there makes it no longer.
    prepared: u64,
}

pub(crate) struct Appender {
    folder: PathBuf,
    root: Arc<SealingRoot>,
    disk: Arc<dyn Disk>,
    trust_domain: String,
    epoch: u16,
    boot: u32,
    segment_bytes: u64,
    prepare_from: u64,
    tail: Tail,
    current: Option<Current>,
    begun: Vec<Segment>,
    pub(crate) reserves: Reserves,
}

impl Appender {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, where a log is opened, with all it found there"
    )]
    pub(crate) fn new(
        folder: PathBuf,
        root: Arc<SealingRoot>,
        disk: Arc<dyn Disk>,
        trust_domain: String,
        epoch: u16,
        boot: u32,
        segment_bytes: u64,
        prepare_from: u64,
        tail: Tail,
        reserves: Reserves,
    ) -> Self {
        let (current, begun) = (None, Vec::new());
        Self {
            folder,
            root,
            disk,
            trust_domain,
            epoch,
            boot,
            segment_bytes,
            prepare_from,
            tail,
            current,
            begun,
            reserves,
        }
    }

    /// The time of the last record.
    pub(crate) const fn last_time(&self) -> UnixMillis {
        self.tail.at
    }

    /// Writes `count` events as one record and returns when it is durable. With `from_reserve` only
    /// preallocated space is used.
    pub(crate) fn append(
        &mut self,
        json: Vec<u8>,
        count: u32,
        at: UnixMillis,
        from_reserve: bool,
    ) -> Result<Written, NotWritten> {
        if json.len() + 128 > MAX_RECORD_BYTES {
            return Err(NotWritten::TooLarge);
        }
        let payload = Payload::pack(json);
        let needed = (payload.len() + 128) as u64;
        self.make_room(needed, at, from_reserve)?;
        self.prepare(needed)?;
        let previous = self.before_first(self.tail.rev);
        let Some(current) = &mut self.current else {
            return Err(NotWritten::Full);
        };
        let mark = current.mark;
        let rev = previous
            .forward(u64::from(count))
            .ok_or_else(|| fatal("number the next record")("the epoch is full"))?;
        let bytes = encode(&current.seal, &mark, rev, at, count, payload)
            .map_err(|e| fatal("seal a record")(e))?;
        if let Err(error) = self.disk.write_at(&current.file, &bytes, mark.offset) {
            // What was written of it stays behind, uncounted; nothing more is written to this segment.
            self.current = None;
            return Err(if is_full(&error) {
                NotWritten::Full
            } else {
                fatal("write the log")(error)
            });
        }
        self.disk
            .sync(&current.file)
            .map_err(|e| fatal("sync the log")(e))?;
        let hash = sha256(&bytes);
        let offset = mark.offset.saturating_add(bytes.len() as u64);
        current.mark = Mark {
            offset,
            index: mark.index.saturating_add(1),
            rev,
            hash,
            at,
        };
        let mark = current.mark;
        self.tail = Tail {
            ordinal: self.tail.ordinal,
            rev,
            hash,
            at,
            length: offset,
        };
        Ok(Written {
            rev,
            hash,
            mark,
            begun: std::mem::take(&mut self.begun),
        })
    }

    /// Gives back what was prepared and not used. What is left of it after a crash are zeros, which count as
    /// nothing.
    pub(crate) fn trim(&mut self) {
        if let Some(current) = &mut self.current
            && current.capacity.is_none()
            && current.prepared > current.mark.offset
            && current.file.set_len(current.mark.offset).is_ok()
        {
            current.prepared = current.mark.offset;
        }
    }

    /// Writes zeros ahead of the records, when a segment has shown that it is written a lot.
    ///
    /// Syncing a record that makes its file longer waits for the journal of the file system, and with it for
    /// whatever else is being written there; syncing one that replaces zeros only waits for the device.
    fn prepare(&mut self, needed: u64) -> Result<(), NotWritten> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let offset = current.mark.offset;
        if current.capacity.is_some()
            || offset < self.prepare_from
            || offset.saturating_add(needed) <= current.prepared
        {
            return Ok(());
        }
        let begin = current.prepared.max(offset);
        // As much as there is already, so that at most half of a file is zeros.
        let ahead = offset.min(PREPARE_MOST);
        let end = begin
            .saturating_add(ahead)
            .min(self.segment_bytes.max(offset.saturating_add(needed)));
        let zeros = vec![0; usize::try_from(end.saturating_sub(begin)).unwrap_or(0)];
        if let Err(error) = self.disk.write_at(&current.file, &zeros, begin) {
            if !is_full(&error) {
                return Err(fatal("prepare the log")(error));
            }
            // The record itself may still fit: it gets what space there is, and this is not tried again here.
            let _ = current.file.set_len(offset);
            current.prepared = u64::MAX;
            return Ok(());
        }
        self.disk
            .sync(&current.file)
            .map_err(|e| fatal("sync the log")(e))?;
        current.prepared = end;
        Ok(())
    }

    /// Leaves the current segment, so that the next record begins a new one.
    pub(crate) fn leave_segment(&mut self) {
        self.current = None;
    }

    fn make_room(
        &mut self,
        needed: u64,
        at: UnixMillis,
        from_reserve: bool,
    ) -> Result<(), NotWritten> {
        let fits = self
            .current
            .as_ref()
            .is_some_and(|current| match current.capacity {
                Some(capacity) => {
                    from_reserve && current.mark.offset.saturating_add(needed) <= capacity
                }
                None => {
                    !from_reserve
                        && (current.mark.index == 0
                            || current.mark.offset.saturating_add(needed) <= self.segment_bytes)
                }
            });
        if fits {
            return Ok(());
        }
        if !from_reserve {
            return self.begin(None, at);
        }
        if needed.saturating_add(HEADER_BYTES as u64) > self.reserves.bytes() {
            return Err(NotWritten::Full);
        }
        match self.reserves.take() {
            Some(path) => self.begin(Some(path), at),
            None => Err(NotWritten::Full),
        }
    }

    /// Begins the next segment of the chain, in a new file or in a reserve.
    fn begin(&mut self, reserve: Option<PathBuf>, at: UnixMillis) -> Result<(), NotWritten> {
        self.current = None;
        let previous_rev = self.tail.rev;
        let first_number = self.before_first(previous_rev).number().saturating_add(1);
        let header = Header {
            epoch: self.epoch,
            first_number,
            ordinal: self.tail.ordinal.saturating_add(1),
            boot: self.boot,
            begun_at: at.max(self.tail.at),
            previous_rev,
            previous_length: self.tail.length,
            previous_hash: self.tail.hash,
            salt: random().map_err(|e| fatal("begin a segment")(e))?,
            trust_domain: self.trust_domain.clone(),
        };
        let seal = Arc::new(
            header
                .seal(&self.root)
                .map_err(|e| fatal("begin a segment")(e))?,
        );
        let bytes = header
            .encode(&seal)
            .map_err(|e| fatal("begin a segment")(e))?;
        let (path, file) = match &reserve {
            Some(path) => (path.clone(), self.overwrite_reserve(path, &bytes)),
            None => {
                let path = self
                    .folder
                    .join(format!("{:04}-{:08}.seg", header.epoch, header.ordinal));
                let file = self.create(&path, &bytes);
                (path, file)
            }
        };
        let file = file?;
        let segment = Segment {
            path,
            header_hash: sha256(&bytes),
            header,
            seal: Some(seal.clone()),
            valid_length: None,
        };
        let mark = segment.start();
        self.tail = Tail {
            ordinal: segment.header.ordinal,
            rev: previous_rev,
            hash: mark.hash,
            at: mark.at,
            length: mark.offset,
        };
        self.current = Some(Current {
            file,
            seal,
            mark,
            capacity: reserve.map(|_| self.reserves.bytes()),
            prepared: mark.offset,
        });
        self.begun.push(segment);
        Ok(())
    }

    /// A file with its header appears under its name at once and durably, or not at all.
    fn create(&self, path: &Path, header: &[u8]) -> Result<File, NotWritten> {
        if path.exists() {
            return Err(fatal("begin a segment")(format!(
                "`{}` is already there",
                path.display()
            )));
        }
        let unfinished = path.with_extension("new");
        let created = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|file| self.disk.write_at(&file, header, 0).map(|()| file));
        let file = match created {
            Ok(file) => file,
            Err(error) => return Err(self.give_up(&unfinished, &error)),
        };
        self.disk
            .sync(&file)
            .map_err(|e| fatal("sync a new segment")(e))?;
        if let Err(error) = std::fs::rename(&unfinished, path) {
            return Err(self.give_up(&unfinished, &error));
        }
        sync_folder(&self.folder).map_err(|e| fatal("sync the folder of the segments")(e))?;
        Ok(file)
    }

    fn give_up(&self, unfinished: &Path, error: &io::Error) -> NotWritten {
        // It was never part of the chain, and a later attempt overwrites it.
        let _ = std::fs::remove_file(unfinished);
        if is_full(error) {
            NotWritten::Full
        } else {
            fatal("begin a segment")(error)
        }
    }

    fn overwrite_reserve(&self, path: &Path, header: &[u8]) -> Result<File, NotWritten> {
        let opened = OpenOptions::new().write(true).open(path);
        let file = opened.map_err(|e| fatal("open a reserve")(e))?;
        if let Err(error) = self.disk.write_at(&file, header, 0) {
            return Err(if is_full(&error) {
                NotWritten::Full
            } else {
                fatal("write a reserve")(error)
            });
        }
        self.disk
            .sync(&file)
            .map_err(|e| fatal("sync a reserve")(e))?;
        Ok(file)
    }

    /// The place from which the next event is counted: in a new epoch, its beginning.
    fn before_first(&self, rev: Rev) -> Rev {
        if rev.epoch() == self.epoch {
            rev
        } else {
            Rev::new(self.epoch, 0).unwrap_or(rev)
        }
    }
}

fn fatal<E: std::fmt::Display>(action: &str) -> impl FnOnce(E) -> NotWritten {
    move |error| NotWritten::Fatal(format!("cannot {action}: {error}"))
}
