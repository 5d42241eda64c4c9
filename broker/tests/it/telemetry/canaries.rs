//! Secrets are planted wherever callers and operators put them, then every sink is searched.

mod commands;
mod planting;

use std::path::Path;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::sinks::{Secrets, files};
use crate::edge::harness::{Dev, client};

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
    planting::every_route(&dev, &client, &mut secrets, &mut answers).await;
    planting::bad_forms(&dev, &client, &mut secrets, &mut answers).await;
    let commands = commands::all(&dev, &data, &mut secrets);
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
    let received = receiver.end();
    for signal in ["traces", "metrics", "logs"] {
        let printed = received.printed(signal);
        assert!(printed.contains("service.name"), "no {signal} arrived");
        sinks.push((format!("rotel's {signal}"), printed.to_owned()));
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
