//! One reader's way along the feed: what it missed, then what happens.
//!
//! A subscription has no queue of its own: it has a place, and reads on from there in the shared ring
//! of frames whenever something happened. So a reader that does not read costs nothing, and one that
//! falls out of the ring is cut off: it comes back through a snapshot.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::watch;

use super::receipt::OpenStream;
use super::ring::Missing;
use super::watermark::{RevokeState, Tick};

/// "Say where you stand": unsigned, because it is only a hint. Its kind is outside those of signed
/// messages.
pub(super) const CONFIRM_PLEASE: &[u8] = b"LYF1\x80";

/// Why a stream cannot begin where the reader asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStream {
    /// Too far back, or in an earlier epoch: take the snapshot.
    #[error("frames after this one are gone: take the snapshot")]
    Gone,
    /// The reader is ahead of us: our log was rolled back.
    #[error("the reader knows more than this broker: its log was rolled back")]
    Ahead,
}

impl From<Missing> for NoStream {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Past => Self::Gone,
            Missing::Future => Self::Ahead,
        }
    }
}

/// One reader's place in the feed.
pub struct Subscription {
    state: Arc<RevokeState>,
    epoch: u16,
    n: u64,
    ticks: watch::Receiver<Tick>,
    beats: u64,
    asked: u64,
    _open: OpenStream,
}

impl Subscription {
    pub(super) fn begin(
        state: Arc<RevokeState>,
        epoch: u16,
        n: u64,
        open: OpenStream,
    ) -> Result<Self, NoStream> {
        state.frames_after(epoch, n)?;
        let ticks = state.ticks();
        let asked = ticks.borrow().asked;
        Ok(Self {
            state,
            epoch,
            n,
            ticks,
            beats: 0,
            asked,
            _open: open,
        })
    }

    /// What to send next, each message with its length before it; `None` when this reader is too
    /// slow, or the broker ends.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            // First what has happened, then the frames: so a heartbeat never knows of a frame that
            // was not sent before it.
            let tick = self.ticks.borrow_and_update().clone();
            let (frames, all) = self.state.frames_after(self.epoch, self.n).ok()?;
            let mut out = BytesMut::new();
            for frame in &frames {
                put(&mut out, frame);
                self.n += 1;
            }
            if all {
                self.follow(&tick, &mut out);
            }
            if !out.is_empty() {
                return Some(out.freeze());
            }
            self.ticks.changed().await.ok()?;
        }
    }

    fn follow(&mut self, tick: &Tick, out: &mut BytesMut) {
        if let Some(beat) = tick.beat.as_ref().filter(|_| tick.beats != self.beats) {
            put(out, beat);
            self.beats = tick.beats;
        }
        if tick.asked != self.asked {
            put(out, CONFIRM_PLEASE);
            self.asked = tick.asked;
        }
    }
}

fn put(out: &mut BytesMut, message: &[u8]) {
    // No message of a stream is near four gigabytes.
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
}
