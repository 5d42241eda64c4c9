//! `/v1/identities/{identity}/keys` and `/v1/keys/{credential}/revoke`.

use axum::extract::State;
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Because, Changed, Document, Part, created, node, ok};
use super::switch::NO_REASON;
use crate::http::caller::Administrator;
use crate::issue::administration::KeyView;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    label: Option<String>,
    /// Seconds; absent: until it is revoked.
    expires_in: Option<u64>,
}

/// Shown this once.
#[derive(Serialize)]
struct MadeKey<'a> {
    credential: NodeId,
    client_id: NodeId,
    client_secret: &'a str,
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<KeyView>,
}

pub(super) async fn list(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(identity): Part,
) -> Answer {
    ok(Keys {
        keys: rooms.issue.list_keys(&identity)?,
    })
}

pub(super) async fn create(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(new): Document<NewKey>,
) -> Answer {
    let client_id = rooms.issue.find_identity(&identity)?;
    let expires_at = new
        .expires_in
        .map(|seconds| rooms.clock.now().plus_millis(seconds.saturating_mul(1_000)));
    let (credential, key) = rooms
        .issue
        .add_key(&identity, new.label, expires_at, by)
        .await?;
    created(MadeKey {
        credential,
        client_id,
        client_secret: key.expose(),
    })
}

pub(super) async fn revoke(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    credential: Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = node(&credential)?;
    let rev = rooms
        .issue
        .revoke_credential(node, by, because.reason.as_deref().unwrap_or(NO_REASON))
        .await?;
    ok(Changed { node, rev })
}
