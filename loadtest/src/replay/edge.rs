//! The gateway in front of the upstream: the SDK's layer around a small forwarding service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use http::{Method, StatusCode};
use lanyard_drift::Millis;
use lanyard_sdk::gateway::{DriftClock, Running, TrustedProxies};
use lanyard_sdk::{DriftMode, Enrolment, Gateway, Route};
use tokio::net::TcpListener;

use super::recording::Recording;
use super::upstream::{BYTES_HEADER, REPLAYED_HEADER, STATUS_HEADER, undelayed};
use super::{BROKEN, SCOPE};

/// The recorded time, told to the drift engine.
#[derive(Debug, Default)]
pub(super) struct RecordedClock(AtomicU64);

impl RecordedClock {
    /// It is now this many milliseconds after the Unix epoch.
    pub(super) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl DriftClock for RecordedClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// Every operation of a recording with the path of its route.
pub(super) struct Paths(BTreeMap<String, String>);

impl Paths {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut paths = BTreeMap::new();
        for call in &recording.calls {
            let number = paths.len();
            paths
                .entry(call.operation.clone())
                .or_insert_with(|| path(number, &call.operation));
        }
        Self(paths)
    }

    pub(super) fn get(&self, operation: &str) -> Option<&str> {
        self.0.get(operation).map(String::as_str)
    }

    fn routes(&self) -> Result<Vec<Route>, lanyard_token::InvalidScope> {
        let scopes: lanyard_token::ScopeSet = SCOPE.parse()?;
        let route = |path: &String| {
            Route::new(Method::POST, path.as_str())
                .scopes(scopes.clone())
                .object("on")
        };
        Ok(self.0.values().map(route).collect())
    }
}

/// A path that is canonical and says what it stands for; the number keeps two operations apart that differ only in
/// characters a path cannot hold.
fn path(number: usize, operation: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
            c
        } else {
            '-'
        }
    };
    let name: String = operation.chars().take(80).map(plain).collect();
    format!("/{number}/{name}")
}

/// A running gateway.
pub(super) struct Edge {
    pub(super) url: String,
    pub(super) running: Running,
}

/// Starts it on a free loopback port and waits until it has a snapshot of the feed.
pub(super) async fn start(
    enrolment: Enrolment,
    state: &Path,
    paths: &Paths,
    clock: Arc<RecordedClock>,
    upstream: SocketAddr,
) -> Result<Edge, Box<dyn std::error::Error>> {
    let (gateway, running) = Gateway::builder()
        .enrolled(enrolment)?
        .feed(state)
        .routes(paths.routes()?)?
        .drift(DriftMode::Enforce)
        .drift_clock(clock)
        .start()?;
    let loopback = TrustedProxies::parse(["127.0.0.0/8"])?;
    let forward = Forward {
        http: crate::broker::http()?,
        upstream,
    };
    let service = Router::new()
        .fallback(forward_call)
        .with_state(forward)
        .layer(gateway.layer().trusting(loopback));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        axum::serve(
            listener.tap_io(undelayed),
            service.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .await
    });
    for _ in 0..500 {
        if gateway.feed().has_snapshot() {
            return Ok(Edge { url, running });
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Err(BROKEN.into())
}

#[derive(Clone)]
struct Forward {
    http: reqwest::Client,
    upstream: SocketAddr,
}

/// Forwards method, path and the recorded answer; nothing of the caller's authorization.
async fn forward_call(State(forward): State<Forward>, request: Request) -> Response {
    let target = format!("http://{}{}", forward.upstream, request.uri().path());
    let mut onward = forward.http.request(request.method().clone(), target);
    for name in [STATUS_HEADER, BYTES_HEADER] {
        if let Some(value) = request.headers().get(name) {
            onward = onward.header(name, value);
        }
    }
    match onward.send().await {
        Ok(answer) => {
            let replayed = answer.headers().get(REPLAYED_HEADER).cloned();
            let mut response =
                (answer.status(), Body::from_stream(answer.bytes_stream())).into_response();
            if let Some(replayed) = replayed {
                response.headers_mut().insert(REPLAYED_HEADER, replayed);
            }
            response
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_that_look_alike_keep_their_own_route() {
        assert_ne!(path(0, "s3:Get"), path(1, "s3/Get"));
        assert_eq!(path(7, "GET /a?b"), "/7/GET--a-b");
    }
}
