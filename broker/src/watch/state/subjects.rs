//! Identities and gateways, and which of them play the same role.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lanyard_drift::desk::RoleId;
use lanyard_drift::stable_hash;
use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::{Deserialize, Serialize};

use crate::policy::Party;
use crate::store::event::{Identity, Kind};

/// What the watch room needs to know of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its unique name.
    pub name: String,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Free labels; with the kind they make its role.
    pub tags: Vec<String>,
    /// Where its tokens are good for; for a gateway, the audiences it serves.
    pub audiences: Vec<Audience>,
    /// For a gateway: whether its word about hard rules stands alone.
    #[serde(default)]
    pub sole_witness: bool,
    /// Who answers for it.
    pub owner: NodeId,
    /// What it may be allowed.
    pub scopes: ScopeSet,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: u64,
}

/// An identity with the name of who answers for it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Name, kind, tags, rights.
    pub subject: Subject,
    /// The owner's name.
    pub owner: String,
}

impl Registered {
    /// As policies see it. How old it is, and since when it is not used, the watch room does not know.
    pub fn party(&self) -> Party<'_> {
        let subject = &self.subject;
        Party {
            name: &subject.name,
            kind: subject.kind.word(),
            owner: &self.owner,
            tags: &subject.tags,
            audiences: &subject.audiences,
            scopes: &subject.scopes,
            max_lifetime: subject.max_lifetime,
            age_days: None,
            unused_days: None,
        }
    }
}

impl Subject {
    /// Whether a gateway serves this audience. Anything but a gateway serves none.
    pub fn serves(&self, audience: &Audience) -> bool {
        self.kind == Kind::Gateway && self.audiences.contains(audience)
    }

    /// Kind and tags, as a number that all members of the role share.
    pub fn role(&self) -> RoleId {
        role_id(self.kind, &self.tags)
    }

    /// Whether a gateway serves any audience this identity's tokens may be good for.
    pub fn is_served_by(&self, gateway: &Self) -> bool {
        self.audiences
            .iter()
            .any(|audience| gateway.serves(audience))
    }
}

impl From<&Identity> for Subject {
    fn from(identity: &Identity) -> Self {
        Self {
            name: identity.name.clone(),
            kind: identity.kind,
            tags: identity.tags.clone(),
            audiences: identity.audiences.clone(),
            sole_witness: identity.sole_witness,
            owner: identity.owner,
            scopes: identity.scopes.clone(),
            max_lifetime: identity.max_lifetime,
        }
    }
}

/// Kind and sorted tags as a number.
pub(super) fn role_id(kind: Kind, tags: &[String]) -> RoleId {
    // Tags hold no line break.
    let text = format!("{kind:?}\n{}", tags.join("\n"));
    RoleId(stable_hash(text.as_bytes()))
}

/// All of them, with their roles. As many as administrators made; nobody else adds one.
#[derive(Default)]
pub(super) struct Subjects {
    owners: HashMap<NodeId, String>,
    all: HashMap<NodeId, Subject>,
    roles: BTreeMap<(Kind, Vec<String>), BTreeSet<NodeId>>,
}

impl Subjects {
    pub(super) fn get(&self, identity: NodeId) -> Option<&Subject> {
        self.all.get(&identity)
    }

    /// Names are unique.
    pub(super) fn named(&self, name: &str) -> Option<&Subject> {
        self.all.values().find(|subject| subject.name == name)
    }

    pub(super) fn add(&mut self, identity: NodeId, subject: Subject) {
        let role = (subject.kind, subject.tags.clone());
        self.roles.entry(role).or_default().insert(identity);
        self.all.insert(identity, subject);
    }

    pub(super) fn transfer(&mut self, identity: NodeId, owner: NodeId) {
        if let Some(subject) = self.all.get_mut(&identity) {
            subject.owner = owner;
        }
    }

    pub(super) fn owner(&self, owner: NodeId) -> Option<&str> {
        self.owners.get(&owner).map(String::as_str)
    }

    pub(super) fn add_owner(&mut self, owner: NodeId, name: String) {
        self.owners.insert(owner, name);
    }

    pub(super) fn sole_witnesses(&self) -> Vec<NodeId> {
        let trusted = self.all.iter().filter(|(_, known)| known.sole_witness);
        let mut trusted: Vec<NodeId> = trusted.map(|(gateway, _)| *gateway).collect();
        trusted.sort_unstable();
        trusted
    }

    /// How many play this role.
    pub(super) fn members(&self, kind: Kind, tags: &[String]) -> usize {
        let members = self.roles.get(&(kind, tags.to_vec()));
        members.map_or(0, BTreeSet::len)
    }

    /// The number of an identity's role; one that does not exist plays none.
    pub(super) fn role(&self, identity: NodeId) -> RoleId {
        self.all
            .get(&identity)
            .map(Subject::role)
            .unwrap_or_default()
    }

    pub(super) fn peers(&self, identity: NodeId, limit: usize) -> Vec<NodeId> {
        let Some(subject) = self.all.get(&identity) else {
            return Vec::new();
        };
        let role = (subject.kind, subject.tags.clone());
        let members = self.roles.get(&role).into_iter().flatten().copied();
        members
            .filter(|member| *member != identity)
            .take(limit)
            .collect()
    }
}
