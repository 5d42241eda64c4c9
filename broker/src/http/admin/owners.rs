//! `/v1/owners`.

use axum::extract::State;
use lanyard_token::NodeId;
use serde::Serialize;

use super::answer::{Answer, Because, Document, Part, created, ok};
use super::identities::Transfer;
use super::{Rooms, switch};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::administration::{ChangeOwner, NewOwner, OwnerView};

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
    shown(&rooms, rooms.issue.find_owner(&owner)?)
}

pub(super) async fn change(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(owner): Part,
    Document(change): Document<ChangeOwner>,
) -> Answer {
    let id = rooms.issue.change_owner(&owner, change, by).await?;
    shown(&rooms, id)
}

/// Everything of an owner goes to another one.
pub(super) async fn transfer(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(owner): Part,
    Document(Transfer { to, reason }): Document<Transfer>,
) -> Answer {
    let (from, heir) = (
        rooms.issue.find_owner(&owner)?,
        rooms.issue.find_owner(&to)?,
    );
    let transfer = rooms
        .issue
        .transfer_owner(&owner, &to, by.clone(), reason.as_deref());
    let transferred = transfer.await?;
    // After the identities: an heir that may not be given anything was refused by then.
    let secrets = rooms.vault.transfer_all(from, heir, &by, reason.as_deref());
    secrets.await?;
    // With their secrets: an integration may use those of its own owner.
    rooms.integrations.transfer_all(from, heir, &by).await?;
    ok(transferred)
}

fn shown(rooms: &Rooms, id: NodeId) -> Answer {
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
    switch::off(&rooms, node, by, because).await
}

pub(super) async fn enable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(owner): Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = rooms.issue.find_owner(&owner)?;
    switch::on(&rooms, node, by, because).await
}
