//! How the projection is saved: one row per thing, named by a letter and its number; watermarks lie in blocks.

use std::collections::BTreeSet;

use lanyard_token::{KeyId, NodeId, Rev};
use serde::{Deserialize, Serialize};

use super::super::frame::{Chain, Unsigned};
use super::super::ring::Ring;
use super::Inner;
use crate::clock::UnixMillis;
use crate::crypto::SealingRoot;
use crate::store::block::Block;
use crate::store::event::SigningKey;
use crate::store::{DamagedRow, Row};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey {
    /// Where everything stands.
    Place,
    Marks,
    Watermarks(Block),
    Suspended(NodeId),
    Narrowed(NodeId),
    Key(KeyId),
    Removed(KeyId),
    Gateway(NodeId),
}

/// The rows that changed since they were last saved.
#[derive(Debug, Default)]
pub(super) struct Changed(BTreeSet<RowKey>);

impl Changed {
    pub(super) fn add(&mut self, row: RowKey) {
        self.0.insert(row);
    }
}

#[derive(Serialize, Deserialize)]
struct Place {
    chain: Chain,
    head: Rev,
    at: UnixMillis,
    floor: Rev,
    waiting: Vec<Unsigned>,
}

impl Inner {
    pub(super) fn changed_rows(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .0
            .into_iter()
            .map(|row| Row {
                key: row.bytes(),
                value: self.value(row),
            })
            .collect()
    }

    fn value(&self, row: RowKey) -> Option<Vec<u8>> {
        match row {
            RowKey::Place => json(&Place {
                chain: self.chain,
                head: self.head,
                at: self.at,
                floor: self.liveness.floor(),
                waiting: self.waiting.iter().cloned().collect(),
            }),
            RowKey::Marks => json(&self.marks),
            RowKey::Watermarks(block) => block.watermarks(|node| self.liveness.watermark(node)),
            RowKey::Suspended(node) => self
                .liveness
                .suspended()
                .find(|(suspended, _, _)| *suspended == node)
                .and_then(|(_, rev, until)| json(&(rev, until))),
            RowKey::Narrowed(node) => self
                .liveness
                .narrowed()
                .find(|(narrowed, _)| *narrowed == node)
                .and_then(|(_, rev)| json(&rev)),
            RowKey::Key(key) => self.keys.record(&key).and_then(json),
            RowKey::Removed(key) => self.removed.contains(&key).then(Vec::new),
            RowKey::Gateway(node) => self.gateways.get(&node).and_then(json),
        }
    }

    pub(super) fn load_row(
        &mut self,
        key: &[u8],
        value: &[u8],
        root: &SealingRoot,
    ) -> Result<(), DamagedRow> {
        match RowKey::read(key).ok_or(DamagedRow)? {
            RowKey::Place => {
                let place: Place = read(value)?;
                self.chain = place.chain;
                self.ring = Ring::after(place.chain.n);
                (self.head, self.at) = (place.head, place.at);
                self.liveness.raise_floor(place.floor);
                self.waiting = place.waiting.into();
            }
            RowKey::Marks => self.marks = read(value)?,
            RowKey::Watermarks(block) => block.read_watermarks(value, |node, rev| {
                self.liveness.apply_watermark(node, rev);
            })?,
            RowKey::Suspended(node) => {
                let (rev, until) = read(value)?;
                self.liveness.suspend_until(node, rev, until);
            }
            RowKey::Narrowed(node) => self.liveness.narrow(node, read(value)?),
            RowKey::Key(_) => {
                let key: SigningKey = read(value)?;
                self.keys.add(root, &key).map_err(|_| DamagedRow)?;
            }
            RowKey::Removed(key) => {
                self.removed.insert(key);
            }
            RowKey::Gateway(node) => {
                self.gateways.insert(node, read(value)?);
            }
        }
        Ok(())
    }
}

impl RowKey {
    fn bytes(self) -> Vec<u8> {
        let (letter, rest) = match self {
            Self::Place => (b'p', Vec::new()),
            Self::Marks => (b'm', Vec::new()),
            Self::Watermarks(block) => (b'w', block.to_bytes().to_vec()),
            Self::Suspended(node) => (b's', number(node)),
            Self::Narrowed(node) => (b'n', number(node)),
            Self::Key(key) => (b'k', key.as_bytes().to_vec()),
            Self::Removed(key) => (b'r', key.as_bytes().to_vec()),
            Self::Gateway(node) => (b'g', number(node)),
        };
        std::iter::once(letter).chain(rest).collect()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let node = || Some(NodeId::from_u64(u64::from_be_bytes(rest.try_into().ok()?)));
        let key = || std::str::from_utf8(rest).ok()?.parse().ok();
        match letter {
            b'p' if rest.is_empty() => Some(Self::Place),
            b'm' if rest.is_empty() => Some(Self::Marks),
            b'w' => Block::parse(rest).map(Self::Watermarks),
            b's' => node().map(Self::Suspended),
            b'n' => node().map(Self::Narrowed),
            b'k' => key().map(Self::Key),
            b'r' => key().map(Self::Removed),
            b'g' => node().map(Self::Gateway),
            _ => None,
        }
    }
}

fn number(node: NodeId) -> Vec<u8> {
    node.as_u64().to_be_bytes().to_vec()
}

/// Numbers, texts and events only: writing them to memory cannot fail.
fn json<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn read<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T, DamagedRow> {
    serde_json::from_slice(value).map_err(|_| DamagedRow)
}
