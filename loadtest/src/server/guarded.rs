//! Lanyard's layer before the answer, as a service would have it: enrolled, with the feed of a live broker, watching
//! how tokens behave and reporting it.

use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::{StreamExt, stream};
use http::Method;
use lanyard_sdk::{DriftMode, Enrolment, Gateway, Route};

use super::{EVENTS, SCOPE};

/// A broker on the same machine answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn before(
    answer: Router,
    enrolment: &Path,
    state: &Path,
) -> Result<Router, Box<dyn Error>> {
    let enrolment = Enrolment::parse(&std::fs::read_to_string(enrolment)?)?;
    let route = Route::new(Method::GET, "/orders/{id}")
        .scopes(SCOPE.parse()?)
        .object("id");
    let events = Route::new(Method::GET, EVENTS).scopes(SCOPE.parse()?);
    let (gateway, mut running) = Gateway::builder()
        .enrolled(enrolment)?
        .feed(state)
        .routes([route, events])?
        .drift(DriftMode::Observe)
        .start()?;
    tokio::time::timeout(PATIENCE, running.ready()).await??;
    // Feed and reports go on without this handle.
    Ok(answer
        .route(EVENTS, get(events_forever))
        .layer(gateway.layer()))
}

/// An answer that begins and never ends by itself.
async fn events_forever() -> Body {
    let first = stream::once(async { Ok::<_, Infallible>("data: here\n\n") });
    Body::from_stream(first.chain(stream::pending()))
}
