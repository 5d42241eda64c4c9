//! From whom a token descends and who acts for whom.
//!
//! A child stands below its parent token, so that revoking the parent, or anything above it, ends
//! the child. Whoever acts for another subject is written into `act` with all of its own nodes, so
//! that revoking the actor ends what it obtained for others.

pub mod tree;

use lanyard_token::{Actor, Claims, InvalidActor, Lineage, NodeId, TooDeep};

/// Whoever wants to use a token for a subject: an identity, and everything whose end must end the
/// token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActingParty {
    /// The identity.
    pub identity: NodeId,
    /// Owner, identity, credential, and the tokens that proved it.
    pub nodes: Vec<NodeId>,
}

/// Why a chain may not be extended. There is nothing to ask for instead: begin a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenChain {
    /// More than five exchanged tokens.
    #[error("the chain of exchanges is too long")]
    Tokens,
    /// More than five actors, or one with too many nodes.
    #[error("the chain of actors is too long")]
    Actors,
    /// A acts for B acts for A: nobody could say any more who may do what.
    #[error("the actor already stands in the chain")]
    Loop,
}

impl From<TooDeep> for BrokenChain {
    fn from(_: TooDeep) -> Self {
        Self::Tokens
    }
}

impl From<InvalidActor> for BrokenChain {
    fn from(_: InvalidActor) -> Self {
        Self::Actors
    }
}

/// The lineage of a token exchanged from `parent`.
pub fn below(parent: &Claims) -> Result<Lineage, BrokenChain> {
    Ok(parent.lin.below(parent.jti)?)
}

/// The `act` of a token for `subject`, which `party` is going to use; `chain` is who acted so far.
///
/// A subject that uses its own token acts for nobody. An actor that exchanges again stays the same
/// actor, with the nodes of both proofs.
pub fn act(
    subject: NodeId,
    chain: Option<&Actor>,
    party: &ActingParty,
) -> Result<Option<Actor>, BrokenChain> {
    let Some(current) = chain else {
        if party.identity == subject {
            return Ok(None);
        }
        return Ok(Some(Actor::new(party.identity, party.nodes.clone(), None)?));
    };
    if current.sub() == party.identity {
        let mut nodes = current.lin().to_vec();
        nodes.extend(
            party
                .nodes
                .iter()
                .filter(|node| !current.lin().contains(node)),
        );
        return Ok(Some(Actor::new(
            party.identity,
            nodes,
            current.act().cloned(),
        )?));
    }
    if party.identity == subject || current.iter().any(|actor| actor.sub() == party.identity) {
        return Err(BrokenChain::Loop);
    }
    Ok(Some(Actor::new(
        party.identity,
        party.nodes.clone(),
        Some(current.clone()),
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(identity: u64) -> ActingParty {
        let node = NodeId::from_u64;
        ActingParty {
            identity: node(identity),
            nodes: vec![node(identity), node(identity + 100)],
        }
    }

    #[test]
    fn a_subject_that_uses_its_own_token_acts_for_nobody() {
        assert_eq!(act(NodeId::from_u64(1), None, &party(1)), Ok(None));
    }

    #[test]
    fn a_for_b_for_a_is_refused() {
        let subject = NodeId::from_u64(1);
        let chain = act(subject, None, &party(2)).unwrap();
        assert_eq!(
            act(subject, chain.as_ref(), &party(1)),
            Err(BrokenChain::Loop)
        );
        let chain = act(subject, chain.as_ref(), &party(3)).unwrap();
        assert_eq!(
            act(subject, chain.as_ref(), &party(2)),
            Err(BrokenChain::Loop)
        );
    }

    #[test]
    fn a_sixth_actor_is_refused() {
        let subject = NodeId::from_u64(1);
        let mut chain = None;
        for identity in 2..=6 {
            chain = act(subject, chain.as_ref(), &party(identity)).unwrap();
        }
        let nodes: Vec<NodeId> = chain.iter().flat_map(Actor::nodes).collect();
        assert_eq!(nodes.len(), 10, "every actor's nodes are in the chain");
        assert_eq!(
            act(subject, chain.as_ref(), &party(7)),
            Err(BrokenChain::Actors)
        );
    }

    #[test]
    fn an_actor_with_another_credential_keeps_the_nodes_of_both() {
        let subject = NodeId::from_u64(1);
        let chain = act(subject, None, &party(2)).unwrap();
        let again = ActingParty {
            nodes: vec![NodeId::from_u64(2), NodeId::from_u64(200)],
            ..party(2)
        };
        let chain = act(subject, chain.as_ref(), &again).unwrap().unwrap();
        assert_eq!(chain.iter().count(), 1);
        assert_eq!(chain.lin().len(), 3);
    }
}
