//! Classes of identities, and the circumstances under which the matrix asks for them.

use std::collections::BTreeSet;

use lanyard_token::{Audience, ScopeSet};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fixture::{Fixture, Kind};
use super::{Asking, Fixtures, NamedUse};

/// `classes.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// Rows.
    pub classes: Vec<Class>,
    /// How they ask.
    pub circumstances: Vec<Circumstance>,
    /// Secrets that gateways are tried with by name.
    #[serde(default)]
    pub uses: Vec<NamedUse>,
}

/// Identities that are alike to policies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// What the matrix calls them.
    pub class: String,
    /// Their kind.
    pub kind: Kind,
    /// Their labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Their owner, when policies look at it.
    #[serde(default)]
    pub owner: Option<String>,
    /// What they are registered for; absent: every audience of the catalogue.
    #[serde(default)]
    pub audiences: Option<Vec<Audience>>,
    /// What they are registered for there.
    #[serde(default, with = "super::scopes")]
    pub scopes: ScopeSet,
    /// Their longest lifetime, in seconds; absent: the trust domain's.
    #[serde(default)]
    pub max_lifetime: Option<u64>,
    /// For how many days they have been there, when policies look at it.
    #[serde(default)]
    pub age_days: Option<u64>,
    /// For how many days they obtained no token, when policies look at it.
    #[serde(default)]
    pub unused_days: Option<u64>,
}

/// What is out of the ordinary when they ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstance {
    /// What the matrix calls it.
    pub name: String,
    /// Members of a request.
    pub request: Map<String, Value>,
}

impl Classes {
    /// Names are unique, and circumstances are requests.
    pub(super) fn check(&self, fixtures: &Fixtures) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let classes = self.classes.iter().map(|class| &class.class);
        let circumstances = self.circumstances.iter().map(|other| &other.name);
        for name in classes.chain(circumstances) {
            if name.contains(char::is_whitespace) || !names.insert(name) {
                return Err(format!("`{name}` has to be one word, and to stand once"));
            }
        }
        for circumstance in &self.circumstances {
            let asking = circumstance.asking("anybody")?;
            let stranger = asking.actor.filter(|name| fixtures.get(name).is_none());
            if let Some(name) = stranger {
                let of = &circumstance.name;
                return Err(format!(
                    "`{of}` speaks of `{name}`, which is not in fixtures/"
                ));
            }
        }
        Ok(())
    }
}

impl Class {
    /// A member of it, registered at `catalogue` when the class does not say where.
    pub fn member(&self, catalogue: &[Audience]) -> Fixture {
        Fixture {
            name: self.class.clone(),
            owner: self.owner.clone().unwrap_or_else(|| "nobody".to_owned()),
            kind: self.kind,
            tags: self.tags.clone(),
            audiences: self.audiences.clone().unwrap_or_else(|| catalogue.to_vec()),
            scopes: self.scopes.clone(),
            max_lifetime: self.max_lifetime.unwrap_or(Fixture::LONGEST),
            age_days: self.age_days,
            unused_days: self.unused_days,
        }
    }
}

impl Circumstance {
    /// The request in which `identity` asks so.
    pub fn asking(&self, identity: &str) -> Result<Asking, String> {
        let mut request = self.request.clone();
        request.insert("identity".to_owned(), identity.into());
        serde_json::from_value(Value::Object(request))
            .map_err(|error| format!("circumstance `{}`: {error}", self.name))
    }
}
