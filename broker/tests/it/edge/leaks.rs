//! What was found elsewhere, through the real binary.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Dev, answer, client, json as run_json, refused};

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_found_is_ended_or_marked_and_nobody_is_told_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (dev, client) = (Dev::start(&data), client(None));
    let here = ["--json", "--data-dir", data.to_str().unwrap()];
    let on = |arguments: &[&str]| run_json(&[arguments, &here].concat());
    let report = async |body: Value| {
        let url = format!("{}/v1/leaks", dev.text("issuer"));
        answer(client.post(url).json(&body)).await
    };
    let found_at = "https://example.com/repository/blob/main/config";
    let (id, key) = (dev.text("client_id"), dev.text("client_secret"));
    let token = dev.demo_token(&client).await;

    let file = folder.path().join("value");
    std::fs::write(&file, "sk_live_51Hx").unwrap();
    let file = file.to_str().unwrap();
    on(&["secret", "put", "a/key", "--owner", "dev", "--file", file]);
    // The same value under another name.
    on(&["secret", "put", "b/key", "--owner", "dev", "--file", file]);
    // A report is answered before it is known what it was.
    let until = async |is_so: &dyn Fn() -> bool| {
        for _ in 0..500 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not come: {}", dev.running.said());
    };

    // The same answer for a secret, a token, a key, and what is nothing, and never sooner.
    for text in ["sk_live_51Hx", token.as_str(), "sk_live_51HX", "nonsense"] {
        let asked = Instant::now();
        let (status, told) = report(json!({"token": text, "url": found_at})).await;
        assert_eq!((status.as_u16(), told), (202, json!({"received": 1})));
        assert!(asked.elapsed() >= Duration::from_millis(250), "{text}");
    }
    for name in ["a/key", "b/key"] {
        until(&|| on(&["secret", "show", name])["rotation_queued"].is_u64()).await;
    }
    until(&|| dev.running.said().contains("and ended")).await;
    let marked = || dev.running.said().matches("it is to be exchanged").count();
    assert_eq!(marked(), 2, "one for each name");
    let probe = dev.token(&client, id, key).await;
    assert_eq!(probe.0, 200, "the key itself was not reported yet");
    assert!(!dev.is_active(&client, &token, (id, key)).await);
    let (status, _) = report(json!({"tokens": [key, "other"], "url": found_at})).await;
    assert_eq!(status, 202);
    until(&|| dev.running.said().matches("and ended").count() == 2).await;
    assert_eq!(dev.token(&client, id, key).await.0, 401);
    let said = dev.running.said();
    assert!(said.contains(found_at) && !said.contains(key), "{said}");

    for bad in [
        json!({}),
        json!({"tokens": []}),
        json!({"tokens": vec!["x"; 101]}),
        json!({"token": 7}),
        json!([key]),
        json!({"token": key, "more": 1}),
    ] {
        assert_eq!(report(bad).await.0, 400);
    }
    // Nobody knows GitHub's keys here.
    let url = format!("{}/v1/leaks/github", dev.text("issuer"));
    assert_eq!(answer(client.post(url).json(&json!([]))).await.0, 403);

    // An administrator is told what came of it.
    let body = json!({"tokens": [key, "sk_live_51Hx", "nonsense"]});
    let (status, came) = dev.admin(&client, Method::POST, "/v1/leaks", body).await;
    assert_eq!(status, 200, "{came}");
    assert_eq!(
        came,
        json!({"ours": 1, "secrets": ["a/key", "b/key"], "unknown": 1})
    );
    assert_eq!(marked(), 2, "what was reported before is no news");
    let lines = folder.path().join("found");
    std::fs::write(&lines, format!("{key}\n\nnonsense\n")).unwrap();
    let came = on(&["leak", "report", "--file", lines.to_str().unwrap()]);
    assert_eq!(came, json!({"ours": 1, "secrets": [], "unknown": 1}));
}

/// As many as one report may have: each is written down by itself, which takes longer than to stop.
const REPORTED: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_told_to_stop_acts_first_on_the_report_that_it_has_received() {
    let folder = tempfile::tempdir().unwrap();
    let (dev, client) = (Dev::start(folder.path()), client(None));
    let values: Vec<String> = (0..REPORTED)
        .map(|number| format!("sk_live_{number}"))
        .collect();
    for value in &values {
        let secret = json!({"name": format!("a/{value}"), "owner": "dev", "value": value});
        let put = dev.admin(&client, Method::POST, "/v1/secrets", secret);
        assert!(put.await.0.is_success());
    }
    let body = json!({ "tokens": values }).to_string();
    let address = dev.text("issuer").trim_start_matches("http://").to_owned();
    let mut finder = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /v1/leaks HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut finder, (head + &body).as_bytes())
        .await
        .unwrap();
    // It is received, and whoever sent it does not wait for an answer.
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(finder);
    dev.running.signal("TERM");
    assert!(dev.running.status().success());

    let dev = Dev::start(folder.path());
    let (_, kept) = dev
        .admin(&client, Method::GET, "/v1/secrets", Value::Null)
        .await;
    let secrets = kept["secrets"].as_array().unwrap();
    let marked = secrets
        .iter()
        .filter(|secret| secret["rotation_queued"].is_u64());
    assert_eq!(marked.count(), REPORTED);
}

#[test]
fn a_pipeline_looks_for_keys_without_any_broker() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = at("data");
    let dev = Dev::start(&data);
    std::fs::create_dir(at("code")).unwrap();
    std::fs::write(at("code/clean"), "lyk_nothing of the kind").unwrap();
    let clean = run_json(&["--json", "leak", "scan", at("code").to_str().unwrap()]);
    assert_eq!(clean, json!({"files": 1, "found": []}));
    let key = dev.text("client_secret");
    std::fs::write(at("code/config"), format!("\nkey = {key}\n")).unwrap();
    let output = super::harness::run(&["--json", "leak", "scan", at("code").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["found"][0]["line"], 2);
    assert!(!String::from_utf8_lossy(&output.stdout).contains(key));
    refused(&["leak", "scan", at("none").to_str().unwrap()], 1);
}
