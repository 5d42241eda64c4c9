//! What an administrator may change while a secret is being exchanged.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::http::DESCRIPTIONS;
use crate::edge::harness::{Dev, client};

/// A broker with a secret, and a plan for it at this third party.
struct World {
    dev: Dev,
    client: Client,
    plan: Value,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&folder.path().join("data"));
        let described = toml::from_str::<toml::Value>(DESCRIPTIONS[0].1).unwrap();
        let mut third_party = serde_json::to_value(described).unwrap();
        third_party["kind"] = json!("http");
        third_party["base"] = json!(base);
        let world = Self {
            dev,
            client: client(None),
            plan: json!({
                "third_party": third_party,
                "manager": "keeper",
                "private": ["127.0.0.0/8"],
            }),
            _folder: folder,
        };
        for name in ["keeper", "key"] {
            let put = json!({"name": name, "owner": "dev", "value": "sk", "reference": name});
            assert_eq!(world.post("/v1/secrets", put).await.0, 201);
        }
        assert!(world.planned(world.plan.clone()).await.0.is_success());
        world
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.dev.admin(&self.client, Method::POST, path, body).await
    }

    async fn planned(&self, plan: Value) -> (StatusCode, Value) {
        self.post("/v1/secrets/key/rotation", plan).await
    }

    async fn begun(&self) -> (StatusCode, Value) {
        self.post("/v1/secrets/key/rotate", json!({})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_neither_changed_nor_removed_while_its_secret_is_exchanged() {
    // Nobody is there: it stays where it is.
    let world = World::new("http://127.0.0.1:1").await;
    let (status, rotation) = world.begun().await;
    assert!(status.is_success(), "{rotation}");
    let mut other = world.plan.clone();
    other["third_party"]["base"] = json!("http://127.0.0.1:2");
    for (status, why) in [
        world.planned(other.clone()).await,
        world
            .post("/v1/secrets/key/rotation/remove", json!({}))
            .await,
        world.begun().await,
    ] {
        assert_eq!(status, 409, "{why}");
        assert!(why.to_string().contains("being exchanged"), "{why}");
    }
    let path = "/v1/secrets/key/rotation";
    let shown = world
        .dev
        .admin(&world.client, Method::GET, path, Value::Null);
    let base = &shown.await.1["third_party"]["base"];
    assert!(
        base.as_str().unwrap().starts_with("http://127.0.0.1:1"),
        "{base}"
    );
    let abort = format!("/v1/rotations/{}/abort", rotation["id"].as_str().unwrap());
    assert!(world.post(&abort, json!({})).await.0.is_success());
    // It is over as soon as whoever carries it on has seen that.
    for _ in 0..500 {
        if world.planned(other.clone()).await.0.is_success() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it does not end: {}", world.dev.running.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rotation_begins_by_a_plan_that_was_changed_while_the_third_party_was_asked() {
    let (asked, answered) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let routes = {
        let (asked, answered) = (asked.clone(), answered.clone());
        Router::new().fallback(move || {
            let (asked, answered) = (asked.clone(), answered.clone());
            async move {
                asked.notify_one();
                answered.notified().await;
                StatusCode::UNAUTHORIZED.into_response()
            }
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let world = World::new(&url).await;
    let changing = async {
        asked.notified().await;
        let mut other = world.plan.clone();
        other["overlap_seconds"] = json!(7);
        let changed = world.planned(other).await;
        answered.notify_one();
        changed
    };
    let (begun, changed) = tokio::join!(world.begun(), changing);
    assert!(changed.0.is_success(), "{changed:?}");
    assert!(begun.0.is_client_error(), "{begun:?}");
    assert!(
        begun.1.to_string().contains("changed meanwhile"),
        "{begun:?}"
    );
    let path = "/v1/rotations";
    let known = world
        .dev
        .admin(&world.client, Method::GET, path, Value::Null);
    assert_eq!(known.await.1["rotations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_exchanged_every_zero_days() {
    let world = World::new("http://127.0.0.1:1").await;
    let mut plan = world.plan.clone();
    plan["every_days"] = json!(0);
    let (status, why) = world.planned(plan.clone()).await;
    assert_eq!(status, 400, "{why}");
    assert!(why.to_string().contains("every_days"), "{why}");
    plan["every_days"] = json!(1);
    assert!(world.planned(plan).await.0.is_success());
}
