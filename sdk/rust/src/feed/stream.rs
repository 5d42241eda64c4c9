//! The stream of messages: `u32 length (big endian) | message`, without end.

use bytes::{Buf, Bytes, BytesMut};

/// "Say where you stand": what a broker sends when somebody waits for a revocation to have arrived
/// everywhere. Unsigned, because it is only a hint: whoever forges it gets one more position told to
/// the broker. Its kind is outside those of signed messages.
pub(super) const CONFIRM_PLEASE: &[u8] = b"LYF1\x80";

/// The longest message of a stream: a frame of a thousand key removals and some room. Snapshots do
/// not come in streams.
const MAX_BYTES: usize = 64 * 1024;

/// The stream names a length that no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is not a feed")]
pub(super) struct NoFeed;

/// Cuts a stream into messages.
#[derive(Default)]
pub(super) struct Splitter(BytesMut);

impl Splitter {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NoFeed> {
        let Some((length, _)) = self.0.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NoFeed)?;
        if length == 0 || length > MAX_BYTES {
            return Err(NoFeed);
        }
        if self.0.len() < 4 + length {
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_are_cut() {
        let mut stream = Vec::new();
        for message in [&b"one"[..], b"two two", CONFIRM_PLEASE] {
            stream.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(message);
        }
        for size in 1..stream.len() {
            let mut splitter = Splitter::default();
            let mut messages = Vec::new();
            for chunk in stream.chunks(size) {
                splitter.push(chunk);
                while let Some(message) = splitter.next().unwrap() {
                    messages.push(message);
                }
            }
            assert_eq!(
                messages,
                [&b"one"[..], b"two two", CONFIRM_PLEASE],
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn a_length_no_message_has_ends_the_stream() {
        for length in [0, 64 * 1024 + 1, u32::MAX] {
            let mut splitter = Splitter::default();
            splitter.push(&length.to_be_bytes());
            assert_eq!(splitter.next(), Err(NoFeed));
        }
    }
}
