//! Narrowing from end to end: a policy asks for it, a real broker says it in its feed, a real gateway refuses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lanyard_drift::Outcome;
use lanyard_sdk::{Clock, Decision, DriftMode, Enrolment, Gateway, Request, Route, SystemClock};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::harness::{Dev, client};

const AUDIENCE: &str = "https://tills.example";
/// What a till does, over and over.
const ORDINARY: [&str; 4] = ["/sales", "/sales/7", "/sales/8", "/sales/7/items"];
/// What it never does, with a scope that it never needs; the service behind refuses it.
const PROBED: [&str; 5] = ["/refunds", "/prices", "/staff", "/keys", "/vault"];

fn start(enrolment: &Value, folder: &Path) -> (Gateway, lanyard_sdk::gateway::Running) {
    let sales = ["/sales", "/sales/{id}", "/sales/{id}/items"];
    let route =
        |path: &str, scope: &str| Route::new(Method::GET, path).scopes(scope.parse().unwrap());
    let routes = sales.map(|path| route(path, "sales:read"));
    let routes = routes
        .into_iter()
        .chain(PROBED.map(|path| route(path, "sales:admin")));
    Gateway::builder()
        .enrolled(Enrolment::parse(&enrolment.to_string()).unwrap())
        .unwrap()
        .feed(folder)
        .routes(routes)
        .unwrap()
        .drift(DriftMode::Enforce)
        .clock(Arc::new(SystemClock) as Arc<dyn Clock>)
        .start()
        .unwrap()
}

/// Makes a call that the service behind answers with this status; or what the gateway answers by itself.
fn call(gateway: &Gateway, token: &str, path: &str, status: u16) -> Result<(), (u16, String)> {
    let request = Request::new(&Method::GET, path);
    let answer = match gateway.check(token, &request, gateway.now()) {
        Decision::Allow(lease) => {
            let outcome = Outcome {
                status: Some(status),
                ..Outcome::default()
            };
            lease.settle(&outcome, gateway.now());
            Ok(())
        }
        Decision::Deny(denial) => {
            let challenge = denial.challenge().unwrap_or_default();
            Err((denial.outside().status, challenge))
        }
    };
    gateway.observe_now();
    answer
}

async fn mint(dev: &Dev, client: &Client, (id, secret): &(String, String)) -> String {
    let (status, answer) = dev.token(client, id, secret).await;
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn made(dev: &Dev, client: &Client, path: &str, body: Value) -> Value {
    let (status, answer) = dev.admin(client, Method::POST, path, body).await;
    assert!(status.is_success(), "{path}: {answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_for_trying_out_reads_its_policies_again_on_a_signal() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let schema = include_str!("../../../../policies/schema.cedarschema");
    std::fs::write(own.path().join("schema.cedarschema"), schema).unwrap();
    std::fs::create_dir(own.path().join("all")).unwrap();
    let put = |policies: &str| std::fs::write(own.path().join("all/policy.cedar"), policies);
    put("@id(\"all\") permit(principal, action, resource);").unwrap();
    let client = client(None);
    let variables = [("LANYARD_POLICY__BUNDLE", own.path().to_str().unwrap())];
    let dev = Dev::start_with(data.path(), &variables);
    let in_force = async || {
        let (status, answer) = dev
            .admin(&client, Method::GET, "/v1/policy", Value::Null)
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["bundle"].clone()
    };
    let before = in_force().await;
    assert!(before.is_string());
    put("@id(\"everything\") permit(principal, action, resource);").unwrap();
    dev.running.signal("HUP");
    for _ in 0..200 {
        if in_force().await != before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing was read again: {}", dev.running.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_narrows_a_till_that_probes_and_its_gateway_answers_403_insufficient_scope() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let client = client(None);
    let variables = [
        ("LANYARD_DRIFT__MODE", "enforce"),
        ("LANYARD_POLICY__BUNDLE", bundle.to_str().unwrap()),
    ];
    let dev = Dev::start_with(data.path(), &variables);
    made(&dev, &client, "/v1/owners", json!({"name": "payments"})).await;
    let till = json!({
        "name": "till", "owner": "payments", "kind": "service", "tags": [], "audiences": [AUDIENCE],
        "scopes": "sales:read sales:admin",
    });
    let till = made(&dev, &client, "/v1/identities", till).await;
    let key = made(&dev, &client, "/v1/identities/till/keys", json!({})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let till = (text(&till["id"]), text(&key["client_secret"]));
    let gateway = json!({"name": "tills", "owner": "payments", "audiences": [AUDIENCE]});
    let enrolment = made(&dev, &client, "/v1/gateways", gateway).await;
    let (gateway, mut beside) = start(&enrolment, state.path());
    beside.ready().await.unwrap();

    let learned = |dev: &Dev| {
        let path = format!("/v1/drift/identities/{}", till.0);
        let client = client.clone();
        let (url, token) = (
            dev.text("admin_url").to_owned(),
            dev.text("admin_token").to_owned(),
        );
        async move {
            let request = client.get(format!("{url}{path}")).bearer_auth(token);
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            answer["calls"].as_u64().unwrap()
        }
    };
    for _ in 0..100 {
        if learned(&dev).await >= 2_000 {
            break;
        }
        let token = mint(&dev, &client, &till).await;
        for n in 0..300 {
            call(&gateway, &token, ORDINARY[n % 4], 200).unwrap();
            if n % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(learned(&dev).await >= 2_000);

    // All at once: it is one window that says that calls are new and that they are refused.
    let token = mint(&dev, &client, &till).await;
    for n in 0..40 {
        call(&gateway, &token, ORDINARY[n % 4], 200).unwrap();
    }
    for path in PROBED {
        call(&gateway, &token, path, 403).unwrap();
    }
    let mut refused = None;
    for n in 0..2_000 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Err(answer) = call(&gateway, &token, PROBED[n % 5], 403) {
            refused = Some(answer);
            break;
        }
        for path in ORDINARY {
            let _ = call(&gateway, &token, path, 200);
        }
    }
    let (_, verdicts) = dev
        .admin(&client, Method::GET, "/v1/drift/verdicts", Value::Null)
        .await;
    let (status, challenge) = refused.unwrap_or_else(|| panic!("never refused: {verdicts}"));
    assert_eq!(status, 403, "{challenge}: {verdicts}");
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    assert_eq!(
        call(&gateway, &token, "/sales", 200),
        Ok(()),
        "what it does anyway"
    );

    let narrowed = verdicts["verdicts"].as_array().unwrap().iter();
    let mut narrowed = narrowed.flat_map(|verdict| verdict["responses"].as_array().unwrap());
    let narrowed = narrowed
        .find(|taken| taken["response"] == "narrow")
        .unwrap_or_else(|| panic!("{verdicts}"));
    let policies = narrowed["chosen"]["policies"].as_array().unwrap();
    assert!(
        policies.contains(&json!("response.payments-narrow")),
        "{narrowed}"
    );
    beside.stop().await.unwrap();
}
