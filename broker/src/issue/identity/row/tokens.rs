//! Living tokens as rows: sixty-four neighbours in one.
//!
//! Tokens are numbered as they are issued and end about as they began, so neighbours are written, read and forgotten
//! together. A row of each would cost the index more than the log: a page to change, a tag to check, a name for every
//! member, twice for each token. Here a token takes some fifty bytes:
//!
//! ```text
//! place in the block u8 │ parts u8 │ identity, credential, end, rev, digest: u64 each │ children u32 │ parent u64? │ actor u64, count u8, nodes u64 each?
//! ```
//! What it costs: a token that is exchanged writes its neighbours again.

use lanyard_token::{NodeId, Rev};

use crate::issue::identity::book::{Acting, LiveToken};
use crate::store::DamagedRow;
use crate::store::block::Block;
use crate::store::event::TokenDigest;
use crate::store::log::fields::Fields;

const HAS_PARENT: u8 = 1;
const HAS_ACTOR: u8 = 2;

/// The tokens of one block; nothing when none is left.
pub(super) fn write<'t>(
    block: Block,
    token: impl Fn(NodeId) -> Option<&'t LiveToken>,
) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    for (place, node) in block.nodes() {
        if let Some(token) = token(node) {
            row.push(place);
            write_token(token, &mut row);
        }
    }
    (!row.is_empty()).then_some(row)
}

fn write_token(token: &LiveToken, row: &mut Vec<u8>) {
    let LiveToken {
        identity,
        credential,
        parent,
        acting,
        exp,
        rev,
        digest,
        children,
    } = token;
    let parent_part = parent.map_or(0, |_| HAS_PARENT);
    let actor_part = acting.as_ref().map_or(0, |_| HAS_ACTOR);
    row.push(parent_part | actor_part);
    for number in [
        identity.as_u64(),
        credential.as_u64(),
        *exp,
        rev.as_u64(),
        u64::from_le_bytes(digest.0),
    ] {
        row.extend_from_slice(&number.to_le_bytes());
    }
    row.extend_from_slice(&children.to_le_bytes());
    if let Some(parent) = parent {
        row.extend_from_slice(&parent.as_u64().to_le_bytes());
    }
    if let Some(acting) = acting {
        row.extend_from_slice(&acting.by.as_u64().to_le_bytes());
        // Actors are few, and their nodes too: a token holds them.
        row.push(u8::try_from(acting.nodes.len()).unwrap_or(u8::MAX));
        for node in &acting.nodes {
            row.extend_from_slice(&node.as_u64().to_le_bytes());
        }
    }
}

/// Reads them back.
pub(super) fn read(
    block: Block,
    row: &[u8],
    mut take: impl FnMut(NodeId, LiveToken),
) -> Result<(), DamagedRow> {
    let mut fields = Fields(row);
    while let Some([place]) = fields.bytes() {
        let node = block.node(place).ok_or(DamagedRow)?;
        take(node, read_token(&mut fields).ok_or(DamagedRow)?);
    }
    Ok(())
}

fn read_token(fields: &mut Fields<'_>) -> Option<LiveToken> {
    let [parts] = fields.bytes()?;
    Some(LiveToken {
        identity: node(fields)?,
        credential: node(fields)?,
        exp: fields.u64()?,
        rev: Rev::from_u64(fields.u64()?)?,
        digest: TokenDigest(fields.bytes()?),
        children: fields.u32()?,
        parent: match parts & HAS_PARENT {
            0 => None,
            _ => Some(node(fields)?),
        },
        acting: match parts & HAS_ACTOR {
            0 => None,
            _ => Some(Box::new(acting(fields)?)),
        },
    })
}

fn acting(fields: &mut Fields<'_>) -> Option<Acting> {
    let by = node(fields)?;
    let [count] = fields.bytes()?;
    let nodes = (0..count).map(|_| node(fields)).collect::<Option<_>>()?;
    Some(Acting { by, nodes })
}

fn node(fields: &mut Fields<'_>) -> Option<NodeId> {
    fields.u64().map(NodeId::from_u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn token(number: u64) -> LiveToken {
        let node = NodeId::from_u64;
        LiveToken {
            identity: node(number + 1),
            credential: node(number + 2),
            parent: (number % 2 == 1).then(|| node(number - 1)),
            acting: (number % 3 == 1).then(|| {
                Box::new(Acting {
                    by: node(7),
                    nodes: vec![node(7), node(8), node(number)],
                })
            }),
            exp: 1_800_000_000 + number,
            rev: Rev::new(1, number).unwrap(),
            digest: TokenDigest([number as u8; 8]),
            children: number as u32,
        }
    }

    #[test]
    fn tokens_read_back_as_they_were_whatever_parts_they_have() {
        let block = Block::of(NodeId::new(3, 640).unwrap());
        let tokens: BTreeMap<NodeId, LiveToken> = block
            .nodes()
            .step_by(5)
            .map(|(place, node)| (node, token(u64::from(place))))
            .collect();
        let row = write(block, |node| tokens.get(&node)).unwrap();
        let mut found = BTreeMap::new();
        read(block, &row, |node, token| {
            found.insert(node, token);
        })
        .unwrap();
        assert_eq!(found, tokens);
        assert_eq!(write(block, |_| None), None);
    }

    #[test]
    fn a_row_that_is_cut_off_is_damage() {
        let block = Block::of(NodeId::from_u64(0));
        let tokens = [token(1), token(2)];
        let row = write(block, |node| tokens.get(node.as_u64() as usize)).unwrap();
        let first = 2 + 5 * 8 + 4 + 8 + 8 + 1 + 3 * 8;
        for length in 1..row.len() {
            let read = read(block, &row[..length], |_, _| {});
            assert_eq!(read.is_ok(), length == first, "{length}");
        }
        assert!(read(block, &[64], |_, _| {}).is_err());
    }
}
