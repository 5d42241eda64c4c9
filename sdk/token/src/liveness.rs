//! Liveness: whether a token has been revoked since it was issued.
//!
//! A revocation is a *watermark*: a node and the place in the log where it was revoked. A token is
//! dead when any of its nodes has a watermark above the token's own revision, the place its mint
//! decision had read. That one comparison catches revocation of the token, of everything it was
//! exchanged from, of its credential, identity and owner, and of everybody who acts through it. A
//! replica that mints a little behind the log cannot mint around a revocation, an identity that is
//! enabled again gets tokens that live, and merging what was learned twice changes nothing.
//!
//! It does not catch a token whose revocation has not arrived: the age of the feed is the gateway's
//! concern. And it trusts the mint to write into `rev` no more than it had read.
//!
//! Why not a list of revoked token ids: it grows with tokens instead of with decisions, and a token
//! minted during the revocation is not on it. Why not a timestamp: clocks of replicas differ.
//!
//! The *floor* keeps it small. It trails the head of the log by the longest lifetime, so a token
//! below it has expired anyway, and what happened at or below it can only concern such tokens. This
//! also holds for suspensions, because nothing is minted for a suspended node: a token at or above
//! the floor was issued after the suspension was lifted.

use std::collections::HashMap;

use crate::{NodeId, Rev};

/// What has been revoked, suspended and narrowed, as far as it is known here.
///
/// Everything in it is a maximum, so the order of arrival does not matter and repeating changes
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    watermarks: HashMap<NodeId, Rev>,
    standings: HashMap<NodeId, Standing>,
    narrowed: HashMap<NodeId, Rev>,
    floor: Rev,
}

/// The latest word on the suspension of a node. Of two at the same revision the one that suspends
/// longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    rev: Rev,
    /// Until when it is suspended, in Unix milliseconds; 0: it is not.
    until_ms: u64,
}

/// Why a token is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Dead {
    /// Its revision is below the floor. Obtain a new one.
    #[error("the token is below the floor")]
    BelowFloor,
    /// One of its nodes was revoked after it was issued. Obtain a new one, if allowed.
    #[error("the token is revoked")]
    Revoked,
    /// One of its nodes is suspended. Wait.
    #[error("the token is suspended")]
    Suspended,
}

impl Liveness {
    /// Whether a token with this revision and these nodes lives.
    pub fn check(&self, rev: Rev, nodes: impl Iterator<Item = NodeId>) -> Result<(), Dead> {
        if rev < self.floor {
            return Err(Dead::BelowFloor);
        }
        let mut suspended = false;
        for node in nodes {
            if self
                .watermarks
                .get(&node)
                .is_some_and(|watermark| *watermark > rev)
            {
                return Err(Dead::Revoked);
            }
            suspended |= self.is_suspended(node);
        }
        if suspended {
            Err(Dead::Suspended)
        } else {
            Ok(())
        }
    }

    /// Revokes everything at and under `node` that was issued before `rev`.
    pub fn apply_watermark(&mut self, node: NodeId, rev: Rev) {
        if rev > self.floor {
            raise(&mut self.watermarks, node, rev);
        }
    }

    /// Suspends `node` until it is resumed.
    pub fn suspend(&mut self, node: NodeId, rev: Rev) {
        self.suspend_until(node, rev, u64::MAX);
    }

    /// Suspends `node` until `until_ms` (Unix milliseconds) or until it is resumed.
    pub fn suspend_until(&mut self, node: NodeId, rev: Rev, until_ms: u64) {
        self.stand(node, Standing { rev, until_ms });
    }

    /// Ends the suspension of `node`.
    pub fn resume(&mut self, node: NodeId, rev: Rev) {
        self.stand(node, Standing { rev, until_ms: 0 });
    }

    /// Ends the suspensions whose time is over at `now_ms` (Unix milliseconds), so that a gateway
    /// cut off from its broker does not suspend for longer than was decided.
    pub fn end_suspensions(&mut self, now_ms: u64) {
        for standing in self.standings.values_mut() {
            if standing.until_ms <= now_ms {
                standing.until_ms = 0;
            }
        }
    }

    /// Narrows the tokens at and under `node` that were issued before `rev` to their baseline.
    pub fn narrow(&mut self, node: NodeId, rev: Rev) {
        if rev > self.floor {
            raise(&mut self.narrowed, node, rev);
        }
    }

    /// Whether a token with this revision and these nodes is narrowed to its baseline.
    pub fn is_narrowed(&self, rev: Rev, mut nodes: impl Iterator<Item = NodeId>) -> bool {
        !self.narrowed.is_empty()
            && nodes.any(|node| self.narrowed.get(&node).is_some_and(|since| *since > rev))
    }

    /// Declares tokens below `floor` dead and forgets what only concerned them. A floor never
    /// sinks.
    pub fn raise_floor(&mut self, floor: Rev) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        self.watermarks.retain(|_, rev| *rev > floor);
        self.narrowed.retain(|_, rev| *rev > floor);
        self.standings.retain(|_, standing| standing.rev > floor);
    }

    /// Learns everything `other` knows.
    pub fn merge(&mut self, other: &Self) {
        self.raise_floor(other.floor);
        for (node, rev) in &other.watermarks {
            self.apply_watermark(*node, *rev);
        }
        for (node, rev) in &other.narrowed {
            self.narrow(*node, *rev);
        }
        for (node, standing) in &other.standings {
            self.stand(*node, *standing);
        }
    }

    /// Tokens with a lower revision are dead.
    pub const fn floor(&self) -> Rev {
        self.floor
    }

    /// The place where `node` was last revoked, if that still concerns any token.
    pub fn watermark(&self, node: NodeId) -> Option<Rev> {
        self.watermarks.get(&node).copied()
    }

    /// Whether `node` is suspended.
    pub fn is_suspended(&self, node: NodeId) -> bool {
        self.standings
            .get(&node)
            .is_some_and(|standing| standing.until_ms > 0)
    }

    /// All watermarks, in no order.
    pub fn watermarks(&self) -> impl Iterator<Item = (NodeId, Rev)> + '_ {
        self.watermarks.iter().map(|(node, rev)| (*node, *rev))
    }

    /// All narrowed nodes and since when, in no order.
    pub fn narrowed(&self) -> impl Iterator<Item = (NodeId, Rev)> + '_ {
        self.narrowed.iter().map(|(node, rev)| (*node, *rev))
    }

    /// All suspended nodes, since when and until when (Unix milliseconds), in no order.
    pub fn suspended(&self) -> impl Iterator<Item = (NodeId, Rev, u64)> + '_ {
        self.standings
            .iter()
            .filter(|(_, standing)| standing.until_ms > 0)
            .map(|(node, standing)| (*node, standing.rev, standing.until_ms))
    }

    fn stand(&mut self, node: NodeId, standing: Standing) {
        if standing.rev > self.floor {
            let latest = self.standings.entry(node).or_insert(standing);
            *latest = standing.max(*latest);
        }
    }
}

fn raise(marks: &mut HashMap<NodeId, Rev>, node: NodeId, rev: Rev) {
    let mark = marks.entry(node).or_insert(rev);
    *mark = rev.max(*mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rev(number: u64) -> Rev {
        Rev::new(0, number).unwrap()
    }

    fn node(number: u64) -> NodeId {
        NodeId::from_u64(number)
    }

    #[test]
    fn a_revoked_identity_can_be_enabled_again() {
        let mut liveness = Liveness::default();
        liveness.apply_watermark(node(1), rev(10));
        assert_eq!(
            liveness.check(rev(9), [node(1)].into_iter()),
            Err(Dead::Revoked)
        );
        assert_eq!(liveness.check(rev(10), [node(1)].into_iter()), Ok(()));
        assert_eq!(liveness.check(rev(9), [node(2)].into_iter()), Ok(()));
    }

    #[test]
    fn the_latest_word_on_a_suspension_counts_whenever_it_arrives() {
        let mut liveness = Liveness::default();
        liveness.resume(node(1), rev(12));
        liveness.suspend(node(1), rev(11));
        assert_eq!(liveness.check(rev(1), [node(1)].into_iter()), Ok(()));
        liveness.suspend_until(node(1), rev(13), 5_000);
        assert_eq!(
            liveness.check(rev(1), [node(1)].into_iter()),
            Err(Dead::Suspended)
        );
        liveness.end_suspensions(4_999);
        assert!(liveness.is_suspended(node(1)));
        liveness.end_suspensions(5_000);
        assert!(!liveness.is_suspended(node(1)));
    }

    #[test]
    fn the_floor_kills_what_is_below_and_forgets_what_only_concerned_that() {
        let mut liveness = Liveness::default();
        liveness.apply_watermark(node(1), rev(10));
        liveness.apply_watermark(node(2), rev(30));
        liveness.raise_floor(rev(20));
        liveness.raise_floor(rev(5));
        assert_eq!(liveness.floor(), rev(20));
        assert_eq!(liveness.watermarks().count(), 1);
        assert_eq!(
            liveness.check(rev(19), std::iter::empty()),
            Err(Dead::BelowFloor)
        );
        assert_eq!(
            liveness.check(rev(20), [node(2)].into_iter()),
            Err(Dead::Revoked)
        );
    }

    #[test]
    fn narrowing_concerns_tokens_issued_before_it() {
        let mut liveness = Liveness::default();
        liveness.narrow(node(1), rev(10));
        assert!(liveness.is_narrowed(rev(9), [node(1)].into_iter()));
        assert!(!liveness.is_narrowed(rev(10), [node(1)].into_iter()));
        assert!(!liveness.is_narrowed(rev(9), [node(2)].into_iter()));
    }
}
