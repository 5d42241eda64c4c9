//! Egress in a process of its own, with a broker that gives leases by list: for tests that look at it from outside.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lanyard_gateway::egress::lease::{BrokerLeases, LeaseSource};
use lanyard_gateway::egress::upstream::SystemResolver;
use lanyard_sdk::{Client, Secret};
use lanyard_token::NodeId;
use serde_json::{Value, json};

use crate::support::{HEADER, Opened, carried, http, party, serve};

const BROKER: &str = "LANYARD_TEST_BROKER";
const PARTIES: &str = "LANYARD_TEST_PARTIES";
/// As many as a token names scopes for.
const OF_A_TOKEN: usize = 20;

/// What the broker gives at the moment: integration `party-N`, version.
type Leased = Arc<Mutex<Vec<(usize, u64)>>>;

#[derive(Clone)]
struct Broker {
    integrations: Arc<Vec<Value>>,
    leased: Leased,
    value: fn(usize, u64) -> String,
}

/// A running egress that carries `party-0` and so on.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    tokens: Vec<String>,
    pub(crate) leased: Leased,
}

impl Process {
    /// Starts it before a third party; each integration has its first version.
    pub(crate) async fn start(
        folder: &Path,
        upstream: SocketAddr,
        parties: usize,
        value: fn(usize, u64) -> String,
        variables: &[(String, String)],
    ) -> Self {
        let integrations = (0..parties).map(|at| {
            let written = party(upstream, HEADER, "");
            carried(
                1_000 + at as u64,
                &written.replace("\"party\"", &format!("\"party-{at}\"")),
            )
        });
        let broker = Broker {
            integrations: Arc::new(integrations.collect()),
            leased: Arc::new(Mutex::new((0..parties).map(|at| (at, 1)).collect())),
            value,
        };
        let leased = Arc::clone(&broker.leased);
        let token = || async {
            Json(json!({"access_token": "own", "token_type": "Bearer", "expires_in": 300}))
        };
        let broker = Router::new()
            .route("/oauth/token", post(token))
            .route("/v1/egress/leases", post(leases))
            .with_state(broker);
        let broker = serve(broker).await;
        let log = folder.join("egress.log");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::the_process_that_is_looked_into"])
            .args(["--ignored", "--nocapture"])
            .env(BROKER, format!("http://{broker}"))
            .env(PARTIES, parties.to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let said = child.stdout.take().unwrap();
        let open = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(said).lines().map_while(Result::ok);
            let open = lines.find_map(|line| line.split("OPEN ").nth(1).map(str::to_owned));
            // What it says further is read too, or it would wait.
            std::thread::spawn(move || lines.for_each(drop));
            open
        });
        let open = tokio::time::timeout(Duration::from_secs(60), open).await;
        let open = open.unwrap().unwrap().unwrap();
        let open: Vec<_> = open.split(' ').collect();
        Self {
            child,
            log,
            address: open[0].parse().unwrap(),
            admin: open[1].parse().unwrap(),
            tokens: open[2..].iter().map(|token| (*token).to_owned()).collect(),
            leased,
        }
    }

    /// Calls `party-N`: what was answered, and all of it as text.
    pub(crate) async fn call(&self, at: usize, path: &str) -> (u16, String) {
        let url = format!("http://{}/party-{at}/v1/{path}", self.address);
        let request = http().get(url).bearer_auth(&self.tokens[at / OF_A_TOKEN]);
        let answer = request.send().await.unwrap();
        let (status, head) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        (status, head + &answer.text().await.unwrap_or_default())
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        http().get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end: what it wrote into its log.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

async fn leases(State(broker): State<Broker>, Json(question): Json<Value>) -> Json<Value> {
    if question.get("known").is_some() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let leased = broker.leased.lock().unwrap().clone();
    let leases = leased.into_iter().map(|(at, version)| {
        json!({
            "integration": format!("party-{at}"), "secret": NodeId::from_u64(2_000 + at as u64),
            "version": version, "value": (broker.value)(at, version), "until": 5_000,
        })
    });
    Json(json!({
        "hash": "1", "now": 1_000, "leases": leases.collect::<Vec<_>>(), "refused": [],
        "integrations": broker.integrations.as_ref(),
    }))
}

#[test]
#[ignore = "the other half of tests that start it, in a process of its own"]
fn the_process_that_is_looked_into() {
    let Ok(broker) = std::env::var(BROKER) else {
        return;
    };
    let parties: usize = std::env::var(PARTIES).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = lanyard_telemetry::Settings {
            log: Some("trace".to_owned()),
            log_json: true,
            log_spans: true,
            ..lanyard_telemetry::Settings::default()
        };
        let telemetry = lanyard_telemetry::start("lanyard-egress", &settings).unwrap();
        let client = move |issuer: &str| {
            Client::builder(issuer)
                .client_credentials("id", Secret::new("key"))
                .build()
        };
        let scope = "lanyard:egress".parse().unwrap();
        let tokens = client(&broker)
            .unwrap()
            .tokens(broker.parse().unwrap(), scope);
        let connect = {
            let broker = broker.clone();
            Box::new(move || Ok(client(&broker)?.http().clone()))
        };
        let source: Arc<dyn LeaseSource> =
            Arc::new(BrokerLeases::new(&broker, tokens, connect).unwrap());
        let opened = Opened::new(source, Arc::new(SystemResolver)).await;
        let scopes: Vec<_> = (0..parties).map(|at| format!("party-{at}:use")).collect();
        let tokens: Vec<_> = scopes
            .chunks(OF_A_TOKEN)
            .map(|scopes| opened.numbered(900, &scopes.join(" ")))
            .collect();
        println!(
            "OPEN {} {} {}",
            opened.address,
            opened.admin,
            tokens.join(" ")
        );
        // Until the other half lets go.
        let mut nothing = Vec::new();
        let ended = tokio::task::spawn_blocking(move || {
            let read = std::io::stdin().read_to_end(&mut nothing);
            telemetry.stop();
            read
        });
        ended.await.unwrap().unwrap();
    });
}
