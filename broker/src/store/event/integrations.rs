//! Words about what egress may call at third parties, and what it called.

mod written;

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::{By, Version};
use crate::clock::UnixMillis;
pub use written::WrittenIntegration;

/// A third party as egress carries it from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptIntegration {
    /// Its number; the same when it is changed.
    pub id: NodeId,
    /// Who answers for it.
    pub owner: NodeId,
    /// The gateways that carry it.
    pub gateways: Vec<NodeId>,
    /// What it is.
    pub integration: WrittenIntegration,
    /// Who says so.
    pub by: By,
}

/// How often a gateway used a version, as it told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// For which integration.
    pub integration: NodeId,
    /// Of which secret.
    pub secret: NodeId,
    /// Which version.
    pub version: Version,
    /// Which gateway.
    pub gateway: NodeId,
    /// One start of it: `calls` begins with each.
    pub boot: u64,
    /// Calls since that start, all together.
    pub calls: u64,
    /// The last of them.
    pub last_at: UnixMillis,
}
