//! What all calls share: the integrations of the moment, and the gateway that decides about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Request, StatusCode, Version};
use lanyard_sdk::Gateway;
use lanyard_sdk::gateway::{GatewayLayer, TrustedProxies};
use lanyard_token::NodeId;
use tokio::sync::{Notify, Semaphore, watch};
use tower::{Layer, ServiceExt};

use super::answer::Problem;
use super::caller_body;
use super::door::Door;
use super::listener::{ServerName, ends_connection};
use super::meter::{Meter, Operations};
use super::station::Station;
use super::upstream::{Clients, Resolver};

/// Integrations by name.
pub(super) type Stations = BTreeMap<Box<str>, Arc<Station>>;

/// The integrations of the moment, and the gateway with their rules.
pub(super) struct Current {
    pub(super) gateway: Gateway,
    pub(super) stations: Stations,
    pub(super) operations: Operations,
    layer: GatewayLayer,
}

impl Current {
    fn new(gateway: Gateway, stations: Stations, proxies: TrustedProxies) -> Self {
        let routed = gateway.routes().operations();
        let named = |name: &str| stations.get(name).map(|station| station.label());
        Self {
            operations: Operations::new(routed, named),
            layer: gateway.layer().trusting(proxies),
            gateway,
            stations,
        }
    }
}

/// What all calls share.
pub(super) struct Shared {
    current: ArcSwap<Current>,
    proxies: TrustedProxies,
    pub(super) clients: Clients,
    /// For bodies that are kept whole.
    pub(super) room: Arc<Semaphore>,
    /// A call found nothing valid.
    pub(super) hurry: Notify,
    /// Moves with each answer of the broker.
    pub(super) answers: watch::Sender<u64>,
    pub(super) meter: Arc<Meter>,
    /// The egress's own node.
    pub(super) own: Option<NodeId>,
    heard: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        gateway: Gateway,
        proxies: TrustedProxies,
        resolver: Arc<dyn Resolver>,
        own: Option<NodeId>,
    ) -> Arc<Self> {
        let current = Current::new(gateway, Stations::new(), proxies.clone());
        Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            proxies,
            clients: Clients::new(resolver),
            room: caller_body::room(),
            hurry: Notify::new(),
            answers: watch::Sender::new(0),
            meter: Arc::new(Meter::new()),
            own,
            heard: AtomicBool::new(false),
        })
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(super) fn replace(&self, gateway: Gateway, stations: Stations) {
        for gone in self.current.load().stations.keys() {
            if !stations.contains_key(gone) {
                self.meter.lease(gone, None);
            }
        }
        let current = Current::new(gateway, stations, self.proxies.clone());
        self.current.store(Arc::new(current));
    }

    /// Whether an integration is carried as it is here.
    pub(super) fn carries(&self, station: &Arc<Station>) -> bool {
        let current = self.current.load();
        let carried = current.stations.get(station.name());
        carried.is_some_and(|carried| Arc::ptr_eq(carried, station))
    }

    /// Whether the broker still gives something for this integration, in whatever form.
    pub(super) fn is_given(&self, station: &Station) -> bool {
        let current = self.current.load();
        let carried = current.stations.get(station.name());
        carried.is_some_and(|now| now.carried.id == station.carried.id && !now.is_refused())
    }

    /// The broker has answered, and what it gave is in its place.
    pub(super) fn answered(&self) {
        self.heard.store(true, Ordering::Release);
        self.sweep();
        self.answers.send_modify(|answers| *answers += 1);
    }

    /// Forgets what is over.
    pub(super) fn sweep(&self) {
        let current = self.current.load();
        let now = current.gateway.now().boot;
        for (name, station) in &current.stations {
            let leased = station.leased.load();
            let left = leased.as_ref().map(|leased| leased.until.since(now));
            let left = left.filter(|left| !left.is_zero());
            if leased.is_some() && left.is_none() {
                station.leased.store(None);
            }
            self.meter.lease(name, left);
        }
    }

    /// Whether calls can be decided and made.
    fn is_ready(&self) -> bool {
        self.heard.load(Ordering::Acquire) && self.current.load().gateway.feed().has_snapshot()
    }

    /// The door for callers.
    pub(super) fn door(self: &Arc<Self>) -> Router {
        Router::new().fallback(call).with_state(Arc::clone(self))
    }

    /// The door for operators.
    pub(super) fn admin(self: &Arc<Self>) -> Router {
        use axum::routing::get;
        Router::new()
            .route("/livez", get(|| async { "ok" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(self))
    }
}

async fn call(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let is_http_1 = request.version() < Version::HTTP_2;
    let is_last = is_http_1 && ends_connection(request.headers());
    let mut response = match unambiguous(&request) {
        Ok(()) => decided(shared, request).await,
        Err(problem) => problem.into_response(),
    };
    // Whoever sends what cannot be read, or does not come to an end, is not read further.
    let is_unreadable = matches!(
        response.status(),
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT
    ) && response.extensions().get::<Problem>().is_some();
    let is_over = is_last || (is_http_1 && is_unreadable);
    if is_over && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Whether every server reads the same request in this head. What the listener sees before stands there.
fn unambiguous(request: &Request<Body>) -> Result<(), Problem> {
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if second.is_some() || encodings.filter(|value| !is_chunked(value)).count() > 0 {
        return Err(Problem::Ambiguous);
    }
    let authority = request.uri().authority();
    if let Some(name) = request.extensions().get::<ServerName>() {
        let host = host.and_then(|host| host.to_str().ok());
        let called = authority.map(Authority::as_str).or(host);
        // RFC 9110, 15.5.20.
        if called.is_some_and(|called| !name.is_of(called)) {
            return Err(Problem::Misdirected);
        }
    }
    if request.version() >= Version::HTTP_2 {
        // RFC 9113, 8.3.1: they say the same, or there is one.
        let differs = host.zip(authority).is_some_and(|(host, authority)| {
            !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes())
        });
        return if differs {
            Err(Problem::Ambiguous)
        } else {
            Ok(())
        };
    }
    // A whole URL names a host that nobody here asks.
    if authority.is_some() {
        return Err(Problem::AbsoluteForm);
    }
    // RFC 9112, 3.2.
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Problem::Ambiguous);
    }
    Ok(())
}

async fn decided(shared: Arc<Shared>, request: Request<Body>) -> Response {
    let current = shared.current();
    let layer = current.layer.clone();
    let door = Door { shared, current };
    match layer.layer(door).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let (status, word) = if shared.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    (status, Json(serde_json::json!({ "status": word }))).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(http::header::CONTENT_TYPE, kind)], shared.meter.text()).into_response()
}
