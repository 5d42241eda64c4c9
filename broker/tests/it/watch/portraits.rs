//! What a gateway's fast detector needs, by name; and what its alarm leads to.

use lanyard::watch::{Mode, Policy, WatchConfig};
use lanyard_drift::{Compact, Cusum, Measure, Others};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::world::*;

const THIRD: u64 = 0xb3;

fn name(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn enforcing() -> World {
    let policy = Policy {
        mode: Mode::Enforce,
        ..Policy::default()
    };
    World::with(WatchConfig {
        policy,
        ..WatchConfig::default()
    })
    .await
}

/// The names that the answer about an identity holds.
async fn names(world: &World, identity: u64) -> Value {
    let (status, answer) = world.bounds(GATEWAY, identity).await;
    assert_eq!(status, 200);
    answer["portrait"].clone()
}

/// The portrait as a gateway gets it.
async fn portrait(world: &World, identity: u64) -> (Compact, Option<Others>) {
    let names = names(world, identity).await;
    let path = format!("/v1/baselines/{}", names["baseline"].as_str().unwrap());
    let (_, _, baseline) = world.written(GATEWAY, &path, "").await;
    let role = match names["role"].as_str() {
        Some(role) => {
            let path = format!("/v1/roles/{role}");
            let (_, _, role) = world.written(GATEWAY, &path, "").await;
            Some(serde_json::from_slice(&role).unwrap())
        }
        None => None,
    };
    (serde_json::from_slice(&baseline).unwrap(), role)
}

#[tokio::test]
async fn a_portrait_is_fetched_by_names_that_hold_for_ever_and_only_by_who_serves_the_identity() {
    let world = World::new().await;
    assert!(names(&world, SERVICE).await.is_null(), "nothing is known");
    world.learn(SERVICE).await;
    world.learn(SIBLING).await;
    let told = names(&world, SERVICE).await;
    assert_eq!(told["enforced"], false, "as shipped");
    for (path, name_of) in [("baselines", &told["baseline"]), ("roles", &told["role"])] {
        let name_of = name_of.as_str().unwrap();
        let path = format!("/v1/{path}/{name_of}");
        let (status, caching, bytes) = world.written(GATEWAY, &path, "\"other\"").await;
        assert_eq!((status, name(&bytes).as_str()), (200, name_of));
        assert!(
            caching.contains("immutable") && caching.contains("private"),
            "{caching}"
        );
        let (status, _, bytes) = world
            .written(GATEWAY, &path, &format!("\"{name_of}\""))
            .await;
        assert_eq!((status, bytes.len()), (304, 0));
        // Whoever serves nobody that it is about learns no more than that.
        let (status, _, _) = world.written(MAIL_GATEWAY, &path, "").await;
        assert_eq!(status, 404);
        let (status, _, _) = world.written(SERVICE, &path, "").await;
        assert_eq!(status, 403);
    }
    for nothing in ["baselines", "roles"] {
        let path = format!("/v1/{nothing}/{}", "0".repeat(64));
        assert_eq!(world.written(GATEWAY, &path, "").await.0, 404);
    }
    // What was named goes on meaning what it meant.
    world.learn(SERVICE).await;
    let later = names(&world, SERVICE).await;
    assert_ne!(later["baseline"], told["baseline"]);
    let path = format!("/v1/baselines/{}", told["baseline"].as_str().unwrap());
    assert_eq!(world.written(GATEWAY, &path, "").await.0, 200);
}

#[tokio::test]
async fn nobody_is_its_own_peer() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let (_, role) = portrait(&world, SERVICE).await;
    assert!(role.is_none(), "it is alone");
    world.create_service(THIRD).await;
    world.learn(SIBLING).await;
    world.learn(THIRD).await;
    world.clock.advance_millis(61_000);
    let (_, role) = portrait(&world, SERVICE).await;
    assert_eq!(role.unwrap().members(), 2);
}

/// A gateway that runs the fast detector over a token: how many of the thief's calls it took until the
/// broker recycled it, after some of the owner's; `None` when the thief was through before.
async fn calls_until_recycled(detecting: bool) -> Option<u64> {
    let world = enforcing().await;
    world.learn(SERVICE).await;
    world.learn_calls(SIBLING, World::turned).await;
    let (own, others) = portrait(&world, SERVICE).await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.tracker(SERVICE).await;
    let mut sum = Cusum::default();
    // The owner's calls are in the same window.
    world.ordinary(&mut tracker, 20);
    let _ = tracker.take_block();
    world
        .report(GATEWAY, &token, &tracker.report().unwrap())
        .await;
    for call in 1..=400_u64 {
        // Known operations in the order of another member.
        world.turned(&mut tracker, 1);
        let block = tracker.take_block().filter(|_| detecting);
        let alarm =
            block.and_then(|block| sum.alarm(own.weigh(&block, others.as_ref()), own.alarm()));
        if let Some(alarm) = alarm {
            let _ = tracker.alarm(alarm);
        }
        // Five calls a second, and a report a minute.
        let regular = call % 300 == 0;
        if alarm.is_some() || regular {
            world
                .report(GATEWAY, &token, &tracker.report().unwrap())
                .await;
        }
        if world.recycled() == [token.jti] {
            if alarm.is_some() {
                let verdict = world.verdicts().pop().unwrap();
                let measures = verdict.verdict.evidence.iter().map(|found| found.measure);
                assert!(
                    measures
                        .clone()
                        .any(|measure| measure == Measure::SuddenOrder)
                );
                assert!(verdict.sentence().contains("within some tens of calls"));
            }
            return Some(call);
        }
    }
    None
}

#[tokio::test]
async fn an_alarm_recycles_a_token_before_the_next_regular_report_does() {
    let (with, without) = (
        calls_until_recycled(true).await.unwrap(),
        calls_until_recycled(false).await.unwrap_or(u64::MAX),
    );
    assert!(with < 100 && with < without, "{with} against {without}");
}
