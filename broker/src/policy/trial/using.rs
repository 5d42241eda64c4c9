//! A gateway's use of a secret, as a case writes it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::super::using::Use;
use super::asking::ordinary_time;
use super::{Expectation, Fixture};

/// A secret of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedSecret {
    /// Its path.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
}

/// Which gateway would be given what, and for which integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Using {
    /// The gateway: the name of an identity.
    pub identity: String,
    /// What it would be given.
    pub secret: OwnedSecret,
    /// For which integration.
    pub integration: String,
    /// Who answers for that.
    pub integration_owner: String,
    /// Where from, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<IpAddr>,
    /// When.
    #[serde(default = "ordinary_time", with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
}

impl Using {
    /// As policies see it.
    pub(in super::super) fn asked<'a>(&'a self, gateway: &'a Fixture) -> Use<'a> {
        Use {
            gateway: gateway.party(),
            secret: &self.secret.name,
            secret_owner: &self.secret.owner,
            integration: &self.integration,
            integration_owner: &self.integration_owner,
            network: self.network,
            time: self.time,
        }
    }
}

/// A secret and an integration, as classes.json lists them for the matrix.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedUse {
    /// What a gateway would be given.
    pub secret: OwnedSecret,
    /// For which integration.
    pub integration: String,
    /// Who answers for that.
    pub integration_owner: String,
}

impl NamedUse {
    /// Its use by a gateway, in ordinary circumstances.
    pub fn by(&self, gateway: &str) -> Using {
        Using {
            identity: gateway.to_owned(),
            secret: self.secret.clone(),
            integration: self.integration.clone(),
            integration_owner: self.integration_owner.clone(),
            network: None,
            time: ordinary_time(),
        }
    }
}

/// A use, and what is to come out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseCase {
    /// A sentence; unique in its folder.
    pub name: String,
    /// What is used.
    pub request: Using,
    /// What is to come out.
    pub expect: Expectation,
}

/// Whether a case is about a use: it has a `secret`.
pub(super) fn is_use(case: &Value) -> bool {
    case.pointer("/request/secret").is_some()
}
