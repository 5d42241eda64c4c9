//! The wrapper every route passes: span, time limit, counting of refusals, record of administration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, Method, StatusCode};
use lanyard_token::NodeId;
use tokio::time::Instant as Deadline;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use super::begun::{self, Begun};
use super::problem::{OperatorReason, Problem};
use super::source;
use crate::audit::Audit;
use crate::store::event::By;
use crate::telemetry::server::{self, ServerMeter};

/// No form or document of the API is longer; routes that take more say so themselves.
pub const BODY_LIMIT: usize = 64 * 1024;

/// From a request's head to its answer's head. Streams may be as long as they like after that.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Put into an answer by a door that knows who administers.
#[derive(Clone, Debug)]
pub struct AdministeredBy(pub By);

/// Put into a refusal by a door that knows who was turned away: counted and sampled with the others.
#[derive(Clone, Copy, Debug)]
pub struct TurnedAway(pub NodeId);

#[derive(Clone)]
struct Wrapper {
    audit: Arc<Audit>,
    meter: ServerMeter,
    behind_proxy: bool,
    begun: Option<Begun>,
    stop: CancellationToken,
}

/// Wraps all routes of a listener; nothing is mounted outside. With `begun`, what may change something comes to its end
/// whether or not its caller still waits. Answers that have no end of their own (the feed) end with `stop`, so that a broker
/// that is told to end need not wait for its readers.
pub fn audited(
    routes: Router,
    audit: Arc<Audit>,
    behind_proxy: bool,
    begun: Option<Begun>,
    stop: CancellationToken,
) -> Router {
    routes
        .fallback(async || Problem::not_found("no such route"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this route has other methods",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "something went wrong",
            )
            .because("panic")
            .into_response()
        }))
        .layer(middleware::from_fn_with_state(
            Wrapper {
                audit,
                meter: ServerMeter::new(),
                behind_proxy,
                begun,
                stop,
            },
            wrap,
        ))
}

async fn wrap(State(wrapper): State<Wrapper>, mut request: Request, next: Next) -> Response {
    let network = source::settle(&mut request, wrapper.behind_proxy);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let span = server::span(&method, &route, request.version(), request.headers());
    let began = Instant::now();
    let handled = handled(
        wrapper.clone(),
        (method.clone(), route.clone()),
        request,
        next,
    );
    let answer = tokio::time::timeout(ANSWER_WITHIN, handled)
        .instrument(span.clone())
        .await;
    let mut response = answer.unwrap_or_else(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "this took too long",
        )
        .retry_after(1)
        .because("answer_timeout")
        .into_response()
    });
    let status = response.status();
    server::record_status(&span, status);
    wrapper
        .meter
        .answered(&method, &route, status, began.elapsed());
    if let Some(OperatorReason(reason)) = response.extensions().get() {
        span.record("lanyard.reason", reason);
        // Within the span, so that the sample leads to its trace.
        let network = network.to_string();
        let who = response.extensions().get::<TurnedAway>();
        let who = who.map(|TurnedAway(identity)| *identity);
        span.in_scope(|| wrapper.audit.refused(reason, &route, &network, who));
    }
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.body().size_hint().upper().is_some() {
        return response;
    }
    let stop = wrapper.stop.cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(stop)))
}

/// The handler's answer, with who administered written down: also when nobody waits for the answer any more.
async fn handled(
    wrapper: Wrapper,
    (method, route): (Method, String),
    request: Request,
    next: Next,
) -> Response {
    let begun = wrapper.begun.filter(|_| !only_looks(&method));
    let request = match &begun {
        Some(_) => request.map(|body| begun::until(Deadline::now() + ANSWER_WITHIN, body)),
        None => request,
    };
    let handled = async move {
        let mut response = next.run(request).await;
        if let Some(AdministeredBy(by)) = response.extensions_mut().remove() {
            let status = response.status();
            note_administration(&wrapper.audit, by, &method, &route, status).await;
        }
        response
    };
    match begun {
        Some(begun) => begun.end(handled).await,
        None => handled.await,
    }
}

const fn only_looks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Reading is told to telemetry; changing, also when it was refused, is written to the log.
async fn note_administration(
    audit: &Audit,
    by: By,
    method: &Method,
    route: &str,
    status: StatusCode,
) {
    let action = format!("{} {route}", server::method_word(method));
    tracing::info!(
        name: "lanyard.administered",
        by = ?by, action, "http.response.status_code" = status.as_u16(), "the administrators' door was used"
    );
    if only_looks(method) {
        return;
    }
    if let Err(error) = audit.administered(by, action, status.as_u16()).await {
        // The change itself is an event of its own and names who did it; on a full disk only
        // revocations are taken, and they must not fail for want of this second line.
        tracing::warn!(%error, "who administered could not be written");
    }
}
