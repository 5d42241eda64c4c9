//! The OAuth doors: token, revocation, introspection.

mod answer;
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
use serde::Serialize;

use super::problem::Problem;
use crate::issue::Issue;

/// Which gateways know of a revocation: the revoke room does.
pub trait Confirmations: Send + Sync + 'static {
    /// Waits until every gateway has confirmed `rev`, at most for `timeout`. `dead_by` of those cut
    /// off is when their tokens end anyway (Unix seconds).
    fn confirmed(
        &self,
        node: NodeId,
        rev: Rev,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Receipt> + Send + '_>>;
}

/// What `wait=all` answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// What was revoked.
    pub node: NodeId,
    /// Its watermark.
    pub rev: Rev,
    /// Gateways that accept it no more.
    pub confirmed: Vec<Confirmed>,
    /// Gateways that were not reached.
    pub cut_off: Vec<CutOff>,
}

/// A gateway that has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Which.
    pub gateway: NodeId,
    /// After how many milliseconds.
    pub ms: u64,
}

/// A gateway that has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutOff {
    /// Which.
    pub gateway: NodeId,
    /// When it is dead there too, in Unix seconds.
    pub dead_by: u64,
}

/// How long `wait=all` waits: four heartbeats.
const WAIT: Duration = Duration::from_secs(2);

/// The routes of the public listener.
pub fn routes(issue: Arc<Issue>, confirmations: Arc<dyn Confirmations>) -> Router {
    Router::new()
        .route("/oauth/token", post(token::post))
        .route("/oauth/revoke", post(revoke::post))
        .route("/oauth/introspect", post(introspect::post))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Doors { issue, confirmations })
}

/// The rooms behind these doors.
#[derive(Clone)]
struct Doors {
    issue: Arc<Issue>,
    confirmations: Arc<dyn Confirmations>,
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use POST").because("method")
}
