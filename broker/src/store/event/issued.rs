//! Words about what was asked for, what came of it, and what was used.

use lanyard_token::{Audience, Claims, KeyId, NodeId, ScopeSet, TaskScope};
use serde::{Deserialize, Serialize};

use super::{ContentHash, Pinned, TokenDigest};

/// A token as the log remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// All its claims: `claims.jti` is its node, `claims.rev` what the decision had read.
    pub claims: Claims,
    /// What signed it.
    pub key: KeyId,
    /// First eight bytes of SHA-256 over the signing input, hex: what gateways report of first-seen
    /// tokens, so that a token nobody issued stands out.
    pub digest: TokenDigest,
    /// How it was asked for.
    pub grant: Grant,
    /// What was asked, and which policies permitted it. Tokens from before there were policies have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Box<Decided>>,
}

/// What was asked for, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The bundle, by its content.
    pub bundle: ContentHash,
    /// The permits that held, or the forbids, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The administrators who had approved it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// The request, as far as the token does not show it.
    pub asked: AskedFor,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedFor {
    /// `audience` and `resource`; none: the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<Audience>,
    /// `scope`; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeSet>,
    /// In seconds; absent: the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// Whether less than everything was welcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What showed who asks, as policies write it.
    #[serde(default)]
    pub proof: String,
    /// What another issuer's token said, when that was the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Box<Pinned>>,
    /// Where from: a /24 or /48, never a full address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What was last seen of its behaviour, as policies write it; absent: nothing strange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
}

/// An identity that proved who it is got no token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    /// Whose the token would have been.
    pub identity: NodeId,
    /// Who would have used it, when that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<NodeId>,
    /// The operator's reason, a fixed word.
    pub reason: String,
    /// How it was asked for.
    pub grant: Grant,
    /// What was asked, and the forbids that held.
    pub decided: Decided,
    /// What the token would have been for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskScope>,
    /// Policies that would have permitted it, had the token been bound as they demand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbound: Vec<String>,
    /// How many in this minute, the sample included.
    pub count: u64,
}

/// How a token was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749 4.4.
    ClientCredentials,
    /// RFC 8693.
    TokenExchange,
    /// An administrator through the Unix socket, or the newcomer's broker.
    Local,
}

/// What a gateway saw an identity use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Who.
    pub identity: NodeId,
    /// Which gateway says so.
    pub gateway: NodeId,
    /// Where.
    pub audience: Audience,
    /// Which operations.
    pub operations: Vec<UsedOperation>,
}

/// An operation that was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedOperation {
    /// As task scopes name it.
    pub name: String,
    /// All that a token needs for it.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scopes: ScopeSet,
}
