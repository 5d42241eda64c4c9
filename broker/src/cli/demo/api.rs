//! The example API: orders and customers, behind the SDK's layer.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::extract::Path as Segment;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use http::{Method, StatusCode};
use lanyard_sdk::gateway::{Running, TrustedProxies};
use lanyard_sdk::{DriftMode, Enrolment, Gateway, Route, Verified};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::Trouble;

/// Who its tokens are for.
pub(super) const AUDIENCE: &str = "https://shop.example";

/// One replica.
pub(super) struct Replica {
    pub(super) url: String,
    // Its reader of the feed and its reporter stop with it.
    _running: Running,
}

/// Starts a replica on a free loopback port, and waits until it knows what is revoked.
pub(super) async fn start(enrolment: Enrolment, state: &Path) -> Result<Replica, Trouble> {
    let (gateway, running) = Gateway::builder()
        .enrolled(enrolment)?
        .feed(state)
        .routes(routes()?)?
        .drift(DriftMode::Enforce)
        .start()?;
    // The demo's callers live on this machine and say in X-Forwarded-For from where they would come.
    let loopback = TrustedProxies::parse(["127.0.0.0/8"])?;
    let service = Router::new()
        .route("/orders", get(list).post(place))
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/label", post(label))
        .route("/customers/{id}", get(customer))
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
            return Ok(Replica {
                url,
                _running: running,
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the example API got no snapshot of the feed within five seconds".into())
}

/// Small answers leave at once.
fn undelayed(stream: &mut TcpStream) {
    // A connection that just broke is the service's to notice.
    let _ = stream.set_nodelay(true);
}

fn routes() -> Result<Vec<Route>, Trouble> {
    let route = |method, template: &str, scope: &str| -> Result<Route, Trouble> {
        Ok(Route::new(method, template).scopes(scope.parse()?))
    };
    Ok(vec![
        route(Method::GET, "/orders", "orders:read")?,
        route(Method::POST, "/orders", "orders:write")?,
        route(Method::GET, "/orders/{id}", "orders:read")?.object("id"),
        route(Method::POST, "/orders/{id}/label", "orders:write")?.object("id"),
        route(Method::GET, "/customers/{id}", "customers:read")?.object("id"),
    ])
}

async fn list(_: Verified) -> Json<Value> {
    Json(json!({"orders": (0..20).map(|n| json!({"id": n, "total": n * 7})).collect::<Vec<_>>()}))
}

async fn place(token: Verified) -> (StatusCode, Json<Value>) {
    (
        StatusCode::CREATED,
        Json(json!({"placed_by": token.identity()})),
    )
}

async fn order(_: Verified, Segment(id): Segment<u64>) -> Json<Value> {
    Json(json!({"id": id, "total": 4200, "card": "ends in 4242", "street": "Harbour Lane 7"}))
}

async fn label(_: Verified, Segment(id): Segment<u64>) -> Json<Value> {
    Json(json!({"order": id, "label": "printed"}))
}

async fn customer(_: Verified, Segment(id): Segment<u64>) -> Json<Value> {
    Json(json!({"id": id, "name": "A. Customer"}))
}
