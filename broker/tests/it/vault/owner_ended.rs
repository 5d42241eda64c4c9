//! The end of an owner: what it answered for at third parties is exchanged without anybody asking.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::http::DESCRIPTIONS;
use super::vendor::{MANAGER, Vendor};
use crate::edge::harness::{Dev, client};

/// Once a minute it is looked what is due, and an exchange takes some seconds.
const LONGEST: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_answered_for_is_exchanged_at_the_third_party_once_it_is_disabled() {
    let vendor = Vendor::start().await;
    let (reference, value) = vendor.books.make_ours();
    let folder = tempfile::tempdir().unwrap();
    let (dev, http) = (Dev::start(folder.path()), client(None));
    let call = async |method: Method, path: &str, body: Value| {
        let (status, answer) = dev.admin(&http, method, path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    let post = async |path: &str, body: Value| call(Method::POST, path, body).await;
    let get = async |path: &str| call(Method::GET, path, Value::Null).await;
    post("/v1/owners", json!({"name": "shop"})).await;
    for (name, reference, value) in [
        ("third/manager", "manager", MANAGER),
        ("third/key", &reference, &value),
    ] {
        let secret = json!({"name": name, "owner": "shop", "reference": reference, "value": value});
        post("/v1/secrets", secret).await;
    }
    let (_, description) = DESCRIPTIONS[0];
    let mut third_party: Value =
        serde_json::to_value(toml::from_str::<toml::Value>(description).unwrap()).unwrap();
    third_party["kind"] = json!("http");
    third_party["base"] = json!(vendor.url);
    let plan = json!({
        "third_party": third_party,
        "manager": "third/manager",
        "private": ["127.0.0.0/8"],
        "overlap_seconds": 1,
        "quiet_seconds": 1,
        "call_seconds": 1,
        "settle_seconds": 2,
        "spread_seconds": 2,
    });
    post("/v1/secrets/third%2Fkey/rotation", plan).await;
    assert_eq!(get("/v1/rotations").await["rotations"], json!([]));

    let reason = json!({"reason": "left"});
    post("/v1/owners/shop/disable", reason).await;
    let queued = get("/v1/secrets/third%2Fkey").await;
    assert_eq!(queued["queued_because"], "owner_ended", "{queued}");
    let began = Instant::now();
    let rotation = loop {
        let list = get("/v1/rotations").await;
        let rotation = list["rotations"][0].clone();
        if !rotation["outcome"].is_null() {
            break rotation;
        }
        assert!(began.elapsed() < LONGEST, "{list}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert_eq!(rotation["cause"], "owner_ended", "{rotation}");
    assert_eq!(rotation["outcome"], "rotated", "{rotation}");
    assert!(
        !vendor.books.knows(&value),
        "what somebody may have kept a copy of works no more"
    );
    assert_eq!(vendor.books.ours().len(), 1);
    let secret = get("/v1/secrets/third%2Fkey").await;
    assert!(secret["rotation_queued"].is_null(), "{secret}");
    assert_eq!(secret["owner"], "shop");
}
