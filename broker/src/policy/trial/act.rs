//! Something an administrator would do, as a case writes it.

use std::net::IpAddr;

use lanyard_token::ScopeSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::super::administration::{Act, Action, On};
use super::asking::{ORDINARY_TIME, is_default, ordinary_time};
use super::{Expectation, Fixture};

/// What is done, by whom and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acting {
    /// Who administers: the name of an identity.
    pub identity: String,
    /// What.
    pub action: Action,
    /// To which owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// To which identity; absent, and no owner either: to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether an identity would get what none of its owner's has.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wider: bool,
    /// Where from, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<IpAddr>,
    /// When.
    #[serde(default = "ordinary_time", with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
}

impl Acting {
    /// What `identity` does to the broker, in ordinary circumstances.
    pub fn of(identity: &str, action: Action) -> Self {
        Self {
            identity: identity.to_owned(),
            action,
            owner: None,
            target: None,
            wider: false,
            network: None,
            time: ORDINARY_TIME,
        }
    }

    /// As policies see it.
    pub(in super::super) fn act<'a>(
        &'a self,
        who: &'a Fixture,
        target: Option<&'a Fixture>,
        scopes: &'a ScopeSet,
    ) -> Act<'a> {
        let on = match (target, &self.owner) {
            (Some(target), _) => On::Identity(target.party()),
            (None, Some(owner)) => On::Owner(owner),
            (None, None) => On::System,
        };
        Act {
            who: who.party(),
            action: self.action,
            on,
            wider: self.wider,
            scopes,
            network: self.network,
            time: self.time,
        }
    }
}

/// An act, and what is to come out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActCase {
    /// A sentence; unique in its folder.
    pub name: String,
    /// What is done.
    pub request: Acting,
    /// What is to come out.
    pub expect: Expectation,
}

/// Whether a case is about administration: it has an `action`.
pub(super) fn is_act(case: &Value) -> bool {
    case.pointer("/request/action").is_some()
}
