//! What a record holds before it is sealed: its events as JSON, in fewer bytes where there are many.
//!
//! ```text
//! [ …                     JSON as it is
//! 1 │ bytes u32 │ LZ4     JSON of so many bytes, as one LZ4 block
//! ```
//! *What it catches:* a storm. A million revocations are 140 MiB of JSON of which only the numbers differ, and as much
//! again for the zeros that were prepared; the disk had to take them before anybody was answered. *What it misses:* one
//! event by itself, which a sync costs more than its bytes do: below [`LONG`] JSON stays as it is. *Why LZ4 and not
//! what makes it smaller:* it takes less time than the seal and the hashes over the bytes it saves.
//!
//! The length of a sealed record tells how much alike its events are, to whoever can read the disk. A token or key is
//! never in one, and sealed values look like noise, so there is nothing that could be guessed from it byte by byte.

use std::borrow::Cow;

use lz4_flex::block;

use super::record::MAX_RECORD_BYTES;

/// From so many bytes of JSON on.
const LONG: usize = 64 << 10;
/// No JSON array begins with it.
const SHORTENED: u8 = 1;
const LENGTH_BYTES: usize = size_of::<u32>();

/// The events of a record as they are sealed.
pub(crate) struct Payload(Vec<u8>);

impl Payload {
    /// Of a JSON array of at most [`MAX_RECORD_BYTES`].
    pub(crate) fn pack(json: Vec<u8>) -> Self {
        if json.len() < LONG {
            return Self(json);
        }
        let Ok(length) = u32::try_from(json.len()) else {
            return Self(json);
        };
        let mut bytes = vec![0; 1 + LENGTH_BYTES + block::get_maximum_output_size(json.len())];
        let (head, rest) = bytes.split_at_mut(1 + LENGTH_BYTES);
        let Ok(written) = block::compress_into(&json, rest) else {
            return Self(json);
        };
        if 1 + LENGTH_BYTES + written >= json.len() {
            return Self(json);
        }
        let (kind, size) = head.split_at_mut(1);
        kind.fill(SHORTENED);
        size.copy_from_slice(&length.to_le_bytes());
        bytes.truncate(1 + LENGTH_BYTES + written);
        Self(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The JSON in an opened payload; `None` when it is not what [`Payload::pack`] made.
pub(crate) fn unpack(payload: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some((&SHORTENED, rest)) = payload.split_first() else {
        return Some(Cow::Borrowed(payload));
    };
    let (length, block) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let mut json = vec![0; length];
    let written = block::decompress_into(block, &mut json).ok()?;
    (written == length).then_some(Cow::Owned(json))
}

#[cfg(test)]
mod tests {
    use super::super::fields::sha256;
    use super::*;

    fn storm(events: usize) -> Vec<u8> {
        let one = |n| format!(r#"{{"revoked":{{"node":"{n:016x}","cause":"requested"}}}}"#);
        let all: Vec<String> = (0..events).map(one).collect();
        format!("[{}]", all.join(",")).into_bytes()
    }

    #[test]
    fn a_storm_takes_a_quarter_of_its_bytes_at_most_and_comes_back_as_it_was() {
        let json = storm(10_000);
        let packed = Payload::pack(json.clone()).into_bytes();
        assert!(
            packed.len() * 4 < json.len(),
            "{} of {}",
            packed.len(),
            json.len()
        );
        assert_eq!(unpack(&packed).unwrap(), json);
    }

    #[test]
    fn a_short_record_is_its_json() {
        let json = storm(3);
        assert_eq!(Payload::pack(json.clone()).into_bytes(), json);
        assert_eq!(unpack(&json).unwrap(), json);
    }

    #[test]
    fn a_length_that_is_not_the_blocks_or_beyond_the_largest_record_is_refused() {
        let mut packed = Payload::pack(storm(10_000)).into_bytes();
        for length in [0, 1, u32::MAX] {
            packed[1..5].copy_from_slice(&length.to_le_bytes());
            assert!(unpack(&packed).is_none(), "{length}");
        }
        assert!(unpack(&[SHORTENED, 0, 0]).is_none());
    }

    #[test]
    fn what_does_not_repeat_itself_stays_as_it_is() {
        let mut json = vec![b'['];
        for n in 0..3_000_u64 {
            json.extend(sha256(&n.to_le_bytes()));
        }
        assert_eq!(Payload::pack(json.clone()).into_bytes(), json);
    }
}
