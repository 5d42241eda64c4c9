//! The OAuth doors: token, revocation, introspection, and asking for approval.

mod answer;
mod approvals;
mod client;
mod doorkeeper;
mod form;
mod introspect;
mod revoke;
mod token;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use lanyard_token::{NodeId, Rev};

use super::begun::Begun;
use super::problem::Problem;
use crate::issue::Issue;

/// Which gateways know of a revocation: the revoke room does.
pub trait Confirmations: Send + Sync + 'static {
    /// Waits until every gateway has confirmed `rev`, at most for `timeout`, and gives the receipt as
    /// JSON: `node`, `rev`, `confirmed` and `cut_off`. `expires_at` (Unix seconds) is when a token
    /// would have ended anyway, so the latest moment at which it is dead on a gateway that was not
    /// reached; `None` for a credential.
    fn confirmed(
        &self,
        node: NodeId,
        rev: Rev,
        expires_at: Option<u64>,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = serde_json::Value> + Send + '_>>;
}

/// How long `wait=all` waits: four heartbeats.
pub(in crate::http) const WAIT: Duration = Duration::from_secs(2);

/// The routes of the public listener.
pub fn routes(issue: Arc<Issue>, confirmations: Arc<dyn Confirmations>, begun: Begun) -> Router {
    Router::new()
        .route("/oauth/token", post(token::post))
        .route("/oauth/revoke", post(revoke::post))
        .route("/oauth/introspect", post(introspect::post))
        .route("/oauth/approvals", post(approvals::request))
        .route("/oauth/approvals/{approval}", post(approvals::show))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Doors {
            issue,
            confirmations,
            begun,
        })
}

/// The rooms behind these doors.
#[derive(Clone)]
struct Doors {
    issue: Arc<Issue>,
    confirmations: Arc<dyn Confirmations>,
    begun: Begun,
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request",
        "use POST",
    )
    .because("method")
}
