//! `/v1/identities/{identity}/keys` and `…/trusts`, `/v1/keys/{credential}/revoke` and `…/enable`.

use axum::extract::State;
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Because, Changed, Document, Part, created, node, ok};
use super::switch::NO_REASON;
use crate::clock::UnixMillis;
use crate::http::caller::Administrator;
use crate::issue::administration::{KeyView, NewTrust};

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
    let expires_at = expiry(&rooms, new.expires_in);
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

/// Another issuer's subject, for so many seconds; absent: until it is revoked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    issuer: String,
    subject: String,
    label: Option<String>,
    #[serde(default)]
    reusable: bool,
    expires_in: Option<u64>,
}

pub(super) async fn trust(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(identity): Part,
    Document(new): Document<Trust>,
) -> Answer {
    let expires_at = expiry(&rooms, new.expires_in);
    let new = NewTrust {
        issuer: new.issuer,
        subject: new.subject,
        label: new.label,
        reusable: new.reusable,
    };
    created(
        rooms
            .issue
            .trust_issuer(&identity, new, expires_at, by)
            .await?,
    )
}

pub(super) async fn enable(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    credential: Part,
    Document(because): Document<Because>,
) -> Answer {
    let node = node(&credential)?;
    let rev = rooms
        .issue
        .enable_credential(node, by, because.reason.as_deref())
        .await?;
    ok(Changed { node, rev })
}

fn expiry(rooms: &Rooms, seconds: Option<u64>) -> Option<UnixMillis> {
    let now = rooms.clock.now();
    seconds.map(|seconds| now.plus_millis(seconds.saturating_mul(1_000)))
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
