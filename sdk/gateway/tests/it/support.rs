//! An issuer, a broker that gives leases by script, and an egress between real sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use lanyard_gateway::egress::Egress;
use lanyard_gateway::egress::config::TlsFiles;
use lanyard_gateway::egress::lease::{Answer, Asking, LeaseSource, NoLeases, Question};
use lanyard_gateway::egress::upstream::{Resolver, SystemResolver};
use lanyard_sdk::gateway::GatewayError;
use lanyard_sdk::{Clock, DriftMode, Gateway, SystemClock};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{
    Algorithm, Claims, Delegation, KeyUse, NodeId, PublicKey, Rev, RootKey, TrustedKeys,
};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://broker.example";
pub(crate) const AUDIENCE: &str = "https://egress.example";
/// What is never to be seen by a caller.
pub(crate) const VALUE: &str = "sk_live/4eC39HqLyjWDarjtT1zdp7dc";

/// A broker by script.
pub(crate) struct Script {
    pub(crate) integrations: Vec<Value>,
    /// Integration, secret, version, reference, value.
    pub(crate) leases: BTreeMap<String, (u64, u64, Option<String>, String)>,
    /// Integration, why.
    pub(crate) refused: BTreeMap<String, String>,
    pub(crate) lease_for: Duration,
    pub(crate) away: bool,
    pub(crate) hash: u64,
    pub(crate) heard: Vec<Question>,
}

pub(crate) struct Scripted(pub(crate) Mutex<Script>, pub(crate) tokio::sync::Notify);

impl LeaseSource for Scripted {
    fn ask<'a>(&'a self, question: &'a Question, wait: bool) -> Asking<'a> {
        Box::pin(async move {
            if wait {
                let _ = tokio::time::timeout(Duration::from_secs(20), self.1.notified()).await;
            }
            let mut script = self.0.lock().unwrap();
            script.heard.push(question.clone());
            if script.away {
                return Err(NoLeases::new("away"));
            }
            let hash = script.hash.to_string();
            let known = question.known.as_ref() == Some(&hash);
            let leases = script.leases.iter().map(|(name, (secret, version, reference, value))| {
                json!({
                    "integration": name, "secret": NodeId::from_u64(*secret), "version": version,
                    "reference": reference, "value": value,
                    "until": 1_000 + u64::try_from(script.lease_for.as_millis()).unwrap(),
                })
            });
            let refused = script.refused.iter();
            let refused = refused.map(|(name, why)| json!({ "integration": name, "why": why }));
            let answer = json!({
                "hash": hash, "now": 1_000, "leases": leases.collect::<Vec<_>>(),
                "refused": refused.collect::<Vec<_>>(),
                "integrations": if known { Value::Null } else { script.integrations.clone().into() },
            });
            Ok(serde_json::from_value::<Answer>(answer).unwrap())
        })
    }
}

/// Egress with its doors open.
pub(crate) struct Opened {
    issuer: Arc<TestIssuer>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    gateway: Arc<Mutex<Gateway>>,
    pub(crate) egress: Arc<Egress>,
}

impl Opened {
    pub(crate) async fn new(source: Arc<dyn LeaseSource>, resolver: Arc<dyn Resolver>) -> Self {
        let issuer = Arc::new(TestIssuer::new(Algorithm::Es256, ISSUER, AUDIENCE, now()));
        let make = {
            let issuer = Arc::clone(&issuer);
            move |routes: Vec<lanyard_sdk::Route>| {
                let builder = Gateway::builder()
                    .dangerous()
                    .without_revocation(ISSUER, AUDIENCE.parse().unwrap(), trusted(&issuer.key))
                    .routes(routes);
                match builder {
                    Ok(builder) => Ok(builder.drift(DriftMode::Enforce).build()),
                    Err(GatewayError::Routes(error)) => Err(error),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let first = make(Vec::new()).unwrap();
        let gateway = Arc::new(Mutex::new(first.clone()));
        let reroute = {
            let gateway = Arc::clone(&gateway);
            Box::new(move |routes| {
                let made = make(routes)?;
                *gateway.lock().unwrap() = made.clone();
                Ok(Some(made))
            })
        };
        let own = Some(NodeId::from_u64(77));
        let (egress, keeper) = Egress::new(first, reroute, source, resolver, own).unwrap();
        tokio::spawn(keeper.run(std::future::pending()));
        let admin = serve(egress.admin()).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let egress = Arc::new(egress);
        let serving = Arc::clone(&egress);
        tokio::spawn(async move { serving.serve_plain(listener).await.unwrap() });
        let opened = Self {
            issuer,
            address,
            admin,
            gateway,
            egress,
        };
        opened.until_ready().await;
        opened
    }

    async fn until_ready(&self) {
        for _ in 0..500 {
            let url = format!("http://{}/readyz", self.admin);
            if http().get(url).send().await.unwrap().status() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never ready");
    }

    pub(crate) fn numbered(&self, jti: u64, scope: &str) -> String {
        self.issuer.token_of(&Claims {
            jti: NodeId::from_u64(jti),
            scope: scope.parse().unwrap(),
            ..self.issuer.claims.clone()
        })
    }
}

/// Egress, and a broker by script.
pub(crate) struct World {
    pub(crate) broker: Arc<Scripted>,
    opened: Opened,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    tokens: AtomicU64,
}

impl World {
    /// With one integration, `party`.
    pub(crate) async fn new(integration: &str) -> Self {
        Self::resolving(integration, Arc::new(SystemResolver)).await
    }

    pub(crate) async fn resolving(integration: &str, resolver: Arc<dyn Resolver>) -> Self {
        let broker = Arc::new(Scripted(
            Mutex::new(Script {
                integrations: vec![carried(1001, integration)],
                leases: BTreeMap::from([("party".to_owned(), (1002, 1, None, VALUE.to_owned()))]),
                refused: BTreeMap::new(),
                lease_for: Duration::from_secs(60),
                away: false,
                hash: 1,
                heard: Vec::new(),
            }),
            tokio::sync::Notify::new(),
        ));
        let source: Arc<dyn LeaseSource> = Arc::<Scripted>::clone(&broker);
        let opened = Opened::new(source, resolver).await;
        Self {
            broker,
            address: opened.address,
            admin: opened.admin,
            opened,
            tokens: AtomicU64::new(100),
        }
    }

    /// Behind TLS as well, as `localhost`; where, and its certificate as PEM.
    pub(crate) fn behind_tls(&self) -> (SocketAddr, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
        };
        std::fs::write(&files.cert_file, made.cert.pem()).unwrap();
        std::fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let egress = Arc::clone(&self.opened.egress);
        tokio::spawn(async move {
            egress.serve_tls(listener, files).await.unwrap();
            drop(folder);
        });
        (address, made.cert.pem())
    }

    /// The gateway of the moment.
    pub(crate) fn gateway(&self) -> Gateway {
        self.opened.gateway.lock().unwrap().clone()
    }

    /// A new token with these scopes.
    pub(crate) fn token(&self, scope: &str) -> String {
        self.numbered(self.tokens.fetch_add(1, Ordering::Relaxed), scope)
    }

    pub(crate) fn numbered(&self, jti: u64, scope: &str) -> String {
        self.opened.numbered(jti, scope)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let token = self.token("party:use");
        let request = http().get(self.url(path)).bearer_auth(token);
        request.send().await.unwrap()
    }

    /// The broker refuses `party`, and egress hears it.
    pub(crate) async fn refuse(&self) {
        self.change(|script| {
            script.leases.clear();
            let why = "no policy allows it".to_owned();
            script.refused.insert("party".to_owned(), why);
        })
        .await;
    }

    /// Somebody ends this node.
    pub(crate) fn end(&self, node: u64) {
        let gateway = self.gateway();
        let now = Rev::new(0, 1).unwrap();
        gateway.feed().end(NodeId::from_u64(node), now);
    }

    /// Changes what the broker says, and lets egress hear it.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Script)) {
        {
            let mut script = self.broker.0.lock().unwrap();
            script.hash += 1;
            change(&mut script);
        }
        let before = self.broker.0.lock().unwrap().heard.len();
        for _ in 0..500 {
            self.broker.1.notify_waiters();
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.broker.0.lock().unwrap().heard.len() > before {
                // The answer is on its way to its place.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return;
            }
        }
        panic!("never asked");
    }
}

/// An integration as the broker tells it.
pub(crate) fn carried(id: u64, integration: &str) -> Value {
    let integration: toml::Value = toml::from_str(integration).unwrap();
    json!({ "id": NodeId::from_u64(id), "owner": "payments", "integration": integration })
}

/// `party` at an upstream on this machine, with one rule for each path that tests call.
pub(crate) fn party(upstream: SocketAddr, inject: &str, more: &str) -> String {
    let rules: String = ["GET", "POST"]
        .into_iter()
        .map(|method| {
            format!(
                "[[rule]]\nmethod = \"{method}\"\ntemplate = \"/v1/{{what}}\"\nclass = \"normal\"\n"
            )
        })
        .collect();
    format!(
        "name = \"party\"\nupstream = \"http://{upstream}/base\"\nprivate = [\"127.0.0.0/8\"]\n\
         {more}\n[inject]\n{inject}\n{rules}"
    )
}

/// The usual way in.
pub(crate) const HEADER: &str = "kind = \"header\"\nsecret = \"party/key\"";

/// Seconds since 1970, as the gateway's clock says.
fn now() -> u64 {
    SystemClock.now().wall.seconds()
}

/// The keys a gateway would trust after a root delegated this one.
fn trusted(key: &PublicKey) -> TrustedKeys {
    let now = now();
    let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, now);
    let input = Delegation::signing_input(ISSUER, key, KeyUse::Mint, now - 10, now + 30 * 86_400);
    let text = root.signed(input);
    let pinned = RootKey::from_raw(root.key.raw()).unwrap();
    let delegation = Delegation::verify(&text, &pinned, ISSUER, now).unwrap();
    std::iter::once(&delegation).collect()
}

/// Serves on a free port of this machine for as long as the runtime lives.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

/// A third party that answers everything with 200, and how often it was called.
pub(crate) async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let called = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&called);
    let router = Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (serve(router).await, called)
}

/// An HTTP client as any program has one, that follows nothing.
pub(crate) fn http() -> reqwest::Client {
    lanyard_sdk::Client::builder("http://127.0.0.1:1")
        .client_credentials("none", lanyard_sdk::Secret::new("none"))
        .build()
        .unwrap()
        .http()
        .clone()
}
