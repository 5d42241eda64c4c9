//! Which tokens the log issued, so that a token nobody issued stands out.
//!
//! A token is known in full until it expires, then by number and digest alone for as long as a
//! report about it may be late, then forgotten. Everything is bounded by the mints of two hours.

mod rows;

use std::collections::{BTreeSet, HashMap};

use lanyard_token::{Audience, NodeId, Rev};

use crate::clock::UnixMillis;
use crate::store::DamagedRow;
use crate::store::block::Block;
use crate::store::event::{IssuedToken, TokenDigest};
use rows::Saved;

/// How long after its end a token stays known in full, in seconds: its last regular report comes up
/// to a minute late, and is learned like the others.
const LAST_REPORT: u64 = 120;
/// How long after that a report about it may still arrive, in seconds. A gateway that was cut off
/// longer drops what it has; a shorter time would call honest late reports forgeries.
pub(in crate::watch) const LATE_REPORTS: u64 = 3_600;

/// A token as the watch room needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The nodes above it: owner, identity, credential, then the tokens it was exchanged from.
    pub path: Vec<NodeId>,
    /// Where it is good for.
    pub audience: Audience,
    /// Of its signing input.
    pub digest: TokenDigest,
    /// Unix seconds.
    pub expires_at: u64,
    /// The log position its mint decision had read: what watermarks are compared with.
    pub rev: Rev,
    /// Where the log says it was issued: what "minted after" is decided by.
    pub place: Rev,
}

impl Issued {
    pub(super) fn new(token: &IssuedToken, place: Rev) -> Self {
        Self {
            path: token.claims.lin.nodes().collect(),
            audience: token.claims.aud.clone(),
            digest: token.digest,
            expires_at: token.claims.exp,
            rev: token.claims.rev,
            place,
        }
    }

    /// Whose.
    pub fn identity(&self) -> NodeId {
        self.path.get(1).copied().unwrap_or(NodeId::from_u64(0))
    }

    /// What it was issued for.
    pub fn credential(&self) -> NodeId {
        self.path.get(2).copied().unwrap_or(NodeId::from_u64(0))
    }
}

/// What the log says about a token number and a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Issued, and not long expired.
    Issued(Box<Issued>),
    /// Issued, and expired long since.
    Expired,
    /// The number was issued, for a token with another digest; what is known of the genuine one.
    OtherDigest(Option<Box<Issued>>),
    /// No such number was issued within living memory.
    Unknown,
}

/// All of them.
#[derive(Default)]
pub(super) struct IssuedTokens {
    live: HashMap<NodeId, Issued>,
    expired: HashMap<NodeId, (TokenDigest, u64)>,
    /// `(unix second, token)`: when the full form of one is dropped.
    expiries: BTreeSet<(u64, NodeId)>,
    /// `(unix second, token)`: when an expired one is forgotten.
    forgets: BTreeSet<(u64, NodeId)>,
    /// Watermarks of everything revoked above the floor.
    ended: HashMap<NodeId, Rev>,
}

impl IssuedTokens {
    pub(super) fn get(&self, token: NodeId) -> Option<&Issued> {
        self.live.get(&token)
    }

    pub(super) fn look_up(&self, token: NodeId, digest: TokenDigest) -> Lookup {
        if let Some(issued) = self.live.get(&token) {
            let known = Box::new(issued.clone());
            return if issued.digest == digest {
                Lookup::Issued(known)
            } else {
                Lookup::OtherDigest(Some(known))
            };
        }
        match self.expired.get(&token) {
            Some((known, _)) if *known == digest => Lookup::Expired,
            Some(_) => Lookup::OtherDigest(None),
            None => Lookup::Unknown,
        }
    }

    pub(super) fn stands_above(&self, node: NodeId) -> bool {
        self.live.values().any(|issued| issued.path.contains(&node))
    }

    pub(super) fn is_alive(&self, token: NodeId) -> bool {
        self.live.get(&token).is_some_and(|issued| {
            let above = |node: &NodeId| {
                self.ended
                    .get(node)
                    .is_some_and(|watermark| *watermark > issued.rev)
            };
            !above(&token) && !issued.path.iter().any(above)
        })
    }

    /// Looks at every token: nobody asks but a policy that speaks of it.
    pub(super) fn living(&self, identity: NodeId) -> u64 {
        let own = self
            .live
            .iter()
            .filter(|(_, issued)| issued.identity() == identity);
        own.filter(|(token, _)| self.is_alive(**token)).count() as u64
    }

    pub(super) fn add(&mut self, token: NodeId, issued: Issued) {
        self.expiries
            .insert((issued.expires_at.saturating_add(LAST_REPORT), token));
        self.live.insert(token, issued);
    }

    pub(super) fn end(&mut self, node: NodeId, watermark: Rev) {
        let known = self.ended.entry(node).or_insert(watermark);
        *known = watermark.max(*known);
    }

    /// Watermarks that no living token is older than any more.
    pub(super) fn raise_floor(&mut self, floor: Rev) -> Vec<NodeId> {
        let below: Vec<NodeId> = self
            .ended
            .iter()
            .filter(|(_, watermark)| **watermark <= floor)
            .map(|(node, _)| *node)
            .collect();
        for node in &below {
            self.ended.remove(node);
        }
        below
    }

    /// Tokens whose rows changed because their time came.
    pub(super) fn forget(&mut self, now: UnixMillis) -> Vec<NodeId> {
        let now = now.seconds();
        let mut changed = Vec::new();
        while let Some((second, token)) = self
            .expiries
            .first()
            .copied()
            .filter(|(second, _)| *second <= now)
        {
            self.expiries.remove(&(second, token));
            if let Some(issued) = self.live.remove(&token) {
                self.remember_digest(token, issued.digest, second.saturating_add(LATE_REPORTS));
            }
            changed.push(token);
        }
        while let Some((second, token)) = self
            .forgets
            .first()
            .copied()
            .filter(|(second, _)| *second <= now)
        {
            self.forgets.remove(&(second, token));
            self.expired.remove(&token);
            changed.push(token);
        }
        changed
    }

    /// The tokens of one block as a row; nothing when none is known any more.
    pub(super) fn row(&self, block: Block) -> Option<Vec<u8>> {
        let mut row = Vec::new();
        for (place, token) in block.nodes() {
            if let Some(issued) = self.live.get(&token) {
                rows::write_live(place, issued, &mut row);
            } else if let Some((digest, forget_at)) = self.expired.get(&token) {
                rows::write_expired(place, *digest, *forget_at, &mut row);
            }
        }
        (!row.is_empty()).then_some(row)
    }

    pub(super) fn load(&mut self, block: Block, row: &[u8]) -> Result<(), DamagedRow> {
        rows::read(block, row, |token, saved| match saved {
            Saved::Live(issued) => self.add(token, issued),
            Saved::Expired { digest, forget_at } => self.remember_digest(token, digest, forget_at),
        })
    }

    pub(super) fn watermark(&self, node: NodeId) -> Option<Rev> {
        self.ended.get(&node).copied()
    }

    fn remember_digest(&mut self, token: NodeId, digest: TokenDigest, forget_at: u64) {
        self.expired.insert(token, (digest, forget_at));
        self.forgets.insert((forget_at, token));
    }
}
