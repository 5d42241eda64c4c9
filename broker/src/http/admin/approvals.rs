//! `/v1/approvals`: asked, shown, approved by the hash of what was shown, or refused.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Because, Document, Part, created, node, ok};
use super::switch::NO_REASON;
use crate::http::caller::Administrator;
use crate::issue::administration::{ApprovalView, NewApproval};
use crate::store::event::ContentHash;

#[derive(Serialize)]
struct Approvals {
    approvals: Vec<ApprovalView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approve {
    /// Of exactly what was shown.
    hash: ContentHash,
}

pub(super) async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Approvals {
        approvals: rooms.issue.list_approvals(),
    })
}

pub(super) async fn request(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(new): Document<NewApproval>,
) -> Answer {
    created(rooms.issue.request_approval(new, by).await?)
}

pub(super) async fn show(State(rooms): State<Rooms>, _: Administrator, id: Part) -> Answer {
    ok(rooms.issue.show_approval(node(&id)?)?)
}

pub(super) async fn approve(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    id: Part,
    Document(Approve { hash }): Document<Approve>,
) -> Answer {
    ok(rooms.issue.approve(node(&id)?, hash, by).await?)
}

pub(super) async fn deny(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    id: Part,
    Document(because): Document<Because>,
) -> Answer {
    let reason = because.reason.as_deref().unwrap_or(NO_REASON);
    ok(rooms.issue.refuse_approval(node(&id)?, by, reason).await?)
}
