//! One record on disk, and a cursor that reads them while it holds the chain in its hand.
//!
//! ```text
//! length u32 │ CRC-32 u32 │ last rev u64 │ at u64 │ count u32 │ previous hash 32 │ sealed events
//! ```
//! The events are JSON, shortened where there are many ([`payload`](super::payload)).
//! `length` counts what follows the CRC, and the CRC covers it. The hash of a record is SHA-256 over all
//! of its bytes; the next record carries it. What stands between CRC and payload is authenticated by the
//! seal, so a record cannot be moved, and the chain cannot be cut and joined again without the key.

use std::io::{ErrorKind, Read};

use lanyard_token::Rev;

use super::fields::{Fields, Hash, sha256};
use super::payload::{Payload, unpack};
use crate::clock::UnixMillis;
use crate::crypto::{CryptoError, SequenceSeal};
use crate::store::{Event, MAX_EVENTS, Record};

/// Length and CRC.
pub(crate) const PREFIX_BYTES: usize = 8;
/// What the seal authenticates beside the payload: rev, time, count and previous hash.
const PLACE_BYTES: usize = 52;
/// The largest record read or written; a thousand tokens take about two mebibytes.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// Where in the chain one stands, inside one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes of the segment before this place.
    pub(crate) offset: u64,
    /// Records of the segment before this place.
    pub(crate) index: u64,
    /// The last event before this place.
    pub(crate) rev: Rev,
    /// The link the next record must hold.
    pub(crate) hash: Hash,
    /// The time of the last record before this place.
    pub(crate) at: UnixMillis,
}

/// A record whose CRC and chain are good, still sealed.
pub(crate) struct Entry {
    pub(crate) rev: Rev,
    pub(crate) at: UnixMillis,
    pub(crate) count: u32,
    pub(crate) hash: Hash,
    pub(crate) offset: u64,
    index: u64,
    place: [u8; PLACE_BYTES],
    sealed: Vec<u8>,
}

/// What is wrong at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Cut off, or its CRC does not fit: at the very end of the log this is a write that was never
    /// finished and never acknowledged.
    Torn(&'static str),
    /// Whole, but not what belongs here.
    Foreign(&'static str),
    /// The operating system could not read it.
    Unreadable(ErrorKind),
}

/// Writes one record for the place `mark`; the payload holds `count` events.
pub(crate) fn encode(
    seal: &SequenceSeal,
    mark: &Mark,
    rev: Rev,
    at: UnixMillis,
    count: u32,
    payload: Payload,
) -> Result<Vec<u8>, CryptoError> {
    let mut payload = payload.into_bytes();
    let mut bytes =
        Vec::with_capacity(PREFIX_BYTES + PLACE_BYTES + payload.len() + SequenceSeal::OVERHEAD);
    bytes.resize(PREFIX_BYTES, 0);
    bytes.extend_from_slice(&rev.as_u64().to_le_bytes());
    bytes.extend_from_slice(&at.0.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&mark.hash);
    seal.seal(
        mark.index,
        bytes.get(PREFIX_BYTES..).unwrap_or_default(),
        &mut payload,
    )?;
    bytes.append(&mut payload);
    let (prefix, body) = bytes.split_at_mut(PREFIX_BYTES);
    let (length, crc) = prefix.split_at_mut(4);
    length.copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(bytes)
}

impl Entry {
    /// Bytes on disk.
    pub(crate) fn length(&self) -> u64 {
        (PREFIX_BYTES + PLACE_BYTES + self.sealed.len()) as u64
    }

    /// Opens the seal and reads the events.
    pub(crate) fn open(self, seal: &SequenceSeal) -> Result<Record, &'static str> {
        let mut payload = self.sealed;
        seal.open(self.index, &self.place, &mut payload)
            .map_err(|_| "its seal does not open")?;
        let json = unpack(&payload).ok_or("its events cannot be unpacked")?;
        let events: Vec<Event> = serde_json::from_slice(&json)
            .map_err(|_| "it holds a word this version of lanyard does not know")?;
        if events.len() != self.count as usize {
            return Err("it does not hold as many events as it says");
        }
        Ok(Record {
            rev: self.rev,
            at: self.at,
            events,
        })
    }
}

/// Reads records one after another up to `end`, checking CRC, order and chain.
pub(crate) struct Cursor<R> {
    source: R,
    mark: Mark,
    end: u64,
}

impl<R: Read> Cursor<R> {
    /// `source` stands at `mark.offset`.
    pub(crate) const fn new(source: R, mark: Mark, end: u64) -> Self {
        Self { source, mark, end }
    }

    pub(crate) const fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The next record; `None` at the end. After a fault the cursor stands before the fault.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        let remaining = self.end.saturating_sub(self.mark.offset);
        if remaining == 0 {
            return Ok(None);
        }
        if remaining < (PREFIX_BYTES + PLACE_BYTES) as u64 {
            return Err(Fault::Torn("it is cut off"));
        }
        let mut prefix = [0; PREFIX_BYTES];
        self.source.read_exact(&mut prefix).map_err(unreadable)?;
        let mut fields = Fields(&prefix);
        let (length, crc) = (fields.u32().unwrap_or(0), fields.u32().unwrap_or(0));
        let length = length as usize;
        if !(PLACE_BYTES + SequenceSeal::OVERHEAD..=MAX_RECORD_BYTES).contains(&length) {
            return Err(Fault::Torn("its length cannot be right"));
        }
        if length as u64 > remaining - PREFIX_BYTES as u64 {
            return Err(Fault::Torn("it is cut off"));
        }
        let mut whole = vec![0; PREFIX_BYTES + length];
        let (head, body) = whole.split_at_mut(PREFIX_BYTES);
        head.copy_from_slice(&prefix);
        self.source.read_exact(body).map_err(unreadable)?;
        if crc32fast::hash(body) != crc {
            return Err(Fault::Torn("its checksum does not fit"));
        }
        let entry = self
            .entry(&whole)
            .ok_or(Fault::Foreign("its fields cannot be right"))?;
        self.belongs(&entry, &whole)?;
        self.mark = Mark {
            offset: entry.offset.saturating_add(entry.length()),
            index: entry.index.saturating_add(1),
            rev: entry.rev,
            hash: entry.hash,
            at: entry.at,
        };
        Ok(Some(entry))
    }

    fn entry(&self, whole: &[u8]) -> Option<Entry> {
        let mut fields = Fields(whole.get(PREFIX_BYTES..)?);
        let place = *fields.0.first_chunk::<PLACE_BYTES>()?;
        let rev = Rev::from_u64(fields.u64()?)?;
        let at = UnixMillis(fields.u64()?);
        let count = fields
            .u32()
            .filter(|count| (1..=MAX_EVENTS).contains(&(*count as usize)))?;
        let _previous: Hash = fields.bytes()?;
        Some(Entry {
            rev,
            at,
            count,
            hash: sha256(whole),
            offset: self.mark.offset,
            index: self.mark.index,
            place,
            sealed: fields.0.to_vec(),
        })
    }

    fn belongs(&self, entry: &Entry, whole: &[u8]) -> Result<(), Fault> {
        let previous = whole.get(PREFIX_BYTES + PLACE_BYTES - 32..PREFIX_BYTES + PLACE_BYTES);
        if previous != Some(&self.mark.hash[..]) {
            return Err(Fault::Foreign("it does not continue the chain"));
        }
        if self.mark.rev.forward(u64::from(entry.count)) != Some(entry.rev) {
            return Err(Fault::Foreign("its rev does not follow"));
        }
        if entry.at < self.mark.at {
            return Err(Fault::Foreign("it is older than the record before it"));
        }
        Ok(())
    }
}

/// Whether an intact record of the same epoch begins anywhere in the first `written` of these bytes, other than at
/// the front: behind them there are only zeros, and no record begins with one.
pub(crate) fn holds_intact_record(bytes: &[u8], written: usize, after: Rev) -> bool {
    (1..written).any(|start| {
        bytes
            .get(start..)
            .is_some_and(|rest| begins_record(rest, after))
    })
}

fn begins_record(bytes: &[u8], after: Rev) -> bool {
    let mut fields = Fields(bytes);
    let (Some(length), Some(crc)) = (fields.u32(), fields.u32()) else {
        return false;
    };
    if (length as usize) < PLACE_BYTES + SequenceSeal::OVERHEAD {
        return false;
    }
    let Some(body) = fields.slice(length as usize) else {
        return false;
    };
    let rev = Fields(body).u64().and_then(Rev::from_u64);
    // The cheap question first: it leaves almost no place of a torn write to be checksummed.
    rev.is_some_and(|rev| rev > after && rev.epoch() == after.epoch())
        && crc32fast::hash(body) == crc
}

fn unreadable(error: std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::UnexpectedEof => Fault::Torn("it is cut off"),
        kind => Fault::Unreadable(kind),
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Torn(reason) | Self::Foreign(reason) => f.write_str(reason),
            Self::Unreadable(kind) => write!(f, "it cannot be read ({kind})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SealingRoot;

    fn start() -> Mark {
        Mark {
            offset: 0,
            index: 0,
            rev: Rev::new(1, 0).unwrap(),
            hash: [7; 32],
            at: UnixMillis(1),
        }
    }

    fn three_records() -> (SequenceSeal, Vec<u8>) {
        let seal = SealingRoot::from_bytes(&[1; 32])
            .sequence("log segment", &[2; 32])
            .unwrap();
        let (mut bytes, mut mark) = (Vec::new(), start());
        for n in 1..=3 {
            let json = serde_json::to_vec(&[Event::Booted {
                boot: n,
                version: "1".to_owned(),
            }])
            .unwrap();
            let (rev, at) = (mark.rev.forward(1).unwrap(), UnixMillis(u64::from(n)));
            let record = encode(&seal, &mark, rev, at, 1, Payload::pack(json)).unwrap();
            let offset = mark.offset + record.len() as u64;
            mark = Mark {
                offset,
                index: mark.index + 1,
                rev,
                hash: sha256(&record),
                at,
            };
            bytes.extend(record);
        }
        (seal, bytes)
    }

    #[test]
    fn records_read_back_in_order_until_the_end() {
        let (seal, bytes) = three_records();
        let mut cursor = Cursor::new(&bytes[..], start(), bytes.len() as u64);
        for n in 1..=3 {
            let record = cursor.next().unwrap().unwrap().open(&seal).unwrap();
            assert_eq!(
                record.events,
                [Event::Booted {
                    boot: n,
                    version: "1".to_owned()
                }]
            );
        }
        assert!(cursor.next().unwrap().is_none());
    }

    #[test]
    fn no_changed_bit_and_no_cut_passes_as_a_record() {
        let (_, bytes) = three_records();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut cursor = Cursor::new(&changed[..], start(), changed.len() as u64);
            assert!((0..3).any(|_| cursor.next().is_err()), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            let mut cursor = Cursor::new(&bytes[..cut], start(), cut as u64);
            let read = (0..3).map_while(|_| cursor.next().ok().flatten()).count();
            assert!(read < 3, "cut at {cut}");
        }
    }

    #[test]
    fn an_intact_record_behind_a_broken_one_is_found() {
        let (_, mut bytes) = three_records();
        bytes[20] ^= 1;
        assert!(holds_intact_record(&bytes, bytes.len(), start().rev));
        let last = &bytes[bytes.len() * 2 / 3 + 1..];
        assert!(!holds_intact_record(last, last.len(), start().rev));
    }
}
