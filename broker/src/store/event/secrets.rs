//! Words about credentials of third parties.

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::{By, ContentHash};

/// The number of a version of a secret, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a third party calls a credential: an access key's id, a role's name. Not secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Kept, and not yet proved or published: nobody gets it.
    Pending,
    /// The one that is handed out; a secret has one at most.
    Active,
    /// Another one took its place; those who have it may go on until they ask again.
    Draining,
    /// Nobody gets it any more, ever.
    Retired,
}

impl VersionState {
    /// As events and answers write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }
}

/// For what a version was handed out, and what permitted it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeasedFor {
    /// The integration.
    pub integration: NodeId,
    /// The bundle, by its content.
    pub bundle: ContentHash,
    /// The permits that held, by name.
    pub policies: Vec<String>,
}

/// One version of a secret, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Of which secret.
    pub secret: NodeId,
    /// Its number.
    pub version: Version,
    /// The value, sealed for exactly this place, base64url.
    pub sealed: String,
    /// What the third party calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Who brought it.
    pub by: By,
}
