//! From records to frames.
//!
//! Frame `n` of an epoch is the `n`-th record of that epoch which changes what gateways must know.
//! Its content, its time, the key it is signed with and the hash of its predecessor follow from the
//! log alone, and Ed25519 signatures need no randomness: a broker that starts again, or replays its
//! whole log, makes the same bytes again. So frames need no store of their own, a reader that was
//! away for a moment goes on where it was, and caches are never wrong.

use lanyard_token::{Entry, Frame, NodeId, Rev, frame_hash};
use serde::{Deserialize, Serialize};

use super::keyring::Signer;
use crate::clock::UnixMillis;
use crate::store::event::Response;
use crate::store::{Event, Record};

/// The last frame of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) epoch: u16,
    /// 0: none yet.
    pub(super) n: u64,
    /// Zeros: none yet.
    pub(super) hash: [u8; 32],
}

/// What becomes a frame once a key can sign it: nearly always at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unsigned {
    at: UnixMillis,
    rev: Rev,
    floor: Rev,
    /// Only events that become entries.
    events: Vec<Event>,
}

impl Chain {
    /// Before the first frame of an epoch.
    pub(super) const fn start(epoch: u16) -> Self {
        Self {
            epoch,
            n: 0,
            hash: [0; 32],
        }
    }

    /// Signs the next frame; `None` when it does not fit into one, which a record always does.
    pub(super) fn extend(&self, unsigned: &Unsigned, signer: &Signer) -> Option<(Self, Vec<u8>)> {
        let frame = Frame {
            epoch: self.epoch,
            n: self.n + 1,
            prev: self.hash,
            at_ms: unsigned.at.0,
            rev: unsigned.rev,
            head: unsigned.rev,
            floor: unsigned.floor,
            entries: unsigned.events.iter().filter_map(entry).collect(),
        };
        let bytes = frame
            .encode(signer.key(), |message| signer.sign(message))
            .ok()?;
        Some((
            Self {
                epoch: self.epoch,
                n: self.n + 1,
                hash: frame_hash(&bytes),
            },
            bytes,
        ))
    }
}

impl Unsigned {
    /// What gateways must know of a record, if anything.
    pub(super) fn of(record: &Record, floor: Rev) -> Option<Self> {
        let events: Vec<Event> = record
            .events
            .iter()
            .filter(|event| entry(event).is_some())
            .cloned()
            .collect();
        (!events.is_empty()).then_some(Self {
            at: record.at,
            rev: record.rev,
            floor,
            events,
        })
    }

    /// When the record was written.
    pub(super) const fn at(&self) -> UnixMillis {
        self.at
    }
}

/// What an event means to a gateway.
fn entry(event: &Event) -> Option<Entry> {
    match event {
        Event::Revoked { node, .. } => Some(Entry::Watermark(*node)),
        Event::Suspended { node, until, .. } => Some(Entry::Suspend {
            node: *node,
            until_ms: until.0,
        }),
        Event::Resumed { node, .. } => Some(Entry::Resume(*node)),
        Event::Responded { .. } => narrowed(event).map(Entry::Narrow),
        Event::SigningKeyRemoved { key, .. } => Some(Entry::RemoveKey(*key)),
        _ => None,
    }
}

/// The node an event narrows.
pub(super) const fn narrowed(event: &Event) -> Option<NodeId> {
    match event {
        Event::Responded {
            response: Response::Narrow,
            enforced: true,
            node: Some(node),
            ..
        } => Some(*node),
        _ => None,
    }
}
