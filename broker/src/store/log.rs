//! The log on disk: segment files of sealed, chained records, one durable write per group of callers.
//!
//! ```text
//! folder/ lock              held by the one process that may write
//!         anchor            the last place that was acknowledged
//!         segments/         0001-00000001.seg …, reserve-1.seg … (preallocated, for a full disk)
//!         index/            saved rows of the projections; thrown away and rebuilt when in doubt
//! ```
//! *What it catches:* a crash or power cut at any instant (nothing acknowledged is lost), a full disk
//! (revocations go on), a changed bit, a missing or exchanged file, an older copy of the log, another
//! sealing key, another trust domain, a second process. All but the first two are refused in words, with
//! nothing changed. *What it misses:* an older copy of the whole folder, unless an anchor is kept outside
//! of it; and whoever holds the sealing key and the disk can write a history of his own: that is what the
//! gateways' memory and the audit tree are for.
//! *How it is quick:* one durable write serves all who wait (see `writer`), and a segment that is written a lot is
//! prepared with zeros ahead, so that syncing a record waits for the device and not for the file system's journal.
//! *Why not one file that is truncated at a torn record:* because truncating destroys what an operator
//! would want to look at, and because a number of a key's sequence would be used twice. Each boot begins
//! a segment instead, whose header says how much of its predecessor counts.

pub(crate) mod anchor;
mod appender;
mod checkpoint;
mod config;
pub mod disk;
pub(crate) mod fields;
pub(crate) mod header;
mod open;
mod payload;
mod reader;
pub(crate) mod record;
mod recovery;
mod reserve;
pub(crate) mod segments;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use lanyard_token::Rev;

pub use self::config::{IndexState, LogConfig, OpenReport, Progress};
pub use self::disk::{Disk, SystemDisk};
pub(crate) use self::open::{Beginning, lock};
use self::reader::Reader;
pub use self::writer::StopHook;
use self::writer::{Batch, Message, Status};
use super::{Appended, Event, MAX_EVENTS, NodeNumbers, Projections, Record, Store, StoreError};
use crate::clock::Clock;
use crate::crypto::{Mac, SealingRoot};

const ANCHOR_FILE: &str = "anchor";
/// Locked while a process works in the data folder.
pub(crate) const LOCK_FILE: &str = "lock";

/// The log on disk, open for appending. One process at a time.
pub struct Log {
    queue: Sender<Message>,
    status: Arc<Status>,
    reader: Arc<Reader>,
    nodes: NodeNumbers,
    folder: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    _lock: File,
}

/// The anchor inside a data folder.
pub(crate) fn anchor_path(folder: &Path) -> PathBuf {
    folder.join(ANCHOR_FILE)
}

/// The key that authenticates the rows of the index.
pub(crate) fn index_mac(root: &SealingRoot, trust_domain: &str) -> Result<Mac, StoreError> {
    root.mac("index rows", trust_domain.as_bytes())
        .map_err(|error| StoreError::Refused(error.to_string()))
}

/// Whether a log was begun in this folder. What was begun keeps the keys that it was begun with.
pub fn is_begun(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder.join(segments::FOLDER)) else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "seg")
    })
}

/// Whether these are the keys of the log in this folder; an error says what is there instead.
pub fn opens(folder: &Path, root: &SealingRoot) -> Result<(), StoreError> {
    segments::survey(folder, Some(root)).map(drop)
}

impl Log {
    /// Opens the log and brings the projections, which must be new, up to date; begins one in an empty
    /// folder. Answers after the record of this boot is durable.
    pub fn open(
        config: LogConfig,
        root: Arc<SealingRoot>,
        clock: Arc<dyn Clock>,
        projections: Projections,
    ) -> Result<(Arc<Self>, OpenReport), StoreError> {
        Self::begin(config, root, clock, projections, None)
    }

    /// Saves the index now and returns the place it stands at.
    pub fn checkpoint(&self) -> Result<Rev, StoreError> {
        let (done, saved) = mpsc::channel();
        self.queue
            .send(Message::Checkpoint(done))
            .map_err(|_| StoreError::Stopped)?;
        let standing = saved.recv().map_err(|_| StoreError::Stopped)??;
        Ok(standing.rev)
    }

    /// Answers everybody who is waiting, saves the index and lets go of the folder.
    pub fn close(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(running) = running else { return };
        if let Err(error) = self.checkpoint() {
            tracing::warn!(%error, "the index was not saved at the end");
        }
        // Either fails only when the thread has ended already.
        let _ = self.queue.send(Message::Close);
        let _ = running.writer.join();
        let _ = running.checkpointer.join();
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for Log {
    fn append(&self, events: Vec<Event>) -> Appended {
        let (answer, appended) = Appended::pending();
        if events.is_empty() || events.len() > MAX_EVENTS {
            let _ = answer.send(Err(StoreError::Size(events.len())));
            return appended;
        }
        match json_of(&events) {
            // A store that has stopped drops the batch, and that is the answer.
            Ok(json) if !self.status.stopped.load(Ordering::Acquire) => {
                let _ = self.queue.send(Message::Append(Batch {
                    events,
                    json,
                    answer,
                }));
            }
            Ok(_) => drop(answer),
            Err(error) => {
                let (action, reason) = ("write events as JSON".to_owned(), error.to_string());
                let _ = answer.send(Err(StoreError::Io { action, reason }));
            }
        }
        appended
    }

    fn head(&self) -> Rev {
        Rev::from_u64(self.status.head.load(Ordering::Acquire)).unwrap_or(Rev::ZERO)
    }

    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.reader.read(after, limit)
    }

    fn nodes(&self) -> &NodeNumbers {
        &self.nodes
    }

    fn is_writable(&self) -> bool {
        self.status.writable.load(Ordering::Acquire)
    }
}

/// The events as JSON, without the brackets around them.
fn json_of(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    /// More than an issued token takes, the most frequent of them.
    const USUAL_BYTES: usize = 1_536;
    let mut json = Vec::with_capacity(USUAL_BYTES * events.len());
    for (position, event) in events.iter().enumerate() {
        if position > 0 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, event)?;
    }
    Ok(json)
}
