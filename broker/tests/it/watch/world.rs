//! A trust domain with two gateways that serve orders, one that serves mail, and identities; the
//! watch room behind its real doors on the loopback interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use lanyard::clock::{Clock, ManualClock, UnixMillis};
use lanyard::http::begun::Begun;
use lanyard::http::caller::{Administrator, Caller, Door, Doorkeeper};
use lanyard::http::{drift, reports};
use lanyard::store::event::{
    By, Cause, Grant, Identity, IssuedToken, Judgement, Kind, Response, TokenDigest,
};
use lanyard::store::memory::MemoryStore;
use lanyard::store::{Event, Store};
use lanyard::watch::baseline::{BaselineError, BaselineStore};
use lanyard::watch::state::WatchState;
use lanyard::watch::{Watch, WatchConfig};
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::parcel::Packing;
use lanyard_drift::{
    Bounds, Millis, Object, OperationId, Outcome, Signal, TaskFit, Thresholds, TokenReport, Tracker,
};
use lanyard_token::{Claims, Lineage, NodeId, Rejection, Rev};
use serde_json::{Value, json};

pub(super) const ORDERS: &str = "https://orders.example";
pub(super) const MAIL: &str = "https://mail.example";
/// Gateways; their bearer tokens are their numbers.
pub(super) const GATEWAY: u64 = 0xa1;
pub(super) const SECOND_GATEWAY: u64 = 0xa2;
pub(super) const MAIL_GATEWAY: u64 = 0xa3;
/// One that serves orders too, and whose word about hard rules stands alone.
pub(super) const SOLE_GATEWAY: u64 = 0xa4;
/// Identities.
pub(super) const SERVICE: u64 = 0xb1;
pub(super) const SIBLING: u64 = 0xb2;

pub(super) fn node(n: u64) -> NodeId {
    NodeId::from_u64(n)
}

/// Habits that outlive one watch room.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    now: Arc<std::sync::Mutex<Option<Vec<u8>>>>,
    before: Arc<std::sync::Mutex<Option<Vec<u8>>>>,
}

impl Shelf {
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        self.now.lock().unwrap().take()
    }

    pub(super) fn lose_before(&self) {
        self.before.lock().unwrap().take();
    }

    pub(super) fn put(&self, bytes: Vec<u8>) {
        *self.now.lock().unwrap() = Some(bytes);
    }
}

impl BaselineStore for Shelf {
    fn load(&self) -> Result<Option<Vec<u8>>, BaselineError> {
        Ok(self.now.lock().unwrap().clone())
    }
    fn load_before(&self) -> Result<Option<Vec<u8>>, BaselineError> {
        Ok(self.before.lock().unwrap().clone())
    }
    fn save(&self, plain: &[u8]) -> Result<(), BaselineError> {
        let before = self.take();
        *self.before.lock().unwrap() = before;
        self.put(plain.to_vec());
        Ok(())
    }
    fn set_aside(&self) -> Result<(), BaselineError> {
        self.take();
        Ok(())
    }
}

/// Knows gateways by their numbers; everybody else is nobody.
struct Numbers;

impl Doorkeeper for Numbers {
    fn admit(
        &self,
        token: &str,
        door: Door,
        scope: &str,
        _: UnixMillis,
    ) -> Result<Caller, Rejection> {
        let identity: NodeId = token.parse().map_err(|_| Rejection::Malformed)?;
        if door != Door::Public || scope != "lanyard:report" {
            return Err(Rejection::Audience);
        }
        Ok(Caller {
            identity,
            token: identity,
            scopes: "lanyard:report".parse().unwrap(),
        })
    }
}

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) watch: Arc<Watch>,
    pub(super) state: Arc<WatchState>,
    pub(super) shelf: Shelf,
    url: String,
    http: reqwest::Client,
    numbers: AtomicU64,
    _server: tokio::task::JoinHandle<()>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(WatchConfig::default()).await
    }

    pub(super) async fn with(config: WatchConfig) -> Self {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
        let state = Arc::new(WatchState::new());
        let store = Arc::new(MemoryStore::new(clock.clone(), vec![state.clone()]));
        let shelf = Shelf::default();
        let (watch, _) = Watch::open(
            state.clone(),
            store.clone(),
            clock.clone(),
            Box::new(shelf.clone()),
            config,
        );

        let doors = Router::new()
            .merge(reports::routes(
                watch.clone(),
                Arc::new(Numbers),
                clock.clone(),
                Begun::default(),
            ))
            .merge(
                drift::routes(watch.clone())
                    .apart()
                    .0
                    .layer(from_fn(as_administrator)),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, doors).await.unwrap() });

        let _ = rustls::crypto::ring::default_provider().install_default();
        let numbers = AtomicU64::new(1);
        let http = reqwest::Client::new();
        let world = Self {
            clock,
            store,
            watch,
            state,
            shelf,
            url,
            http,
            numbers,
            _server: server,
        };
        for (gateway, audience) in [
            (GATEWAY, ORDERS),
            (SECOND_GATEWAY, ORDERS),
            (MAIL_GATEWAY, MAIL),
            (SOLE_GATEWAY, ORDERS),
        ] {
            world.create(gateway, Kind::Gateway, audience).await;
        }
        world.create(SERVICE, Kind::Service, ORDERS).await;
        world.create(SIBLING, Kind::Service, ORDERS).await;
        world
    }

    pub(super) async fn create_service(&self, identity: u64) {
        self.create(identity, Kind::Service, ORDERS).await;
    }

    async fn create(&self, identity: u64, kind: Kind, audience: &str) {
        let grant = Identity {
            name: format!("n{identity:x}"),
            owner: node(1),
            kind,
            tags: vec!["test".to_owned()],
            audiences: vec![audience.parse().unwrap()],
            scopes: "orders:read".parse().unwrap(),
            max_lifetime: 3_600,
            sole_witness: identity == SOLE_GATEWAY,
        };
        let created = Event::IdentityCreated {
            identity: node(identity),
            grant: Box::new(grant),
            by: By::Broker,
        };
        self.store.append(vec![created]).await.unwrap();
    }

    /// A token for an identity's only credential.
    pub(super) async fn issue(&self, identity: u64) -> Token {
        let now = self.clock.now().seconds();
        let jti = self.store.nodes().next();
        let claims = Claims {
            iss: "https://broker.example".to_owned(),
            sub: node(identity).to_string(),
            client_id: node(identity).to_string(),
            aud: ORDERS.parse().unwrap(),
            exp: now + 3_600,
            iat: now,
            nbf: None,
            jti,
            scope: "orders:read".parse().unwrap(),
            rev: self.store.head(),
            lin: Lineage::of_credential(node(1), node(identity), credential(identity)),
            act: None,
            cnf: None,
            authorization_details: None,
            bsl: None,
        };
        let digest = TokenDigest(jti.as_u64().to_le_bytes());
        let issued = IssuedToken {
            claims,
            key: "A".repeat(43).parse().unwrap(),
            digest,
            grant: Grant::ClientCredentials,
            decided: None,
        };
        self.store
            .append(vec![Event::TokenIssued(Box::new(issued))])
            .await
            .unwrap();
        Token {
            jti,
            identity,
            digest: format!("{:016x}", u64::from_be_bytes(digest.0)),
        }
    }

    /// Sends a report of one entry; the answer.
    pub(super) async fn report(&self, gateway: u64, token: &Token, report: &TokenReport) -> Value {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        let body = packed(token, report).sealed(42, number, b"");
        let (status, answer) = self.send_compact(gateway, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Sends bytes as a report in the compact form.
    pub(super) async fn send_compact(&self, gateway: u64, body: Vec<u8>) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}/v1/reports", self.url))
            .bearer_auth(node(gateway))
            .header("content-type", "application/vnd.lanyard.reports")
            .body(body);
        answer(request).await
    }

    /// The next report of the run that all gateways of this world share.
    pub(super) fn body(&self, entries: Vec<Value>) -> Value {
        let seq = self.numbers.fetch_add(1, Ordering::SeqCst);
        json!({"epoch": 42, "seq": seq, "entries": entries, "shadow_routes": []})
    }

    pub(super) async fn send(&self, gateway: u64, body: &str) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}/v1/reports", self.url))
            .bearer_auth(node(gateway))
            .header("content-type", "application/json")
            .body(body.to_owned());
        answer(request).await
    }

    pub(super) async fn bounds(&self, gateway: u64, identity: u64) -> (u16, Value) {
        let url = format!("{}/v1/baselines/{}", self.url, node(identity));
        answer(self.http.get(url).bearer_auth(node(gateway))).await
    }

    /// Asks for bounds that are not these; status and the tag of those there are.
    pub(super) async fn bounds_unless(
        &self,
        gateway: u64,
        identity: u64,
        known: &str,
    ) -> (u16, String) {
        let url = format!("{}/v1/baselines/{}", self.url, node(identity));
        let request = self.http.get(url).bearer_auth(node(gateway));
        let response = request.header("if-none-match", known).send().await.unwrap();
        let tag = response.headers()["etag"].to_str().unwrap().to_owned();
        (response.status().as_u16(), tag)
    }

    /// A written form by its name, unless the gateway knows these: status, `Cache-Control`, bytes.
    pub(super) async fn written(
        &self,
        gateway: u64,
        path: &str,
        known: &str,
    ) -> (u16, String, Vec<u8>) {
        let url = format!("{}{path}", self.url);
        let request = self.http.get(url).bearer_auth(node(gateway));
        let response = request.header("if-none-match", known).send().await.unwrap();
        let caching = response.headers().get("cache-control");
        let caching = caching.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap().to_vec();
        (status, caching.unwrap_or_default(), bytes)
    }

    /// Whose bounds have changed.
    pub(super) async fn changes(&self, gateway: u64, query: &str) -> (u16, Value) {
        let url = format!("{}/v1/baselines{query}", self.url);
        answer(self.http.get(url).bearer_auth(node(gateway))).await
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}{path}", self.url))).await
    }

    /// An answer that is no document, as it is.
    pub(super) async fn text(&self, path: &str) -> String {
        let response = self.http.get(format!("{}{path}", self.url)).send().await;
        let response = response.unwrap().error_for_status().unwrap();
        response.text().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url));
        answer(
            request
                .header("content-type", "application/json")
                .body(body.to_owned()),
        )
        .await
    }

    /// A tracker as a gateway would hold it: with the bounds that the broker gives.
    pub(super) async fn tracker(&self, identity: u64) -> Tracker {
        let (status, answer) = self.bounds(GATEWAY, identity).await;
        assert_eq!(status, 200, "{answer}");
        let bounds: Bounds = serde_json::from_value(answer["bounds"].clone()).unwrap();
        Tracker::new(self.millis(), bounds)
    }

    /// Two thousand ordinary calls of an identity over many tokens, reported and learned.
    pub(super) async fn learn(&self, identity: u64) {
        self.learn_calls(identity, Self::ordinary).await;
    }

    /// The same with other calls.
    pub(super) async fn learn_calls(&self, identity: u64, calls: fn(&Self, &mut Tracker, u64)) {
        for _ in 0..20 {
            let token = self.issue(identity).await;
            let mut tracker = self.tracker(identity).await;
            calls(self, &mut tracker, 101);
            self.report(GATEWAY, &token, &tracker.report().unwrap())
                .await;
        }
        let learned = self.watch.identity(node(identity)).unwrap().calls;
        assert!(learned >= 1_500, "{learned} calls learned");
    }

    /// What the service always does: some lists, some objects in no order, from one place, one call
    /// a second.
    pub(super) fn ordinary(&self, tracker: &mut Tracker, calls: u64) {
        for call in 0..calls {
            self.clock.advance_millis(1_000 + call % 7);
            let name = [
                "GET /orders",
                "GET /orders/{id}",
                "GET /orders/{id}",
                "POST /orders",
            ][usize::try_from(call % 4).unwrap()];
            let object = (name == "GET /orders/{id}")
                .then(|| Object::of(&(call * 7_919 % 10_007).to_string()));
            tracker.observe(&event(name, object, 1), self.millis());
            let outcome = Outcome {
                status: Some(200),
                request_bytes: Some(300),
                response_bytes: Some(1_000),
            };
            tracker.settle(&outcome, self.millis());
        }
    }

    /// The same operations as in [`World::ordinary`], in another order.
    pub(super) fn turned(&self, tracker: &mut Tracker, calls: u64) {
        for call in 0..calls {
            self.clock.advance_millis(1_000 + call % 7);
            let name = ["POST /orders", "POST /orders", "GET /orders"];
            let name = name[usize::try_from(self.clock.now().0 / 1_000 % 3).unwrap()];
            tracker.observe(&event(name, None, 1), self.millis());
        }
    }

    /// Walks object ids until the tracker refuses; how many calls got through.
    pub(super) fn walk(&self, tracker: &mut Tracker) -> u64 {
        for id in 0..10_000 {
            self.clock.advance_millis(100);
            let object = Some(Object::of(&(50_000 + id).to_string()));
            if let Signal::HardRule(_) =
                tracker.observe(&event("GET /orders/{id}", object, 1), self.millis())
            {
                return id;
            }
        }
        panic!("ten thousand objects in a row, and nobody objected");
    }

    /// Other operations in another order, from another network and client.
    pub(super) fn masquerade(&self, tracker: &mut Tracker, calls: u64) {
        for call in 0..calls {
            self.clock.advance_millis(1_000);
            let name = [
                "GET /export",
                "GET /customers",
                "DELETE /orders/{id}",
                "GET /keys",
                "PUT /roles",
            ][usize::try_from(call % 5).unwrap()];
            tracker.observe(&event(name, None, 666), self.millis());
        }
    }

    /// Mostly ordinary calls, and a few operations that the service never uses.
    pub(super) fn probe(&self, tracker: &mut Tracker) {
        self.ordinary(tracker, 40);
        for name in [
            "DELETE /orders",
            "GET /admin",
            "PUT /roles",
            "GET /keys",
            "POST /keys",
        ] {
            self.clock.advance_millis(1_000);
            tracker.observe(&event(name, None, 1), self.millis());
            let denied = Outcome {
                status: Some(403),
                ..Outcome::default()
            };
            tracker.settle(&denied, self.millis());
        }
    }

    /// A call to a destination outside the token's task.
    pub(super) fn leave_task(&self, tracker: &mut Tracker) {
        self.clock.advance_millis(100);
        let outside = lanyard_drift::Event {
            task: Some(TaskFit::OutsideDestination),
            ..event("GET /orders", None, 1)
        };
        assert!(matches!(
            tracker.observe(&outside, self.millis()),
            Signal::HardRule(_)
        ));
    }

    pub(super) fn cold_tracker(&self) -> Tracker {
        Tracker::new(self.millis(), Bounds::cold(&Thresholds::default()))
    }

    /// Everything in the log, in order.
    pub(super) fn log(&self) -> Vec<Event> {
        let records = self.store.read(Rev::ZERO, usize::MAX).unwrap();
        records
            .into_iter()
            .flat_map(|record| record.events)
            .collect()
    }

    pub(super) fn verdicts(&self) -> Vec<Judgement> {
        let judged = |event| match event {
            Event::Judged(judgement) => Some(*judgement),
            _ => None,
        };
        self.log().into_iter().filter_map(judged).collect()
    }

    /// What was ended, and why.
    pub(super) fn revoked(&self) -> Vec<(NodeId, Cause)> {
        let revoked = |event| match event {
            Event::Revoked { node, cause, .. } => Some((node, cause)),
            _ => None,
        };
        self.log().into_iter().filter_map(revoked).collect()
    }

    /// The tokens that were recycled.
    pub(super) fn recycled(&self) -> Vec<NodeId> {
        let recycled = |(node, cause)| matches!(cause, Cause::Recycled(_)).then_some(node);
        self.revoked().into_iter().filter_map(recycled).collect()
    }

    pub(super) fn suspended(&self) -> Vec<NodeId> {
        let suspended = |event| match event {
            Event::Suspended { node, .. } => Some(node),
            _ => None,
        };
        self.log().into_iter().filter_map(suspended).collect()
    }

    pub(super) fn responses(&self) -> Vec<(Response, bool)> {
        let responded = |event| match event {
            Event::Responded {
                response, enforced, ..
            } => Some((response, enforced)),
            _ => None,
        };
        self.log().into_iter().filter_map(responded).collect()
    }

    fn millis(&self) -> Millis {
        Millis(self.clock.now().0)
    }
}

/// What one token did, as gateways pack it.
pub(super) fn packed(token: &Token, report: &TokenReport) -> Packing {
    let mut packing = Packing::default();
    let digest = u64::from_str_radix(&token.digest, 16)
        .unwrap()
        .to_be_bytes();
    let named = (SubjectId(token.jti.as_u64()), digest);
    let identity = SubjectId(node(token.identity).as_u64());
    assert!(packing.add(named, identity, report));
    packing
}

pub(super) struct Token {
    pub(super) jti: NodeId,
    pub(super) identity: u64,
    pub(super) digest: String,
}

impl Token {
    pub(super) fn entry(&self, report: &TokenReport) -> Value {
        json!({"token": self.jti, "identity": node(self.identity), "digest": self.digest, "report": report})
    }
}

pub(super) fn credential(identity: u64) -> NodeId {
    node(0x1000 + identity)
}

fn event(name: &str, object: Option<Object>, place: u64) -> lanyard_drift::Event {
    lanyard_drift::Event {
        object,
        source: Some(place),
        client: Some(place),
        ..lanyard_drift::Event::of(OperationId::of(&format!("{ORDERS} {name}")))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// Stands where the administrators' door stands: it has let somebody in.
async fn as_administrator(mut request: Request, next: Next) -> axum::response::Response {
    request
        .extensions_mut()
        .insert(Administrator(By::Socket { uid: 0 }));
    next.run(request).await
}
