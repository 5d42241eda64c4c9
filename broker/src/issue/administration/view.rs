//! What administrators see. No secrets: nothing here has any.

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::Serialize;

use super::EGRESS_SCOPE;
use crate::clock::UnixMillis;
use crate::issue::identity::{Book, Credential, Proof};
use crate::store::event::{Identity, Kind, Pinned};

/// An owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerView {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// How to reach it.
    pub contact: Option<String>,
    /// Revoked and not enabled again.
    pub disabled: bool,
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityView {
    /// Its number, which is its `client_id`.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its owner's number.
    pub owner: NodeId,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Its labels.
    pub tags: Vec<String>,
    /// Where its tokens may be good for; for a gateway, what it serves.
    pub audiences: Vec<Audience>,
    /// What they may allow there.
    pub scopes: ScopeSet,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: u64,
    /// Revoked and not enabled again.
    pub disabled: bool,
    /// Whether the word of a gateway about hard rules stands alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sole_witness: bool,
}

impl IdentityView {
    pub(super) fn new(id: NodeId, grant: &Identity, disabled: bool) -> Self {
        Self {
            id,
            name: grant.name.clone(),
            owner: grant.owner,
            kind: grant.kind,
            tags: grant.tags.clone(),
            audiences: grant.audiences.clone(),
            scopes: grant.scopes.clone(),
            max_lifetime: grant.max_lifetime,
            disabled,
            sole_witness: grant.sole_witness,
        }
    }
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayView {
    /// Its number, which is its `client_id`.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its owner's number.
    pub owner: NodeId,
    /// What it serves.
    pub audiences: Vec<Audience>,
    /// Whether its word about hard rules stands alone.
    pub sole_witness: bool,
    /// Whether it is given secrets of third parties.
    pub egress: bool,
    /// Revoked and not enabled again.
    pub disabled: bool,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A long-lived key.
    ApiKey,
    /// Another issuer's subject.
    Oidc,
}

impl From<&Proof> for CredentialKind {
    fn from(proof: &Proof) -> Self {
        match proof {
            Proof::Hash(_) => Self::ApiKey,
            Proof::Oidc(_) => Self::Oidc,
        }
    }
}

/// A credential, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyView {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub kind: CredentialKind,
    /// Whose word is believed, and about whom.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// Whose.
    pub identity: NodeId,
    /// What it is called.
    pub label: Option<String>,
    /// When it stops working, in Unix milliseconds.
    pub expires_at: Option<UnixMillis>,
    /// Revoked and not enabled again.
    pub disabled: bool,
}

pub(super) fn owners(book: &Book) -> Vec<OwnerView> {
    let mut owners: Vec<OwnerView> = book
        .owners()
        .map(|(id, owner)| OwnerView {
            id,
            name: owner.name.clone(),
            contact: owner.contact.clone(),
            disabled: owner.disabled,
        })
        .collect();
    owners.sort_by(|one, other| one.name.cmp(&other.name));
    owners
}

pub(super) fn identities(book: &Book) -> Vec<IdentityView> {
    let mut identities: Vec<IdentityView> = book
        .identities()
        .map(|(id, found)| IdentityView::new(id, &found.grant, found.disabled))
        .collect();
    identities.sort_by(|one, other| one.name.cmp(&other.name));
    identities
}

pub(super) fn gateways(book: &Book) -> Vec<GatewayView> {
    let enrolled = book
        .identities()
        .filter(|(_, found)| found.grant.kind == Kind::Gateway);
    let mut gateways: Vec<GatewayView> = enrolled
        .map(|(id, found)| GatewayView {
            id,
            name: found.grant.name.clone(),
            owner: found.grant.owner,
            audiences: found.grant.audiences.clone(),
            sole_witness: found.grant.sole_witness,
            egress: found.grant.scopes.contains(EGRESS_SCOPE),
            disabled: found.disabled,
        })
        .collect();
    gateways.sort_by(|one, other| one.name.cmp(&other.name));
    gateways
}

pub(super) fn keys(book: &Book, identity: NodeId) -> Vec<KeyView> {
    let mut keys: Vec<KeyView> = book
        .credentials()
        .filter(|(_, credential)| credential.identity == identity)
        .map(|(id, credential)| key(id, credential))
        .collect();
    keys.sort_by_key(|key| key.id);
    keys
}

pub(super) fn key(id: NodeId, credential: &Credential) -> KeyView {
    KeyView {
        id,
        kind: CredentialKind::from(&credential.proof),
        pinned: match &credential.proof {
            Proof::Hash(_) => None,
            Proof::Oidc(pinned) => Some((**pinned).clone()),
        },
        identity: credential.identity,
        label: credential.label.clone(),
        expires_at: credential.expires_at,
        disabled: credential.disabled,
    }
}
