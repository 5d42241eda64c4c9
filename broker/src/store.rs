//! One log is the truth; everything else is a projection of it.
//!
//! A room appends [`Event`]s and reads its own [`Projection`]. `append` answers after the record is
//! durable *and* every projection has applied it, so whoever was answered also reads what it wrote.
//! Records are applied whole: no reader ever sees half of one, which is why the `rev` a decision
//! reads is always the `rev` of a record.

pub mod backup;
pub mod block;
pub mod check;
#[cfg(test)]
mod conformance;
pub mod event;
pub mod log;
pub mod memory;
pub mod plain;
pub mod reading;
pub mod restore;
mod sled;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::clock::UnixMillis;
pub use event::Event;

/// The most events one record holds, and so the most one caller may append at once.
pub const MAX_EVENTS: usize = 1_000;

/// What is durable together: one or more callers' events, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The place of its last event. Watermarks in it take this `rev`.
    pub rev: Rev,
    /// When it was written; never before the record ahead of it.
    pub at: UnixMillis,
    /// At least one, at most [`MAX_EVENTS`].
    pub events: Vec<Event>,
}

impl Record {
    /// Each event with its own place.
    pub fn entries(&self) -> impl Iterator<Item = (Rev, &Event)> {
        let first = self.rev.as_u64().saturating_sub(self.events.len() as u64);
        (1_u64..)
            .zip(&self.events)
            .filter_map(move |(offset, event)| {
                Rev::from_u64(first.saturating_add(offset)).map(|rev| (rev, event))
            })
    }
}

/// State that follows the log: the same records in the same order give the same state.
///
/// It lives in memory and is saved as rows, so that a restart reads the rows and replays only the
/// records after them. Implementations use their own locks; `apply` is called by one thread.
pub trait Projection: Send + Sync + 'static {
    /// Names its rows in the index; changes when their format does, so that old rows are not read.
    fn name(&self) -> &'static str;
    /// Takes one record whole. Must not fail: an event it does not know is none of its business.
    fn apply(&self, record: &Record);
    /// The rows that changed since the last call.
    fn changed_rows(&self) -> Vec<Row>;
    /// Takes one saved row; an error means the index is damaged and will be rebuilt.
    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow>;
    /// Whether the rows that were loaded can be all of its own. One that an index was saved without finds
    /// none there, and only a replay fills it; so it saves one row from the beginning, and misses that.
    fn is_filled(&self) -> bool {
        true
    }
    /// Forgets everything: a replay from the beginning follows.
    fn reset(&self);
}

/// One row of a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Unique within the projection.
    pub key: Vec<u8>,
    /// `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// A saved row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saved row is damaged")]
pub struct DamagedRow;

/// The log and its projections.
pub trait Store: Send + Sync + 'static {
    /// Appends events that become durable together; resolves when they are, with the `rev` of their
    /// record. Dropping the answer does not undo the append.
    fn append(&self, events: Vec<Event>) -> Appended;

    /// The last record that is durable and applied.
    fn head(&self) -> Rev;

    /// Records after `after`, oldest first, at most `limit`.
    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Numbers for new nodes.
    fn nodes(&self) -> &NodeNumbers;

    /// Whether ordinary events are taken now; `false` while the disk is full.
    fn is_writable(&self) -> bool;
}

/// The answer to an append: a future.
#[derive(Debug)]
pub struct Appended(oneshot::Receiver<Result<Rev, StoreError>>);

impl Appended {
    /// An answer, and the end that gives it.
    pub(crate) fn pending() -> (oneshot::Sender<Result<Rev, StoreError>>, Self) {
        let (answer, appended) = oneshot::channel();
        (answer, Self(appended))
    }

    /// Waits on a thread that is not the runtime's.
    pub fn wait(self) -> Result<Rev, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }
}

impl Future for Appended {
    type Output = Result<Rev, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(StoreError::Stopped)))
    }
}

/// What can go wrong with the truth, by what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was written: free space and ask again. Events that end access are still taken.
    #[error("the disk is full: only revocations are taken until there is space")]
    Full,
    /// More than [`MAX_EVENTS`] at once, or none: split the work.
    #[error("an append takes one to {MAX_EVENTS} events, this one has {0}")]
    Size(usize),
    /// The store has stopped, because of an error it must not survive or because the broker ends.
    #[error("the store has stopped")]
    Stopped,
    /// What is on disk is not what was written. Nothing was changed.
    #[error("the log is damaged: {0}; run `lanyard store check`")]
    Damaged(String),
    /// Not one segment was sealed under the key that was given: give the log's own.
    #[error(
        "this is not the sealing key of this log, its `seal.ring` is missing, or its first header was forged; nothing was changed: try another sealing key (`--seal-key`, or `seal.key_file`)"
    )]
    OtherKey,
    /// It is not this broker's to open: another trust domain, a newer format, in use.
    /// Nothing was changed.
    #[error("cannot use the log: {0}")]
    Refused(String),
    /// What is on disk is older than what was acknowledged. Nothing was changed.
    #[error(
        "rollback detected: the log ends at rev {found}, but rev {expected} was acknowledged; restore a newer copy; if there is none, `lanyard backup DIR --accept-rollback`, then `lanyard restore DIR --accept-rollback`"
    )]
    RolledBack { found: Rev, expected: Rev },
    /// The operating system said no.
    #[error("cannot {action}: {reason}")]
    Io { action: String, reason: String },
}

/// Gives out node numbers: a boot number of its own and a counter.
#[derive(Debug)]
pub struct NodeNumbers {
    boot: u32,
    counter: AtomicU64,
}

impl NodeNumbers {
    /// Numbers of one boot.
    pub const fn of_boot(boot: u32) -> Self {
        Self {
            boot,
            counter: AtomicU64::new(1),
        }
    }

    /// The boot all its numbers carry.
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// The next one; 2^40 of them is a token every microsecond for twelve days, and after the last one
    /// the last one is given again, so a broker restarts long before.
    pub fn next(&self) -> NodeId {
        let counter = self
            .counter
            .fetch_add(1, Ordering::Relaxed)
            .min(NodeId::MAX_COUNTER);
        NodeId::new(self.boot, counter).unwrap_or(NodeId::from_u64(u64::MAX))
    }
}

/// Projections in the order they apply a record.
pub type Projections = Vec<Arc<dyn Projection>>;
