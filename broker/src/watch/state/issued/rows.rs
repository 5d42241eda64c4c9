//! Issued tokens as rows: sixty-four neighbours in one, for the reasons that living tokens lie so in the issue
//! room's rows.
//!
//! ```text
//! place in the block u8 │ 0 │ digest u64, forget at u64
//! place in the block u8 │ nodes above it u8 │ each u64 │ audience u16, bytes │ digest, end, rev, place: u64 each
//! ```
//! A token has an owner, an identity and a credential above it at least, so the second byte tells the two apart.

use lanyard_token::{Audience, NodeId, Rev};

use super::Issued;
use crate::store::DamagedRow;
use crate::store::block::Block;
use crate::store::event::TokenDigest;
use crate::store::log::fields::Fields;

/// What a row holds of a token.
pub(super) enum Saved {
    /// In full.
    Live(Issued),
    /// Number and digest.
    Expired { digest: TokenDigest, forget_at: u64 },
}

pub(super) fn write_expired(place: u8, digest: TokenDigest, forget_at: u64, row: &mut Vec<u8>) {
    row.extend_from_slice(&[place, 0]);
    row.extend_from_slice(&digest.0);
    row.extend_from_slice(&forget_at.to_le_bytes());
}

pub(super) fn write_live(place: u8, issued: &Issued, row: &mut Vec<u8>) {
    let Issued {
        path,
        audience,
        digest,
        expires_at,
        rev,
        place: written_at,
    } = issued;
    // At most five tokens stand between a credential and a token.
    row.extend_from_slice(&[place, u8::try_from(path.len()).unwrap_or(u8::MAX)]);
    for node in path {
        row.extend_from_slice(&node.as_u64().to_le_bytes());
    }
    let audience = audience.as_str();
    let length = u16::try_from(audience.len()).unwrap_or(u16::MAX);
    row.extend_from_slice(&length.to_le_bytes());
    row.extend_from_slice(audience.as_bytes());
    row.extend_from_slice(&digest.0);
    for number in [*expires_at, rev.as_u64(), written_at.as_u64()] {
        row.extend_from_slice(&number.to_le_bytes());
    }
}

pub(super) fn read(
    block: Block,
    row: &[u8],
    mut take: impl FnMut(NodeId, Saved),
) -> Result<(), DamagedRow> {
    let mut fields = Fields(row);
    while let Some([place]) = fields.bytes() {
        let node = block.node(place).ok_or(DamagedRow)?;
        take(node, read_token(&mut fields).ok_or(DamagedRow)?);
    }
    Ok(())
}

fn read_token(fields: &mut Fields<'_>) -> Option<Saved> {
    let [nodes] = fields.bytes()?;
    if nodes == 0 {
        return Some(Saved::Expired {
            digest: TokenDigest(fields.bytes()?),
            forget_at: fields.u64()?,
        });
    }
    let path = (0..nodes).map(|_| fields.u64().map(NodeId::from_u64));
    let path = path.collect::<Option<_>>()?;
    let length = fields.u16()?;
    let audience = fields.slice(usize::from(length))?;
    let audience: Audience = std::str::from_utf8(audience).ok()?.parse().ok()?;
    Some(Saved::Live(Issued {
        path,
        audience,
        digest: TokenDigest(fields.bytes()?),
        expires_at: fields.u64()?,
        rev: Rev::from_u64(fields.u64()?)?,
        place: Rev::from_u64(fields.u64()?)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::IssuedTokens;
    use super::*;

    #[test]
    fn living_and_expired_tokens_read_back_as_they_were() {
        let node = NodeId::from_u64;
        let issued = |number: u64| Issued {
            path: (1..=3 + number % 6).map(node).collect(),
            audience: "https://api.example".parse().unwrap(),
            digest: TokenDigest([number as u8; 8]),
            expires_at: 1_000 + number,
            rev: Rev::new(1, number).unwrap(),
            place: Rev::new(1, number + 1).unwrap(),
        };
        let block = Block::of(node(128));
        let mut tokens = IssuedTokens::default();
        for number in 128..150 {
            tokens.add(node(number), issued(number));
        }
        tokens.remember_digest(node(191), TokenDigest([3; 8]), 9_000);
        tokens.remember_digest(node(192), TokenDigest([4; 8]), 9_000);

        let row = tokens.row(block).unwrap();
        let mut again = IssuedTokens::default();
        again.load(block, &row).unwrap();
        for number in 128..150 {
            assert_eq!(again.get(node(number)), Some(&issued(number)));
        }
        assert_eq!(again.expired.len(), 1, "the other is in the next block");
        assert_eq!(again.row(block), Some(row.clone()));
        assert_eq!(again.expiries, tokens.expiries);
        assert!(again.load(block, &row[..row.len() - 1]).is_err());
        assert_eq!(tokens.row(Block::of(node(0))), None);
    }
}
