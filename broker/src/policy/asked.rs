//! What is asked of the policies: who, for what, and under which circumstances.

use std::net::IpAddr;

use lanyard_token::{Audience, ScopeSet, TaskScope};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A request for a token, as policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whose the token would be.
    pub subject: Party<'a>,
    /// Who would use it, when that is somebody else.
    pub actor: Option<Party<'a>>,
    /// Whom it is for.
    pub audience: &'a Audience,
    /// What it is to allow; absent: everything that is allowed.
    pub scopes: Option<&'a ScopeSet>,
    /// What the parent token allows: nothing else is looked at.
    pub within: Option<&'a ScopeSet>,
    /// Whether what is allowed is taken when not everything is.
    pub partial: bool,
    /// In seconds.
    pub lifetime: u64,
    /// How it is asked for.
    pub grant: AskedBy,
    /// What showed who asks.
    pub proof: Proof,
    /// What an OIDC token said of it.
    pub oidc: Option<&'a Oidc>,
    /// The key it would be bound to.
    pub binding: Binding,
    /// Where from, when it is known.
    pub network: Option<IpAddr>,
    /// What was last seen of the subject's behaviour.
    pub risk: Risk,
    /// What it would be limited to.
    pub task: Option<Task<'a>>,
    /// Names of the administrators who approved exactly this.
    pub approvals: &'a [String],
    /// When.
    pub time: OffsetDateTime,
}

/// An identity, as it was registered.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its name.
    pub name: &'a str,
    /// `service`, `integration`, `agent`, `gateway` or `administrator`.
    pub kind: &'a str,
    /// The name of who answers for it.
    pub owner: &'a str,
    /// Its labels.
    pub tags: &'a [String],
    /// Where its tokens may be good for.
    pub audiences: &'a [Audience],
    /// What it was registered for there.
    pub scopes: &'a ScopeSet,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: u64,
    /// For how many days it has been there, when that is known.
    pub age_days: Option<u64>,
    /// For how many days it obtained no token, when that is known.
    pub unused_days: Option<u64>,
}

/// The limits of a task.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// As a token carries it.
    Scope(&'a TaskScope),
    /// As a case writes it.
    Limits {
        /// What may be called.
        operations: Option<&'a [String]>,
        /// For whom.
        destinations: Option<&'a [String]>,
        /// How often.
        calls: Option<u64>,
    },
}

/// How a token is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// RFC 6749 section 4.4.
    #[default]
    ClientCredentials,
    /// RFC 8693.
    TokenExchange,
    /// On the broker's machine.
    Local,
}

impl AskedBy {
    /// As policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "token_exchange",
            Self::Local => "local",
        }
    }
}

/// What showed who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A long-lived key.
    #[default]
    ApiKey,
    /// Another issuer's token.
    Oidc,
    /// A client certificate.
    Mtls,
    /// A token of ours.
    AccessToken,
    /// A process on the broker's machine.
    Socket,
}

impl Proof {
    /// As policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Oidc => "oidc",
            Self::Mtls => "mtls",
            Self::AccessToken => "access_token",
            Self::Socket => "socket",
        }
    }
}

/// What keeps a copied token from being of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Nothing.
    #[default]
    None,
    /// RFC 9449.
    Dpop,
    /// RFC 8705.
    Mtls,
}

impl Binding {
    /// As policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dpop => "dpop",
            Self::Mtls => "mtls",
        }
    }
}

/// What was last seen of an identity's behaviour; the graver is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nothing strange.
    #[default]
    None,
    /// It left its baseline.
    Anomalous,
    /// It broke a hard rule.
    Malicious,
}

impl Risk {
    /// As policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Anomalous => "anomalous",
            Self::Malicious => "malicious",
        }
    }
}

/// Who stands behind an OIDC token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}
