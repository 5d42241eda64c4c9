//! The thread that writes the reader's folder, so that a slow disk never delays a frame.
//!
//! A frame is applied in memory first and written after; the broker is told of a position only once
//! it is on disk. So a confirmed revocation survives a crash of the gateway, and an unconfirmed one
//! still takes effect at once.
//!
//! A frame that comes alone is written at once. Of many, those of a moment share a sync: a disk that is asked for one
//! a millisecond keeps everybody waiting who uses it, and where a broker writes its log to the same disk, its revocations.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tokio::sync::{mpsc, watch};

use super::super::error::Evidence;
use super::super::keys::Delegations;
use super::super::time::FeedTime;
use super::StateFolder;

/// How many writes may wait. Past it the disk is too slow: frames are dropped from the journal, which
/// is then rewritten from a snapshot.
const QUEUE: usize = 4_096;

/// From one sync of frames to the next: what a broker that asks who has heard may have to wait longer for the answer.
const PAUSE: Duration = Duration::from_millis(10);

/// How many forks are kept: enough to prove that there is one.
const MAX_EVIDENCE: usize = 32;

/// What is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::feed) struct Persisted {
    /// Which life of the log.
    pub(in crate::feed) epoch: u16,
    /// The last frame on disk.
    pub(in crate::feed) n: u64,
    /// Bytes of frames since the snapshot.
    pub(in crate::feed) frame_bytes: u64,
    /// A write failed or was dropped: only a new snapshot makes the state whole again.
    pub(in crate::feed) broken: bool,
}

/// The way to the writing thread.
pub(in crate::feed) struct Journal {
    queue: Option<mpsc::Sender<Task>>,
    persisted: watch::Receiver<Persisted>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

enum Task {
    Frame {
        epoch: u16,
        n: u64,
        bytes: Bytes,
    },
    Snapshot {
        epoch: u16,
        n: u64,
        bytes: Bytes,
        dropped_before: u64,
    },
    Keys(Delegations),
    Time(FeedTime),
    Evidence(Box<Evidence>),
}

impl Journal {
    /// Starts the thread.
    pub(in crate::feed) fn start(
        folder: StateFolder,
        boot_id: String,
        now: Persisted,
    ) -> io::Result<Self> {
        let (queue, tasks) = mpsc::channel(QUEUE);
        let (marked, persisted) = watch::channel(now);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            folder,
            boot_id,
            marked,
            dropped: Arc::clone(&dropped),
            healed: 0,
            failed: false,
            frames: None,
            synced: None,
        };
        let thread = std::thread::Builder::new()
            .name("lanyard-feed".to_owned())
            .spawn(move || writer.run(tasks))?;
        Ok(Self {
            queue: Some(queue),
            persisted,
            dropped,
            thread: Some(thread),
        })
    }

    /// Follows what is on disk.
    pub(in crate::feed) fn persisted(&self) -> watch::Receiver<Persisted> {
        self.persisted.clone()
    }

    pub(in crate::feed) fn frame(&self, epoch: u16, n: u64, bytes: Bytes) {
        self.queue(Task::Frame { epoch, n, bytes });
    }

    pub(in crate::feed) fn snapshot(&self, epoch: u16, n: u64, bytes: Bytes) {
        let dropped_before = self.dropped.load(Ordering::Acquire);
        self.queue(Task::Snapshot {
            epoch,
            n,
            bytes,
            dropped_before,
        });
    }

    pub(in crate::feed) fn keys(&self, delegations: Delegations) {
        self.queue(Task::Keys(delegations));
    }

    pub(in crate::feed) fn time(&self, time: FeedTime) {
        self.queue(Task::Time(time));
    }

    pub(in crate::feed) fn evidence(&self, evidence: Box<Evidence>) {
        self.queue(Task::Evidence(evidence));
    }

    /// Waits until everything queued is on disk. Blocks.
    pub(in crate::feed) fn close(mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by the panic hook; there is nothing to add.
            let _ = thread.join();
        }
    }

    fn queue(&self, task: Task) {
        if self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(task).is_err())
        {
            tracing::error!("the disk of the state folder is too slow or its writer has ended");
            self.dropped.fetch_add(1, Ordering::AcqRel);
        }
    }
}

struct Writer {
    folder: StateFolder,
    boot_id: String,
    marked: watch::Sender<Persisted>,
    /// Tasks that found no room in the queue.
    dropped: Arc<AtomicU64>,
    /// As many of them the last snapshot has made up for.
    healed: u64,
    /// A write failed since the last snapshot.
    failed: bool,
    frames: Option<File>,
    /// When frames were last synced.
    synced: Option<Instant>,
}

impl Writer {
    fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        while let Some(first) = tasks.blocking_recv() {
            if let Some(left) = self.synced.and_then(|at| PAUSE.checked_sub(at.elapsed())) {
                std::thread::sleep(left);
            }
            let mut batch = vec![first];
            while let Ok(next) = tasks.try_recv() {
                batch.push(next);
            }
            if let Err(error) = self.write(batch) {
                tracing::error!(%error, "cannot write the feed's state folder; positions are no longer confirmed");
                self.frames = None;
                self.failed = true;
                self.marked.send_modify(|persisted| persisted.broken = true);
            }
        }
    }

    /// Writes what has come together, with one sync for all frames in it.
    fn write(&mut self, batch: Vec<Task>) -> io::Result<()> {
        let mut persisted = *self.marked.borrow();
        let mut unsynced = Vec::new();
        for task in batch {
            match task {
                // Without the frames before it a frame proves nothing.
                Task::Frame { .. } if self.is_broken() => {}
                Task::Frame { epoch, n, bytes } => {
                    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
                    unsynced.extend_from_slice(&length.to_be_bytes());
                    unsynced.extend_from_slice(&bytes);
                    (persisted.epoch, persisted.n) = (epoch, n);
                }
                Task::Snapshot {
                    epoch,
                    n,
                    bytes,
                    dropped_before,
                } => {
                    // First the snapshot, then away with the frames: in between there are frames it
                    // includes already, and those change nothing.
                    unsynced.clear();
                    self.folder.replace("snapshot", &bytes, true)?;
                    self.frames = Some(self.new_frames()?);
                    self.healed = dropped_before;
                    self.failed = false;
                    persisted = Persisted {
                        epoch,
                        n,
                        frame_bytes: 0,
                        broken: false,
                    };
                }
                Task::Keys(delegations) => {
                    let text = serde_json::to_vec(&delegations).map_err(io::Error::other)?;
                    self.folder.replace("keys", &text, true)?;
                }
                Task::Time(time) => self.folder.save_time(time, &self.boot_id)?,
                Task::Evidence(evidence) => self.keep(&evidence)?,
            }
        }
        if !unsynced.is_empty() {
            let frames = match &mut self.frames {
                Some(frames) => frames,
                none => none.insert(self.folder.append_frames()?),
            };
            frames.write_all(&unsynced)?;
            frames.sync_data()?;
            self.synced = Some(Instant::now());
            persisted.frame_bytes += unsynced.len() as u64;
        }
        persisted.broken = self.is_broken();
        self.marked.send_replace(persisted);
        Ok(())
    }

    fn is_broken(&self) -> bool {
        self.failed || self.dropped.load(Ordering::Acquire) > self.healed
    }

    fn new_frames(&self) -> io::Result<File> {
        let file = File::create(self.folder.folder.join("frames"))?;
        file.sync_all()?;
        File::open(&self.folder.folder)?.sync_all()?;
        Ok(file)
    }

    fn keep(&self, evidence: &Evidence) -> io::Result<()> {
        let folder = self.folder.folder.join("evidence");
        fs::create_dir_all(&folder)?;
        if fs::read_dir(&folder)?.count() >= 2 * MAX_EVIDENCE {
            return Ok(());
        }
        for (side, bytes) in [("ours", &evidence.ours), ("theirs", &evidence.theirs)] {
            let hash = digest(&SHA256, bytes);
            let short: String = hash
                .as_ref()
                .iter()
                .take(4)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let path = folder.join(format!("{}.{}-{side}-{short}", evidence.epoch, evidence.n));
            let mut file = File::create(path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

impl StateFolder {
    /// The file of frames for appending. What a crash cut short is cut off first: nothing may follow it.
    fn append_frames(&self) -> io::Result<File> {
        let path = self.folder.join("frames");
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)?;
        let length = file.metadata()?.len();
        let mut whole = 0_u64;
        while let Some(next) = frame_length(&file, whole)? {
            if whole + next > length {
                break;
            }
            whole += next;
        }
        if whole < length {
            file.set_len(whole)?;
            file.sync_all()?;
        }
        Ok(file)
    }
}

/// Bytes that the frame at `at` takes with its length; `None` where there is no length.
fn frame_length(file: &File, at: u64) -> io::Result<Option<u64>> {
    use std::os::unix::fs::FileExt;
    let mut length = [0; 4];
    match file.read_exact_at(&mut length, at) {
        Ok(()) => Ok(Some(4 + u64::from(u32::from_be_bytes(length)))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
