//! The projection as rows of the index: one letter for the sort, then the node, then JSON; tokens and watermarks lie in blocks.

use lanyard_drift::ladder::History;
use lanyard_token::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Inner;
use super::subjects::Subject;
use super::verdicts::VerdictRecord;
use crate::store::block::Block;
use crate::store::{DamagedRow, Row};

/// Which row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Subject(NodeId),
    Owner(NodeId),
    Issued(Block),
    Ended(Block),
    Verdict(NodeId),
    History(NodeId),
    Baselines,
    Frozen,
    SigningKeys,
    Orders,
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        let (sort, node) = match self {
            Self::Subject(node) => (b'i', node),
            Self::Owner(node) => (b'n', node),
            Self::Issued(block) => return [&b"t"[..], &block.to_bytes()].concat(),
            Self::Ended(block) => return [&b"w"[..], &block.to_bytes()].concat(),
            Self::Verdict(node) => (b'v', node),
            Self::History(node) => (b'h', node),
            Self::Baselines => (b'b', NodeId::from_u64(0)),
            Self::Frozen => (b'f', NodeId::from_u64(0)),
            Self::SigningKeys => (b'k', NodeId::from_u64(0)),
            Self::Orders => (b'o', NodeId::from_u64(0)),
        };
        let mut bytes = vec![sort];
        bytes.extend_from_slice(&node.as_u64().to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (sort, node) = bytes.split_first()?;
        match *sort {
            b't' => return Block::parse(node).map(Self::Issued),
            b'w' => return Block::parse(node).map(Self::Ended),
            _ => {}
        }
        let node = NodeId::from_u64(u64::from_be_bytes(node.try_into().ok()?));
        Some(match sort {
            b'i' => Self::Subject(node),
            b'n' => Self::Owner(node),
            b'v' => Self::Verdict(node),
            b'h' => Self::History(node),
            b'b' => Self::Baselines,
            b'f' => Self::Frozen,
            b'k' => Self::SigningKeys,
            b'o' => Self::Orders,
            _ => return None,
        })
    }
}

impl Inner {
    pub(super) fn row(&self, key: Key) -> Row {
        let value = match key {
            Key::Subject(node) => self.subjects.get(node).and_then(json),
            Key::Owner(node) => self.subjects.owner(node).and_then(|name| json(&name)),
            Key::Issued(block) => self.issued.row(block),
            Key::Ended(block) => block.watermarks(|node| self.issued.watermark(node)),
            Key::Verdict(node) => self.verdicts.get(node).and_then(json),
            Key::History(node) => self.histories.get(node).and_then(json),
            Key::Baselines => json(&self.baselines),
            Key::Frozen => json(&self.frozen),
            Key::SigningKeys => json(&self.keys),
            Key::Orders => json(&self.orders),
        };
        Row {
            key: key.bytes(),
            value,
        }
    }

    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        match Key::parse(key).ok_or(DamagedRow)? {
            Key::Subject(node) => self.subjects.add(node, read::<Subject>(value)?),
            Key::Owner(node) => self.subjects.add_owner(node, read::<String>(value)?),
            Key::Issued(block) => self.issued.load(block, value)?,
            Key::Ended(block) => {
                block.read_watermarks(value, |node, rev| self.issued.end(node, rev))?;
            }
            Key::Verdict(_) => {
                self.verdicts.add(read::<VerdictRecord>(value)?);
            }
            Key::History(node) => self.histories.load(node, read::<History>(value)?),
            Key::Baselines => self.baselines = read(value)?,
            Key::Frozen => self.frozen = read(value)?,
            Key::SigningKeys => self.keys = read(value)?,
            Key::Orders => self.orders = read(value)?,
        }
        Ok(())
    }
}

/// Every type here serialises; were one not to, its row would be absent and rebuilt from the log.
fn json<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, DamagedRow> {
    serde_json::from_slice(value).map_err(|_| DamagedRow)
}
