//! `lanyard probe` beside a real broker and a real gateway, and its histogram at a collector.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use lanyard_sdk::gateway::Running;
use lanyard_sdk::{DriftMode, Enrolment, Gateway, Route};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::receiver::Receiver;
use crate::edge::harness::{Dev, client, lanyard, refused, words};

const METRIC: &str = "lanyard.probe.revocation.latency";

/// A service behind a gateway of this broker; its URL.
async fn service(dev: &Dev, folder: &Path) -> (String, Running) {
    let http = client(None);
    let (_, owners) = dev.admin(&http, Method::GET, "/v1/owners", json!({})).await;
    let owner = owners["owners"][0]["id"].clone();
    let body = json!({"name": "probed", "owner": owner, "audiences": [dev.text("audience")]});
    let (status, enrolment) = dev.admin(&http, Method::POST, "/v1/gateways", body).await;
    assert!(status.is_success(), "{enrolment}");
    let (gateway, mut running) = Gateway::builder()
        .enrolled(Enrolment::parse(&enrolment.to_string()).unwrap())
        .unwrap()
        .feed(folder.join("gateway"))
        .routes([Route::new(http::Method::GET, "/canary")])
        .unwrap()
        .drift(DriftMode::Off)
        .start()
        .unwrap();
    running.ready().await.unwrap();
    let router = Router::new()
        .route("/canary", get(async || "alive"))
        .layer(gateway.layer());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/canary", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, running)
}

/// Runs the probe; its exit code, what it printed and what it said.
async fn probe(
    dev: &Dev,
    folder: &Path,
    more: &[&str],
    variables: Vec<(String, String)>,
) -> (Option<i32>, String, String) {
    let key = folder.join("key");
    std::fs::write(&key, dev.text("client_secret")).unwrap();
    let mut command = lanyard(&["probe", "--json", "--interval", "1"]);
    command
        .args(["--issuer", dev.text("issuer")])
        .args(["--client-id", dev.text("client_id")])
        .arg("--client-secret-file")
        .arg(key)
        .args(more)
        .envs(variables);
    let run = tokio::task::spawn_blocking(move || command.output());
    let run = run.await.unwrap().unwrap();
    (run.status.code(), words(&run.stdout), words(&run.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_measures_each_gateways_refusal_and_tells_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let dev = Dev::start(&folder.path().join("data"));
    let (url, _running) = service(&dev, folder.path()).await;
    let more = ["--count", "2", "--gateway", &url];
    let (code, printed, said) = probe(&dev, folder.path(), &more, receiver.variables()).await;
    assert_eq!(code, Some(0), "{said}");
    let rounds: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rounds.len(), 2, "{printed}");
    for round in &rounds {
        let ways: Vec<_> = round["gateways"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| (told["way"].as_str().unwrap(), told["ms"].is_number()))
            .collect();
        assert_eq!(ways, [("receipt", true), ("request", true)], "{round}");
    }
    let metric = receiver.end().metric(METRIC);
    assert!(metric.has("Unit", "s"), "{metric:?}");
    let counts = metric.points("lanyard.probe.way");
    let both = [("receipt".to_owned(), 2), ("request".to_owned(), 2)];
    assert!(
        both.iter().all(|point| counts.contains(point)),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_a_live_canary_may_not_get_measures_nothing_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let (url, _running) = service(&dev, folder.path()).await;
    let shut = url.replace("/canary", "/elsewhere");
    let more = ["--count", "1", "--gateway", &shut];
    let (code, printed, said) = probe(&dev, folder.path(), &more, Vec::new()).await;
    assert_eq!((code, printed.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("answers 403"), "{said}");
    assert!(
        !said.contains("/elsewhere"),
        "a path may be a secret: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_no_gateway_reads_has_no_latency_to_tell() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let (code, _, said) = probe(&dev, folder.path(), &["--count", "1"], Vec::new()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no gateway was heard of"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_behind_no_gateway_is_a_usage_error_and_not_a_missed_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    // For everybody, with and without a token.
    let url = format!(
        "{}/.well-known/oauth-authorization-server",
        dev.text("issuer")
    );
    let more = ["--count", "1", "--gateway", &url];
    let (code, printed, said) = probe(&dev, folder.path(), &more, Vec::new()).await;
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(printed, "");
    assert!(said.contains("not behind a gateway"), "{said}");
}

#[test]
fn a_canary_is_not_sent_where_others_read_along() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "lyk_").unwrap();
    let key = key.to_str().unwrap();
    let said = refused(
        &[
            "probe",
            "--issuer",
            "https://broker.example",
            "--client-id",
            "0000010000000007",
            "--client-secret-file",
            key,
            "--gateway",
            "http://orders.example/canary",
        ],
        2,
    );
    assert!(said.contains("unencrypted"), "{said}");
}
