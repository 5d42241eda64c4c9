//! Broker, egress and a third party together, each behind TLS: what a caller needs, and what it never gets.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_gateway::egress::config::TlsFiles;
use lanyard_gateway::egress::{self, Config};
use lanyard_sdk::DriftMode;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::harness::{Running, answer, client, json as run_json, lanyard, words};
use super::serving::{certificate, configuration, port, until};

const SECRET: &str = "payments/stripe/api-key";
/// The third party knows both, as it does while one takes the place of the other.
const FIRST: &str = "sk_live_4711_first";
const SECOND: &str = "sk_live_4712_second";

/// A broker behind TLS, egress behind TLS, and a third party with a certificate of its own.
struct World {
    folder: tempfile::TempDir,
    broker: Running,
    client: Client,
    issuer: String,
    /// Where egress is to be: its audience as well.
    egress: String,
    party: Party,
}

/// A third party, and the headers of each call that reached it.
#[derive(Clone, Default)]
struct Party {
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    address: Option<SocketAddr>,
    pem: String,
}

impl Party {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let config = RustlsConfig::from_pem(pem.clone().into_bytes(), key.into_bytes());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let party = Self {
            address: Some(listener.local_addr().unwrap()),
            pem,
            ..Self::default()
        };
        let routes = Router::new()
            .fallback(Self::answer)
            .with_state(party.clone());
        let server = axum_server::from_tcp_rustls(listener, config.await.unwrap()).unwrap();
        tokio::spawn(server.serve(routes.into_make_service()));
        party
    }

    /// It repeats what it was shown, as careless ones do.
    async fn answer(State(party): State<Self>, request: Request) -> (StatusCode, String) {
        let headers = request.headers().clone();
        let shown = headers.get("authorization").map(|value| value.to_str());
        let shown = shown.unwrap_or(Ok("nothing")).unwrap().to_owned();
        party.seen.lock().unwrap().push(headers);
        let known = [FIRST, SECOND].map(|key| format!("Bearer {key}"));
        match known.contains(&shown) {
            true => (StatusCode::OK, format!("a charge, for {shown}")),
            false => (StatusCode::UNAUTHORIZED, "who are you?".to_owned()),
        }
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// What the newest call was made with.
    fn shown(&self) -> String {
        let seen = self.seen.lock().unwrap();
        seen.last().unwrap()["authorization"]
            .to_str()
            .unwrap()
            .to_owned()
    }
}

impl World {
    /// All of it, but for egress.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pem = certificate(folder.path());
        let client = client(Some(&pem));
        let at = port();
        let issuer = format!("https://localhost:{at}");
        let file = configuration(folder.path(), |text| {
            text.replacen("127.0.0.1:0", &format!("127.0.0.1:{at}"), 1)
                .replace("https://lanyard.example.com", &issuer)
        });
        let broker = Running::start(&["serve", "--config", &file]);
        let live = format!("{issuer}/livez");
        until("the start", &broker, async || {
            client.get(&live).send().await.is_ok()
        })
        .await;
        let world = Self {
            folder,
            broker,
            client,
            issuer,
            egress: format!("https://localhost:{}", port()),
            party: Party::start().await,
        };
        world.on(&["owner", "add", "payments"]);
        world.put(FIRST);
        world
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn on(&self, arguments: &[&str]) -> Value {
        run_json(&[arguments, &["--json", "--data-dir", &self.path("data")]].concat())
    }

    /// The next version of the secret, from standard input.
    fn put(&self, value: &str) {
        let data = self.path("data");
        let line = ["secret", "put", SECRET, "--owner", "payments"];
        let mut child = lanyard(&[&line[..], &["--data-dir", &data]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(format!("{value}\n").as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = words(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains(value) && !words(&output.stdout).contains(value));
    }

    /// Enrols a gateway for egress; its number and its key.
    fn enrol(&self, name: &str) -> (String, String) {
        let out = self.path(&format!("{name}.json"));
        let line = ["gateway", "add", name, "--owner", "payments", "--egress"];
        let data = self.path("data");
        let more = ["--audience", &self.egress, "--out", &out];
        let place = ["--data-dir", &data];
        let output = lanyard(&[&line[..], &more, &place].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output.stderr));
        let enrolment: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
        let text = |member: &str| enrolment[member].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    /// Egress, until the test ends.
    fn run_egress(&self, enrolment: &str) {
        let config = Config {
            enrolment: self.path(&format!("{enrolment}.json")).into(),
            audience: None,
            state: self.path("egress").into(),
            listen: self
                .egress
                .replace("https://localhost", "127.0.0.1")
                .parse()
                .unwrap(),
            tls: Some(TlsFiles {
                cert_file: self.path("cert.pem").into(),
                key_file: self.path("key.pem").into(),
            }),
            admin: None,
            broker_certificates: Some(self.path("cert.pem").into()),
            drift: DriftMode::Observe,
            proxies: Default::default(),
            telemetry: lanyard_telemetry::Settings::default(),
        };
        tokio::spawn(async { egress::run(config).await.unwrap() });
    }

    fn integrate(&self, gateway: &str) {
        let file = self.path("stripe.toml");
        let text = format!(
            "upstream = \"https://localhost:{}\"\nprivate = [\"127.0.0.0/8\", \"::1/128\"]\n\
             certificates = '''{}'''\n[inject]\nkind = \"header\"\nsecret = \"{SECRET}\"\n\
             [[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/charges/{{id}}\"\n",
            self.party.address.unwrap().port(),
            self.party.pem,
        );
        std::fs::write(&file, text).unwrap();
        let line = ["integration", "add", "stripe", "--owner", "payments"];
        self.on(&[&line[..], &["--gateway", gateway, "--file", &file]].concat());
    }

    /// An identity that may use the integration; its number and its key.
    fn caller(&self) -> (String, String) {
        let line = ["identity", "add", "billing", "--owner", "payments"];
        let may = ["--audience", &self.egress, "--scope", "stripe:use"];
        self.on(&[&line[..], &may].concat());
        let key = self.on(&["key", "add", "billing"]);
        let text = |member: &str| key[member].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    async fn asks(
        &self,
        (id, key): &(String, String),
        more: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let form = [&[("grant_type", "client_credentials")][..], more].concat();
        let url = format!("{}/oauth/token", self.issuer);
        answer(self.client.post(url).basic_auth(id, Some(key)).form(&form)).await
    }

    async fn token(&self, who: &(String, String), more: &[(&str, &str)]) -> String {
        let (status, given) = self.asks(who, more).await;
        assert_eq!(status, 200, "{given}");
        given["access_token"].as_str().unwrap().to_owned()
    }

    /// What the caller has is a Lanyard token, and other things that are none of the third party's business.
    async fn call(&self, token: &str) -> (u16, String) {
        call(&self.client, &self.egress, token).await
    }

    async fn until_it_answers(&self, what: &str, token: &str, expected: u16) {
        let mut last = (0, String::new());
        until(what, &self.broker, async || {
            last = self.call(token).await;
            last.0 == expected
        })
        .await;
    }

    fn who(&self, at: Option<&str>) -> Value {
        let line = ["secret", "who", SECRET];
        self.on(&[&line[..], &at.map_or(vec![], |at| vec!["--at", at])].concat())
    }
}

async fn call(client: &Client, egress: &str, token: &str) -> (u16, String) {
    let asked = client
        .get(format!("{egress}/stripe/v1/charges/7"))
        .bearer_auth(token)
        .header("cookie", "session=of-the-caller")
        .send()
        .await;
    match asked {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        // It does not listen yet.
        Err(error) => (0, error.to_string()),
    }
}

/// A token's own number: the token itself is a secret, and belongs on no command line.
fn number(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

/// As `--at` takes it.
fn instant(who: &Value) -> String {
    let nanoseconds = i128::from(who["at"].as_u64().unwrap()) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
    at.format(&Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_uses_what_it_never_holds_while_it_is_exchanged_and_until_it_may_not() {
    let world = World::new().await;
    world.enrol("egress-eu");
    world.run_egress("egress-eu");
    world.integrate("egress-eu");
    let billing = world.caller();
    let token = world.token(&billing, &[]).await;
    world.until_it_answers("the first call", &token, 200).await;

    // In: the token. Out: the credential, and nothing of the caller's. Back: neither.
    let (status, text) = world.call(&token).await;
    assert_eq!(status, 200);
    assert!(text.starts_with("a charge, for Bearer *"), "{text}");
    assert_eq!(world.party.shown(), format!("Bearer {FIRST}"));
    for headers in &*world.party.seen.lock().unwrap() {
        let all = format!("{headers:?}");
        assert!(
            !all.contains(&token) && !all.contains("of-the-caller"),
            "{all}"
        );
    }
    assert_eq!(world.call("no.token.atall").await.0, 401);
    assert_eq!(
        world
            .client
            .get(&world.egress)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );

    let first = world.who(None);
    assert_eq!(
        (&first["active"], &first["holders"][0]["name"]),
        (&json!(1), &json!("egress-eu"))
    );
    let holder = &first["holders"][0];
    assert_eq!(
        (&holder["integration"], &holder["policies"]),
        (&json!("stripe"), &json!(["egress.own-integrations"])),
        "{first}"
    );
    assert!(holder["bundle"].is_string(), "{first}");
    let then = instant(&first);

    // Another version takes its place below calls that go on, and none of them fails.
    let over = Arc::new(AtomicBool::new(false));
    let calls = tokio::spawn({
        let (client, egress) = (world.client.clone(), world.egress.clone());
        let (over, token) = (Arc::clone(&over), token.clone());
        async move {
            let (mut made, mut failed) = (0, Vec::new());
            while !over.load(Ordering::Relaxed) {
                let answer = call(&client, &egress, &token).await;
                made += 1;
                failed.extend((answer.0 != 200).then_some(answer));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (made, failed)
        }
    });
    world.put(SECOND);
    until("the second version", &world.broker, async || {
        world.party.shown() == format!("Bearer {SECOND}")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    over.store(true, Ordering::Relaxed);
    let (made, failed) = calls.await.unwrap();
    assert!(made > 10 && failed.is_empty(), "{made}: {failed:?}");
    assert_eq!(world.party.shown(), format!("Bearer {SECOND}"));

    // Who had which, and how much of it was used, then and now.
    let back = world.who(Some(&then));
    assert_eq!(back["active"], 1);
    let had = |who: &Value| -> Vec<(String, u64)> {
        let holders = who["holders"].as_array().unwrap().iter();
        holders
            .map(|holder| {
                let name = holder["name"].as_str().unwrap().to_owned();
                (name, holder["version"].as_u64().unwrap())
            })
            .collect()
    };
    assert_eq!(had(&back), [("egress-eu".to_owned(), 1)]);
    assert_eq!(world.who(None)["active"], 2);
    assert!(had(&world.who(None)).contains(&("egress-eu".to_owned(), 2)));
    until("both versions' uses are told", &world.broker, async || {
        let who = world.who(None);
        let uses = who["uses"].as_array().unwrap().clone();
        let of = |version: u64| {
            uses.iter().any(|used| {
                used["version"] == version
                    && used["gateway"] == "egress-eu"
                    && used["integration"] == "stripe"
                    && used["calls"].as_u64() > Some(0)
            })
        };
        of(1) && of(2)
    })
    .await;

    // A revoked token reaches nobody, and the caller's next one does.
    world.on(&["token", "revoke", &number(&token)]);
    world
        .until_it_answers("the end of the token", &token, 401)
        .await;
    let before = world.party.calls();
    assert_eq!(world.call(&token).await.0, 401);
    assert_eq!(world.party.calls(), before);
    let next = world.token(&billing, &[]).await;
    world.until_it_answers("the next token", &next, 200).await;

    world.on(&["integration", "remove", "stripe", "--reason", "over"]);
    world
        .until_it_answers("the end of the integration", &next, 403)
        .await;
    let before = world.party.calls();
    assert_eq!(world.call(&next).await.0, 403);
    assert_eq!(world.party.calls(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_an_integration_does_not_name_or_that_was_ended_gets_nothing() {
    let world = World::new().await;
    let egress = world.enrol("egress-eu");
    world.enrol("egress-us");
    world.run_egress("egress-eu");
    world.integrate("egress-eu");
    let token = world.token(&world.caller(), &[]).await;
    world.until_it_answers("the first call", &token, 200).await;

    let leases = async || {
        let own = [("scope", "lanyard:egress"), ("resource", &world.issuer)];
        let own = world.token(&egress, &own).await;
        let url = format!("{}/v1/egress/leases", world.issuer);
        answer(world.client.post(url).bearer_auth(own).json(&json!({}))).await
    };
    let (status, given) = leases().await;
    assert_eq!(
        (status, &given["leases"][0]["value"]),
        (StatusCode::OK, &json!(FIRST))
    );

    world.integrate("egress-us");
    world
        .until_it_answers("the end for this gateway", &token, 403)
        .await;
    let (status, given) = leases().await;
    assert_eq!(
        (status, &given["leases"]),
        (StatusCode::OK, &json!([])),
        "{given}"
    );
    world.integrate("egress-eu");
    world.until_it_answers("its return", &token, 200).await;

    world.on(&["identity", "disable", "egress-eu", "--reason", "stolen"]);
    // It says so itself: one that is gone would answer nobody.
    let is_refused = |status: u16| matches!(status, 401 | 403 | 503);
    until("the end of the gateway", &world.broker, async || {
        is_refused(world.call(&token).await.0)
    })
    .await;
    let before = world.party.calls();
    let (status, text) = world.call(&token).await;
    assert!(is_refused(status), "{status}: {text}");
    assert_eq!(world.party.calls(), before);
    assert_eq!(world.asks(&egress, &[]).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_cannot_change_calls_the_third_party_through_lanyard_exec() {
    let world = World::new().await;
    world.enrol("egress-eu");
    world.run_egress("egress-eu");
    world.integrate("egress-eu");
    let billing = world.caller();
    let token = world.token(&billing, &[]).await;
    world.until_it_answers("the first call", &token, 200).await;

    let key = world.path("billing.key");
    std::fs::write(&key, &billing.1).unwrap();
    let certificates = world.path("cert.pem");
    // All it knows is an address and a key, as its makers meant it.
    let program = "curl --silent --show-error --fail --cacert \"$CA\" \
                   --header \"Authorization: Bearer $STRIPE_API_KEY\" \"$STRIPE_BASE/v1/charges/7\"";
    let ca = format!("CA={certificates}");
    let line = [
        "exec",
        "--issuer",
        &world.issuer,
        "--client-id",
        &billing.0,
        "--key-file",
        &key,
        "--ca-file",
        &certificates,
        "--integration",
        "stripe",
        "--egress-url",
        &world.egress,
        "--env",
        "STRIPE_API_KEY={token}",
        "--env",
        "STRIPE_BASE={url}",
        "--env",
        &ca,
        "--",
        "sh",
        "-c",
        program,
    ];
    let before = world.party.calls();
    let line: Vec<String> = line.iter().map(|&part| part.to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        lanyard(&line).stdin(Stdio::null()).output().unwrap()
    });
    let output = output.await.unwrap();
    let (printed, said) = (words(&output.stdout), words(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(printed.starts_with("a charge, for Bearer *"), "{printed}");
    assert_eq!(world.party.calls(), before + 1);
    assert_eq!(world.party.shown(), format!("Bearer {FIRST}"));
}
