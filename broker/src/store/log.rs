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
//! *Why not one file that is truncated at a torn record:* because truncating destroys what an operator
//! would want to look at, and because a number of a key's sequence would be used twice. Each boot begins
//! a segment instead, whose header says how much of its predecessor counts.

pub(crate) mod anchor;
mod appender;
mod checkpoint;
pub mod disk;
pub(crate) mod fields;
pub(crate) mod header;
mod reader;
pub(crate) mod record;
mod recovery;
mod reserve;
pub(crate) mod segments;
mod writer;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lanyard_token::{NodeId, Rev};

use self::anchor::{Anchor, Anchored};
use self::appender::{Appender, NotWritten, Tail};
use self::checkpoint::Checkpointer;
use self::disk::{Disk, SystemDisk, failed, sync_folder};
use self::fields::Hash;
use self::reader::Reader;
use self::recovery::{Recovered, recover, sync_last};
use self::reserve::Reserves;
pub use self::writer::StopHook;
use self::writer::{Batch, Message, Status, Writer};
use super::sled::{self, Index, Standing};
use super::{Appended, Event, MAX_EVENTS, NodeNumbers, Projections, Record, Store, StoreError};
use crate::clock::Clock;
use crate::crypto::{Mac, SealingRoot};

const ANCHOR_FILE: &str = "anchor";
const LOCK_FILE: &str = "lock";

/// Where a log lies and how it is kept.
#[derive(Clone)]
pub struct LogConfig {
    /// The data folder; made when it is missing.
    pub folder: PathBuf,
    /// Another copy of the anchor, outside the folder: an older copy of the whole folder is noticed by it.
    pub anchor_file: Option<PathBuf>,
    /// Whose log it is: the issuer. A log of another one is refused.
    pub trust_domain: String,
    /// Bytes of each of the two reserves that take revocations when the disk is full.
    pub reserve_bytes: u64,
    /// Bytes after which a new segment is begun.
    pub segment_bytes: u64,
    /// The index is saved after this many records,
    pub checkpoint_records: u64,
    /// or after this long, if there are any.
    pub checkpoint_pause: Duration,
    /// Called when the store must not go on; the broker ends its process here.
    pub on_stop: Option<StopHook>,
    /// Told how far a long replay has come.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    /// The disk; tests put a failing one here.
    pub disk: Arc<dyn Disk>,
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records applied so far.
    pub records: u64,
    /// Bytes read so far,
    pub bytes: u64,
    /// out of these.
    pub total_bytes: u64,
}

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// The place of the record that says it was opened.
    pub head: Rev,
    /// The number of this boot.
    pub boot: u32,
    /// What became of the index.
    pub index: IndexState,
    /// Rows read from the index.
    pub rows_loaded: u64,
    /// Records read from the log because the index did not have them.
    pub records_replayed: u64,
    /// Bytes of a write that was never finished and never acknowledged; they are left out.
    pub torn_bytes: u64,
    /// Whether an anchor was missing although there was a log: what it would have shown is not known.
    pub anchor_missing: bool,
    /// Whether ordinary events are taken; not while the disk is full.
    pub writable: bool,
    /// How long it took.
    pub took: Duration,
}

/// What became of the index when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It was believed.
    Loaded,
    /// There was none: everything was replayed.
    Created,
    /// It was damaged or belonged to another history: everything was replayed.
    Rebuilt {
        /// What was wrong with it.
        reason: String,
        /// Where it lies now.
        moved_to: Option<PathBuf>,
    },
}

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

/// How a log that was restored begins.
pub(crate) struct Beginning {
    pub(crate) epoch: Option<u16>,
    pub(crate) boot: u32,
    pub(crate) events: Vec<Event>,
}

impl LogConfig {
    /// The usual sizes and pauses.
    pub fn new(folder: impl Into<PathBuf>, trust_domain: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            anchor_file: None,
            trust_domain: trust_domain.into(),
            reserve_bytes: 1 << 20,
            segment_bytes: 64 << 20,
            checkpoint_records: 10_000,
            checkpoint_pause: Duration::from_secs(30),
            on_stop: None,
            progress: None,
            disk: Arc::new(SystemDisk),
        }
    }

    fn anchor_paths(&self) -> Vec<PathBuf> {
        [Some(anchor_path(&self.folder)), self.anchor_file.clone()]
            .into_iter()
            .flatten()
            .collect()
    }
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

    pub(crate) fn begin(
        config: LogConfig,
        root: Arc<SealingRoot>,
        clock: Arc<dyn Clock>,
        projections: Projections,
        beginning: Option<Beginning>,
    ) -> Result<(Arc<Self>, OpenReport), StoreError> {
        let started = Instant::now();
        if !(1..=header::MAX_TRUST_DOMAIN).contains(&config.trust_domain.len()) {
            let most = header::MAX_TRUST_DOMAIN;
            return Err(StoreError::Refused(format!(
                "the trust domain's name takes 1 to {most} bytes"
            )));
        }
        make_folders(&config.folder)?;
        let lock = lock(&config.folder)?;
        let mac = index_mac(&root, &config.trust_domain)?;
        let mut found = recover(&config, &root, &mac, &projections)?;
        sync_last(&found.segments, &config.folder)?;
        let had_log = found.last.is_some();
        let (index, index_state) = settle_index(&config.folder, &mac, &mut found);
        let beginning = beginning.map_or_else(|| next_boot(found.boot), Ok)?;
        let appender = appender(&config, root, &found, &beginning)?;
        let boot = beginning.boot;

        let status = Arc::new(Status::default());
        let head = found.end.map_or(Rev::ZERO, |end| end.mark.rev);
        status.head.store(head.as_u64(), Ordering::Release);
        status.writable.store(true, Ordering::Release);
        let (queue, messages) = mpsc::channel();
        let (checkpoints, jobs) = mpsc::channel();
        let checkpoint_busy = Arc::new(AtomicBool::new(false));
        let reader = Arc::new(Reader::new(
            found.segments.chain,
            found.end.map(|end| end.mark),
        ));
        let mut writer = Writer {
            appender,
            anchors: Vec::new(),
            boot,
            clock,
            projections,
            reader: reader.clone(),
            status: status.clone(),
            checkpoints,
            checkpoint_busy: checkpoint_busy.clone(),
            checkpoint_records: config.checkpoint_records.max(1),
            checkpoint_pause: config.checkpoint_pause,
            on_stop: config.on_stop.clone(),
            standing: found.last.unwrap_or(Standing {
                rev: head,
                hash: [0; 32],
            }),
            full: false,
            unsaved_records: found.records_replayed,
            last_checkpoint: started,
            last_attempt: None,
            opening: beginning.events,
        };
        open_for_writing(&mut writer)?;
        writer.anchors = open_anchors(&config, &writer.standing, boot)?;

        let report = OpenReport {
            head: writer.standing.rev,
            boot,
            index: index_state,
            rows_loaded: found.rows_loaded,
            records_replayed: found.records_replayed,
            torn_bytes: found.end.map_or(0, |end| end.torn_bytes),
            anchor_missing: had_log && found.missing_anchors > 0,
            writable: !writer.full,
            took: started.elapsed(),
        };
        report.tell();
        let checkpointer = Checkpointer::new(config.folder.clone(), mac, index, checkpoint_busy);
        let running = start(writer, messages, checkpointer, jobs, lock)?;
        let log = Self {
            queue,
            status,
            reader,
            nodes: NodeNumbers::of_boot(boot),
            folder: config.folder,
            running: Mutex::new(Some(running)),
        };
        Ok((Arc::new(log), report))
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

impl OpenReport {
    fn tell(&self) {
        if let IndexState::Rebuilt { reason, moved_to } = &self.index {
            tracing::warn!(%reason, ?moved_to, records = self.records_replayed, "the index was rebuilt from the log");
        }
        if self.torn_bytes > 0 {
            tracing::warn!(
                bytes = self.torn_bytes,
                "a write that was never acknowledged was left out"
            );
        }
        if self.anchor_missing {
            tracing::warn!(
                "an anchor was missing: an older copy of the log would not have been noticed"
            );
        }
        tracing::info!(head = %self.head, boot = self.boot, rows = self.rows_loaded,
            records = self.records_replayed, millis = self.took.as_millis(), "the log is open");
    }
}

/// The events as JSON, without the brackets around them.
fn json_of(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec(events)?;
    json.pop();
    if !json.is_empty() {
        json.remove(0);
    }
    Ok(json)
}

pub(crate) fn make_folders(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let segments = folder.join(segments::FOLDER);
    let action = || format!("make the folder `{}`", segments.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&segments)
        .map_err(failed(action()))?;
    sync_folder(folder).map_err(failed(action()))
}

/// Takes the folder for this process, for as long as the file is held.
pub(crate) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let action = || format!("lock `{}`", path.display());
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = opened.map_err(failed(action()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let reason = format!(
                "the data folder `{}` is in use by another process",
                folder.display()
            );
            Err(StoreError::Refused(reason))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(action())(error)),
    }
}

/// Keeps the index that was believed, or puts a new one in its place.
fn settle_index(folder: &Path, mac: &Mac, found: &mut Recovered) -> (Option<Index>, IndexState) {
    let open_new = || match Index::open(&folder.join(sled::FOLDER), mac.clone()) {
        Ok(index) => Some(index),
        Err(error) => {
            tracing::warn!(%error, "the index cannot be made; starts replay the whole log until it can");
            None
        }
    };
    match std::mem::replace(&mut found.index, Ok(None)) {
        Ok(Some(index)) if index.standing().is_some() => (Some(index), IndexState::Loaded),
        Ok(Some(index)) => (Some(index), IndexState::Created),
        Ok(None) => (open_new(), IndexState::Created),
        Err(fault) => {
            let moved = sled::move_aside(folder);
            let moved_to = moved.unwrap_or_else(|error| {
                tracing::warn!(%error, "the damaged index cannot be moved aside");
                None
            });
            (
                open_new(),
                IndexState::Rebuilt {
                    reason: fault.0,
                    moved_to,
                },
            )
        }
    }
}

fn next_boot(last: u32) -> Result<Beginning, StoreError> {
    let boot = last.saturating_add(1);
    if boot > NodeId::MAX_BOOT {
        return Err(StoreError::Refused(
            "every boot number has been used".to_owned(),
        ));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Beginning {
        epoch: None,
        boot,
        events: vec![Event::Booted { boot, version }],
    })
}

fn appender(
    config: &LogConfig,
    root: Arc<SealingRoot>,
    found: &Recovered,
    beginning: &Beginning,
) -> Result<Appender, StoreError> {
    let last = found.segments.chain.last();
    let last_epoch = last.map_or(1, |segment| segment.header.epoch);
    let tail = match (last, found.end) {
        (Some(segment), Some(end)) => Tail {
            ordinal: segment.header.ordinal,
            rev: end.mark.rev,
            hash: end.mark.hash,
            at: end.mark.at,
            length: end.mark.offset,
        },
        _ => Tail {
            ordinal: 0,
            rev: Rev::ZERO,
            hash: Hash::default(),
            at: Default::default(),
            length: 0,
        },
    };
    let folder = config.folder.join(segments::FOLDER);
    let ready = found.segments.reserves.clone();
    let mut reserves = Reserves::new(
        folder.clone(),
        config.disk.clone(),
        config.reserve_bytes,
        ready,
    );
    match reserves.replenish() {
        Ok(()) => {}
        Err(error) if disk::is_full(&error) => {
            tracing::warn!("the disk is too full to make a reserve for revocations")
        }
        Err(error) => return Err(failed("make the reserve for revocations")(error)),
    }
    Ok(Appender::new(
        folder,
        root,
        config.disk.clone(),
        config.trust_domain.clone(),
        beginning.epoch.unwrap_or(last_epoch),
        beginning.boot,
        config.segment_bytes,
        tail,
        reserves,
    ))
}

/// Writes the opening record. On a disk so full that not even a reserve is left, it is written later,
/// before anything else.
fn open_for_writing(writer: &mut Writer) -> Result<(), StoreError> {
    match writer.write_opening() {
        Ok(()) | Err(NotWritten::Full) => Ok(()),
        Err(NotWritten::TooLarge) => Err(StoreError::Stopped),
        Err(NotWritten::Fatal(reason)) => {
            writer.stop(&reason);
            Err(StoreError::Io {
                action: "open the log".to_owned(),
                reason,
            })
        }
    }
}

fn open_anchors(
    config: &LogConfig,
    standing: &Standing,
    boot: u32,
) -> Result<Vec<Anchor>, StoreError> {
    let anchored = Anchored {
        rev: standing.rev,
        hash: standing.hash,
        boot,
    };
    let mut anchors = Vec::new();
    for path in config.anchor_paths() {
        match Anchor::open(&path, anchored) {
            Ok(mut anchor) => {
                anchor.set_durably(anchored)?;
                anchors.push(anchor);
            }
            Err(StoreError::Full) => {
                tracing::warn!(path = %path.display(), "the disk is too full for an anchor")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(anchors)
}

fn start(
    mut writer: Writer,
    messages: Receiver<Message>,
    checkpointer: Checkpointer,
    jobs: Receiver<checkpoint::Job>,
    lock: File,
) -> Result<Running, StoreError> {
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let checkpointer = named("log-index")
        .spawn(move || checkpointer.run(&jobs))
        .map_err(failed("start the thread of the index"))?;
    let writer = named("log-writer")
        .spawn(move || {
            // A projection that panics has applied half a record: nothing after that can be trusted.
            if catch_unwind(AssertUnwindSafe(|| writer.run(&messages))).is_err() {
                writer.stop("the thread that writes the log panicked");
            }
        })
        .map_err(failed("start the thread of the log"))?;
    Ok(Running {
        writer,
        checkpointer,
        _lock: lock,
    })
}
