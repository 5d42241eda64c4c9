//! The last frames, ready to be sent.

use std::collections::VecDeque;

use bytes::Bytes;

/// How many frames are kept: a reader that was away for four seconds at a thousand a second misses
/// none. Whoever was away for longer takes a snapshot, which is smaller by then.
const MAX_FRAMES: usize = 4_096;
/// How many bytes are kept.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// How much is given out at once, in bytes: a few socket buffers full.
const BATCH_BYTES: usize = 256 * 1024;

/// Frames with contiguous numbers, the newest always among them.
#[derive(Debug, Default)]
pub(super) struct Ring {
    frames: VecDeque<Bytes>,
    /// Number of the newest.
    last: u64,
    bytes: usize,
}

/// A frame is no longer, or not yet, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It was, once.
    Past,
    /// It has not happened.
    Future,
}

impl Ring {
    /// Empty, with frames up to `last` in the past.
    pub(super) const fn after(last: u64) -> Self {
        Self {
            frames: VecDeque::new(),
            last,
            bytes: 0,
        }
    }

    /// The frame after the last.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.last += 1;
        self.frames.push_back(frame);
        while self.frames.len() > MAX_FRAMES || (self.bytes > MAX_BYTES && self.frames.len() > 1) {
            self.bytes -= self.frames.pop_front().map_or(0, |oldest| oldest.len());
        }
    }

    /// Frame `n`.
    pub(super) fn get(&self, n: u64) -> Result<Bytes, Missing> {
        if n > self.last {
            return Err(Missing::Future);
        }
        let back = usize::try_from(self.last - n).map_err(|_| Missing::Past)?;
        self.frames
            .iter()
            .rev()
            .nth(back)
            .cloned()
            .ok_or(Missing::Past)
    }

    /// The frames after `n`, as many as fit a batch, and whether those are all.
    pub(super) fn after_number(&self, n: u64) -> Result<(Vec<Bytes>, bool), Missing> {
        if n > self.last {
            return Err(Missing::Future);
        }
        let missing = usize::try_from(self.last - n).map_err(|_| Missing::Past)?;
        let Some(skip) = self.frames.len().checked_sub(missing) else {
            return Err(Missing::Past);
        };
        let mut bytes = 0;
        let batch: Vec<Bytes> = self
            .frames
            .iter()
            .skip(skip)
            .take_while(|frame| {
                let fits = bytes < BATCH_BYTES;
                bytes += frame.len();
                fits
            })
            .cloned()
            .collect();
        let all = batch.len() == missing;
        Ok((batch, all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_knows_past_present_and_future() {
        let mut ring = Ring::after(10);
        assert_eq!(ring.after_number(10).unwrap(), (vec![], true));
        assert_eq!(ring.after_number(9), Err(Missing::Past));
        assert_eq!(ring.after_number(11), Err(Missing::Future));
        ring.push(Bytes::from_static(b"eleven"));
        ring.push(Bytes::from_static(b"twelve"));
        assert_eq!(ring.get(11).unwrap(), "eleven");
        assert_eq!(ring.get(10), Err(Missing::Past));
        assert_eq!(ring.get(13), Err(Missing::Future));
        assert_eq!(
            ring.after_number(11).unwrap(),
            (vec![Bytes::from_static(b"twelve")], true)
        );
    }

    #[test]
    fn old_frames_go_when_there_are_too_many_or_they_are_too_large() {
        let mut many = Ring::after(0);
        for _ in 0..=MAX_FRAMES {
            many.push(Bytes::from_static(b"x"));
        }
        assert_eq!(many.get(1), Err(Missing::Past));
        assert!(many.get(2).is_ok());
        let mut large = Ring::after(0);
        for _ in 0..100 {
            large.push(Bytes::from(vec![0; MAX_BYTES / 10]));
        }
        assert!(large.frames.len() <= 10);
        let (batch, all) = large.after_number(95).unwrap();
        assert!(!all && batch.len() < 5, "a batch is bounded");
    }
}
