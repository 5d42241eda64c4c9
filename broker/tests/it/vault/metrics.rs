//! What is counted of exchanges, at `/metrics` and at a collector.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use lanyard_telemetry::testing::Receiver;

use super::planned::{World, overlaps};
use super::vendor::Vendor;

/// The lines of a metric, by their labels.
fn lines(metrics: &str, name: &str) -> BTreeMap<String, u64> {
    let lines = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.split_once(' ')?;
        Some((labels.to_owned(), value.parse().ok()?))
    });
    lines.collect()
}

impl World {
    async fn metrics(&self) -> String {
        match self.get("/metrics").await {
            Value::String(text) => text,
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_counted_with_its_step_its_alarm_and_the_age_of_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path());
    let variables = receiver.as_ref().map_or_else(Vec::new, Receiver::variables);
    let world = World::start(&folder.path().join("data"), &variables);
    let vendor = Vendor::start().await;
    world.plan("third/key", "dev", &vendor, 3).await;
    // So that it can be told from what the exchange makes.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let before = world.metrics().await;
    let age = lines(&before, "lanyard_secret_age_seconds")["{secret=\"third/key\"}"];
    assert!((3..600).contains(&age), "{age}");
    assert!(!before.contains("lanyard_rotations_begun_total{"));

    let begun = world
        .post("/v1/secrets/third%2Fkey/rotate", json!({}))
        .await;
    let id = begun["id"].as_str().unwrap();
    world.until(id, overlaps).await;
    // Somebody else makes one meanwhile: it is told of, and left alone.
    vendor.books.make_ours();
    let during = world.metrics().await;
    let steps = lines(&during, "lanyard_rotations");
    assert_eq!(steps["{step=\"overlapping\"}"], 1, "{during}");
    let over = world.until_over(id).await;
    assert_eq!(over["outcome"], "rotated", "{over}");

    let after = world.metrics().await;
    assert_eq!(
        lines(&after, "lanyard_rotations_begun_total"),
        [("{cause=\"asked\"}".to_owned(), 1)].into()
    );
    assert_eq!(
        lines(&after, "lanyard_rotation_alarms_total"),
        [("{alarm=\"strangers\"}".to_owned(), 1)].into()
    );
    let ages = lines(&after, "lanyard_secret_age_seconds");
    let (key, manager) = (
        ages["{secret=\"third/key\"}"],
        ages["{secret=\"third/key-manager\"}"],
    );
    assert!(key + 3 <= manager, "{ages:?}");
    assert_eq!(lines(&after, "lanyard_rotations_alarmed")[""], 0);

    world.dev.running.signal("TERM");
    let World { dev, .. } = world;
    assert_eq!(dev.running.wait(), Some(0));
    let Some(receiver) = receiver else {
        return;
    };
    let received = receiver.end();
    let points = |name: &str, label: &str| -> BTreeMap<String, u64> {
        received.metric(name).points(label).into_iter().collect()
    };
    let begun = points("lanyard.rotations.begun", "lanyard.cause");
    assert_eq!(begun, [("asked".to_owned(), 1)].into());
    let alarms = points("lanyard.rotations.alarms", "lanyard.alarm");
    assert_eq!(alarms, [("strangers".to_owned(), 1)].into());
    let ages = points("lanyard.secrets.age", "lanyard.secret");
    assert!(
        ages["third/key"] + 3 <= ages["third/key-manager"],
        "{ages:?}"
    );
}
