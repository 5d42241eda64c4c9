//! Where a reader stands in the feed, and which message it takes next.
//!
//! A signature says that a feed key made a message, not that it is the right one now: a cache may
//! serve yesterday's, a relay may leave one out, a broken or restored broker may tell two stories.
//! The replica takes a message only where it follows from what it has:
//!
//! | what comes | what happens |
//! | --- | --- |
//! | the next frame, naming the hash of ours | taken |
//! | a frame we have | nothing, however often |
//! | a frame further on, or a heartbeat that knows of one | refused as a gap: fetch what is between |
//! | another frame with a number we have, or a next one that names another hash | refused as a fork; both are kept |
//! | a snapshot or heartbeat from before our frame, an earlier epoch | refused as a rollback |
//! | a later epoch | only through a snapshot whose floor ends every token of the past |
//!
//! It misses a broker that shows every gateway its own story from the first frame on; for that the
//! gateways' positions have to be compared elsewhere.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use lanyard_token::{
    Checkpoint, Entry, FeedMessage, Frame, Heartbeat, KeyId, Liveness, Rev, Snapshot,
    VerifiedMessage,
};

use super::error::{Evidence, FeedError};
use crate::clock::UnixMillis;

/// How many of the last frames are kept to tell a repetition from a fork. Later repetitions of older
/// ones change nothing either way; they are only no longer compared.
const REMEMBERED: usize = 64;

/// A heartbeat that does not know our frame is old unless it was made this much later than the frame:
/// then the broker has forgotten it. A record gets its time before it is durable, so heartbeats made
/// in between carry a slightly later one.
const FORGOTTEN_AFTER_MILLIS: u64 = 5_000;

/// A place in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// Which life of the log.
    pub epoch: u16,
    /// The last frame taken; 0: none yet.
    pub n: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Known already.
    Nothing,
    /// A frame was taken.
    Frame,
    /// Nothing else has changed up to the head.
    Heartbeat,
    /// Everything was replaced.
    Snapshot,
}

/// One reader's copy of the feed.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    position: Option<FeedPosition>,
    /// When the last frame or snapshot was made.
    made: UnixMillis,
    reached: Rev,
    liveness: Liveness,
    removed: BTreeSet<KeyId>,
    checkpoint: Option<Checkpoint>,
    recent: VecDeque<Remembered>,
}

#[derive(Clone, Debug)]
struct Remembered {
    n: u64,
    hash: [u8; 32],
    bytes: Bytes,
}

impl Replica {
    /// Takes the message if it follows. `bytes` are those it was decoded from.
    pub fn apply(
        &mut self,
        message: &VerifiedMessage,
        bytes: &Bytes,
    ) -> Result<Applied, FeedError> {
        match message.message() {
            FeedMessage::Frame(frame) => self.frame(frame, message.hash(), bytes),
            FeedMessage::Heartbeat(heartbeat) => self.heartbeat(heartbeat, bytes),
            FeedMessage::Snapshot(snapshot) => self.snapshot(snapshot, bytes),
        }
    }

    /// Where it stands; `None` before the first snapshot.
    pub const fn position(&self) -> Option<FeedPosition> {
        self.position
    }

    /// Everything up to this place of the log is known.
    pub const fn reached(&self) -> Rev {
        self.reached
    }

    /// What has ended.
    pub const fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// Ends the suspensions whose time is over; whether there were any.
    pub fn end_suspensions(&mut self, now: UnixMillis) -> bool {
        let over = self
            .liveness
            .suspended()
            .any(|(_, _, until)| until <= now.0);
        if over {
            self.liveness.end_suspensions(now.0);
        }
        over
    }

    /// The keys nobody believes any more, for good.
    pub fn removed_keys(&self) -> impl Iterator<Item = &KeyId> {
        self.removed.iter()
    }

    fn frame(
        &mut self,
        frame: &Frame,
        hash: [u8; 32],
        bytes: &Bytes,
    ) -> Result<Applied, FeedError> {
        let ours = self.follow(frame.epoch, frame.n)?;
        if frame.n <= ours.n {
            return match self.known_hash(ours, frame.n) {
                Some(known) if known != hash => Err(self.fork(frame.epoch, frame.n, bytes)),
                _ => Ok(Applied::Nothing),
            };
        }
        if frame.n - ours.n > 1 {
            return Err(FeedError::Gap {
                have: ours.n,
                known: frame.n,
            });
        }
        if frame.prev != ours.hash {
            return Err(self.fork(frame.epoch, ours.n, bytes));
        }
        if frame.rev <= self.reached {
            return Err(FeedError::OutOfOrder {
                reached: self.reached,
                rev: frame.rev,
            });
        }
        self.check_trees(frame)?;
        self.take(frame);
        self.remember(Remembered {
            n: frame.n,
            hash,
            bytes: bytes.clone(),
        });
        self.position = Some(FeedPosition {
            epoch: frame.epoch,
            n: frame.n,
            hash,
        });
        Ok(Applied::Frame)
    }

    fn take(&mut self, frame: &Frame) {
        for entry in &frame.entries {
            match *entry {
                Entry::Watermark(node) => self.liveness.apply_watermark(node, frame.rev),
                Entry::Suspend { node, until_ms } => {
                    self.liveness.suspend_until(node, frame.rev, until_ms)
                }
                Entry::Resume(node) => self.liveness.resume(node, frame.rev),
                Entry::Narrow(node) => self.liveness.narrow(node, frame.rev),
                Entry::RemoveKey(key) => {
                    self.removed.insert(key);
                }
                Entry::Checkpoint(checkpoint) => self.checkpoint = Some(checkpoint),
            }
        }
        self.liveness.raise_floor(frame.floor);
        self.reached = frame.rev;
        self.made = UnixMillis(frame.at_ms);
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat, bytes: &Bytes) -> Result<Applied, FeedError> {
        let ours = self.follow(heartbeat.epoch, heartbeat.n)?;
        if heartbeat.n > ours.n {
            return Err(FeedError::Gap {
                have: ours.n,
                known: heartbeat.n,
            });
        }
        if self
            .known_hash(ours, heartbeat.n)
            .is_some_and(|known| known != heartbeat.hash)
        {
            return Err(self.fork(heartbeat.epoch, heartbeat.n, bytes));
        }
        if heartbeat.n < ours.n {
            let forgotten = heartbeat.at_ms > self.made.0.saturating_add(FORGOTTEN_AFTER_MILLIS);
            return if forgotten {
                Err(rollback(ours, heartbeat.epoch, heartbeat.n))
            } else {
                Ok(Applied::Nothing)
            };
        }
        self.reached = self.reached.max(heartbeat.head);
        self.liveness.raise_floor(heartbeat.floor);
        Ok(Applied::Heartbeat)
    }

    fn snapshot(&mut self, snapshot: &Snapshot, bytes: &Bytes) -> Result<Applied, FeedError> {
        if let Some(ours) = self.position {
            if (snapshot.epoch, snapshot.n) < (ours.epoch, ours.n) {
                return Err(rollback(ours, snapshot.epoch, snapshot.n));
            }
            if snapshot.epoch > ours.epoch
                && Rev::new(snapshot.epoch, 0).is_none_or(|start| snapshot.floor < start)
            {
                return Err(FeedError::PastNotEnded(snapshot.epoch));
            }
            if (snapshot.epoch, snapshot.n) == (ours.epoch, ours.n) {
                if snapshot.hash != ours.hash {
                    return Err(self.fork(snapshot.epoch, snapshot.n, bytes));
                }
                if snapshot.head < self.reached {
                    return Ok(Applied::Nothing);
                }
            }
        }
        self.replace(snapshot);
        Ok(Applied::Snapshot)
    }

    /// Watermarks and removed keys are only ever added to; of suspensions the snapshot's word counts.
    fn replace(&mut self, snapshot: &Snapshot) {
        let lifted: Vec<_> = self
            .liveness
            .suspended()
            .map(|(node, _, _)| node)
            .filter(|node| snapshot.suspended.iter().all(|still| still.node != *node))
            .collect();
        for node in lifted {
            self.liveness.resume(node, snapshot.head);
        }
        for (node, rev) in &snapshot.watermarks {
            self.liveness.apply_watermark(*node, *rev);
        }
        for suspension in &snapshot.suspended {
            self.liveness
                .suspend_until(suspension.node, suspension.rev, suspension.until_ms);
        }
        for (node, rev) in &snapshot.narrowed {
            self.liveness.narrow(*node, *rev);
        }
        self.liveness.raise_floor(snapshot.floor);
        self.removed.extend(&snapshot.removed_keys);
        self.reached = self.reached.max(snapshot.head);
        self.made = UnixMillis(snapshot.at_ms);
        let position = FeedPosition {
            epoch: snapshot.epoch,
            n: snapshot.n,
            hash: snapshot.hash,
        };
        if self.position != Some(position) {
            self.recent.clear();
        }
        self.position = Some(position);
    }

    /// Our position, if the message belongs to our epoch.
    fn follow(&self, epoch: u16, n: u64) -> Result<FeedPosition, FeedError> {
        let ours = self.position.ok_or(FeedError::NoSnapshot)?;
        match epoch.cmp(&ours.epoch) {
            std::cmp::Ordering::Less => Err(rollback(ours, epoch, n)),
            std::cmp::Ordering::Equal => Ok(ours),
            std::cmp::Ordering::Greater => Err(FeedError::NewEpoch {
                ours: ours.epoch,
                theirs: epoch,
            }),
        }
    }

    fn known_hash(&self, ours: FeedPosition, n: u64) -> Option<[u8; 32]> {
        if n == ours.n {
            return Some(ours.hash);
        }
        self.recent
            .iter()
            .find(|frame| frame.n == n)
            .map(|frame| frame.hash)
    }

    fn fork(&self, epoch: u16, n: u64, theirs: &Bytes) -> FeedError {
        let ours = self
            .recent
            .iter()
            .find(|frame| frame.n == n)
            .map_or_else(Bytes::new, |frame| frame.bytes.clone());
        FeedError::Fork(Box::new(Evidence {
            epoch,
            n,
            ours,
            theirs: theirs.clone(),
        }))
    }

    fn check_trees(&self, frame: &Frame) -> Result<(), FeedError> {
        let mut last = self.checkpoint;
        for entry in &frame.entries {
            let Entry::Checkpoint(next) = *entry else {
                continue;
            };
            if let Some(had) = last
                && (next.size < had.size || (next.size == had.size && next.root != had.root))
            {
                return Err(FeedError::Tree {
                    had: had.size,
                    got: next.size,
                });
            }
            last = Some(next);
        }
        Ok(())
    }

    fn remember(&mut self, frame: Remembered) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(frame);
    }
}

const fn rollback(ours: FeedPosition, their_epoch: u16, their_n: u64) -> FeedError {
    FeedError::Rollback {
        epoch: ours.epoch,
        n: ours.n,
        their_epoch,
        their_n,
    }
}
