//! The gateway as a `tower::Layer`, for axum and whatever else speaks `http`.

mod answer;
mod bearer;
mod passage;

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::extract::{ConnectInfo, OriginalUri};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{Extensions, HeaderMap, HeaderName, Method, Uri, request};
use lanyard_token::{Rejection, Rev};
use tower::{Layer, Service};

pub use self::passage::Passage;

use self::passage::Call;
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
pub struct GatewayLayer(Arc<Door>);

/// What every call asks. Shared: services are cloned for each of them.
struct Door {
    gateway: Gateway,
    proxies: TrustedProxies,
}

/// What of a request is looked at.
#[derive(Clone, Copy)]
struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl GatewayLayer {
    pub(super) fn new(gateway: Gateway) -> Self {
        let proxies = TrustedProxies::default();
        Self(Arc::new(Door { gateway, proxies }))
    }

    /// Which proxies may say where a call came from.
    #[must_use]
    pub fn trusting(self, proxies: TrustedProxies) -> Self {
        let gateway = self.0.gateway.clone();
        Self(Arc::new(Door { gateway, proxies }))
    }
}

impl<S> Layer<S> for GatewayLayer {
    type Service = GatewayService<S>;

    fn layer(&self, service: S) -> Self::Service {
        GatewayService {
            door: Arc::clone(&self.0),
            service,
        }
    }
}

/// A service behind a [`Gateway`].
#[derive(Clone)]
pub struct GatewayService<S> {
    door: Arc<Door>,
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
    type Future = Passage<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let head = Head::of(&request);
        match self.door.decide(head) {
            Ok((Verdict::Allow(lease), wants_rev)) => {
                let_in(&mut self.service, request, lease, wants_rev)
            }
            Ok((Verdict::Deny(denial), _)) | Err(denial) => {
                self.door.denied(head.method, &denial);
                Passage::refused(denial.into_response())
            }
            Ok((Verdict::Unseen, wants_rev)) => {
                // The service that is ready goes along; the next call asks the other whether it is.
                let other = self.service.clone();
                let mut service = mem::replace(&mut self.service, other);
                let door = Arc::clone(&self.door);
                Passage::waiting(async move {
                    let (parts, body) = request.into_parts();
                    match door.wait_and_decide(Head::of_parts(&parts)).await {
                        Ok(lease) => {
                            let request = http::Request::from_parts(parts, body);
                            let_in(&mut service, request, lease, wants_rev).await
                        }
                        Err(denial) => {
                            door.denied(&parts.method, &denial);
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
    service: &mut S,
    mut request: http::Request<Body>,
    lease: Lease,
    wants_rev: bool,
) -> Passage<S::Future, S::Error>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
{
    strip(request.headers_mut());
    let is_safe = request.method().is_safe();
    request
        .extensions_mut()
        .insert(Verified::new(lease.clone()));
    let mut request_bytes = None;
    if !http_body::Body::is_end_stream(request.body()) {
        let count = Arc::new(AtomicU64::new(0));
        request_bytes = Some(Arc::clone(&count));
        let lease = lease.clone();
        request = request.map(|body| Body::new(GuardedBody::request(body, lease, count)));
    }
    let call = Call {
        lease,
        wants_rev,
        is_safe,
        request_bytes,
    };
    Passage::through(service.call(request), call)
}

impl<'r> Head<'r> {
    fn of(request: &'r http::Request<Body>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    const fn of_parts(parts: &'r request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

impl Door {
    /// What can be said at once, and whether the caller wants to know which place of the log it is said at.
    fn decide(&self, head: Head<'_>) -> Result<(Verdict, bool), Denial> {
        let (token, request) = self.question(head)?;
        let inner = &self.gateway.0;
        let verdict = inner.decide_at_once(token, &request, inner.link.clock.now());
        Ok((verdict, request.min_rev.is_some()))
    }

    /// The decision about a token that was not seen before, after its turn in the lane.
    async fn wait_and_decide(&self, head: Head<'_>) -> Result<Lease, Denial> {
        let (token, request) = self.question(head)?;
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
    fn question<'r>(&self, head: Head<'r>) -> Result<(&'r str, Request<'r>), Denial> {
        // Inside a nested router the path is cut; routes and habits speak of the whole one.
        let original = head.extensions.get::<OriginalUri>();
        let uri = original.map_or(head.uri, |OriginalUri(uri)| uri);
        let token = bearer::token(head.headers, uri.query())?;
        let peer = head
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip());
        let request = Request {
            method: head.method,
            path: uri.path(),
            query: uri.query(),
            source: peer.and_then(|peer| self.proxies.source(peer, head.headers)),
            user_agent: head
                .headers
                .get(USER_AGENT)
                .and_then(|agent| agent.to_str().ok()),
            min_rev: min_rev(head.headers)?,
        };
        Ok((token, request))
    }

    /// Reasons are for operators. Neither token nor path nor query stands here: callers put keys into all
    /// of them.
    fn denied(&self, method: &Method, denial: &Denial) {
        let reason = denial.rejection();
        let gateway = &self.gateway;
        let Some(count) = gateway.0.refusals.count(reason, gateway.now().boot) else {
            return;
        };
        tracing::info!(
            name: "lanyard.request.denied",
            {
                http.request.method = method_word(method),
                lanyard.decision = "deny",
                lanyard.reason = reason.reason(),
                lanyard.refusals = count,
            },
            "calls were refused"
        );
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

fn strip(headers: &mut HeaderMap) {
    let is_own = |name: &HeaderName| name.as_str().starts_with(OWN_PREFIX);
    if !headers.keys().any(is_own) {
        return;
    }
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_own(name))
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
}

/// One of a closed set of words, as OpenTelemetry's HTTP conventions have it.
fn method_word(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if KNOWN.contains(method) {
        method.as_str()
    } else {
        "_OTHER"
    }
}
