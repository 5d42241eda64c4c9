//! Gateways that lie, repeat themselves, or talk about what is none of their business.

use lanyard::clock::Clock;
use lanyard::store::Store;
use lanyard_token::NodeId;
use serde_json::json;

use super::world::*;

#[tokio::test]
async fn a_repeated_report_counts_once_in_whatever_order_reports_come() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.cold_tracker();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        world.ordinary(&mut tracker, 10);
        bodies.push(
            world
                .body(vec![token.entry(&tracker.report().unwrap())])
                .to_string(),
        );
    }
    for (at, expected) in [
        (2, "accepted"),
        (0, "accepted"),
        (2, "duplicate"),
        (1, "accepted"),
        (0, "duplicate"),
    ] {
        let (status, answer) = world.send(GATEWAY, &bodies[at]).await;
        assert_eq!(status, 200);
        assert_eq!(answer[expected], 1, "{answer}");
    }
    let (_, answer) = world.send(SECOND_GATEWAY, &bodies[0]).await;
    assert_eq!(
        answer["accepted"], 1,
        "the same number of another gateway is another report"
    );
    let counters = world.watch.counters();
    assert_eq!((counters.accepted.get(), counters.duplicate.get()), (4, 2));
}

#[tokio::test]
async fn a_gateway_that_does_not_serve_the_audience_changes_nothing() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let victim = world.issue(SERVICE).await;
    let mut invented = world.tracker(SERVICE).await;
    world.walk(&mut invented);
    let answer = world
        .report(MAIL_GATEWAY, &victim, &invented.report().unwrap())
        .await;
    assert_eq!(
        answer,
        json!({"accepted": 0, "duplicate": 0, "refused": 1, "rev": world.store.head()})
    );
    assert!(world.verdicts().is_empty() && world.revoked().is_empty());
}

#[tokio::test]
async fn a_token_cannot_be_blamed_on_another_identity() {
    let world = World::new().await;
    let mut token = world.issue(SERVICE).await;
    token.identity = SIBLING;
    let mut tracker = world.cold_tracker();
    world.leave_task(&mut tracker);
    let answer = world
        .report(GATEWAY, &token, &tracker.report().unwrap())
        .await;
    assert_eq!(answer["refused"], 1);
    assert!(world.verdicts().is_empty());
}

#[tokio::test]
async fn a_number_that_a_gateway_invents_ends_nothing_and_the_token_is_asked_for() {
    let world = World::new().await;
    let genuine = world.issue(SERVICE).await;
    let next = NodeId::from_u64(genuine.jti.as_u64() + 1);
    for number in [
        node(SERVICE),
        credential(SERVICE),
        NodeId::from_u64(1),
        next,
    ] {
        let mut invented = world.issue(SERVICE).await;
        invented.jti = number;
        let mut tracker = world.cold_tracker();
        world.ordinary(&mut tracker, 1);
        let report = tracker.report().unwrap();
        let answer = world.report(GATEWAY, &invented, &report).await;
        assert_eq!(answer["wanted"][0]["token"], serde_json::json!(number));
    }
    assert!(world.revoked().is_empty() && world.suspended().is_empty());
    assert!(world.verdicts().is_empty());
    assert!(world.state.is_alive(genuine.jti));
    assert_eq!(world.watch.counters().never_issued.get(), 4);
}

#[tokio::test]
async fn calls_that_are_yet_to_come_are_refused() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 1);
    let report = tracker.report().unwrap();
    let mut json = serde_json::to_value(&report).unwrap();
    json["last"] = serde_json::json!(world.clock.now().0 + 3_600_000);
    let report = serde_json::from_value(json).unwrap();
    let answer = world.report(GATEWAY, &token, &report).await;
    assert_eq!(answer["refused"], 1);
}

#[tokio::test]
async fn lying_about_digests_never_reaches_the_credential() {
    let world = World::new().await;
    for _ in 0..20 {
        let mut token = world.issue(SERVICE).await;
        token.digest = "00000000000000ff".to_owned();
        let mut tracker = world.cold_tracker();
        world.ordinary(&mut tracker, 1);
        world
            .report(GATEWAY, &token, &tracker.report().unwrap())
            .await;
        assert!(world.state.is_alive(token.jti));
    }
    assert!(world.revoked().is_empty());
    assert!(world.state.history(node(SERVICE)).drifted.is_empty());
}

#[tokio::test]
async fn a_gateway_that_does_not_serve_it_cannot_end_a_genuine_token_by_a_false_digest() {
    let world = World::new().await;
    let mut token = world.issue(SERVICE).await;
    token.digest = "00000000000000ff".to_owned();
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 1);
    let answer = world
        .report(MAIL_GATEWAY, &token, &tracker.report().unwrap())
        .await;
    assert_eq!(answer["refused"], 1);
    assert!(world.state.is_alive(token.jti));
}

#[tokio::test]
async fn forged_numbers_are_capped_per_gateway() {
    let world = World::new().await;
    let mut token = world.issue(SERVICE).await;
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 1);
    let report = tracker.report().unwrap();
    for _ in 0..2 {
        for round in 0..5 {
            let mut entries = Vec::new();
            for number in 0..20 {
                token.jti = NodeId::from_u64(0xffff_0000_0000_0000 + round * 20 + number);
                entries.push(token.entry(&report));
            }
            world.send(GATEWAY, &world.body(entries).to_string()).await;
        }
    }
    let counters = world.watch.counters();
    assert_eq!(counters.never_issued.get(), 60, "asked for within a minute");
    assert_eq!(counters.capped.get(), 140);
    assert!(world.revoked().is_empty());
}

/// Every number of a report, one after the other, replaced by the extremes of its type.
#[tokio::test]
async fn absurd_numbers_in_a_report_neither_break_the_judge_nor_the_saved_habits() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 20);
    let good = serde_json::to_value(tracker.report().unwrap()).unwrap();
    let mut places = Vec::new();
    numbers(&good, String::new(), &mut places);
    assert!(places.len() > 20, "{}", places.len());
    for place in &places {
        for absurd in [json!(u64::MAX), json!(u32::MAX), json!(u16::MAX), json!(0)] {
            let mut report = good.clone();
            *report.pointer_mut(place).unwrap() = absurd;
            let mut entry = token.entry(&lanyard_drift::TokenReport::empty());
            entry["report"] = report;
            let (status, answer) = world
                .send(GATEWAY, &world.body(vec![entry]).to_string())
                .await;
            assert!(matches!(status, 200 | 400), "{place}: {answer}");
        }
    }
    world.watch.clone().run(std::future::ready(())).await;
    let records = serde_json::to_string(&world.log()).unwrap();
    let back: Vec<lanyard::store::Event> = serde_json::from_str(&records).unwrap();
    assert_eq!(back, world.log(), "the log can be read back");
}

fn numbers(value: &serde_json::Value, place: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Number(_) => found.push(place),
        serde_json::Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                numbers(item, format!("{place}/{at}"), found);
            }
        }
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                numbers(member, format!("{place}/{name}"), found);
            }
        }
        _ => {}
    }
}
