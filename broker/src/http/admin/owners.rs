//! `/v1/owners`.

use axum::extract::State;
use serde::Serialize;

use super::Rooms;
use super::answer::{Answer, Because, Changed, Document, Part, created, ok};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::administration::{NewOwner, OwnerView};

/// When nobody says why.
pub(super) const NO_REASON: &str = "no reason given";

#[derive(Serialize)]
struct Owners {
    owners: Vec<OwnerView>,
}

pub(super) async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Owners {
        owners: rooms.issue.list_owners(),
    })
}

pub(super) async fn create(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(new): Document<NewOwner>,
) -> Answer {
    created(rooms.issue.create_owner(new, by).await?)
}

pub(super) async fn show(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(owner): Part,
) -> Answer {
    let id = rooms.issue.find_owner(&owner)?;
    let found = rooms
        .issue
        .list_owners()
        .into_iter()
        .find(|found| found.id == id);
    ok(found.ok_or_else(|| Problem::not_found("there is no such owner"))?)
}

pub(super) async fn disable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(owner): Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = rooms.issue.find_owner(&owner)?;
    let rev = rooms
        .issue
        .disable(node, by, because.reason.as_deref().unwrap_or(NO_REASON))
        .await?;
    ok(Changed { node, rev })
}

pub(super) async fn enable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(owner): Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = rooms.issue.find_owner(&owner)?;
    let rev = rooms
        .issue
        .enable(node, by, because.reason.as_deref())
        .await?;
    ok(Changed { node, rev })
}
