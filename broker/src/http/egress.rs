//! Egress's door to the vault: what it used comes in, what it may use now goes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, Door, Doorkeeper, admit};
use super::problem::Problem;
use super::wording;
use crate::clock::Clock;
use crate::vault::integrations::{AskedLeases, EGRESS_SCOPE, Integrations};

/// The longest request: as many uses as it may tell of.
const LONGEST: usize = 1 << 20;
/// The longest wait for something new, in seconds: an answer has to be there within thirty.
const LONGEST_WAIT: u64 = 25;

#[derive(Clone)]
struct Rooms {
    integrations: Arc<Integrations>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

/// `POST /v1/egress/leases`, for the public listener; those who wait are answered at `stop`.
pub fn routes(
    integrations: Arc<Integrations>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Router {
    Router::new()
        .route(
            "/v1/egress/leases",
            post(leases).layer(DefaultBodyLimit::max(LONGEST)),
        )
        .with_state(Rooms {
            integrations,
            doorkeeper,
            clock,
            stop,
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    #[serde(default)]
    wait: u64,
}

async fn leases(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    patience: Result<Query<Patience>, QueryRejection>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let gateway = rooms.admit(&headers)?.identity;
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip().to_canonical());
    let Query(Patience { wait }) =
        patience.map_err(|_| Problem::invalid_request("`wait` is a number of seconds"))?;
    rooms.integrations.admit(gateway).map_err(|_| {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            "too many requests: ask every 20 seconds, and when something changes",
        )
        .retry_after(1)
        .because("egress_rate")
    })?;
    let asked = read(body)?;
    rooms.integrations.told(gateway, &asked).await?;
    if let Some(known) = asked.known.as_deref().filter(|_| wait > 0) {
        let longest = Duration::from_secs(wait.min(LONGEST_WAIT));
        tokio::select! {
            () = rooms.integrations.wait(gateway, known, longest) => {}
            () = rooms.stop.cancelled() => {}
        }
        // Whoever was let in half a minute ago may have been shown out since.
        rooms.admit(&headers)?;
    }
    let (known, network) = (asked.known.as_deref(), peer);
    let given = rooms.integrations.lease(gateway, known, network).await?;
    let json = given.to_json();
    let about = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "application/json"),
    ];
    // The buffer is wiped when the last of it was written.
    Ok((about, Body::from(Bytes::from_owner(json))).into_response())
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<AskedLeases, Problem> {
    let body = body.map_err(|rejection| {
        Problem::new(
            rejection.status(),
            "invalid_request",
            "the body cannot be read",
        )
        .because("body")
    })?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        // A list would be read as the members in their order, without their names.
        return Err(Problem::invalid_request("the body is a JSON object").because("body"));
    }
    serde_json::from_slice(&body).map_err(|error| {
        Problem::invalid_request(wording::of_json(&error)).because("egress_malformed")
    })
}

impl Rooms {
    fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        admit(
            self.doorkeeper.as_ref(),
            headers,
            Door::Public,
            EGRESS_SCOPE,
            self.clock.now(),
        )
    }
}
