//! A gateway whose broker is killed, and comes back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanyard_sdk::gateway::Running as Beside;
use lanyard_sdk::{
    BootTime, Clock, Decision, DriftMode, Enrolment, Gateway, Now, Request, Route, SystemClock,
    UnixMillis,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::harness::{Dev, Running, client};

const AUDIENCE: &str = "https://orders.example";
/// What a clerk does, over and over.
const ORDINARY: [&str; 4] = ["/orders", "/orders/7", "/orders/8", "/orders/7/items"];
/// What another member of the role does: the same operations in another order, and one more.
const OTHER: [&str; 3] = ["/orders/7/items", "/customers", "/orders"];

/// Runs ahead of the machine's, so that a minute need not be waited for.
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Now {
        let (now, ahead) = (SystemClock.now(), self.0.load(Ordering::SeqCst));
        Now {
            boot: BootTime(now.boot.0 + ahead),
            wall: UnixMillis(now.wall.0 + ahead),
        }
    }
}

fn broker(folder: &Path, listen: &str) -> Dev {
    let folder = folder.to_str().unwrap();
    let arguments = [
        "dev",
        "--json",
        "--listen",
        listen,
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
        folder,
    ];
    let mut running = Running::start_with(&arguments, &[("LANYARD_DRIFT__MODE", "enforce")]);
    let printed = serde_json::from_str(&running.line()).unwrap();
    Dev { running, printed }
}

fn start(enrolment: &Value, folder: &Path, clock: &Arc<Ahead>) -> (Gateway, Beside) {
    let route = |path: &str| Route::new(Method::GET, path);
    Gateway::builder()
        .enrolled(Enrolment::parse(&enrolment.to_string()).unwrap())
        .unwrap()
        .feed(folder)
        .routes(
            [
                "/orders",
                "/orders/{id}",
                "/orders/{id}/items",
                "/customers",
            ]
            .map(route),
        )
        .unwrap()
        .drift(DriftMode::Enforce)
        .clock(Arc::clone(clock) as Arc<dyn Clock>)
        .start()
        .unwrap()
}

fn call(gateway: &Gateway, token: &str, path: &str) -> bool {
    let request = Request::new(&Method::GET, path);
    matches!(
        gateway.check(token, &request, gateway.now()),
        Decision::Allow(_)
    )
}

/// So many calls by turns; how many got through.
async fn work(gateway: &Gateway, token: &str, paths: &[&str], calls: usize) -> usize {
    let mut passed = 0;
    for n in 0..calls {
        passed += usize::from(call(gateway, token, paths[n % paths.len()]));
        gateway.observe_now();
        if n % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    passed
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A member of the role; its id and key.
async fn member(dev: &Dev, client: &Client, name: &str) -> (String, String) {
    let identity = json!({
        "name": name, "owner": "dev", "kind": "service", "tags": ["desk"], "audiences": [AUDIENCE],
        "scopes": "orders:read",
    });
    let (status, made) = dev
        .admin(client, Method::POST, "/v1/identities", identity)
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/v1/identities/{name}/keys");
    let (_, key) = dev.admin(client, Method::POST, &path, json!({})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["id"]), text(&key["client_secret"]))
}

async fn mint(dev: &Dev, client: &Client, (id, secret): &(String, String)) -> String {
    let (status, answer) = dev.token(client, id, secret).await;
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_is_stopped_while_the_broker_is_dead_and_stays_so_through_restarts() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let client = client(None);
    let dev = broker(data.path(), "127.0.0.1:0");
    let listen = dev.text("issuer").replace("http://", "");
    let (clerk, other) = (
        member(&dev, &client, "clerk").await,
        member(&dev, &client, "other").await,
    );
    let gateway = json!({"name": "orders-api", "owner": "dev", "audiences": [AUDIENCE]});
    let (_, enrolment) = dev
        .admin(&client, Method::POST, "/v1/gateways", gateway)
        .await;
    let clock = Arc::new(Ahead(AtomicU64::new(0)));
    let (gateway, mut beside) = start(&enrolment, state.path(), &clock);
    beside.ready().await.unwrap();

    for (who, paths) in [(&other, &OTHER[..]), (&clerk, &ORDINARY[..])] {
        let before = gateway.portraits_kept();
        let (began, mut calls, mut passed) = (Instant::now(), 0, 0);
        while gateway.portraits_kept() == before {
            let (sent, alarms) = (beside.reports().sent(), gateway.sudden_alarms());
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "nothing was learned: {passed} of {calls} calls passed, {sent} reports, {alarms} alarms, {before} portraits"
            );
            let token = mint(&dev, &client, who).await;
            passed += work(&gateway, &token, paths, 300).await;
            calls += 300;
        }
    }
    let (stolen, untouched) = (
        mint(&dev, &client, &clerk).await,
        mint(&dev, &client, &other).await,
    );
    assert_eq!(work(&gateway, &stolen, &ORDINARY, 100).await, 100);
    assert!(call(&gateway, &untouched, "/orders"));
    assert_eq!((gateway.sudden_alarms(), gateway.suspended_here()), (0, 0));

    dev.running.signal("KILL");
    drop(dev);
    clock.0.fetch_add(11_000, Ordering::SeqCst);
    assert_eq!(
        work(&gateway, &stolen, &ORDINARY, 100).await,
        100,
        "the owner"
    );
    let got = work(&gateway, &stolen, &OTHER, 500).await;
    assert!((20..150).contains(&got), "{got} calls of a thief");
    assert_eq!(gateway.suspended_here(), 1);
    assert!(call(&gateway, &untouched, "/orders"));

    beside.stop().await.unwrap();
    drop(gateway);
    let (gateway, mut beside) = start(&enrolment, state.path(), &clock);
    beside.ready().await.unwrap();
    assert!(!call(&gateway, &stolen, "/orders"), "remembered");
    assert!(call(&gateway, &untouched, "/orders"));

    let dev = broker(data.path(), &listen);
    until("the broker has judged it", || gateway.suspended_here() == 0).await;
    assert!(!call(&gateway, &stolen, "/orders"), "recycled");
    let key = (other.0.as_str(), other.1.as_str());
    assert!(!dev.is_active(&client, &stolen, key).await);
    let again = mint(&dev, &client, &clerk).await;
    until("the owner's next token passes", || {
        call(&gateway, &again, "/orders")
    })
    .await;
    beside.stop().await.unwrap();
}
