//! A third party that keeps its answers by idempotency key, errors too: asking again brings the same error.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::http::DESCRIPTIONS;
use super::vendor::{Failing, MANAGER, Vendor};
use crate::edge::harness::{Dev, client};

/// Until when an exchange has to have come to its end, on a machine that has much to do.
const LONGEST: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_answered_with_an_error_for_ever_is_left_for_the_next_one() {
    let (made, not_made) = tokio::join!(
        exchanged_after(Failing::Made),
        exchanged_after(Failing::NotMade)
    );
    for (failing, (shown, in_force, ours)) in [(Failing::Made, made), (Failing::NotMade, not_made)]
    {
        assert_eq!(shown["outcome"], "rotated", "{failing:?}: {shown}");
        assert_eq!(ours, [in_force], "{failing:?}: one of ours is nobody's");
    }
}

/// How the exchange came to its end, what the version in force is called, and what there is of ours at the end.
async fn exchanged_after(failing: Failing) -> (Value, String, Vec<String>) {
    let vendor = Vendor::start().await;
    let (first, value) = vendor.books.make_ours();
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let client = client(None);
    let call = async |method: Method, path: &str, body: Value| {
        let (status, answer) = dev.admin(&client, method, path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    for (name, reference, value) in [
        ("keeper", "manager", MANAGER),
        ("key", first.as_str(), value.as_str()),
    ] {
        let put = json!({"name": name, "owner": "dev", "value": value, "reference": reference});
        call(Method::POST, "/v1/secrets", put).await;
    }
    let (_, described) = DESCRIPTIONS
        .iter()
        .find(|(name, _)| *name == "basic-forms")
        .unwrap();
    let described = toml::from_str::<toml::Value>(described).unwrap();
    let mut third_party = serde_json::to_value(described).unwrap();
    third_party["kind"] = json!("http");
    third_party["base"] = json!(vendor.url);
    let plan = json!({
        "third_party": third_party, "manager": "keeper", "private": ["127.0.0.0/8"],
        "overlap_seconds": 1, "quiet_seconds": 1, "call_seconds": 4, "settle_seconds": 5, "spread_seconds": 2,
    });
    call(Method::POST, "/v1/secrets/key/rotation", plan).await;
    vendor.books.fail_once(failing);
    let begun = call(Method::POST, "/v1/secrets/key/rotate", json!({})).await;
    let path = format!("/v1/rotations/{}", begun["id"].as_str().unwrap());
    let began = Instant::now();
    let shown = loop {
        let shown = call(Method::GET, &path, Value::Null).await;
        if shown["outcome"].is_string() || began.elapsed() > LONGEST {
            break shown;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let secret = call(Method::GET, "/v1/secrets/key", Value::Null).await;
    let mut versions = secret["versions"].as_array().unwrap().iter();
    let in_force = versions.find(|version| version["version"] == secret["active"]);
    let in_force = in_force.unwrap()["reference"].as_str().unwrap().to_owned();
    let ours = vendor.books.ours().into_iter().collect();
    (shown, in_force, ours)
}
