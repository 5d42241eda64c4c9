//! Words about who there is.

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::{Deserialize, Serialize};

/// A non-human identity and what it may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Unique in the trust domain.
    pub name: String,
    /// Who answers for it.
    pub owner: NodeId,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Free labels, sorted; kind and tags make the role whose peers it is compared with.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where its tokens may be good for. For a gateway: the audiences it serves.
    pub audiences: Vec<Audience>,
    /// What it may be allowed there.
    pub scopes: ScopeSet,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: u64,
    /// For a gateway: whether its word about hard rules stands alone, so that credentials may end by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sole_witness: bool,
}

/// What sort of thing an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Our own program.
    Service,
    /// Somebody else's program.
    Integration,
    /// An AI agent.
    Agent,
    /// A verifier: it reads the feed and reports.
    Gateway,
    /// A person's or pipeline's hand on the admin listener.
    Administrator,
}

impl Kind {
    /// As events and settings write it.
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

/// Another issuer's subject, letter for letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pinned {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Their `sub`.
    pub subject: String,
    /// Whether one token may be shown again while it lives: for platforms that hand out one for its whole life.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reusable: bool,
}
