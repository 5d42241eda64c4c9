//! A real broker and a real gateway: what is used comes into the log, and what is not can be taken.

use std::fs;
use std::time::{Duration, Instant};

use lanyard_drift::Outcome;
use lanyard_sdk::{Decision, DriftMode, Enrolment, Gateway, Request, Route};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::edge::harness::{Dev, client, lanyard, run, words};

const AUDIENCE: &str = "https://orders.example";

/// An identity of the demo's owner; its id and key.
async fn clerk(dev: &Dev, http: &Client) -> (String, String) {
    let owner = json!({"name": "sales"});
    let (status, answer) = dev.admin(http, Method::POST, "/v1/owners", owner).await;
    assert!(status.is_success(), "{answer}");
    let identity = json!({
        "name": "clerk", "owner": "sales", "kind": "service",
        "audiences": [AUDIENCE], "scopes": "orders:read orders:write",
    });
    let (status, made) = dev
        .admin(http, Method::POST, "/v1/identities", identity)
        .await;
    assert!(status.is_success(), "{made}");
    let path = "/v1/identities/clerk/keys";
    let (status, key) = dev.admin(http, Method::POST, path, json!({})).await;
    assert!(status.is_success(), "{key}");
    let id = made["id"].as_str().unwrap().to_owned();
    (id, key["client_secret"].as_str().unwrap().to_owned())
}

async fn unused(dev: &Dev, http: &Client) -> Vec<Value> {
    let path = "/v1/unused-rights?days=0&identity=clerk&operations=true";
    let (status, answer) = dev.admin(http, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    answer["rights"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_that_a_gateway_saw_used_is_kept_and_another_is_not() {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(data.path());
    let http = client(None);
    let (id, key) = clerk(&dev, &http).await;
    let door = json!({"name": "door", "owner": "sales", "audiences": [AUDIENCE]});
    let (status, enrolment) = dev.admin(&http, Method::POST, "/v1/gateways", door).await;
    assert!(status.is_success(), "{enrolment}");
    let read = Route::new(Method::GET, "/orders").scopes("orders:read".parse().unwrap());
    let write = Route::new(Method::POST, "/orders").scopes("orders:write".parse().unwrap());
    let state = tempfile::tempdir().unwrap();
    let (gateway, mut running) = Gateway::builder()
        .enrolled(Enrolment::parse(&enrolment.to_string()).unwrap())
        .unwrap()
        .feed(state.path().join("feed"))
        .routes([read, write])
        .unwrap()
        .drift(DriftMode::Observe)
        .start()
        .unwrap();
    running.ready().await.unwrap();
    let (status, answer) = dev.token(&http, &id, &key).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["scope"], "orders:read orders:write", "it has both");
    let token = answer["access_token"].as_str().unwrap();
    let now = gateway.now();
    let Decision::Allow(lease) = gateway.check(token, &Request::new(&Method::GET, "/orders"), now)
    else {
        panic!("it may read");
    };
    lease.settle(&Outcome::default(), now);

    // The first report of a new token goes out within a second or so.
    let seen = |rights: &[Value]| {
        let of = |right: &str| {
            let found = rights.iter().find(|one| one["right"] == right).unwrap();
            (found["witness"].clone(), found["last_used"].is_u64())
        };
        (of("orders:read"), of("orders:write"))
    };
    let expected = ((json!("gateways"), true), (json!("gateways"), false));
    let began = Instant::now();
    while seen(&unused(&dev, &http).await) != expected {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{:?}",
            unused(&dev, &http).await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let listed = unused(&dev, &http).await;
    let called: Vec<_> = listed
        .iter()
        .filter(|one| one["what"] == "operation")
        .collect();
    assert_eq!(
        called.len(),
        1,
        "what nobody calls is not known: {listed:?}"
    );
    assert_eq!(called[0]["right"], "GET /orders");
    running.stop().await.unwrap();

    let place = data.path().to_str().unwrap();
    dev.running.signal("TERM");
    dev.running.wait();
    let output = run(&["policy", "requests", "--days", "1", "--data-dir", place]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let lines = words(&output.stdout);
    let clerks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["identity"]["name"] == "clerk")
        .collect();
    assert_eq!(clerks.len(), 2, "a token and a use: {lines}");
    assert_eq!(clerks[1]["source"], "gateway");
    assert_eq!(clerks[1]["request"]["scopes"], json!(["orders:read"]));
    assert!(clerks[1]["since"].is_string());
    tightened(&clerks, data.path());
}

/// The same day over and over, by an identity that is there for long: what a month of it would be.
fn tightened(clerks: &[Value], folder: &std::path::Path) {
    let mut lines = String::new();
    for day in 1..=20 {
        for line in clerks {
            let mut line = line.clone();
            line["since"] = json!("2025-01-01T00:00:00Z");
            line["request"]["time"] = json!(format!("2026-01-{day:02}T09:00:00Z"));
            lines.push_str(&format!("{line}\n"));
        }
    }
    fs::write(folder.join("requests.jsonl"), lines).unwrap();
    let registered = format!(
        "[[identity]]\nname = \"clerk\"\nowner = \"sales\"\nkind = \"service\"\naudiences = [\"{AUDIENCE}\"]\n\
         scopes = [\"orders:read\", \"orders:write\"]\n"
    );
    fs::write(folder.join("identities.toml"), registered).unwrap();
    let output = lanyard(&[
        "policy",
        "tighten",
        "-f",
        "identities.toml",
        "--requests",
        "requests.jsonl",
        "--days",
        "20",
        "--until",
        "2026-01-21",
    ])
    .current_dir(folder)
    .output()
    .unwrap();
    let patch = words(&output.stdout);
    assert!(patch.contains("+scopes = [\"orders:read\"]"), "{patch}");
}
