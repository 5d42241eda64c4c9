//! A revoke room over a log in memory, with a root, a feed key, and its doors on loopback.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard::clock::{Clock, SystemClock, UnixMillis};
use lanyard::crypto::{SealingRoot, SigningKeyPair, seal_signing_key};
use lanyard::http::caller::{Caller, Door, Doorkeeper};
use lanyard::revoke::{FEED_SCOPE, Revoke, RevokeState};
use lanyard::store::event::{By, Cause, SigningKey};
use lanyard::store::memory::MemoryStore;
use lanyard::store::{Event, Projection, Store};
use lanyard_sdk::feed::{FeedConfig, FeedView, StaticToken};
use lanyard_token::{
    Algorithm, Delegation, KeyId, KeyUse, NodeId, PublicKey, Rejection, Rev, RootKey,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub(crate) const MAX_LIFETIME: u64 = 3_600;

pub(crate) struct World {
    pub(crate) seal: Arc<SealingRoot>,
    pub(crate) state: Arc<RevokeState>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) room: Arc<Revoke>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) issuer: String,
    root: SigningKeyPair,
    delegations: Arc<Mutex<Vec<String>>>,
}

/// Lets in `gateway-N` as node N, unless turned out.
#[derive(Default)]
pub(crate) struct Gate(pub(crate) Mutex<BTreeSet<u64>>);

impl Doorkeeper for Gate {
    fn admit(
        &self,
        token: &str,
        door: Door,
        scope: &str,
        _: UnixMillis,
    ) -> Result<Caller, Rejection> {
        let number = token
            .strip_prefix("gateway-")
            .and_then(|number| number.parse::<u64>().ok());
        let number = number.ok_or(Rejection::Malformed)?;
        if self.0.lock().unwrap().contains(&number) {
            return Err(Rejection::Revoked);
        }
        assert_eq!((door, scope), (Door::Public, FEED_SCOPE));
        let scopes = FEED_SCOPE.parse().unwrap();
        Ok(Caller {
            identity: node(number),
            token: node(1_000 + number),
            scopes,
        })
    }
}

impl World {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::beside(clock, None)
    }

    /// With another room's projection over the same log.
    pub(crate) fn beside(clock: Arc<dyn Clock>, other: Option<Arc<dyn Projection>>) -> Self {
        let seal = Arc::new(SealingRoot::from_bytes(&[7; 32]));
        let state = Arc::new(RevokeState::new(Arc::clone(&seal)));
        let mut projections: Vec<Arc<dyn Projection>> = vec![state.clone()];
        projections.extend(other);
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), projections));
        let room = Arc::new(Revoke::new(
            state.clone(),
            store.clone(),
            clock,
            MAX_LIFETIME,
        ));
        let root = pair(&SigningKeyPair::generate(Algorithm::EdDsa).unwrap());
        let world = Self {
            seal,
            state,
            store,
            room,
            gate: Arc::default(),
            issuer: String::new(),
            root,
            delegations: Arc::default(),
        };
        world.add_key(UnixMillis(0), UnixMillis(u64::MAX));
        world
    }

    /// With its doors open and the room at work.
    pub(crate) async fn open() -> Self {
        Self::open_beside(None).await
    }

    /// The same, with another room's projection over the same log.
    pub(crate) async fn open_beside(other: Option<Arc<dyn Projection>>) -> Self {
        let clock = Arc::new(SystemClock);
        let mut world = Self::beside(clock.clone(), other);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.issuer = format!("http://{}", listener.local_addr().unwrap());
        world.delegate_again();
        let delegations = Arc::clone(&world.delegations);
        let keys = move || {
            let texts = delegations.lock().unwrap().clone();
            async move { axum::Json(serde_json::json!({ "delegations": texts })) }
        };
        let routes = Router::new()
            .route("/v1/keys", get(keys))
            .merge(lanyard::http::feed::routes(
                world.room.clone(),
                world.gate.clone(),
                clock,
            ));
        // As the broker's own listener has it: else a frame behind a heartbeat waits for the reader's late ACK.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let room = world.room.clone();
        tokio::spawn(async move { room.run(std::future::pending()).await });
        world
    }

    /// A new feed key, in the log.
    pub(crate) fn add_key(&self, signs_from: UnixMillis, signs_until: UnixMillis) -> KeyId {
        let pkcs8 = SigningKeyPair::generate(Algorithm::EdDsa).unwrap();
        let public = pair(&pkcs8).public().unwrap();
        let key = public.thumbprint();
        let record = SigningKey {
            key,
            key_use: KeyUse::Feed,
            algorithm: Algorithm::EdDsa,
            sealed: seal_signing_key(&self.seal, key, &pkcs8).unwrap(),
            delegation: URL_SAFE_NO_PAD.encode(public.raw()),
            signs_from,
            signs_until,
            verifies_until: signs_until,
        };
        self.append(Event::SigningKeyAdded(Box::new(record)));
        key
    }

    /// The root's word for every feed key in the log, for this issuer.
    fn delegate_again(&self) {
        let now = SystemClock.now().seconds();
        let mut texts = self.delegations.lock().unwrap();
        texts.clear();
        for record in self.store.read(Rev::ZERO, 10_000).unwrap() {
            for event in &record.events {
                let Event::SigningKeyAdded(key) = event else {
                    continue;
                };
                let raw = URL_SAFE_NO_PAD.decode(&key.delegation).unwrap();
                let public = PublicKey::from_raw(Algorithm::EdDsa, &raw).unwrap();
                let input = Delegation::signing_input(
                    &self.issuer,
                    &public,
                    KeyUse::Feed,
                    now,
                    now + 86_400,
                );
                let signature = self.root.sign(input.as_bytes()).unwrap();
                texts.push(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)));
            }
        }
    }

    pub(crate) fn append(&self, event: Event) -> Rev {
        futures::executor::block_on(self.store.append(vec![event])).unwrap()
    }

    pub(crate) async fn revoke(&self, nodes: &[NodeId]) -> Rev {
        self.room
            .revoke(nodes, Cause::Requested, By::Broker)
            .await
            .unwrap()
    }

    /// Starts the SDK's reader as gateway `number`; it ends when the sender is dropped.
    pub(crate) fn reader(
        &self,
        number: u64,
        folder: &std::path::Path,
    ) -> (Arc<FeedView>, oneshot::Sender<()>) {
        let view = FeedView::new();
        let config = FeedConfig {
            issuer: self.issuer.clone(),
            feed_url: None,
            root: RootKey::from_raw(self.root.public().unwrap().raw()).unwrap(),
            state_dir: folder.join(number.to_string()),
            http: http_client(),
            clock: Arc::new(lanyard_sdk::SystemClock),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let tokens = Arc::new(StaticToken::new(format!("gateway-{number}")));
        let seen = Arc::clone(&view);
        tokio::spawn(async move {
            lanyard_sdk::feed::run(config, tokens, seen, async {
                let _ = stopped.await;
            })
            .await
            .unwrap();
        });
        (view, stop)
    }
}

/// Loopback needs no TLS roots, but the client wants a configuration all the same.
pub(crate) fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited long until {what}");
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::from_u64(number)
}

fn pair(pkcs8: &[u8]) -> SigningKeyPair {
    SigningKeyPair::from_pkcs8(Algorithm::EdDsa, pkcs8).unwrap()
}
