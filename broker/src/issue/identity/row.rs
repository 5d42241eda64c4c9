//! How the state lies in the index: one row per thing, JSON behind a one-letter key; tokens and watermarks lie in blocks.

mod tokens;

use lanyard_token::{KeyId, NodeId, Rev};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::book::Book;
use super::usage::Awake;
use crate::clock::UnixMillis;
use crate::store::block::Block;
use crate::store::event::SigningKey;
use crate::store::{DamagedRow, Row};

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RowKey {
    Head,
    Owner(NodeId),
    Identity(NodeId),
    Credential(NodeId),
    Tokens(Block),
    Watermarks(Block),
    Suspension(NodeId),
    Behaviour(NodeId),
    Approval(NodeId),
    SigningKey(KeyId),
}

/// Where the rows stand, and the floor.
#[derive(Serialize, Deserialize)]
struct Head {
    rev: Rev,
    floor: Rev,
    awake: Awake,
}

impl RowKey {
    fn to_bytes(self) -> Vec<u8> {
        let (letter, rest) = match self {
            Self::Head => (b'h', Vec::new()),
            Self::Owner(node) => (b'o', node_bytes(node)),
            Self::Identity(node) => (b'i', node_bytes(node)),
            Self::Credential(node) => (b'c', node_bytes(node)),
            Self::Tokens(block) => (b't', block.to_bytes().to_vec()),
            Self::Watermarks(block) => (b'w', block.to_bytes().to_vec()),
            Self::Suspension(node) => (b's', node_bytes(node)),
            Self::Behaviour(node) => (b'b', node_bytes(node)),
            Self::Approval(node) => (b'a', node_bytes(node)),
            Self::SigningKey(key) => (b'k', key.as_bytes().to_vec()),
        };
        [vec![letter], rest].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let node = || {
            rest.try_into()
                .ok()
                .map(|bytes| NodeId::from_u64(u64::from_be_bytes(bytes)))
        };
        Some(match letter {
            b'h' if rest.is_empty() => Self::Head,
            b'o' => Self::Owner(node()?),
            b'i' => Self::Identity(node()?),
            b'c' => Self::Credential(node()?),
            b't' => Self::Tokens(Block::parse(rest)?),
            b'w' => Self::Watermarks(Block::parse(rest)?),
            b's' => Self::Suspension(node()?),
            b'b' => Self::Behaviour(node()?),
            b'a' => Self::Approval(node()?),
            b'k' => Self::SigningKey(std::str::from_utf8(rest).ok()?.parse().ok()?),
            _ => return None,
        })
    }
}

fn node_bytes(node: NodeId) -> Vec<u8> {
    node.as_u64().to_be_bytes().to_vec()
}

/// The rows that changed since the last call.
pub(super) fn changed(book: &mut Book) -> Vec<Row> {
    let changed = std::mem::take(&mut book.changed);
    changed
        .into_iter()
        .map(|key| Row {
            key: key.to_bytes(),
            value: value(book, key),
        })
        .collect()
}

fn value(book: &Book, key: RowKey) -> Option<Vec<u8>> {
    match key {
        RowKey::Head => json(Some(&Head {
            rev: book.rev,
            floor: book.liveness.floor(),
            awake: book.awake,
        })),
        RowKey::Owner(node) => json(book.owners.get(&node)),
        RowKey::Identity(node) => json(book.identities.get(&node)),
        RowKey::Credential(node) => json(book.credentials.get(&node)),
        RowKey::Tokens(block) => tokens::write(block, |node| book.tokens.get(&node)),
        RowKey::Watermarks(block) => block.watermarks(|node| book.liveness.watermark(node)),
        RowKey::Suspension(node) => json(book.suspended.get(&node)),
        RowKey::Behaviour(node) => json(book.behaviour.get(&node)),
        RowKey::Approval(node) => json(book.approvals.get(node)),
        RowKey::SigningKey(key) => json(book.signing_keys.get(&key)),
    }
}

fn json<T: Serialize>(value: Option<&T>) -> Option<Vec<u8>> {
    // Strings, numbers and lists of them: writing to memory cannot fail.
    value.map(|value| serde_json::to_vec(value).unwrap_or_default())
}

/// Takes one saved row.
pub(super) fn load(book: &mut Book, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
    match RowKey::parse(key).ok_or(DamagedRow)? {
        RowKey::Head => {
            let head: Head = parse(value)?;
            book.rev = head.rev;
            book.awake = head.awake;
            book.liveness.raise_floor(head.floor);
        }
        RowKey::Owner(node) => book.put_owner(node, parse(value)?),
        RowKey::Identity(node) => book.put_identity(node, parse(value)?),
        RowKey::Credential(node) => book.put_credential(node, parse(value)?),
        RowKey::Tokens(block) => tokens::read(block, value, |node, token| {
            book.tokens.insert(node, token);
        })?,
        RowKey::Watermarks(block) => block.read_watermarks(value, |node, rev| {
            book.liveness.apply_watermark(node, rev);
        })?,
        RowKey::Suspension(node) => {
            book.suspended.insert(node, parse::<UnixMillis>(value)?);
        }
        RowKey::Behaviour(node) => {
            book.behaviour.insert(node, parse(value)?);
        }
        RowKey::Approval(node) => book.approvals.put(node, parse(value)?),
        RowKey::SigningKey(_) => book.put_signing_key(parse::<SigningKey>(value)?),
    }
    // What was just read is saved already.
    book.changed.clear();
    Ok(())
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, DamagedRow> {
    serde_json::from_slice(value).map_err(|_| DamagedRow)
}
