//! What was asked of a running broker, out of its log, and through other policies.

use std::fs;

use super::{Copied, ours};
use crate::edge::harness::{Dev, answer, client, run, words};

#[tokio::test]
async fn what_was_asked_of_a_broker_is_tried_with_other_policies() {
    let data = tempfile::tempdir().unwrap();
    let dev = Dev::start(data.path());
    let http = client(None);
    for _ in 0..3 {
        dev.demo_token(&http).await;
    }
    let request = http
        .post(format!("{}/oauth/token", dev.text("issuer")))
        .basic_auth(dev.text("client_id"), Some(dev.text("client_secret")))
        .form(&[
            ("grant_type", "client_credentials"),
            ("scope", "nothing:registered"),
            ("requested_lifetime", "60"),
        ]);
    let (status, refused) = answer(request).await;
    assert_eq!(status, 400, "{refused}");
    let place = data.path().to_str().unwrap();
    // The broker runs on, and a denial is written with the others of its minute: its end writes what is left.
    dev.running.signal("TERM");
    dev.running.wait();
    let output = run(&["policy", "requests", "--days", "1", "--data-dir", place]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let lines = words(&output.stdout);
    let recorded: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let asked: u64 = recorded
        .iter()
        .map(|request| request["count"].as_u64().unwrap())
        .sum();
    // The administrator of `lanyard dev` has one too, out of the socket, where no policy is asked.
    assert_eq!(asked, 4, "{lines}");
    for request in &recorded {
        assert_eq!(request["identity"]["kind"], "service", "{request}");
        assert_eq!(request["identity"]["age_days"], 0, "{request}");
        assert_eq!(request["identity"]["unused_days"], 0, "{request}");
    }
    let folder = Copied::new();
    fs::write(folder.home.path().join("requests.jsonl"), &lines).unwrap();
    let before = ours();
    let diff = |folder: &Copied| {
        folder.policy(&[
            "diff",
            before.to_str().unwrap(),
            "policies",
            "--requests",
            "requests.jsonl",
        ])
    };
    let (code, told, said) = diff(&folder);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.starts_with("0 of 4 recorded requests"), "{told}");
    folder.replace(
        "registered/policy.cedar",
        "principal.audiences.contains(resource.audience) &&",
        "principal.kind == \"gateway\" &&",
    );
    let (code, told, _) = diff(&folder);
    assert_eq!(code, 1);
    assert!(told.starts_with("3 of 4 recorded requests"), "{told}");
    assert!(told.contains("newly denied"), "{told}");
}

#[test]
fn a_folder_without_a_log_has_no_requests() {
    let empty = tempfile::tempdir().unwrap();
    let output = run(&[
        "policy",
        "requests",
        "--data-dir",
        empty.path().to_str().unwrap(),
    ]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}
