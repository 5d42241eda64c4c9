//! The frames of a WebSocket as a third party sends them (RFC 6455, 5.2): what they carry is searched frame by frame.
//!
//! **What it catches.** The credential within a frame, over all borders of what is read at once.
//!
//! **What it misses.** What is split over several frames: those who read the first must get all of it before the next one
//! is written, so nothing of it can be held back until then.
//!
//! **Why not the bytes as they come?** The end of a message that could be the beginning of a value would be held back until
//! the next message, which may never come.

use bytes::Bytes;

use crate::egress::scrub::{Needles, Scrubber, TooDear};

/// The longest head of a frame: two bytes and a length of eight. A mask would be four more, and is not allowed here.
const LONGEST_HEAD: usize = 10;

/// Where a stream of frames is.
pub(super) struct Frames {
    scrubber: Scrubber,
    /// The head that has begun.
    head: Vec<u8>,
    /// Bytes that the frame still carries.
    left: u64,
    found: u64,
}

/// Nothing more is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsearchable {
    /// Masked, or compressed: nobody was asked to, and neither can be searched.
    #[error("a frame is not as a server may send it")]
    Frame,
    #[error(transparent)]
    TooDear(#[from] TooDear),
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            scrubber: Scrubber::default(),
            head: Vec::with_capacity(LONGEST_HEAD),
            left: 0,
            found: 0,
        }
    }

    /// How many values were hidden since this was asked.
    pub(super) fn found(&mut self) -> u64 {
        std::mem::take(&mut self.found)
    }

    /// Takes what came next; gives what can be handed on.
    pub(super) fn push(
        &mut self,
        needles: &Needles,
        mut bytes: &[u8],
    ) -> Result<Vec<u8>, Unsearchable> {
        let mut clean = Vec::with_capacity(bytes.len() + LONGEST_HEAD);
        while !bytes.is_empty() {
            if self.left == 0 {
                let (first, rest) = bytes.split_at(1);
                self.head.extend_from_slice(first);
                bytes = rest;
                if let Some(left) = length(&self.head)? {
                    clean.append(&mut self.head);
                    self.left = left;
                }
                continue;
            }
            let some = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (carried, rest) = bytes.split_at(some.min(bytes.len()));
            bytes = rest;
            self.left -= carried.len() as u64;
            let carried = Bytes::copy_from_slice(carried);
            clean.extend_from_slice(&self.scrubber.push(needles, carried)?);
            if self.left == 0 {
                clean.extend_from_slice(&self.scrubber.finish());
            }
        }
        self.found += self.scrubber.take_found();
        Ok(clean)
    }
}

/// How much a frame carries, once its head is whole.
fn length(head: &[u8]) -> Result<Option<u64>, Unsearchable> {
    let (Some(first), Some(second)) = (head.first(), head.get(1)) else {
        return Ok(None);
    };
    // Three bits for extensions that were not agreed on, and the mask's.
    if first & 0b0111_0000 != 0 || second & 0b1000_0000 != 0 {
        return Err(Unsearchable::Frame);
    }
    let more = match second {
        126 => 2,
        127 => 8,
        short => return Ok(Some(u64::from(*short))),
    };
    let digits = head.get(2..2 + more);
    Ok(digits.map(|digits| {
        let digits = digits.iter();
        digits.fold(0, |length, digit| (length << 8) | u64::from(*digit))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "sk_live/4eC39HqLyjWD";

    fn frame(first: u8, carried: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match carried.len() {
            short @ ..126 => frame.push(u8::try_from(short).unwrap()),
            long @ ..65_536 => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
            }
            longer => {
                frame.push(127);
                frame.extend_from_slice(&(longer as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(carried);
        frame
    }

    fn clean(stream: &[u8], chunk: usize) -> Vec<u8> {
        let needles = Needles::of([VALUE]);
        let mut frames = Frames::new();
        let mut clean = Vec::new();
        for part in stream.chunks(chunk) {
            clean.extend_from_slice(&frames.push(&needles, part).unwrap());
        }
        clean
    }

    #[test]
    fn what_frames_carry_is_searched_over_every_border() {
        let long = format!("{VALUE}{}{VALUE}", "x".repeat(300));
        let longer = format!("{}{VALUE}", "x".repeat(70_000));
        let stream = [
            frame(0x81, VALUE.as_bytes()),
            frame(0x89, b""),
            frame(0x02, long.as_bytes()),
            frame(0x80, longer.as_bytes()),
            frame(0x88, b"\x03\xe8"),
        ];
        let stream = stream.concat();
        let hidden = "*".repeat(VALUE.len());
        let shown = String::from_utf8_lossy(&stream).replace(VALUE, &hidden);
        for chunk in [1, 2, 3, 7, 100, 16 * 1024, stream.len()] {
            let clean = clean(&stream, chunk);
            assert_eq!(clean.len(), stream.len());
            assert_eq!(String::from_utf8_lossy(&clean), shown, "by {chunk}");
        }
    }

    #[test]
    fn a_message_that_ends_as_a_value_begins_is_handed_on_at_once() {
        for end in 1..VALUE.len() {
            let stream = frame(0x81, &VALUE.as_bytes()[..end]);
            assert_eq!(clean(&stream, 5), stream);
        }
    }

    #[test]
    fn what_was_hidden_is_counted_once() {
        let needles = Needles::of([VALUE]);
        let mut frames = Frames::new();
        for _ in 0..2 {
            frames
                .push(&needles, &frame(0x81, VALUE.as_bytes()))
                .unwrap();
        }
        assert_eq!((frames.found(), frames.found()), (2, 0));
    }

    #[test]
    fn a_frame_that_is_masked_or_compressed_ends_the_stream() {
        let needles = Needles::of([VALUE]);
        for head in [[0x81, 0x85], [0xc1, 0x05], [0xa1, 0x05], [0x91, 0x05]] {
            let refused = Frames::new().push(&needles, &head);
            assert_eq!(refused, Err(Unsearchable::Frame), "{head:?}");
        }
    }
}
