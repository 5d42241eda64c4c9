//! The nodes whose revocation ends a token.

use lanyard_token::{Claims, NodeId};

use crate::feed::{FeedView, NotAlive};

/// The token's own node and those above it. Most tokens have four, and these lie here; tokens above it and
/// actors lie elsewhere.
pub(crate) struct Nodes {
    token: NodeId,
    owner: NodeId,
    identity: NodeId,
    credential: NodeId,
    more: Box<[NodeId]>,
}

impl Nodes {
    pub(crate) fn of(claims: &Claims) -> Self {
        /// Itself, owner, identity and credential.
        const FIRST: usize = 4;
        Self {
            token: claims.jti,
            owner: claims.lin.owner(),
            identity: claims.lin.identity(),
            credential: claims.lin.credential(),
            more: claims.nodes().skip(FIRST).collect(),
        }
    }

    pub(crate) const fn token(&self) -> NodeId {
        self.token
    }

    pub(crate) const fn identity(&self) -> NodeId {
        self.identity
    }

    /// Whether a token with these nodes lives.
    pub(crate) fn check(&self, view: &FeedView, rev: lanyard_token::Rev) -> Result<(), NotAlive> {
        view.check(rev, &self.first())?;
        if self.more.is_empty() {
            return Ok(());
        }
        view.check(rev, &self.more)
    }

    /// Whether any of them is narrowed.
    pub(crate) fn are_narrowed(&self, view: &FeedView, rev: lanyard_token::Rev) -> bool {
        view.is_narrowed(rev, &self.first()) || view.is_narrowed(rev, &self.more)
    }

    /// All of them, for whoever waits for their end.
    pub(crate) fn all(&self) -> Vec<NodeId> {
        let mut all = self.first().to_vec();
        all.extend(&self.more);
        all
    }

    const fn first(&self) -> [NodeId; 4] {
        [self.token, self.owner, self.identity, self.credential]
    }
}

#[cfg(test)]
mod tests {
    use lanyard_token::testing::TestIssuer;
    use lanyard_token::{Actor, Algorithm};

    use super::*;

    #[test]
    fn no_node_of_a_token_is_left_out() {
        let mut claims = TestIssuer::new(Algorithm::EdDsa, "https://i", "https://a", 9).claims;
        let node = NodeId::from_u64;
        claims.lin = claims.lin.below(node(70)).unwrap();
        claims.act = Actor::new(node(80), vec![node(81), node(82)], None).ok();
        let nodes = Nodes::of(&claims);
        assert_eq!(nodes.all(), claims.nodes().collect::<Vec<_>>());
        assert_eq!(nodes.identity(), claims.lin.identity());
        assert_eq!(nodes.token(), claims.jti);
    }
}
