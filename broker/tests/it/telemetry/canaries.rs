//! Secrets are planted wherever callers and operators put them, then every sink is searched.

use std::path::Path;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::sinks::{Secrets, files};
use crate::edge::harness::{Dev, client, lanyard, words};

const ROUTES: &str = include_str!("../edge/routes.txt");

/// Answers of routes, and what was said in them.
#[derive(Default)]
struct Answers(Vec<(String, u16, String)>);

impl Answers {
    async fn ask(&mut self, what: String, request: RequestBuilder) -> Value {
        let Ok(response) = request.send().await else {
            // What cannot be sent is no request.
            return Value::Null;
        };
        let (status, headers) = (
            response.status().as_u16(),
            format!("{:?}", response.headers()),
        );
        let body = response.text().await.unwrap_or_default();
        let answer = serde_json::from_str(&body).unwrap_or(Value::Null);
        self.0.push((what, status, headers + &body));
        answer
    }
}

/// A secret nobody issued, distinct for each place it is planted in.
fn invented(secrets: &mut Secrets, place: &str) -> String {
    let digits: String = place
        .bytes()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect();
    let secret = format!("canary{}{digits}", secrets.len());
    secrets.plant(place, secret.as_bytes());
    secret
}

/// As an API key looks, and as a token looks.
fn lookalikes(secrets: &mut Secrets, place: &str) -> [String; 2] {
    let key = format!(
        "lyk_0123456789abcdef_{}",
        invented(secrets, &format!("{place}, key"))
    );
    let token = invented(secrets, &format!("{place}, token"));
    let token = format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.{token}");
    [key, token]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_sink() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let data = folder.path().join("data");
    let mut secrets = Secrets::default();
    let header = invented(&mut secrets, "the collector's header");
    let mut variables = receiver.variables();
    variables.extend([
        ("RUST_LOG".to_owned(), "trace".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
            format!("authorization=Bearer%20{header}"),
        ),
    ]);
    let pairs: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let dev = Dev::start_with(&data, &pairs);
    let client = client(None);
    secrets.plant_token("the administrator's token", dev.text("admin_token"));
    secrets.plant("the demo key", dev.text("client_secret").as_bytes());
    for name in ["seal.key", "root.key"] {
        plant_file(&mut secrets, name, &data.join(name));
    }

    let mut answers = Answers::default();
    good_use(&dev, &client, &mut secrets, &mut answers).await;
    every_route(&dev, &client, &mut secrets, &mut answers).await;
    bad_forms(&dev, &client, &mut secrets, &mut answers).await;
    let commands = commands(&dev, &data, &mut secrets);
    let metrics = client
        .get(format!("{}/metrics", dev.text("admin_url")))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    dev.running.signal("TERM");
    let said = dev.running.said_at_the_end();

    assert!(secrets.len() > 60, "only {} planted", secrets.len());
    assert!(said.contains("TRACE") || said.contains("DEBUG") || said.contains("INFO"));
    for target in [
        "hyper",
        "h2::",
        "rustls",
        "axum::rejection",
        "tonic",
        "reqwest",
    ] {
        for level in ["TRACE", "DEBUG"] {
            let speaks = said.lines().any(|line| {
                line.split_whitespace().nth(1) == Some(level)
                    && line
                        .split_whitespace()
                        .nth(2)
                        .is_some_and(|word| word.starts_with(target))
            });
            assert!(!speaks, "{target} speaks at {level}");
        }
    }
    let mut sinks = vec![
        ("standard error".to_owned(), said),
        ("/metrics".to_owned(), metrics),
    ];
    for signal in ["traces", "metrics", "logs"] {
        let printed = receiver.printed(signal);
        assert!(printed.contains("service.name"), "no {signal} arrived");
        sinks.push((format!("rotel's {signal}"), printed));
    }
    sinks.extend(
        files(&data)
            .into_iter()
            .filter(|(path, _)| !path.ends_with("/seal.key") && !path.ends_with("/root.key")),
    );
    sinks.extend(commands);
    let refused = answers.0.iter().filter(|(_, status, _)| *status >= 400);
    sinks.extend(refused.map(|(what, status, text)| (format!("{what}: {status}"), text.clone())));
    assert!(sinks.len() > 150, "only {} sinks", sinks.len());
    let leaks: Vec<String> = sinks
        .iter()
        .flat_map(|(sink, text)| {
            let found = secrets.found_in(text, &[]);
            found
                .into_iter()
                .map(move |name| format!("{name} in {sink}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// A key file: as it stands there, and the bytes it stands for.
fn plant_file(secrets: &mut Secrets, name: &str, path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    for (n, line) in text.lines().filter(|line| line.len() >= 32).enumerate() {
        secrets.plant(&format!("{name}, line {n}"), line.trim().as_bytes());
    }
    secrets.plant(name, &bytes);
}

/// Everything that works, with real secrets.
async fn good_use(dev: &Dev, client: &Client, secrets: &mut Secrets, answers: &mut Answers) {
    let issuer = dev.text("issuer");
    let (id, key) = (dev.text("client_id"), dev.text("client_secret"));
    let form = |path: &str, pairs: &[(&str, &str)]| {
        client
            .post(format!("{issuer}{path}"))
            .basic_auth(id, Some(key))
            .form(pairs)
    };
    let mut tokens = Vec::new();
    let minted = form("/oauth/token", &[("grant_type", "client_credentials")]);
    tokens.push(answers.ask("mint".into(), minted).await);
    let posted = client.post(format!("{issuer}/oauth/token")).form(&[
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", key),
    ]);
    tokens.push(answers.ask("mint, posted".into(), posted).await);
    let minted = tokens[0]["access_token"].as_str().unwrap().to_owned();
    let exchange = form(
        "/oauth/token",
        &[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", &minted),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("scope", "orders:read"),
        ],
    );
    tokens.push(answers.ask("exchange".into(), exchange).await);
    for (n, answer) in tokens.iter().enumerate() {
        let token = answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{n}: {answer}"));
        secrets.plant_token(&format!("token {n}"), token);
    }
    answers
        .ask(
            "introspect".into(),
            form("/oauth/introspect", &[("token", &minted)]),
        )
        .await;
    answers
        .ask(
            "revoke".into(),
            form("/oauth/revoke", &[("token", &minted)]),
        )
        .await;
    // Dead now, and shown again where nothing dead belongs.
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        answers
            .ask("again".into(), form(path, &[("token", &minted)]))
            .await;
    }

    let gateway = json!({"name": "edge", "owner": "dev", "audiences": ["https://orders.example"]});
    let (_, enrolment) = dev
        .admin(client, Method::POST, "/v1/gateways", gateway)
        .await;
    let gateway_key = enrolment["client_secret"].as_str().unwrap();
    secrets.plant("the gateway's key", gateway_key.as_bytes());
    let (_, answer) = dev
        .token(
            client,
            enrolment["client_id"].as_str().unwrap(),
            gateway_key,
        )
        .await;
    let gateway_token = answer["access_token"].as_str().unwrap();
    secrets.plant_token("the gateway's token", gateway_token);
    let mut stream = client
        .get(format!("{issuer}/v1/feed?after=1.0"))
        .bearer_auth(gateway_token)
        .send()
        .await
        .unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let [key, token] = lookalikes(secrets, "a path without a route");
    let shadows: Vec<Value> = [key, token]
        .iter()
        .map(|secret| json!({"method": "GET", "path": format!("/{secret}"), "identity": id, "calls": 3}))
        .collect();
    let report = client
        .post(format!("{issuer}/v1/reports"))
        .bearer_auth(gateway_token)
        .json(&json!({"epoch": 1, "seq": 1, "entries": [], "shadow_routes": shadows}));
    answers.ask("report".into(), report).await;
    assert_eq!(answers.0.last().unwrap().1, 200, "{:?}", answers.0.last());
}

/// Every route of both listeners with secrets in path, query, headers and body.
async fn every_route(dev: &Dev, client: &Client, secrets: &mut Secrets, answers: &mut Answers) {
    for line in ROUTES.lines().filter(|line| !line.starts_with('#')) {
        let [door, method, path, _] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let base = match door {
            "public" => dev.text("issuer"),
            "admin" => dev.text("admin_url"),
            _ => continue,
        };
        // A stream has no end to wait for.
        if path == "/v1/feed" {
            continue;
        }
        for admitted in [false, true] {
            // What ends the demo's own things would end the test.
            let what = format!("{line} ({admitted})");
            let [in_path, _] = lookalikes(secrets, &format!("{what}: path"));
            let [in_query, in_header] = lookalikes(secrets, &format!("{what}: query, header"));
            let [in_body, in_agent] = lookalikes(secrets, &format!("{what}: body, agent"));
            let mut concrete = String::new();
            for segment in path.split('/').skip(1) {
                concrete.push('/');
                concrete.push_str(if segment.starts_with('{') {
                    &in_path
                } else {
                    segment
                });
            }
            let url =
                format!("{base}{concrete}?access_token={in_query}&verbose=1&after={in_query}");
            let mut request = client
                .request(method.parse().unwrap(), url)
                .header("user-agent", format!("agent {in_agent}"))
                .header("cookie", format!("session={in_header}"))
                .header("x-api-key", &in_header)
                .header("tracestate", format!("a={in_header}"))
                .header("baggage", format!("key={in_header}"))
                .header("traceparent", &in_header);
            request = match admitted {
                true => request.bearer_auth(dev.text("admin_token")),
                false => request.bearer_auth(&in_header),
            };
            if method == "POST" {
                let body = json!({"password": in_body, in_body.as_str(): 1});
                request = request.json(&body);
            }
            answers.ask(what, request).await;
            if method == "POST" && admitted {
                for member in [
                    "name",
                    "owner",
                    "kind",
                    "tags",
                    "audiences",
                    "scopes",
                    "max_lifetime",
                    "node",
                    "nodes",
                    "tokens",
                    "seconds",
                    "wait",
                    "label",
                    "expires_in",
                    "entries",
                    "epoch",
                    "instance",
                    "rev",
                ] {
                    let [value, _] = lookalikes(secrets, &format!("{line}: member {member}"));
                    let known = json!({member: value});
                    let request = client
                        .request(method.parse().unwrap(), format!("{base}{concrete}"))
                        .bearer_auth(dev.text("admin_token"))
                        .json(&known);
                    answers.ask(format!("{line}, {member}"), request).await;
                }
                let [value, _] = lookalikes(secrets, &format!("{line}: not JSON"));
                let request = client
                    .request(method.parse().unwrap(), format!("{base}{concrete}"))
                    .bearer_auth(dev.text("admin_token"))
                    .header("content-type", "application/json")
                    .body(format!("{{\"name\": {value}"));
                answers.ask(format!("{line}, not JSON"), request).await;
            }
        }
    }
}

/// The OAuth routes with every member, and every header, that could hold a secret.
async fn bad_forms(dev: &Dev, client: &Client, secrets: &mut Secrets, answers: &mut Answers) {
    let issuer = dev.text("issuer").to_owned();
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        for member in [
            "client_id",
            "client_secret",
            "password",
            "username",
            "assertion",
            "client_assertion",
            "token",
            "subject_token",
            "actor_token",
            "subject_token_type",
            "actor_token_type",
            "grant_type",
            "scope",
            "audience",
            "resource",
            "requested_lifetime",
            "requested_token_type",
            "authorization_details",
            "code",
            "refresh_token",
            "wait",
            "token_type_hint",
        ] {
            for secret in lookalikes(secrets, &format!("{path}: {member}")) {
                let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
                let mut form = vec![(member, secret.as_str())];
                for (name, value) in [
                    (
                        "grant_type",
                        if member.contains("_token") {
                            exchange
                        } else {
                            "client_credentials"
                        },
                    ),
                    ("token", "x"),
                    ("subject_token", "x"),
                    (
                        "subject_token_type",
                        "urn:ietf:params:oauth:token-type:access_token",
                    ),
                ] {
                    if name != member {
                        form.push((name, value));
                    }
                }
                let request = || client.post(format!("{issuer}{path}")).form(&form);
                answers.ask(format!("{path}, {member}"), request()).await;
                let known =
                    request().basic_auth(dev.text("client_id"), Some(dev.text("client_secret")));
                answers.ask(format!("{path}, {member}, known"), known).await;
            }
        }
        for scheme in [
            "Basic ",
            "Bearer ",
            "bearer  ",
            "Digest response=",
            "Negotiate ",
            "",
            "Basic\t",
            "Bearer x,",
        ] {
            for secret in lookalikes(secrets, &format!("{path}: `{scheme}`")) {
                let request = client
                    .post(format!("{issuer}{path}"))
                    .header("authorization", format!("{scheme}{secret}"))
                    .form(&[("grant_type", "client_credentials"), ("token", "x")]);
                answers.ask(format!("{path}, `{scheme}`"), request).await;
            }
        }
        for (id, what) in [
            ("nobody", "an unknown client"),
            (dev.text("client_id"), "a wrong key"),
        ] {
            for secret in lookalikes(secrets, &format!("{path}: {what}")) {
                let request = client
                    .post(format!("{issuer}{path}"))
                    .basic_auth(id, Some(&secret))
                    .form(&[("grant_type", "client_credentials"), ("token", "x")]);
                answers.ask(format!("{path}, {what}"), request).await;
            }
        }
        let [body, _] = lookalikes(secrets, &format!("{path}: not a form"));
        let request = client
            .post(format!("{issuer}{path}"))
            .header("content-type", "application/json")
            .body(body);
        answers.ask(format!("{path}, not a form"), request).await;
    }
}

/// The command line; each command's two outputs are sinks, but for the place that shows a key once.
fn commands(dev: &Dev, data: &Path, secrets: &mut Secrets) -> Vec<(String, String)> {
    let at = data.to_str().unwrap();
    let token_file = data.parent().unwrap().join("admin.token");
    std::fs::write(&token_file, dev.text("admin_token")).unwrap();
    let key_file = data.parent().unwrap().join("made.key");
    let wrong_file = data.parent().unwrap().join("wrong.token");
    let [wrong, _] = lookalikes(secrets, "a wrong token in a file");
    std::fs::write(&wrong_file, wrong).unwrap();
    let [lookalike, _] = lookalikes(secrets, "an argument");
    let password = invented(secrets, "a password in an address");
    let endpoint = format!("http://user:{password}@127.0.0.1:1");
    let secret = dev.text("client_secret").to_owned();
    let (key_file, token_file, wrong_file) = (
        key_file.to_str().unwrap(),
        token_file.to_str().unwrap(),
        wrong_file.to_str().unwrap(),
    );
    let here = ["--data-dir", at];
    let there = [
        "--admin-url",
        dev.text("admin_url"),
        "--admin-token-file",
        token_file,
    ];
    let mut sinks = Vec::new();
    for (arguments, place) in [
        (vec!["identity", "list"], &here[..]),
        (vec!["identity", "show", "demo"], &here),
        (vec!["identity", "show", &secret], &here),
        (vec!["identity", "show", &lookalike], &here),
        (vec!["key", "list", "demo"], &there),
        (vec!["key", "add", "demo", "--out", key_file], &here),
        (vec!["key", "revoke", &secret], &here),
        (vec!["token", "revoke", &secret], &here),
        (vec!["gateway", "list"], &there),
        (vec!["owner", "list"], &here),
        (vec!["owner", "add", &secret], &here),
        (vec!["signing-key", "list"], &here),
        (vec!["drift", "list"], &here),
        (vec!["status"], &here),
        (
            vec![
                "owner",
                "list",
                "--admin-url",
                dev.text("admin_url"),
                "--admin-token-file",
                wrong_file,
            ],
            &[],
        ),
        (vec!["config", "show"], &here),
        (vec!["config", "check"], &here),
    ] {
        for json in [false, true] {
            let mut command = lanyard(&[arguments.as_slice(), place].concat());
            command
                .env("RUST_LOG", "trace")
                .env("LANYARD_TELEMETRY__OTLP_ENDPOINT", &endpoint);
            if json {
                command.arg("--json");
            }
            let output = command.output().unwrap();
            let said = words(&output.stdout) + &words(&output.stderr);
            sinks.push((format!("lanyard {arguments:?}"), said));
        }
    }
    let made = std::fs::read_to_string(key_file).unwrap();
    secrets.plant("a key made by a command", made.trim().as_bytes());
    sinks
}
