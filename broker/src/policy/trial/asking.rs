//! A request as a case writes it: what it leaves out is as it is most often.

use std::net::IpAddr;

use lanyard_token::{Audience, ScopeSet};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::datetime;

use super::super::asked::{Asked, AskedBy, Binding, Oidc, Proof, Risk, Task};
use super::{Fixture, scopes};

/// When none is asked for, in seconds.
const USUAL_LIFETIME: u64 = 300;
/// A Monday morning, far from every limit.
pub(super) const ORDINARY_TIME: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);

/// A request for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Who asks: the name of an identity.
    pub identity: String,
    /// Whom the token is for; absent: the identity's only audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Audience>,
    /// What it is to allow; absent: everything it may have there.
    #[serde(
        default,
        with = "scopes::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub scopes: Option<ScopeSet>,
    /// In seconds; absent: the trust domain's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// How it was asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grant: AskedBy,
    /// How the identity proved who it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proof: Proof,
    /// What an OIDC token said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// Who acts in its place: the name of an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The key the token would be bound to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub binding: Binding,
    /// Where from, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<IpAddr>,
    /// What was last seen of its behaviour.
    #[serde(default, skip_serializing_if = "is_default")]
    pub risk: Risk,
    /// When.
    #[serde(default = "ordinary_time", with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// Names of the administrators who approved exactly this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// What the token is to be limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Limits>,
    /// Whether what is allowed is taken when not everything is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub partial: bool,
}

impl Asking {
    /// Everything that `identity` may have, in ordinary circumstances.
    pub fn of(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            audience: None,
            scopes: None,
            lifetime: None,
            grant: AskedBy::default(),
            proof: Proof::default(),
            oidc: None,
            actor: None,
            binding: Binding::default(),
            network: None,
            risk: Risk::default(),
            time: ORDINARY_TIME,
            approvals: Vec::new(),
            task: None,
            partial: false,
        }
    }

    /// As it would be at a broker, where no binding is checked: every token counts as not bound.
    pub(in super::super) fn as_a_broker_sees_it(&self) -> Self {
        Self {
            binding: Binding::None,
            ..self.clone()
        }
    }

    /// As policies see it, `who` being the one who asks.
    pub(in super::super) fn asked<'a>(
        &'a self,
        (who, actor): (&'a Fixture, Option<&'a Fixture>),
        audience: &'a Audience,
    ) -> Asked<'a> {
        Asked {
            subject: who.party(),
            actor: actor.map(Fixture::party),
            audience,
            scopes: self.scopes.as_ref(),
            within: None,
            partial: self.partial,
            lifetime: self.wanted(),
            grant: self.grant,
            proof: self.proof,
            oidc: self.oidc.as_ref(),
            binding: self.binding,
            network: self.network,
            risk: self.risk,
            task: self.task.as_ref().map(Limits::as_task),
            approvals: &self.approvals,
            time: self.time,
        }
    }

    /// For how long, in seconds.
    pub(in super::super) fn wanted(&self) -> u64 {
        self.lifetime.unwrap_or(USUAL_LIFETIME)
    }
}

pub(super) const fn ordinary_time() -> OffsetDateTime {
    ORDINARY_TIME
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The limits of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// What may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<String>>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
}

impl Limits {
    fn as_task(&self) -> Task<'_> {
        Task::Limits {
            operations: self.operations.as_deref(),
            destinations: self.destinations.as_deref(),
            calls: self.calls,
        }
    }
}
