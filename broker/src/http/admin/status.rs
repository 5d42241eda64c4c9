//! `/v1/status`, and the token only the Unix socket hands out.

use axum::extract::State;
use lanyard_token::{Rev, ScopeSet};
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Document, created, ok};
use crate::http::caller::Administrator;

#[derive(Serialize)]
struct Status<'a> {
    issuer: &'a str,
    version: &'static str,
    ready: bool,
    store_writable: bool,
    keys_loaded: bool,
    epoch: u16,
    head: Rev,
    owners: usize,
    identities: usize,
    live_tokens: usize,
    feed_readers: usize,
}

pub(super) async fn status(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    let vitals = (rooms.pulse)();
    let (owners, identities, live_tokens) = rooms.issue.state().read(|book| {
        (
            book.owners().count(),
            book.identities().count(),
            book.live_tokens(),
        )
    });
    ok(Status {
        issuer: rooms.issue.issuer(),
        version: env!("CARGO_PKG_VERSION"),
        ready: vitals.ready(),
        store_writable: vitals.store_writable,
        keys_loaded: vitals.keys_loaded,
        epoch: vitals.head.epoch(),
        head: vitals.head,
        owners,
        identities,
        live_tokens,
        feed_readers: vitals.feed_readers,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Shown this once.
#[derive(Serialize)]
struct AdminToken<'a> {
    token: &'a str,
    expires_in: u64,
    scope: &'a ScopeSet,
}

pub(super) async fn admin_token(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    let issued = rooms.issue.local_admin_token(by).await?;
    created(AdminToken {
        token: issued.token.expose(),
        expires_in: issued.expires_in,
        scope: &issued.scope,
    })
}
