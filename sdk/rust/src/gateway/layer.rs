//! The gateway as a `tower::Layer`, for axum and whatever else speaks `http`.

mod answer;
mod bearer;

use std::future::Future;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::extract::{ConnectInfo, OriginalUri};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue, request, response};
use lanyard_token::{Rejection, Rev};
use tower::{Layer, Service};

use super::body::GuardedBody;
use super::decision::Denial;
use super::extract::Verified;
use super::lease::Lease;
use super::source::TrustedProxies;
use super::{Gateway, Request, Verdict, observation};

/// A caller asks for a decision that knows at least this place of the log (a decimal number).
pub const MIN_REV_HEADER: HeaderName = HeaderName::from_static("lanyard-min-rev");

/// The place of the log a decision knew; on answers to callers who sent [`MIN_REV_HEADER`].
pub const REV_HEADER: HeaderName = HeaderName::from_static("lanyard-rev");

/// What only gateways say: removed from whatever a client sends.
const OWN_PREFIX: &str = "x-lanyard-";

/// Puts a [`Gateway`] before a service.
#[derive(Clone)]
pub struct GatewayLayer {
    gateway: Gateway,
    proxies: Arc<TrustedProxies>,
}

impl GatewayLayer {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self {
            gateway,
            proxies: Arc::default(),
        }
    }

    /// Which proxies may say where a call came from.
    #[must_use]
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = GatewayService<S>;

    fn layer(&self, service: S) -> Self::Service {
        GatewayService {
            layer: self.clone(),
            service,
        }
    }
}

/// A service behind a [`Gateway`].
#[derive(Clone)]
pub struct GatewayService<S> {
    layer: GatewayLayer,
    service: S,
}

impl<S, B> Service<http::Request<Body>> for GatewayService<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match self.layer.decide(&parts) {
            Ok((Verdict::Allow(lease), wants_rev)) => {
                let call = (parts, body, lease, wants_rev);
                Box::pin(let_in(&self.layer, &mut self.service, call))
            }
            Ok((Verdict::Deny(denial), _)) | Err(denial) => {
                denied(&self.layer.gateway, &parts, &denial);
                Box::pin(async move { Ok(denial.into_response()) })
            }
            Ok((Verdict::Unseen, wants_rev)) => {
                // The service that is ready goes along; the next call asks the other whether it is.
                let other = self.service.clone();
                let mut service = mem::replace(&mut self.service, other);
                let layer = self.layer.clone();
                Box::pin(async move {
                    match layer.wait_and_decide(&parts).await {
                        Ok(lease) => {
                            let call = (parts, body, lease, wants_rev);
                            let_in(&layer, &mut service, call).await
                        }
                        Err(denial) => {
                            denied(&layer.gateway, &parts, &denial);
                            Ok(denial.into_response())
                        }
                    }
                })
            }
        }
    }
}

/// The way through for a call that is allowed.
fn let_in<S, B>(
    layer: &GatewayLayer,
    service: &mut S,
    (mut parts, body, lease, wants_rev): (request::Parts, Body, Lease, bool),
) -> impl Future<Output = Result<http::Response<Body>, S::Error>> + Send + 'static
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    strip(&mut parts.headers);
    parts.extensions.insert(Verified::new(lease.clone()));
    let clock = Arc::clone(&layer.gateway.0.link.clock);
    let (body, request_bytes) = if http_body::Body::is_end_stream(&body) {
        (body, None)
    } else {
        let count = Arc::new(AtomicU64::new(0));
        let (lease, clock) = (lease.clone(), Arc::clone(&clock));
        let body = GuardedBody::request(body, lease, clock, Arc::clone(&count));
        (Body::new(body), Some(count))
    };
    let response = service.call(http::Request::from_parts(parts, body));
    async move {
        let (mut parts, body) = response.await?.into_parts();
        if wants_rev {
            add_rev(&mut parts, &lease);
        }
        let status = parts.status.as_u16();
        let body = GuardedBody::response(body, lease, clock, status, request_bytes);
        Ok(http::Response::from_parts(parts, Body::new(body)))
    }
}

impl GatewayLayer {
    /// What can be said at once, and whether the caller wants to know which place of the log it is said at.
    fn decide(&self, parts: &request::Parts) -> Result<(Verdict, bool), Denial> {
        let (token, request) = self.question(parts)?;
        let inner = &self.gateway.0;
        let verdict = inner.decide_at_once(token, &request, inner.link.clock.now());
        Ok((verdict, request.min_rev.is_some()))
    }

    /// The decision about a token that was not seen before, after its turn in the lane.
    async fn wait_and_decide(&self, parts: &request::Parts) -> Result<Lease, Denial> {
        let (token, request) = self.question(parts)?;
        let inner = &self.gateway.0;
        let source = request.source.map_or(0, observation::network);
        let answer = inner.lane.enter(inner, token, source)?;
        // Without an answer there is no thread to give one.
        let grant = answer
            .await
            .unwrap_or_else(|_| Err(Rejection::Busy.into()))?;
        // Asking for the token again would check the signature of a twin here, where nothing bounds it.
        inner.decide_seen(grant, &request, self.gateway.now())
    }

    /// What a call asks, and with which token.
    fn question<'p>(&self, parts: &'p request::Parts) -> Result<(&'p str, Request<'p>), Denial> {
        // Inside a nested router the path is cut; routes and habits speak of the whole one.
        let original = parts.extensions.get::<OriginalUri>();
        let uri = original.map_or(&parts.uri, |OriginalUri(uri)| uri);
        let token = bearer::token(&parts.headers, uri.query())?;
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let request = Request {
            method: &parts.method,
            path: uri.path(),
            query: uri.query(),
            source: peer.and_then(|peer| self.proxies.source(peer, &parts.headers)),
            user_agent: parts
                .headers
                .get(USER_AGENT)
                .and_then(|agent| agent.to_str().ok()),
            min_rev: min_rev(&parts.headers)?,
        };
        Ok((token, request))
    }
}

fn min_rev(headers: &HeaderMap) -> Result<Option<Rev>, Denial> {
    let Some(value) = headers.get(MIN_REV_HEADER) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number
        .and_then(Rev::from_u64)
        .map(Some)
        .ok_or_else(|| Rejection::Ambiguous.into())
}

fn add_rev(parts: &mut response::Parts, lease: &Lease) {
    parts
        .headers
        .insert(REV_HEADER, HeaderValue::from(lease.decided_at().as_u64()));
}

fn strip(headers: &mut HeaderMap) {
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(OWN_PREFIX))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
}

/// Reasons are for operators. Neither token nor path nor query stands here: callers put keys into all
/// of them.
fn denied(gateway: &Gateway, parts: &request::Parts, denial: &Denial) {
    let reason = denial.rejection();
    let Some(count) = gateway.0.refusals.count(reason, gateway.now().boot) else {
        return;
    };
    tracing::info!(
        name: "lanyard.request.denied",
        {
            http.request.method = method_word(&parts.method),
            lanyard.decision = "deny",
            lanyard.reason = reason.reason(),
            lanyard.refusals = count,
        },
        "calls were refused"
    );
}

/// One of a closed set of words, as OpenTelemetry's HTTP conventions have it.
fn method_word(method: &http::Method) -> &str {
    const KNOWN: [http::Method; 9] = [
        http::Method::GET,
        http::Method::POST,
        http::Method::PUT,
        http::Method::PATCH,
        http::Method::DELETE,
        http::Method::HEAD,
        http::Method::OPTIONS,
        http::Method::TRACE,
        http::Method::CONNECT,
    ];
    if KNOWN.contains(method) {
        method.as_str()
    } else {
        "_OTHER"
    }
}
