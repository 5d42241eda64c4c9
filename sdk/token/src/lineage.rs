//! Lineage: the nodes above a token.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::NodeId;

/// The nodes above a token, owner first: owner, identity, credential, then at most five tokens.
///
/// Revoking any of them ends the token. The order is the order of descent, so the last one is the
/// token's parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    owner: NodeId,
    identity: NodeId,
    credential: NodeId,
    tokens: Vec<NodeId>,
}

/// A chain of exchanges may not be longer than [`Lineage::MAX_TOKENS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the chain of exchanged tokens is already {} long",
    Lineage::MAX_TOKENS
)]
pub struct TooDeep;

impl Lineage {
    /// How many tokens may stand above a token.
    pub const MAX_TOKENS: usize = 5;

    /// The lineage of a token issued directly for a credential.
    pub const fn of_credential(owner: NodeId, identity: NodeId, credential: NodeId) -> Self {
        Self {
            owner,
            identity,
            credential,
            tokens: Vec::new(),
        }
    }

    /// The lineage of a token exchanged from `parent`, whose own lineage this is.
    pub fn below(&self, parent: NodeId) -> Result<Self, TooDeep> {
        if self.tokens.len() >= Self::MAX_TOKENS {
            return Err(TooDeep);
        }
        let mut child = self.clone();
        child.tokens.push(parent);
        Ok(child)
    }

    /// Who answers for the identity.
    pub const fn owner(&self) -> NodeId {
        self.owner
    }

    /// Whose token it is.
    pub const fn identity(&self) -> NodeId {
        self.identity
    }

    /// What it was issued for.
    pub const fn credential(&self) -> NodeId {
        self.credential
    }

    /// The tokens it was exchanged from, oldest first.
    pub fn tokens(&self) -> &[NodeId] {
        &self.tokens
    }

    /// All nodes, owner first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        [self.owner, self.identity, self.credential]
            .into_iter()
            .chain(self.tokens.iter().copied())
    }
}

impl Serialize for Lineage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.nodes())
    }
}

impl<'de> Deserialize<'de> for Lineage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nodes = Vec::<NodeId>::deserialize(deserializer)?;
        match nodes.as_slice() {
            [owner, identity, credential, tokens @ ..] if tokens.len() <= Self::MAX_TOKENS => {
                Ok(Self {
                    owner: *owner,
                    identity: *identity,
                    credential: *credential,
                    tokens: tokens.to_vec(),
                })
            }
            _ => Err(serde::de::Error::custom(
                "a lineage has three to eight nodes",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_ends_after_five_tokens() {
        let node = |n| NodeId::from_u64(n);
        let mut lineage = Lineage::of_credential(node(1), node(2), node(3));
        for n in 0..5 {
            lineage = lineage.below(node(10 + n)).unwrap();
        }
        assert_eq!(lineage.below(node(99)), Err(TooDeep));
        let text = serde_json::to_string(&lineage).unwrap();
        assert_eq!(serde_json::from_str::<Lineage>(&text).unwrap(), lineage);
    }

    #[test]
    fn fewer_than_three_or_more_than_eight_nodes_are_no_lineage() {
        for count in [0, 1, 2, 9] {
            let nodes: Vec<NodeId> = (0..count).map(NodeId::from_u64).collect();
            let text = serde_json::to_string(&nodes).unwrap();
            assert!(serde_json::from_str::<Lineage>(&text).is_err(), "{count}");
        }
    }
}
