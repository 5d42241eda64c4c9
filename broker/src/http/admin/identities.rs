//! `/v1/identities`.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Because, Document, Part, created, ok};
use super::{Rooms, switch};
use crate::http::caller::Administrator;
use crate::issue::administration::{ChangeIdentity, IdentityView, NewIdentity};

#[derive(Serialize)]
struct Identities {
    identities: Vec<IdentityView>,
}

pub(super) async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Identities {
        identities: rooms.issue.list_identities(),
    })
}

pub(super) async fn create(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(new): Document<NewIdentity>,
) -> Answer {
    created(rooms.issue.create_identity(new, by).await?)
}

pub(super) async fn show(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(identity): Part,
) -> Answer {
    ok(rooms.issue.show_identity(&identity)?)
}

pub(super) async fn change(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(change): Document<ChangeIdentity>,
) -> Answer {
    ok(rooms.issue.change_identity(&identity, change, by).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    /// The new owner, by name or number.
    pub(super) to: String,
    pub(super) reason: Option<String>,
}

pub(super) async fn transfer(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(Transfer { to, reason }): Document<Transfer>,
) -> Answer {
    let transfer = rooms
        .issue
        .transfer_identity(&identity, &to, by, reason.as_deref());
    ok(transfer.await?)
}

pub(super) async fn disable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = rooms.issue.find_identity(&identity)?;
    switch::off(&rooms, node, by, because).await
}

pub(super) async fn enable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = rooms.issue.find_identity(&identity)?;
    switch::on(&rooms, node, by, because).await
}
