//! Words about what administrators approve.

use lanyard_token::{Audience, NodeId, ScopeSet, TaskScope};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// What administrators are asked to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// For whom.
    pub identity: NodeId,
    /// Where.
    pub audience: Audience,
    /// What.
    pub scopes: ScopeSet,
    /// Longest lifetime of one token, in seconds.
    pub lifetime: u64,
    /// Within which task; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskScope>,
    /// What for, in the words of whoever asked.
    pub reason: String,
    /// When it is over.
    pub until: UnixMillis,
}
