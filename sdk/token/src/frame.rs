//! The feed's messages: frames, heartbeats and snapshots in their binary form.
//!
//! All numbers are big endian. Every message is
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `LYF1` |
//! | 1 | kind: 1 frame, 2 heartbeat, 3 snapshot |
//! | 2 | epoch of the feed |
//! | 8 | number within the epoch, from 1; heartbeat and snapshot: the frame they stand at, 0: none yet |
//! | 32 | frame: hash of the frame before it, zeros for the first; heartbeat and snapshot: hash of the frame they stand at |
//! | 8 | when it was made, Unix milliseconds |
//! | 8 | frame: the revision all its entries take; heartbeat and snapshot: the head |
//! | 8 | head revision of the log |
//! | 8 | floor |
//! | … | entries (`frame/body.rs`) |
//! | 43 | name of the feed key |
//! | 64 | Ed25519 signature over all before it |
//!
//! A frame is immutable once signed, so any cache may serve it; the hash chain makes gaps, rollbacks
//! and forks visible to whoever follows it. Decoding is total: every text is either exactly one
//! message or an error, and nothing is allocated that the text is not long enough to fill.

mod body;
mod message;
mod wire;

use ring::digest::{SHA256, digest};

use crate::{KeyId, KeySet, NodeId, Rev};

pub use message::{FeedMessage, UnverifiedMessage, VerifiedMessage};

/// The keys that may sign feed messages.
pub type FeedKeys = KeySet;

/// The most entries of a frame.
pub const MAX_ENTRIES: usize = 1_000;

/// The longest message that is read, in bytes: a snapshot with four million watermarks.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// What changed at one revision of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Epoch of the feed.
    pub epoch: u16,
    /// Number within the epoch, contiguous from 1.
    pub n: u64,
    /// [`frame_hash`] of the frame before it; zeros when `n` is 1.
    pub prev: [u8; 32],
    /// When it was made, Unix milliseconds.
    pub at_ms: u64,
    /// The revision all its entries take.
    pub rev: Rev,
    /// Head of the log when it was made.
    pub head: Rev,
    /// Tokens with a lower revision are dead.
    pub floor: Rev,
    /// At most [`MAX_ENTRIES`]. Entries of one kind keep their order; the kinds are written one
    /// after the other, which changes nothing, as all entries take the same revision.
    pub entries: Vec<Entry>,
}

/// A sign of life between frames: nothing else has changed up to `head`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Epoch of the feed.
    pub epoch: u16,
    /// The last frame; 0 when there is none yet.
    pub n: u64,
    /// [`frame_hash`] of that frame; zeros when there is none.
    pub hash: [u8; 32],
    /// The broker's time, Unix milliseconds.
    pub at_ms: u64,
    /// Head of the log.
    pub head: Rev,
    /// Tokens with a lower revision are dead.
    pub floor: Rev,
}

/// Everything that holds after a frame, for those who were not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Epoch of the feed.
    pub epoch: u16,
    /// The last frame it includes; 0 when there is none yet.
    pub n: u64,
    /// [`frame_hash`] of that frame; zeros when there is none.
    pub hash: [u8; 32],
    /// When it was made, Unix milliseconds.
    pub at_ms: u64,
    /// Head of the log.
    pub head: Rev,
    /// Tokens with a lower revision are dead.
    pub floor: Rev,
    /// All watermarks above the floor.
    pub watermarks: Vec<(NodeId, Rev)>,
    /// All suspensions that hold.
    pub suspended: Vec<Suspension>,
    /// All nodes narrowed above the floor.
    pub narrowed: Vec<(NodeId, Rev)>,
    /// All keys ever removed whose delegation could still be shown.
    pub removed_keys: Vec<KeyId>,
}

/// A suspension that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// What is suspended.
    pub node: NodeId,
    /// Since which revision.
    pub rev: Rev,
    /// Until when, Unix milliseconds; `u64::MAX`: until resumed.
    pub until_ms: u64,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Everything at and under the node that was issued before is revoked. 8 bytes.
    Watermark(NodeId),
    /// The node is suspended. 16 bytes.
    Suspend {
        /// What is suspended.
        node: NodeId,
        /// Until when, Unix milliseconds; `u64::MAX`: until resumed.
        until_ms: u64,
    },
    /// The node's suspension has ended. 8 bytes.
    Resume(NodeId),
    /// What was issued before at and under the node is narrowed to its baseline. 8 bytes.
    Narrow(NodeId),
    /// The key is no longer trusted, for tokens and feed alike. 43 bytes.
    RemoveKey(KeyId),
    /// The audit tree up to here. 40 bytes.
    Checkpoint(Checkpoint),
}

/// The state of the audit tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its root hash.
    pub root: [u8; 32],
    /// How many leaves it has.
    pub size: u64,
}

/// A text is no message of our feed. The reader keeps its position and asks again elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("the feed message is too long")]
    TooLong,
    /// Not exactly one message.
    #[error("the feed message is damaged")]
    Damaged,
    /// More than [`MAX_ENTRIES`] entries.
    #[error("the frame has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// No feed key of this name is trusted now.
    #[error("the feed message names a key that is not trusted")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the feed message has a wrong signature")]
    Signature,
}

/// The hash of a frame by which the next one names it: SHA-256 of all its bytes.
pub fn frame_hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
