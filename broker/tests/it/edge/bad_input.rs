//! What nobody can mean, at every door that would take it.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::harness::{Dev, answer, client};

/// Scopes that look like others, or like all of them.
fn strange_scopes() -> Vec<String> {
    let strange = [
        "re\u{430}d",
        "rea\u{ff44}",
        "read\u{200b}",
        "read\u{a0}write",
        "read\twrite",
        "read\nwrite",
        "*",
        "+read",
        "READ",
        "read  write",
        "read\"",
    ];
    let mut strange: Vec<String> = strange.map(str::to_owned).into();
    strange.push("a".repeat(129));
    strange.push(
        (0..65)
            .map(|number| format!("s{number} "))
            .collect::<String>()
            .trim()
            .to_owned(),
    );
    strange.push("a ".repeat(10_000));
    strange
}

async fn administer(dev: &Dev, http: &Client, path: &str, body: Value) -> (u16, Value) {
    let (status, answer) = dev.admin(http, Method::POST, path, body).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn strange_scopes_are_refused_at_every_door_that_takes_scopes() {
    let folder = tempfile::tempdir().unwrap();
    let (dev, http) = (Dev::start(folder.path()), client(None));
    let team = json!({"name": "team"});
    assert_eq!(administer(&dev, &http, "/v1/owners", team).await.0, 201);
    let identity = |scopes: &str| {
        json!({
            "name": "billing", "owner": "team", "kind": "service", "audiences": ["https://orders.example"],
            "scopes": scopes,
        })
    };
    let made = administer(&dev, &http, "/v1/identities", identity("read")).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let (_, key) = administer(&dev, &http, "/v1/identities/billing/keys", json!({})).await;
    let (id, secret) = (
        key["client_id"].as_str().unwrap(),
        key["client_secret"].as_str(),
    );
    let posted = async |path: &str, more: &[(&str, &str)]| {
        let mut form = vec![("audience", "https://orders.example")];
        form.extend_from_slice(more);
        let request = http.post(format!("{}{path}", dev.text("issuer")));
        answer(request.basic_auth(id, secret).form(&form)).await
    };
    let (_, token) = posted("/oauth/token", &[("grant_type", "client_credentials")]).await;
    let token = token["access_token"].as_str().unwrap();
    let exchange = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", token),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
    ];
    for scopes in strange_scopes() {
        let scope = ("scope", scopes.as_str());
        let shown: String = scopes.chars().take(40).collect();
        let approval = json!({
            "identity": "billing", "audience": "https://orders.example", "scopes": scopes, "reason": "r",
            "seconds": 60,
        });
        let mut another = identity(&scopes);
        another["name"] = json!("another");
        for (path, body) in [
            ("/v1/identities", another),
            ("/v1/identities/billing", json!({"scopes": scopes})),
            ("/v1/approvals", approval),
        ] {
            let (status, answer) = administer(&dev, &http, path, body).await;
            assert_eq!(status, 400, "{path} {shown:?}: {answer}");
            let words = answer["error_description"].as_str().unwrap();
            assert!(
                words.starts_with("`scopes` is refused"),
                "{path} {shown:?}: {words}"
            );
        }
        let asked = [("reason", "r"), ("seconds", "60"), scope];
        let minted = [("grant_type", "client_credentials"), scope];
        let exchanged = [exchange.as_slice(), &[scope]].concat();
        for (path, form) in [
            ("/oauth/token", minted.as_slice()),
            ("/oauth/token", &exchanged),
            ("/oauth/approvals", &asked),
        ] {
            let (status, answer) = posted(path, form).await;
            assert_eq!(status, 400, "{path} {shown:?}: {answer}");
            assert_eq!(answer["error"], "invalid_scope", "{path} {shown:?}");
        }
    }
    let (_, stands) = dev
        .admin(&http, Method::GET, "/v1/identities/billing", Value::Null)
        .await;
    assert_eq!(stands["scopes"], "read");
}

#[tokio::test]
async fn one_call_ends_fifty_thousand_nodes_and_its_answer_counts_them_unless_it_is_to_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let (dev, http) = (Dev::start(folder.path()), client(None));
    let token = dev.demo_token(&http).await;
    let (demo, key) = (dev.text("client_id"), dev.text("client_secret"));
    let many: Vec<String> = (1..50_000_u64)
        .map(|number| format!("00f00000{number:08x}"))
        .collect();
    let body = json!({"nodes": many, "tokens": [token], "reason": "a storm"});
    let (status, told) = dev.admin(&http, Method::POST, "/v1/revoke", body).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["revoked"], 50_000);
    assert_eq!(told["unknown_nodes"], 49_999);
    assert!(told["nodes"].is_null() && told["unknown"].is_null());
    assert!(told["rev"].is_u64(), "{told}");
    assert!(!dev.is_active(&http, &token, (demo, key)).await);

    let body = json!({"nodes": many[..100], "echo": true});
    let (_, told) = dev.admin(&http, Method::POST, "/v1/revoke", body).await;
    assert_eq!(told["revoked"], 100);
    assert_eq!(told["nodes"].as_array().unwrap().len(), 100);
    assert_eq!(told["unknown"].as_array().unwrap().len(), 100);
    assert!(told["unknown_nodes"].is_null(), "{told}");
}

#[tokio::test]
async fn a_million_nodes_in_one_body_end_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (dev, http) = (Dev::start(folder.path()), client(None));
    let token = dev.demo_token(&http).await;
    let demo = dev.text("client_id");
    let nodes = format!("\"{demo}\",").repeat(1_000_000);
    let many = format!("{{\"nodes\":[{}]}}", nodes.trim_end_matches(','));
    for path in ["/v1/revoke", "/v1/suspend", "/v1/resume"] {
        let request = http
            .post(format!("{}{path}", dev.text("admin_url")))
            .bearer_auth(dev.text("admin_token"))
            .header("content-type", "application/json")
            .body(many.clone());
        match request.send().await {
            Ok(answer) => assert_eq!(answer.status(), 413, "{path}"),
            // It hung up in the middle of the body, and its answer was lost.
            Err(error) => assert!(error.is_request(), "{path}: {error:?}"),
        }
    }
    let key = (demo, dev.text("client_secret"));
    assert!(dev.is_active(&http, &token, key).await);
}
