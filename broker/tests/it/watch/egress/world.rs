//! A whole broker, egress and a third party behind real sockets, on one clock that only the test moves.

use std::net::SocketAddr;
use std::sync::Arc;

use lanyard::broker::signals::Wish;
use lanyard::broker::{Broker, Doors};
use lanyard::clock::{ManualClock, UnixMillis};
use lanyard::config::{Config, Settings};
use lanyard::crypto::SealingRoot;
use lanyard::issue::Issue;
use lanyard::issue::administration::{NewGateway, NewIdentity, NewOwner};
use lanyard::issue::keys::RootKeyFile;
use lanyard::store::event::{By, Kind};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::party::Party;
use super::running::{AUDIENCE, Egress};

/// When everything begins.
pub(super) const BEGINNING: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;
/// Hours between two days of work.
const NIGHT: u64 = 23;
/// What no caller ever holds.
pub(super) const CREDENTIAL: &str = "sk_live_4711_of_the_third_party";

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) party: Party,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    issue: Arc<Issue>,
    issuer: String,
    admin: SocketAddr,
    enrolment: String,
    // The broker stops when nobody can wish anything any more.
    _wishes: mpsc::Sender<Wish>,
}

/// Somebody who uses the third party: an identity with one credential.
pub(super) struct Caller {
    pub(super) id: String,
    secret: String,
}

impl World {
    /// A broker that lets statistics act, and an integration with these rules.
    pub(super) async fn new(rules: &[Value]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(UnixMillis(BEGINNING)));
        let config = configuration(folder.path());
        let doors = Doors::bind(&config).unwrap();
        let admin = doors.admin_address().unwrap();
        let broker = Broker::open(config, clock.clone()).await.unwrap();
        let issue = broker.issue().clone();
        let (wishes, wished) = mpsc::channel(1);
        let (ready, served) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let ready = || ready.send(()).unwrap();
            broker.run(doors, wished, ready).await.unwrap();
        });
        served.await.unwrap();

        let owner = NewOwner {
            name: "payments".to_owned(),
            contact: None,
        };
        issue.create_owner(owner, By::Broker).await.unwrap();
        let gateway = NewGateway {
            name: "egress-eu".to_owned(),
            owner: "payments".to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            sole_witness: false,
            egress: true,
        };
        let enrolment = issue.add_gateway(gateway, By::Broker).await.unwrap();
        let world = Self {
            party: Party::start().await,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            issuer: issue.issuer().to_owned(),
            enrolment: enrolment.to_json().to_string(),
            folder,
            clock,
            issue,
            admin,
            _wishes: wishes,
        };
        world.integrate(rules).await;
        world
    }

    /// The third party's credential, and what may be called with it.
    async fn integrate(&self, rules: &[Value]) {
        let name = "payments/stripe/api-key";
        let secret = json!({"name": name, "owner": "payments", "value": CREDENTIAL});
        self.administer(Method::POST, "/v1/secrets", &secret).await;
        let integration = json!({
            "owner": "payments",
            "gateways": ["egress-eu"],
            "integration": {
                "name": "stripe",
                "upstream": format!("http://{}/v1", self.party.address),
                "private": ["127.0.0.0/8"],
                "inject": {"kind": "header", "secret": name},
                "rule": rules,
            },
        });
        self.administer(Method::POST, "/v1/integrations", &integration)
            .await;
    }

    /// Another one that may use the third party.
    pub(super) async fn caller(&self, name: &str) -> Caller {
        let new = NewIdentity {
            name: name.to_owned(),
            owner: "payments".to_owned(),
            kind: Kind::Integration,
            tags: Vec::new(),
            audiences: vec![AUDIENCE.to_owned()],
            scopes: "stripe:use".to_owned(),
            max_lifetime: None,
        };
        let identity = self.issue.create_identity(new, By::Broker).await.unwrap();
        let (_, key) = self
            .issue
            .add_key(name, None, None, By::Broker)
            .await
            .unwrap();
        Caller {
            id: identity.id.to_string(),
            secret: key.expose().to_owned(),
        }
    }

    /// What the token endpoint says to a caller with its own key.
    pub(super) async fn asks(&self, caller: &Caller) -> Result<String, Value> {
        let request = self
            .http
            .post(format!("{}/oauth/token", self.issuer))
            .basic_auth(&caller.id, Some(&caller.secret))
            .form(&[("grant_type", "client_credentials")]);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["access_token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => Err(answer),
        }
    }

    async fn administer(&self, method: Method, path: &str, body: &Value) -> Value {
        let token = self.issue.local_admin_token(By::Broker).await.unwrap();
        let mut request = self
            .http
            .request(method.clone(), format!("http://{}{path}", self.admin))
            .bearer_auth(token.token.expose());
        if method != Method::GET {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let answer = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn read(&self, path: &str) -> Value {
        self.administer(Method::GET, path, &Value::Null).await
    }

    /// How many calls of a caller the broker has learned.
    pub(super) async fn learned(&self, caller: &Caller) -> u64 {
        let identity = self
            .read(&format!("/v1/drift/identities/{}", caller.id))
            .await;
        identity["calls"].as_u64().unwrap()
    }

    /// What was said of a caller, oldest first, each with everything behind it.
    pub(super) async fn verdicts(&self, caller: &Caller) -> Vec<Value> {
        let path = format!("/v1/drift/verdicts?identity={}", caller.id);
        let listed = self.read(&path).await;
        let mut verdicts = Vec::new();
        for verdict in listed["verdicts"].as_array().unwrap().iter().rev() {
            let id = verdict["id"].as_str().unwrap();
            verdicts.push(
                self.read(&format!("/v1/drift/verdicts/{id}/explanation"))
                    .await,
            );
        }
        verdicts
    }

    /// Egress begins its day, with the keys of the day: while it runs it asks for keys every ten seconds of the machine's at
    /// most, and a day here is shorter.
    pub(super) async fn morning(&self) -> Egress {
        let state = tempfile::tempdir_in(self.folder.path()).unwrap();
        Egress::start(&self.enrolment, state, &self.clock, &self.http).await
    }

    /// Until the next morning. The broker makes keys hours ahead, and looks every minute whether it is time; those minutes
    /// are the machine's and not this clock's, so it is told to look.
    pub(super) async fn night(&self) {
        for _ in 0..NIGHT {
            self.clock.advance_millis(HOUR);
            self.issue.keep_keys().await.unwrap();
        }
    }
}

fn configuration(folder: &std::path::Path) -> Config {
    let at = |name: &str| folder.join(name);
    SealingRoot::generate(&at("seal.key")).unwrap();
    RootKeyFile::at(at("root.key")).generate(None).unwrap();
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listen.local_addr().unwrap();
    let path = |name: &str| at(name).display().to_string();
    let said = [
        ("issuer", format!("http://{listen}")),
        ("listen", listen.to_string()),
        ("admin_listen", "127.0.0.1:0".to_owned()),
        ("data_dir", path("data")),
        ("seal.key_file", path("seal.key")),
        ("trust.root_key_file", path("root.key")),
        ("tokens.lifetime", "3600".to_owned()),
        ("drift.mode", "enforce".to_owned()),
    ];
    let settings = Settings::gather(&[], None, &[], &said).unwrap();
    Config::parse(&settings).unwrap()
}
