//! How the projection is saved: one row per thing, named by a letter and its numbers.

use lanyard_token::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Inner, UseKey};
use crate::store::event::Version;
use crate::store::{DamagedRow, Row};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// That there are rows at all.
    Filled,
    Owner(NodeId),
    Gateway(NodeId),
    Kept(NodeId),
    Use(UseKey),
}

impl Inner {
    pub(super) fn changed_rows(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        let row = |key: Key| Row {
            key: key.bytes(),
            value: self.value(key),
        };
        changed.into_iter().map(row).collect()
    }

    fn value(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Filled => Some(Vec::new()),
            Key::Owner(id) => self.owners.get(&id).and_then(json),
            Key::Gateway(id) => self.gateways.get(&id).and_then(json),
            Key::Kept(id) => {
                let kept = self.kept.get(&id).and_then(json);
                kept.or_else(|| self.unread.get(&id).and_then(json))
            }
            Key::Use(key) => self.uses.get(&key).and_then(json),
        }
    }

    pub(super) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        match Key::read(key).ok_or(DamagedRow)? {
            Key::Filled => self.filled = true,
            Key::Owner(id) => {
                self.owners.insert(id, read(value)?);
            }
            Key::Gateway(id) => {
                self.gateways.insert(id, read(value)?);
            }
            Key::Kept(id) => {
                // Which release wrote the row is not known: another one may have read more, or less.
                self.put(id, read(value)?);
            }
            Key::Use(key) => {
                self.uses.insert(key, read(value)?);
            }
        }
        Ok(())
    }
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        let (letter, id) = match self {
            Self::Filled => return b"f".to_vec(),
            Self::Owner(id) => (b'o', id),
            Self::Gateway(id) => (b'g', id),
            Self::Kept(id) => (b'n', id),
            Self::Use(key) => (b'u', key.secret),
        };
        let mut bytes = vec![letter];
        bytes.extend_from_slice(&id.as_u64().to_be_bytes());
        if let Self::Use(key) = self {
            bytes.extend_from_slice(&key.version.0.to_be_bytes());
            bytes.extend_from_slice(&key.integration.as_u64().to_be_bytes());
            bytes.extend_from_slice(&key.gateway.as_u64().to_be_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes == b"f" {
            return Some(Self::Filled);
        }
        let (letter, rest) = bytes.split_first()?;
        let (id, rest) = node(rest)?;
        Some(match letter {
            b'o' => Self::Owner(id),
            b'g' => Self::Gateway(id),
            b'n' => Self::Kept(id),
            b'u' => {
                let (version, rest) = rest.split_first_chunk::<4>()?;
                let (integration, rest) = node(rest)?;
                let (gateway, _) = node(rest)?;
                Self::Use(UseKey {
                    secret: id,
                    version: Version(u32::from_be_bytes(*version)),
                    integration,
                    gateway,
                })
            }
            _ => return None,
        })
    }
}

fn node(bytes: &[u8]) -> Option<(NodeId, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<8>()?;
    Some((NodeId::from_u64(u64::from_be_bytes(*id)), rest))
}

fn json(value: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, DamagedRow> {
    serde_json::from_slice(value).map_err(|_| DamagedRow)
}
