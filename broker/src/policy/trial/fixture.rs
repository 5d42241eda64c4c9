//! Owners and identities that cases speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lanyard_token::{Audience, ScopeSet};
use serde::{Deserialize, Serialize};

use super::super::asked::Party;
use super::{Unreadable, json, scopes};

/// An identity as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// `service`, `integration`, `agent`, `gateway` or `administrator`.
    pub kind: Kind,
    /// Its labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where its tokens may be good for.
    #[serde(default)]
    pub audiences: Vec<Audience>,
    /// What it was registered for there.
    #[serde(default, with = "scopes")]
    pub scopes: ScopeSet,
    /// Longest lifetime, in seconds.
    #[serde(default = "longest")]
    pub max_lifetime: u64,
    /// For how many days it has been there; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days: Option<u64>,
    /// For how many days it obtained no token; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_days: Option<u64>,
}

impl Fixture {
    /// The longest lifetime a trust domain gives, in seconds: an identity's when its registration names none.
    pub const LONGEST: u64 = 3_600;

    /// As policies see it.
    pub(in super::super) fn party(&self) -> Party<'_> {
        Party {
            name: &self.name,
            kind: self.kind.word(),
            owner: &self.owner,
            tags: &self.tags,
            audiences: &self.audiences,
            scopes: &self.scopes,
            max_lifetime: self.max_lifetime,
            age_days: self.age_days,
            unused_days: self.unused_days,
        }
    }
}

const fn longest() -> u64 {
    Fixture::LONGEST
}

/// What sort of thing an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Our own program.
    Service,
    /// Somebody else's program.
    Integration,
    /// An AI agent.
    Agent,
    /// A verifier.
    Gateway,
    /// A hand on the admin listener.
    Administrator,
}

impl Kind {
    /// As policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Integration => "integration",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Administrator => "administrator",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    name: String,
}

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Fixtures(BTreeMap<String, Fixture>);

impl Fixtures {
    /// Reads `owners.json` and `identities.json`; a folder without them has none.
    pub fn load(folder: &Path) -> Result<Self, Unreadable> {
        let (owners, identities) = (folder.join("owners.json"), folder.join("identities.json"));
        if !identities.exists() {
            return Ok(Self::default());
        }
        let owners: BTreeSet<String> = json::<Vec<Owner>>(&owners)?
            .into_iter()
            .map(|owner| owner.name)
            .collect();
        let mut named = BTreeMap::new();
        for fixture in json::<Vec<Fixture>>(&identities)? {
            if !owners.contains(&fixture.owner) {
                let words = format!(
                    "`{}` belongs to `{}`, who is not in owners.json",
                    fixture.name, fixture.owner
                );
                return Err(Unreadable::content(&identities, words));
            }
            if let Some(twin) = named.insert(fixture.name.clone(), fixture) {
                let words = format!("two identities are called `{}`", twin.name);
                return Err(Unreadable::content(&identities, words));
            }
        }
        Ok(Self(named))
    }

    /// Who is called this.
    pub fn get(&self, name: &str) -> Option<&Fixture> {
        self.0.get(name)
    }

    /// The same with one more, who takes the place of a namesake.
    #[must_use]
    pub fn with(&self, fixture: Fixture) -> Self {
        let mut all = self.0.clone();
        all.insert(fixture.name.clone(), fixture);
        Self(all)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
