//! `/v1/integrations`: what egress may call at third parties.
//!
//! Whoever may change one says where a secret is sent, and is trusted as far as whoever may read it would be.

use axum::extract::{DefaultBodyLimit, State};
use axum::handler::Handler;
use lanyard_token::NodeId;
use serde::Serialize;

use super::Rooms;
use super::answer::{Answer, Because, Document, Part, created, ok};
use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::policy::administration::Action::{IntegrationsRead, IntegrationsWrite};
use crate::vault::integrations::{IntegrationView, NewIntegration};

/// The longest request: an integration, however it is written, and who carries it.
const LONGEST_BODY: usize = 256 * 1_024;

/// The routes of integrations.
pub(super) fn routes() -> Duties<Rooms> {
    let (reads, writes) = (Duty::of(IntegrationsRead), Duty::of(IntegrationsWrite));
    Duties::new()
        .get("/v1/integrations", reads, list)
        .post(
            "/v1/integrations",
            writes,
            put.layer(DefaultBodyLimit::max(LONGEST_BODY)),
        )
        .get("/v1/integrations/{integration}", reads, show)
        .post("/v1/integrations/{integration}/remove", writes, remove)
}

#[derive(Serialize)]
struct List {
    integrations: Vec<IntegrationView>,
}

async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(List {
        integrations: rooms.integrations.list(),
    })
}

/// In the place of the one of its name; the same again changes nothing.
async fn put(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(new): Document<NewIntegration>,
) -> Answer {
    let (view, is_new) = rooms.integrations.put(new, by).await?;
    if is_new { created(view) } else { ok(view) }
}

async fn show(State(rooms): State<Rooms>, _: Administrator, Part(name): Part) -> Answer {
    ok(rooms.integrations.show(&name)?)
}

#[derive(Serialize)]
struct Removed {
    integration: NodeId,
}

async fn remove(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(name): Part,
    Document(because): Document<Because>,
) -> Answer {
    let removed = rooms
        .integrations
        .remove(&name, by, because.reason.as_deref());
    ok(Removed {
        integration: removed.await?,
    })
}
