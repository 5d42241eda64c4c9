//! Why a message of the feed is not taken.

use bytes::Bytes;
use lanyard_token::{FrameError, Rev};

/// Why a message is not taken. The replica is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Damaged, or not signed by a trusted feed key. Ask again elsewhere.
    #[error("the message is refused")]
    Message(#[from] FrameError),
    /// Nothing can follow before the first snapshot. Fetch it.
    #[error("there is no snapshot yet")]
    NoSnapshot,
    /// Frames are missing. Fetch `have + 1` to `known`.
    #[error("frames are missing: have {have}, the broker knows {known}")]
    Gap {
        /// The last frame taken.
        have: u64,
        /// A frame that exists.
        known: u64,
    },
    /// The log lives a new life. Fetch its snapshot.
    #[error("epoch {theirs} has begun, ours is {ours}")]
    NewEpoch {
        /// Ours.
        ours: u16,
        /// The later one.
        theirs: u16,
    },
    /// Older than what is known. From a cache that is nothing; from the broker it means that its log
    /// was rolled back.
    #[error("rollback: at frame {epoch}.{n}, but this is older ({their_epoch}.{their_n})")]
    Rollback {
        /// Our epoch.
        epoch: u16,
        /// Our last frame.
        n: u64,
        /// What came.
        their_epoch: u16,
        /// What came.
        their_n: u64,
    },
    /// Two signed stories about one place. Keep the evidence, alarm, take neither further.
    #[error("fork: two messages about frame {}.{}", .0.epoch, .0.n)]
    Fork(Box<Evidence>),
    /// A later epoch that lets tokens of the past live. Nobody may have accepted that.
    #[error("the snapshot of epoch {0} does not end the past")]
    PastNotEnded(u16),
    /// A frame about a revision which the broker had said was complete.
    #[error("frame at rev {rev} comes after everything up to rev {reached} was said to be known")]
    OutOfOrder {
        /// What was known.
        reached: Rev,
        /// What came.
        rev: Rev,
    },
    /// The audit tree has become smaller, or another of the same size.
    #[error("the audit tree of {had} leaves was replaced by one of {got}")]
    Tree {
        /// Leaves before.
        had: u64,
        /// Leaves now.
        got: u64,
    },
}

/// Two signed messages that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where.
    pub epoch: u16,
    /// Which frame.
    pub n: u64,
    /// The frame we took; empty when we came to this place by a snapshot.
    pub ours: Bytes,
    /// What contradicts it.
    pub theirs: Bytes,
}
