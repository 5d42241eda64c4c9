//! Owners and identities are switched off and on in the same way: one watermark, and back.

use lanyard_token::NodeId;

use super::Rooms;
use super::answer::{Answer, Because, Changed, ok};
use crate::store::event::By;

/// When nobody says why.
pub(super) const NO_REASON: &str = "no reason given";

/// Ends everything below the node, and keeps anything new from being issued.
pub(super) async fn off(rooms: &Rooms, node: NodeId, by: By, because: Because) -> Answer {
    let reason = because.reason.as_deref().unwrap_or(NO_REASON);
    let rev = rooms.issue.disable(node, by, reason).await?;
    ok(Changed { node, rev })
}

/// Lets it be used again; what ended stays ended.
pub(super) async fn on(rooms: &Rooms, node: NodeId, by: By, because: Because) -> Answer {
    let reason = because.reason.as_deref();
    let rev = rooms.issue.enable(node, by, reason).await?;
    ok(Changed { node, rev })
}
