//! Reports of many tokens on their way from a gateway to whoever judges them.
//!
//! ```text
//! version 8 | run 64 | number 64 | words: length 32, bytes | entries 16
//! then each entry: token 64 | identity 64 | digest 64 | length 16, report
//! ```
//! The words are what is said beside the counts, names for instance: they come seldom, and this crate does
//! not read them. The ids are the caller's. What an entry costs beside its report is [`HEAD_BYTES`].
//!
//! Read as strictly as a report: whatever is longer than it may be, cut short, there twice, or followed by
//! something makes the whole unreadable, because half a parcel that counts would be sent again.

use std::collections::BTreeSet;

use crate::ladder::SubjectId;
use crate::report::{MOST_BYTES, TokenReport};
use crate::wire::{Reader, Unreadable, Writer};

/// Version of the form.
const VERSION: u8 = 1;
/// What an entry costs beside its report, in bytes.
pub const HEAD_BYTES: usize = 26;
/// The longest parcel, in bytes.
pub const PARCEL_BYTES: usize = 256 * 1_024;
/// The most entries in a parcel.
pub const ENTRIES: usize = 512;
/// Bytes of entries that are packed together: half of a parcel, the other half is for words.
const PACKED_BYTES: usize = PARCEL_BYTES / 2;
/// Bytes of the words, so that they fit beside as many entries as are packed.
pub const WORDS_BYTES: usize = PARCEL_BYTES - PACKED_BYTES - 64;

/// What one gateway has to say at once.
#[derive(Debug)]
pub struct Parcel<'b> {
    /// Which run of the gateway.
    pub run: u64,
    /// Counts up within the run.
    pub number: u64,
    /// What is said beside the counts.
    pub words: &'b [u8],
    /// What tokens did.
    pub entries: Vec<Entry>,
}

/// What one token did.
#[derive(Debug)]
pub struct Entry {
    /// Which.
    pub token: SubjectId,
    /// Whose.
    pub identity: SubjectId,
    /// Of the token itself.
    pub digest: [u8; 8],
    /// What it did.
    pub report: TokenReport,
}

impl<'b> Parcel<'b> {
    /// Reads a parcel, and nothing else.
    pub fn read(bytes: &'b [u8]) -> Result<Self, Unreadable> {
        if bytes.len() > PARCEL_BYTES {
            return Err(Unreadable::TooMany("bytes"));
        }
        let mut from = Reader::new(bytes);
        match from.bits(u8::BITS)? as u8 {
            VERSION => {}
            other => return Err(Unreadable::Version(other)),
        }
        let (run, number) = (from.bits(64)?, from.bits(64)?);
        let words = from.bits(u32::BITS)?;
        let words = usize::try_from(words).map_err(|_| Unreadable::TooMany("words"))?;
        let words = from.bytes(words)?;
        let count = from.bits(u16::BITS)? as usize;
        if count > ENTRIES {
            return Err(Unreadable::TooMany("entries"));
        }
        let mut entries = Vec::with_capacity(count);
        let mut tokens = BTreeSet::new();
        for _ in 0..count {
            let entry = Entry::read(&mut from)?;
            if !tokens.insert((entry.token, entry.digest)) {
                return Err(Unreadable::Disorder("entries"));
            }
            entries.push(entry);
        }
        from.end()?;
        Ok(Self {
            run,
            number,
            words,
            entries,
        })
    }
}

impl Entry {
    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (token, identity) = (from.bits(64)?, from.bits(64)?);
        let digest = from.bits(64)?.to_be_bytes();
        let length = from.bits(u16::BITS)? as usize;
        Ok(Self {
            token: SubjectId(token),
            identity: SubjectId(identity),
            digest,
            report: TokenReport::from_bytes(from.bytes(length)?)?,
        })
    }
}

/// Entries that will travel together.
#[derive(Debug, Default)]
pub struct Packing {
    entries: Vec<u8>,
    count: u16,
}

impl Packing {
    /// Packs another one; whether there was room for it. The same token goes in once.
    pub fn add(
        &mut self,
        (token, digest): (SubjectId, [u8; 8]),
        identity: SubjectId,
        report: &TokenReport,
    ) -> bool {
        let report = report.to_bytes();
        let bytes = self.entries.len() + HEAD_BYTES + report.len();
        let Ok(length) = u16::try_from(report.len()) else {
            return false;
        };
        if usize::from(self.count) >= ENTRIES || bytes > PACKED_BYTES {
            return false;
        }
        let mut to = Writer::default();
        to.bits(token.0, 64);
        to.bits(identity.0, 64);
        to.bits(u64::from_be_bytes(digest), 64);
        to.bits(u64::from(length), u16::BITS);
        to.bytes(&report);
        self.entries.append(&mut to.finish());
        self.count += 1;
        true
    }

    /// Entries so far.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Bytes of the entries so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.entries.len()
    }

    /// The parcel under this number, with these words: [`WORDS_BYTES`] at most, or it will not be read.
    #[must_use]
    pub fn sealed(&self, run: u64, number: u64, words: &[u8]) -> Vec<u8> {
        let mut to = Writer::default();
        to.bits(u64::from(VERSION), u8::BITS);
        to.bits(run, 64);
        to.bits(number, 64);
        to.bits(words.len() as u64, u32::BITS);
        to.bytes(words);
        to.bits(u64::from(self.count), u16::BITS);
        to.bytes(&self.entries);
        to.finish()
    }
}

// An entry always finds room in an empty parcel.
const _: () = assert!(HEAD_BYTES + MOST_BYTES <= PACKED_BYTES && MOST_BYTES <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::event::{Event, Millis, OperationId};
    use crate::thresholds::Thresholds;
    use crate::tracker::Tracker;

    fn report(calls: u64) -> TokenReport {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for call in 0..calls {
            let _ = tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(call));
        }
        tracker.report().unwrap_or_default()
    }

    fn packed(tokens: &[u64]) -> Packing {
        let mut packing = Packing::default();
        for token in tokens {
            assert!(packing.add((SubjectId(*token), [7; 8]), SubjectId(1), &report(3)));
        }
        packing
    }

    #[test]
    fn a_parcel_is_read_as_it_was_packed() {
        let bytes = packed(&[3, 1, 2]).sealed(u64::MAX, 9, b"{}");
        let parcel = Parcel::read(&bytes).unwrap();
        assert_eq!((parcel.run, parcel.number), (u64::MAX, 9));
        assert_eq!(parcel.words, b"{}");
        let tokens: Vec<u64> = parcel.entries.iter().map(|entry| entry.token.0).collect();
        assert_eq!(tokens, [3, 1, 2]);
        assert!(parcel.entries.iter().all(|entry| entry.digest == [7; 8]));
        assert!(parcel.entries.iter().all(|entry| entry.report == report(3)));
    }

    #[test]
    fn a_parcel_cut_anywhere_or_followed_by_anything_is_refused() {
        let mut bytes = packed(&[1, 2]).sealed(1, 1, b"words");
        for end in 0..bytes.len() {
            assert!(Parcel::read(&bytes[..end]).is_err(), "{end}");
        }
        bytes.push(0);
        assert_eq!(Parcel::read(&bytes).unwrap_err(), Unreadable::Trailing);
    }

    #[test]
    fn a_token_that_is_there_twice_is_refused() {
        let bytes = packed(&[1, 2, 1]).sealed(1, 1, b"");
        assert_eq!(
            Parcel::read(&bytes).unwrap_err(),
            Unreadable::Disorder("entries")
        );
    }

    #[test]
    fn another_version_is_refused_in_words() {
        let mut bytes = packed(&[1]).sealed(1, 1, b"");
        bytes[0] = 2;
        let error = Parcel::read(&bytes).unwrap_err();
        assert_eq!(error, Unreadable::Version(2));
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn a_full_parcel_with_all_its_words_is_read() {
        let mut packing = Packing::default();
        let one = report(50);
        let mut token = 0;
        while packing.add((SubjectId(token), [0; 8]), SubjectId(1), &one) {
            token += 1;
        }
        assert_eq!(usize::from(packing.count()), ENTRIES);
        let bytes = packing.sealed(1, 1, &[b'x'; WORDS_BYTES]);
        assert!(bytes.len() <= PARCEL_BYTES);
        assert_eq!(Parcel::read(&bytes).unwrap().entries.len(), ENTRIES);
    }
}
