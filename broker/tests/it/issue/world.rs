//! A broker's issue room with its OAuth doors on a loopback port, a clock that stands still, and a
//! few identities.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard::clock::{ManualClock, UnixMillis};
use lanyard::crypto::{SealingRoot, SigningKeyPair, open_signing_key};
use lanyard::http::begun::Begun;
use lanyard::http::{metadata, oauth};
use lanyard::issue::administration::{NewIdentity, NewOwner};
use lanyard::issue::keys::{RootSigner, in_force};
use lanyard::issue::limits::LimitSettings;
use lanyard::issue::policy::Lifetimes;
use lanyard::issue::proof::oidc::{FederationSettings, TrustedIssuer};
use lanyard::issue::{Client, Issue, IssueSettings, IssueState};
use lanyard::policy::Policies;
use lanyard::store::event::{By, KeyUse, Kind};
use lanyard::store::memory::MemoryStore;
use lanyard::store::{Projection, Store};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, Claims, NodeId, Rev};
use serde_json::{Value, json};

pub(super) const ISSUER: &str = "https://broker.example";
pub(super) const ORDERS: &str = "https://orders.example";
pub(super) const STOCK: &str = "https://stock.example";
pub(super) const NOW: u64 = 1_800_000_000;

pub(super) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(super) const API_KEY: &str = "urn:lanyard:params:oauth:token-type:api_key";

pub(super) struct World {
    pub(super) issue: Arc<Issue>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) seal: Arc<SealingRoot>,
    pub(super) url: String,
    pub(super) http: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
}

/// An identity with one API key.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) id: NodeId,
    pub(super) credential: NodeId,
    pub(super) secret: String,
}

/// Far above what a test asks for.
pub(super) const NO_LIMITS: LimitSettings = LimitSettings {
    identity_per_second: 1_000_000,
    identity_burst: 1_000_000,
    failures_per_second: 1_000_000,
    failures_burst: 1_000_000,
};

impl World {
    pub(super) async fn new() -> Self {
        Self::with(NO_LIMITS, Algorithm::Es256).await
    }

    /// At another time, in Unix seconds.
    pub(super) async fn at(now: u64) -> Self {
        Self::made(
            NO_LIMITS,
            Algorithm::Es256,
            now,
            FederationSettings::default(),
        )
        .await
    }

    /// One that believes these issuers, on loopback: `ISSUER` or `ISSUER=KEY-SET`.
    pub(super) async fn trusting(issuers: &[&str]) -> Self {
        // What is signed in the first five seconds is not believed.
        let world = Self::trusting_since(issuers, NOW - 6).await;
        world.clock.set(UnixMillis::from_seconds(NOW));
        world
    }

    /// One that starts then, and it is then.
    pub(super) async fn trusting_since(issuers: &[&str], since: u64) -> Self {
        let trusted = |text: &&str| match text.split_once('=') {
            Some((issuer, keys_at)) => TrustedIssuer {
                issuer: issuer.to_owned(),
                keys_at: Some(keys_at.parse().unwrap()),
            },
            None => TrustedIssuer {
                issuer: (*text).to_owned(),
                keys_at: None,
            },
        };
        let federation = FederationSettings {
            issuers: issuers.iter().map(trusted).collect(),
            private_addresses: true,
        };
        Self::made(NO_LIMITS, Algorithm::Es256, since, federation).await
    }

    pub(super) async fn with(limits: LimitSettings, algorithm: Algorithm) -> Self {
        Self::made(limits, algorithm, NOW, FederationSettings::default()).await
    }

    async fn made(
        limits: LimitSettings,
        algorithm: Algorithm,
        now: u64,
        federation: FederationSettings,
    ) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(ManualClock::at(UnixMillis::from_seconds(now)));
        let state = Arc::new(IssueState::new());
        let projection: Arc<dyn Projection> = state.clone();
        let store = Arc::new(MemoryStore::new(clock.clone(), vec![projection]));
        let seal = Arc::new(SealingRoot::from_bytes(&[7; 32]));
        let root = SigningKeyPair::generate(Algorithm::EdDsa).unwrap();
        let root = Arc::new(RootSigner::from_pkcs8(&root).unwrap());
        let issuer = ISSUER.to_owned();
        let settings = IssueSettings {
            issuer,
            algorithm,
            lifetimes: Lifetimes::default(),
            unused_days: Some(90),
            limits,
            policies: Arc::new(Policies::open(None).unwrap()),
            federation,
        };
        let issue = Issue::new(
            state.clone(),
            store.clone(),
            clock.clone(),
            seal.clone(),
            root,
            settings,
        );
        let issue = Arc::new(issue.unwrap());
        issue.keep_keys().await.unwrap();
        let owner = NewOwner {
            name: "team".to_owned(),
            contact: None,
        };
        issue.create_owner(owner, By::Broker).await.unwrap();

        let routes = oauth::routes(issue.clone(), Arc::new(OneGateway), Begun::default())
            .merge(metadata::routes(issue.clone(), None));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            issue,
            store,
            clock,
            seal,
            url,
            http: reqwest::Client::new(),
            server,
        }
    }

    /// An identity of kind service for both audiences.
    pub(super) async fn identity(&self, name: &str) -> Holder {
        let new = NewIdentity {
            name: name.to_owned(),
            owner: "team".to_owned(),
            kind: Kind::Service,
            tags: Vec::new(),
            audiences: vec![ORDERS.to_owned(), STOCK.to_owned()],
            scopes: "orders:read orders:write".to_owned(),
            max_lifetime: None,
        };
        let id = self
            .issue
            .create_identity(new, By::Broker)
            .await
            .unwrap()
            .id;
        let (credential, key) = self
            .issue
            .add_key(name, None, None, By::Broker)
            .await
            .unwrap();
        Holder {
            id,
            credential,
            secret: key.expose().to_owned(),
        }
    }

    pub(super) fn client(&self, holder: &Holder) -> Client {
        self.issue
            .authenticate(&holder.id.to_string(), &holder.secret, None)
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// Posts a form, with HTTP Basic when somebody asks.
    pub(super) async fn post(
        &self,
        path: &str,
        as_whom: Option<&Holder>,
        form: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.post_raw(
            path,
            as_whom,
            "application/x-www-form-urlencoded",
            body.into_bytes(),
        )
        .await
    }

    pub(super) async fn post_raw(
        &self,
        path: &str,
        as_whom: Option<&Holder>,
        content_type: &str,
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        if let Some(holder) = as_whom {
            request = request.basic_auth(holder.id.to_string(), Some(&holder.secret));
        }
        Answer::read(request.send().await.unwrap()).await
    }

    /// A token for orders, minted over HTTP.
    pub(super) async fn token(&self, holder: &Holder) -> String {
        self.token_with(holder, &[]).await
    }

    pub(super) async fn token_with(&self, holder: &Holder, more: &[(&str, &str)]) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("audience", ORDERS)];
        form.extend_from_slice(more);
        self.post("/oauth/token", Some(holder), &form).await.token()
    }

    /// Exchanges an access token.
    pub(super) async fn exchange(
        &self,
        holder: &Holder,
        subject: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        form.extend_from_slice(more);
        self.post("/oauth/token", Some(holder), &form).await
    }

    /// What a living token says; panics when it is dead.
    pub(super) fn claims(&self, token: &str) -> Claims {
        self.issue
            .introspect(token)
            .expect("the token lives")
            .claims
            .clone()
    }

    pub(super) fn lives(&self, token: &str) -> bool {
        self.issue.introspect(token).is_some()
    }

    pub(super) fn head(&self) -> Rev {
        self.store.head()
    }

    /// Somebody who has the broker's own mint key, and signs around these claims.
    pub(super) fn thief_of_the_mint_key(&self, claims: Claims) -> TestIssuer {
        let now = UnixMillis::from_seconds(NOW);
        let keys = self.issue.signing_keys();
        let key = in_force(keys.iter(), KeyUse::Mint, now).unwrap();
        let pair = open_signing_key(&self.seal, key).unwrap();
        let public = pair.public().unwrap();
        TestIssuer::with_key(public, claims, NOW, move |message| {
            pair.sign(message).unwrap().to_vec()
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(super) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, error, and the marks every error answer of these doors has.
    pub(super) fn assert_error(&self, status: u16, error: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["error"], error, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let members: Vec<String> = self.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["error", "error_description"]);
    }
}

/// A revoke room with one gateway that confirms at once.
struct OneGateway;

impl oauth::Confirmations for OneGateway {
    fn confirmed(
        &self,
        node: NodeId,
        rev: Rev,
        expires_at: Option<u64>,
        _: Duration,
    ) -> Pin<Box<dyn Future<Output = Value> + Send + '_>> {
        let gateway = json!({ "gateway": NodeId::from_u64(77), "ms": 3 });
        let cut_off = json!({ "gateway": NodeId::from_u64(78), "dead_by": expires_at });
        let receipt =
            json!({ "node": node, "rev": rev, "confirmed": [gateway], "cut_off": [cut_off] });
        Box::pin(async move { receipt })
    }
}
