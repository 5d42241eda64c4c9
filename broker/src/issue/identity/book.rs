//! The state itself, and the questions a decision asks of it; what each event does to it is in `facts`.

mod facts;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lanyard_token::{Claims, KeyId, KeySet, Lineage, Liveness, NodeId, Rejection, Rev};
use serde::{Deserialize, Serialize};

use super::approvals::{Approval, Approvals};
use super::rights::Rights;
use super::risk::Seen;
use super::row::RowKey;
use super::usage::{Awake, Usage};
use crate::clock::UnixMillis;
use crate::issue::proof::api_key;
use crate::policy::Risk;
use crate::store::event::{By, Identity, KeyHash, Pinned, SigningKey, TokenDigest};

/// Somebody who answers for identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Unique among owners.
    pub name: String,
    /// How to reach them.
    pub contact: Option<String>,
    /// Revoked and not enabled again.
    pub disabled: bool,
}

/// A non-human identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// What it is and may ask for.
    pub grant: Identity,
    /// Revoked and not enabled again.
    pub disabled: bool,
    /// Since when, and when last.
    pub usage: Usage,
    /// What of its registration it uses.
    #[serde(default)]
    pub rights: Rights,
}

/// How an identity proves itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// With an API key; this is its keyed hash.
    Hash(KeyHash),
    /// With another issuer's token about this subject.
    Oidc(Box<Pinned>),
}

/// A credential, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Whose.
    pub identity: NodeId,
    /// What it is called.
    pub label: Option<String>,
    /// What proves it.
    #[serde(flatten)]
    pub proof: Proof,
    /// When it stops working.
    pub expires_at: Option<UnixMillis>,
    /// Revoked and not enabled again.
    pub disabled: bool,
    /// Since when, and when last.
    pub usage: Usage,
    /// Who made it, and so may have a copy.
    pub made_by: By,
}

impl Credential {
    /// What people call it: its label, else the subject that is trusted.
    pub fn called(&self) -> Option<&str> {
        match (&self.label, &self.proof) {
            (Some(label), _) => Some(label),
            (None, Proof::Oidc(pinned)) => Some(&pinned.subject),
            (None, Proof::Hash(_)) => None,
        }
    }
}

/// What must be remembered of a token while it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveToken {
    /// Whose.
    pub identity: NodeId,
    /// What it was issued for.
    pub credential: NodeId,
    /// What it was exchanged from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<NodeId>,
    /// Who uses it, when that is not whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acting: Option<Box<Acting>>,
    /// When it ends, in Unix seconds.
    pub exp: u64,
    /// What its decision had read.
    pub rev: Rev,
    /// Of what was signed: another text with the same number is not this token.
    pub digest: TokenDigest,
    /// How many tokens were exchanged from it directly.
    pub children: u32,
}

/// Who acts with a token of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acting {
    /// The current actor.
    pub by: NodeId,
    /// Every node of every actor: the end of one ends the token.
    pub nodes: Vec<NodeId>,
}

/// Why a credential obtains nothing now. For the operator; outsiders are told one thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// No such node.
    #[error("unknown")]
    Unknown,
    /// It, its identity or its owner was revoked: enable it, or issue another.
    #[error("disabled")]
    Disabled,
    /// Wait until the suspension ends, or resume it.
    #[error("suspended")]
    Suspended,
    /// Issue another.
    #[error("expired")]
    Expired,
}

/// Everything the issue room knows.
#[derive(Default)]
pub struct Book {
    pub(super) rev: Rev,
    pub(super) owners: HashMap<NodeId, Owner>,
    pub(super) owner_names: HashMap<String, NodeId>,
    pub(super) identities: HashMap<NodeId, Identified>,
    pub(super) identity_names: HashMap<String, NodeId>,
    pub(super) credentials: HashMap<NodeId, Credential>,
    pub(super) by_hash: HashMap<u64, Vec<NodeId>>,
    /// By issuer and subject; one subject may stand for several identities.
    pub(super) by_pin: HashMap<(String, String), Vec<NodeId>>,
    pub(super) tokens: HashMap<NodeId, LiveToken>,
    pub(super) liveness: Liveness,
    pub(super) suspended: HashMap<NodeId, UnixMillis>,
    /// What was seen of identities' behaviour in the last hour.
    pub(super) behaviour: HashMap<NodeId, Seen>,
    pub(super) approvals: Approvals,
    pub(super) awake: Awake,
    pub(super) signing_keys: HashMap<KeyId, SigningKey>,
    pub(super) mint_keys: Arc<KeySet>,
    pub(super) changed: HashSet<RowKey>,
}

/// Questions.
impl Book {
    /// The place in the log this state stands at.
    pub const fn rev(&self) -> Rev {
        self.rev
    }

    /// All owners, in no order.
    pub fn owners(&self) -> impl Iterator<Item = (NodeId, &Owner)> {
        self.owners.iter().map(|(node, owner)| (*node, owner))
    }

    /// All identities, in no order.
    pub fn identities(&self) -> impl Iterator<Item = (NodeId, &Identified)> {
        self.identities
            .iter()
            .map(|(node, identity)| (*node, identity))
    }

    /// All credentials, in no order.
    pub fn credentials(&self) -> impl Iterator<Item = (NodeId, &Credential)> {
        self.credentials
            .iter()
            .map(|(node, credential)| (*node, credential))
    }

    /// An owner.
    pub fn owner(&self, node: NodeId) -> Option<&Owner> {
        self.owners.get(&node)
    }

    /// An identity.
    pub fn identity(&self, node: NodeId) -> Option<&Identified> {
        self.identities.get(&node)
    }

    /// A credential.
    pub fn credential(&self, node: NodeId) -> Option<&Credential> {
        self.credentials.get(&node)
    }

    /// A token that was issued and may still live.
    pub fn token(&self, jti: NodeId) -> Option<&LiveToken> {
        self.tokens.get(&jti)
    }

    /// Whether this number belongs to an owner, an identity, a credential or a remembered token.
    pub fn knows(&self, node: NodeId) -> bool {
        self.owners.contains_key(&node)
            || self.identities.contains_key(&node)
            || self.credentials.contains_key(&node)
            || self.tokens.contains_key(&node)
    }

    /// All tokens that were issued and may still live, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = (NodeId, &LiveToken)> {
        self.tokens.iter().map(|(jti, token)| (*jti, token))
    }

    /// From which record on a node is dead, as long as a token of before could live.
    pub fn watermark(&self, node: NodeId) -> Option<Rev> {
        self.liveness.watermark(node)
    }

    /// Tokens with a lower `rev` are dead.
    pub const fn floor(&self) -> Rev {
        self.liveness.floor()
    }

    /// Since when the log has had no long silence: before, nobody could use anything.
    pub const fn awake_since(&self) -> UnixMillis {
        self.awake.since()
    }

    /// What was asked of administrators and is not over for long, in no order.
    pub fn approvals(&self) -> impl Iterator<Item = (NodeId, &Approval)> {
        self.approvals.all()
    }

    /// What was asked of administrators.
    pub fn approval(&self, node: NodeId) -> Option<&Approval> {
        self.approvals.get(node)
    }

    /// What was asked of administrators for an identity, in no order.
    pub fn approvals_of(&self, identity: NodeId) -> impl Iterator<Item = &Approval> {
        self.approvals.of(identity)
    }

    /// What counts of what was seen of an identity's behaviour.
    pub fn risk(&self, identity: NodeId, now: UnixMillis) -> Risk {
        self.behaviour
            .get(&identity)
            .map_or(Risk::None, |seen| seen.risk(now))
    }

    /// Until when a node is suspended, if it is at `now`.
    pub fn suspended_until(&self, node: NodeId, now: UnixMillis) -> Option<UnixMillis> {
        self.suspended
            .get(&node)
            .copied()
            .filter(|until| *until > now)
    }

    /// How many tokens are remembered.
    pub fn live_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// An owner by name or number. A number comes first: it is what a program would send.
    pub fn find_owner(&self, name: &str) -> Option<NodeId> {
        let number = name
            .parse()
            .ok()
            .filter(|node| self.owners.contains_key(node));
        number.or_else(|| self.owner_names.get(name).copied())
    }

    /// An identity by name or number.
    pub fn find_identity(&self, name: &str) -> Option<NodeId> {
        let number = name
            .parse()
            .ok()
            .filter(|node| self.identities.contains_key(node));
        number.or_else(|| self.identity_names.get(name).copied())
    }

    /// The credential with this hash.
    pub fn credential_by_hash(&self, hash: &KeyHash) -> Option<(NodeId, &Credential)> {
        let candidates = self.by_hash.get(&api_key::index(hash))?;
        candidates
            .iter()
            .filter_map(|node| Some((*node, self.credentials.get(node)?)))
            .find(|(_, credential)| match &credential.proof {
                Proof::Hash(known) => api_key::same(known, hash),
                Proof::Oidc(_) => false,
            })
    }

    /// The credentials that this issuer's tokens about this subject prove, oldest first.
    pub fn credentials_by_pin(
        &self,
        issuer: &str,
        subject: &str,
    ) -> impl Iterator<Item = (NodeId, &Credential, &Pinned)> {
        let pin = (issuer.to_owned(), subject.to_owned());
        let nodes = self.by_pin.get(&pin).into_iter().flatten();
        nodes.filter_map(|node| {
            let credential = self.credentials.get(node)?;
            match &credential.proof {
                Proof::Oidc(pinned) => Some((*node, credential, &**pinned)),
                Proof::Hash(_) => None,
            }
        })
    }

    /// Where tokens of a credential stand, if it may obtain any at `now`.
    pub fn lineage_of(&self, credential: NodeId, now: UnixMillis) -> Result<Lineage, Unusable> {
        let found = self.credentials.get(&credential).ok_or(Unusable::Unknown)?;
        if found.disabled {
            return Err(Unusable::Disabled);
        }
        if found.expires_at.is_some_and(|end| end <= now) {
            return Err(Unusable::Expired);
        }
        let owner = self.usable_identity(found.identity, now)?;
        if self.is_suspended(std::iter::once(credential), now) {
            return Err(Unusable::Suspended);
        }
        Ok(Lineage::of_credential(owner, found.identity, credential))
    }

    /// The owner of an identity, if both may obtain tokens at `now`.
    pub fn usable_identity(&self, identity: NodeId, now: UnixMillis) -> Result<NodeId, Unusable> {
        let found = self.identities.get(&identity).ok_or(Unusable::Unknown)?;
        let owner = self
            .owners
            .get(&found.grant.owner)
            .ok_or(Unusable::Unknown)?;
        if found.disabled || owner.disabled {
            return Err(Unusable::Disabled);
        }
        if self.is_suspended([identity, found.grant.owner].into_iter(), now) {
            return Err(Unusable::Suspended);
        }
        Ok(found.grant.owner)
    }

    /// Whether a correctly signed token is one that was issued here and lives at `now`.
    pub fn check_alive(
        &self,
        claims: &Claims,
        digest: TokenDigest,
        now: UnixMillis,
    ) -> Result<(), Rejection> {
        self.check_not_ended(claims, digest)?;
        if self.is_suspended(claims.nodes(), now) {
            return Err(Rejection::Suspended);
        }
        Ok(())
    }

    /// Whether a correctly signed token is one that was issued here and was not ended. It may be
    /// suspended: then it comes back by itself, so whoever wants it dead must still end it.
    pub fn check_not_ended(&self, claims: &Claims, digest: TokenDigest) -> Result<(), Rejection> {
        self.liveness.check(claims.rev, claims.nodes())?;
        match self.tokens.get(&claims.jti) {
            Some(token) if token.digest == digest => Ok(()),
            // Signed with our key and not in our log: whatever it is, we did not issue it.
            _ => Err(Rejection::Revoked),
        }
    }

    fn is_suspended(&self, mut nodes: impl Iterator<Item = NodeId>, now: UnixMillis) -> bool {
        !self.suspended.is_empty()
            && nodes.any(|node| self.suspended.get(&node).is_some_and(|until| *until > now))
    }

    /// Signing keys that are believed or will be, in no order.
    pub fn signing_keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.signing_keys.values()
    }

    /// Keys that access tokens may be signed with.
    pub fn mint_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.mint_keys)
    }
}
