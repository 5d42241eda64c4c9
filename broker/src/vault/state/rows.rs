//! How the projection is saved: one row per thing, named by a letter and its numbers.

use lanyard_token::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Inner;
use super::record::SecretRecord;
use crate::clock::UnixMillis;
use crate::store::event::Version;
use crate::store::{DamagedRow, Row};
use crate::vault::usage::{MOST_SPANS, Spans, UsedBy};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// That there are rows at all.
    Filled,
    Owner(NodeId),
    Identity(NodeId),
    Secret(NodeId),
    Version(NodeId, Version),
    Span(NodeId, u64),
    Forgotten(NodeId),
    Use(NodeId, u64),
    UseForgotten(NodeId),
}

impl Inner {
    pub(super) fn changed_rows(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|key| Row {
                key: key.bytes(),
                value: self.value(key),
            })
            .collect()
    }

    fn value(&self, key: Key) -> Option<Vec<u8>> {
        match key {
            Key::Filled => Some(Vec::new()),
            Key::Owner(id) => self.owners.get(&id).and_then(json),
            Key::Identity(id) => self.identities.get(&id).and_then(json),
            Key::Secret(id) => self.secrets.get(&id).and_then(json),
            Key::Version(id, version) => self.secrets.get(&id)?.version(version).and_then(json),
            Key::Span(id, number) => self.spans.get(&id)?.get(number).and_then(json),
            Key::Forgotten(id) => json(&self.spans.get(&id)?.forgotten()),
            Key::Use(id, number) => self.uses.get(&id)?.get(number).and_then(json),
            Key::UseForgotten(id) => json(&self.uses.get(&id)?.forgotten()),
        }
    }

    /// Rows come in the order of their keys, so a secret comes before its versions and spans.
    pub(super) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        match Key::read(key).ok_or(DamagedRow)? {
            Key::Filled => self.filled = true,
            Key::Owner(id) => {
                self.owners.insert(id, read(value)?);
            }
            Key::Identity(id) => {
                self.identities.insert(id, read(value)?);
            }
            Key::Secret(id) => {
                let record: SecretRecord = read(value)?;
                self.by_name.insert(record.name.clone(), id);
                self.secrets.insert(id, record);
            }
            Key::Version(id, version) => {
                let secret = self.secrets.get_mut(&id).ok_or(DamagedRow)?;
                secret.put(version, read(value)?);
                self.unread.insert((id, version));
            }
            Key::Span(id, number) => self.spans_of(id).put(number, read(value)?),
            Key::Forgotten(id) => {
                let until: UnixMillis = read(value)?;
                self.spans_of(id).set_forgotten(until);
            }
            Key::Use(id, number) => self.uses_of(id).put(number, read(value)?),
            Key::UseForgotten(id) => {
                let until: UnixMillis = read(value)?;
                self.uses_of(id).set_forgotten(until);
            }
        }
        Ok(())
    }

    fn spans_of(&mut self, id: NodeId) -> &mut Spans {
        let spans = self.spans.entry(id);
        spans.or_insert_with(|| Spans::keeping(MOST_SPANS))
    }

    fn uses_of(&mut self, id: NodeId) -> &mut Spans<UsedBy> {
        let spans = self.uses.entry(id);
        spans.or_insert_with(|| Spans::keeping(MOST_SPANS))
    }
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        let (letter, id, rest) = match self {
            Self::Filled => return b"f".to_vec(),
            Self::Owner(id) => (b'o', id, Vec::new()),
            Self::Identity(id) => (b'i', id, Vec::new()),
            Self::Secret(id) => (b's', id, Vec::new()),
            Self::Version(id, version) => (b'v', id, version.0.to_be_bytes().to_vec()),
            Self::Span(id, number) => (b'w', id, number.to_be_bytes().to_vec()),
            Self::Forgotten(id) => (b'x', id, Vec::new()),
            Self::Use(id, number) => (b'y', id, number.to_be_bytes().to_vec()),
            Self::UseForgotten(id) => (b'z', id, Vec::new()),
        };
        let mut bytes = vec![letter];
        bytes.extend_from_slice(&id.as_u64().to_be_bytes());
        bytes.extend_from_slice(&rest);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes == b"f" {
            return Some(Self::Filled);
        }
        let (letter, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let id = NodeId::from_u64(u64::from_be_bytes(*id));
        Some(match letter {
            b'o' => Self::Owner(id),
            b'i' => Self::Identity(id),
            b's' => Self::Secret(id),
            b'v' => Self::Version(id, Version(u32::from_be_bytes(rest.try_into().ok()?))),
            b'w' => Self::Span(id, u64::from_be_bytes(rest.try_into().ok()?)),
            b'x' => Self::Forgotten(id),
            b'y' => Self::Use(id, u64::from_be_bytes(rest.try_into().ok()?)),
            b'z' => Self::UseForgotten(id),
            _ => return None,
        })
    }
}

fn json(value: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, DamagedRow> {
    serde_json::from_slice(value).map_err(|_| DamagedRow)
}
