//! How a log is kept, and what was found when it was opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lanyard_token::Rev;

use super::anchor_path;
use super::disk::{Disk, SystemDisk};
use super::writer::StopHook;

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
    /// From so many bytes on a segment is prepared ahead of its records, with zeros: one that holds less is not
    /// written a lot.
    pub prepare_from: u64,
    /// The index is saved after this many records,
    pub checkpoint_records: u64,
    /// or after this many events: whoever appends next waits while their rows are collected, about 40 ms for 100,000.
    pub checkpoint_events: u64,
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

impl LogConfig {
    /// The usual sizes and pauses.
    pub fn new(folder: impl Into<PathBuf>, trust_domain: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            anchor_file: None,
            trust_domain: trust_domain.into(),
            reserve_bytes: 1 << 20,
            segment_bytes: 64 << 20,
            prepare_from: 256 << 10,
            checkpoint_records: 10_000,
            checkpoint_events: 100_000,
            checkpoint_pause: Duration::from_secs(30),
            on_stop: None,
            progress: None,
            disk: Arc::new(SystemDisk),
        }
    }

    pub(super) fn anchor_paths(&self) -> Vec<PathBuf> {
        [Some(anchor_path(&self.folder)), self.anchor_file.clone()]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl OpenReport {
    pub(super) fn tell(&self) {
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
