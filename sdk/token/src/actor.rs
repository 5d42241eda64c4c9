//! Actors: who acts for whom.

use serde::{Deserialize, Deserializer, Serialize};

use crate::NodeId;
use crate::strict;

/// The party that acts for the subject (`act`, RFC 8693 section 4.1); the outermost is the current
/// one, the deepest the first.
///
/// Beside the identity it carries all nodes of the actor, its token included (`lin`), so that
/// revoking any of them ends the tokens it obtained for others. RFC 8693 lets `act` carry further
/// members; resource servers that do not know ours ignore it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Actor {
    sub: NodeId,
    lin: Vec<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

/// The parts make no actor. Refuse the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidActor {
    /// No nodes, or more than [`Actor::MAX_NODES`].
    #[error("an actor has 1 to {} nodes", Actor::MAX_NODES)]
    Nodes,
    /// The chain is longer than [`Actor::MAX_DEPTH`].
    #[error("a chain of actors is at most {} long", Actor::MAX_DEPTH)]
    TooDeep,
}

impl Actor {
    /// The most nodes of one actor: owner, identity, credential, five tokens above its own, its own.
    pub const MAX_NODES: usize = 9;
    /// The longest chain of actors, the current one included.
    pub const MAX_DEPTH: usize = 5;

    /// The actor with identity `sub` and all its `nodes`, which itself acted through `act` before.
    pub fn new(sub: NodeId, nodes: Vec<NodeId>, act: Option<Self>) -> Result<Self, InvalidActor> {
        if nodes.is_empty() || nodes.len() > Self::MAX_NODES {
            return Err(InvalidActor::Nodes);
        }
        if act
            .as_ref()
            .is_some_and(|inner| inner.iter().count() >= Self::MAX_DEPTH)
        {
            return Err(InvalidActor::TooDeep);
        }
        Ok(Self {
            sub,
            lin: nodes,
            act: act.map(Box::new),
        })
    }

    /// The identity that acts.
    pub const fn sub(&self) -> NodeId {
        self.sub
    }

    /// The nodes of this actor alone, without those behind it.
    pub fn lin(&self) -> &[NodeId] {
        &self.lin
    }

    /// The actor before this one.
    pub fn act(&self) -> Option<&Self> {
        self.act.as_deref()
    }

    /// This actor, then those before it, oldest last.
    pub fn iter(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.act())
    }

    /// The nodes of the whole chain.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.iter().flat_map(|actor| actor.lin.iter().copied())
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An inner chain is read first, so a chain that is too long fails at its oldest five.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            sub: NodeId,
            lin: Vec<NodeId>,
            #[serde(default, deserialize_with = "strict::present")]
            act: Option<Box<Actor>>,
        }
        let Wire { sub, lin, act } = strict::object(deserializer)?;
        Self::new(sub, lin, act.map(|inner| *inner)).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(depth: u64) -> Result<Actor, InvalidActor> {
        let mut act = None;
        for n in 0..depth {
            act = Some(Actor::new(
                NodeId::from_u64(n),
                vec![NodeId::from_u64(100 + n)],
                act,
            )?);
        }
        act.ok_or(InvalidActor::Nodes)
    }

    #[test]
    fn a_chain_lists_the_current_actor_first_and_all_nodes() {
        let actor = chain(3).unwrap();
        let subs: Vec<u64> = actor.iter().map(|actor| actor.sub().as_u64()).collect();
        assert_eq!(subs, [2, 1, 0]);
        assert_eq!(
            actor.nodes().map(NodeId::as_u64).collect::<Vec<_>>(),
            [102, 101, 100]
        );
        let text = serde_json::to_string(&actor).unwrap();
        assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), actor);
    }

    #[test]
    fn a_sixth_actor_and_a_tenth_node_are_refused() {
        assert!(chain(5).is_ok());
        assert_eq!(chain(6), Err(InvalidActor::TooDeep));
        let nodes = |count| (0..count).map(NodeId::from_u64).collect();
        assert!(Actor::new(NodeId::from_u64(1), nodes(9), None).is_ok());
        assert_eq!(
            Actor::new(NodeId::from_u64(1), nodes(10), None),
            Err(InvalidActor::Nodes)
        );
        assert_eq!(
            Actor::new(NodeId::from_u64(1), nodes(0), None),
            Err(InvalidActor::Nodes)
        );
    }

    #[test]
    fn an_actor_is_an_object_with_known_members() {
        let good = r#"{"sub":"0000000000000001","lin":["0000000000000002"]}"#;
        assert!(serde_json::from_str::<Actor>(good).is_ok());
        for text in [
            r#"["0000000000000001",["0000000000000002"]]"#,
            r#"{"sub":"0000000000000001","lin":["0000000000000002"],"act":null}"#,
            r#"{"sub":"0000000000000001","lin":["0000000000000002"],"iss":"x"}"#,
            r#"{"sub":"0000000000000001"}"#,
        ] {
            assert!(serde_json::from_str::<Actor>(text).is_err(), "{text}");
        }
    }
}
