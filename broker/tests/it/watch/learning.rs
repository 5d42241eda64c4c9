//! What is learned, kept, cleared and bounded.

use std::sync::Arc;

use lanyard::clock::Clock;
use lanyard::store::{Event, Store};
use lanyard::watch::baseline::BaselineError;
use lanyard::watch::intake::Report;
use lanyard::watch::{Limits, Watch, WatchConfig};
use serde_json::json;

use super::world::*;

fn reopened(world: &World) -> (Arc<Watch>, Option<BaselineError>) {
    let (state, store, clock) = (
        world.state.clone(),
        world.store.clone(),
        world.clock.clone(),
    );
    Watch::open(
        state,
        store,
        clock,
        Box::new(world.shelf.clone()),
        WatchConfig::default(),
    )
}

/// Runs the background work to its end, which saves.
async fn save(world: &World) {
    world.watch.clone().run(std::future::ready(())).await;
}

#[tokio::test]
async fn habits_survive_a_restart() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    save(&world).await;
    let (watch, refused) = reopened(&world);
    assert!(refused.is_none());
    let (before, after) = (
        world.watch.identity(node(SERVICE)).unwrap(),
        watch.identity(node(SERVICE)).unwrap(),
    );
    assert_eq!((before.calls, before.hash), (after.calls, after.hash));
}

#[tokio::test]
async fn damaged_or_older_habits_are_refused_aloud_and_everybody_is_new() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    save(&world).await;
    let older = world.shelf.take().unwrap();
    world.learn(SERVICE).await;
    save(&world).await;

    world.shelf.put(older);
    let (watch, refused) = reopened(&world);
    assert!(
        matches!(
            refused,
            Some(BaselineError::RolledBack {
                found: 1,
                expected: 2
            })
        ),
        "{refused:?}"
    );
    assert_eq!(watch.identity(node(SERVICE)).unwrap().calls, 0);

    world.shelf.put(b"{\"version\":".to_vec());
    let (_, refused) = reopened(&world);
    assert!(
        matches!(refused, Some(BaselineError::Format(_))),
        "{refused:?}"
    );
    assert!(
        world.shelf.take().is_none(),
        "what was refused is set aside"
    );
}

#[tokio::test]
async fn when_the_newest_habits_are_damaged_the_last_good_ones_are_kept_and_it_is_said() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    save(&world).await;
    let good = world.watch.identity(node(SERVICE)).unwrap();
    world.learn(SERVICE).await;
    save(&world).await;
    world.shelf.put(b"\0\xff broken".to_vec());
    let (watch, refused) = reopened(&world);
    assert!(
        matches!(refused, Some(BaselineError::Format(_))),
        "{refused:?}"
    );
    let kept = watch.identity(node(SERVICE)).unwrap();
    assert_eq!((kept.calls, kept.hash), (good.calls, good.hash));

    world.shelf.put(b"broken".to_vec());
    world.shelf.lose_before();
    let (watch, refused) = reopened(&world);
    assert!(refused.is_some());
    assert_eq!(watch.identity(node(SERVICE)).unwrap().calls, 0);
}

#[tokio::test]
async fn a_report_that_is_repeated_after_a_restart_does_not_count_again() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 10);
    let counted = world.body(vec![token.entry(&tracker.report().unwrap())]);
    let counted = counted.to_string();
    assert_eq!(world.send(GATEWAY, &counted).await.0, 200);
    save(&world).await;
    let (watch, refused) = reopened(&world);
    assert!(refused.is_none());
    let report = |body: &str| Report::parse(body.as_bytes()).unwrap();
    let receipt = watch.report(node(GATEWAY), report(&counted)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.duplicate), (0, 1));
    let other = watch
        .report(node(SECOND_GATEWAY), report(&counted))
        .await
        .unwrap();
    assert_eq!(other.accepted, 1, "the same number of another gateway");
    world.ordinary(&mut tracker, 10);
    let next = world.body(vec![token.entry(&tracker.report().unwrap())]);
    let next = report(&next.to_string());
    assert_eq!(watch.report(node(GATEWAY), next).await.unwrap().accepted, 1);
}

#[tokio::test]
async fn a_new_member_of_an_old_role_builds_habits_of_its_own() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    for _ in 0..10 {
        let token = world.issue(SIBLING).await;
        let mut tracker = world.tracker(SIBLING).await;
        world.ordinary(&mut tracker, 101);
        world
            .report(GATEWAY, &token, &tracker.report().unwrap())
            .await;
    }
    assert!(world.verdicts().is_empty());
    assert_eq!(world.watch.identity(node(SIBLING)).unwrap().calls, 1_010);
}

#[tokio::test]
async fn a_young_identity_gets_the_bounds_of_its_role() {
    let world = World::new().await;
    let (_, cold) = world.bounds(GATEWAY, SIBLING).await;
    world.learn(SERVICE).await;
    let (_, of_role) = world.bounds(GATEWAY, SIBLING).await;
    assert_eq!(of_role["calls"], 0);
    assert_ne!(cold["bounds"], of_role["bounds"]);
}

#[tokio::test]
async fn clearing_teaches_resumes_and_is_said_once() {
    let world = World::new().await;
    for _ in 0..2 {
        let token = world.issue(SERVICE).await;
        let mut agent = world.cold_tracker();
        world.leave_task(&mut agent);
        world
            .report(GATEWAY, &token, &agent.report().unwrap())
            .await;
        world.clock.advance_millis(1_000);
    }
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let verdict = world.verdicts().pop().unwrap();
    let path = format!("/v1/drift/verdicts/{}/clear", verdict.id);
    let (status, answer) = world.post(&path, r#"{"reason":"a new job"}"#).await;
    assert_eq!(
        (status, answer),
        (200, json!({"learned": true, "resumed": 1}))
    );
    let paused = world.log().iter().find_map(|event| match event {
        Event::Suspended { until, .. } => Some(*until),
        _ => None,
    });
    let resumed = |event: &Event| matches!(event, Event::Resumed { node, until, .. } if *node == credential(SERVICE) && *until == paused);
    assert!(world.log().iter().any(resumed));
    assert_eq!(world.watch.identity(node(SERVICE)).unwrap().calls, 1);
    assert!(
        world
            .state
            .history(node(SERVICE))
            .drifted
            .iter()
            .all(|drifted| drifted.verdict.0 != verdict.id.as_u64())
    );
    assert_eq!(world.post(&path, r#"{"reason":"again"}"#).await.0, 409);
}

#[tokio::test]
async fn short_tokens_teach_too_once_they_fall_silent() {
    let world = World::new().await;
    for _ in 0..30 {
        let token = world.issue(SERVICE).await;
        let mut tracker = world.cold_tracker();
        world.ordinary(&mut tracker, 8);
        world
            .report(GATEWAY, &token, &tracker.report().unwrap())
            .await;
        world.clock.advance_millis(10_000);
    }
    assert_eq!(world.watch.identity(node(SERVICE)).unwrap().calls, 0);
    world.clock.advance_millis(120_000);
    world.watch.tick().await;
    let learned = world.watch.identity(node(SERVICE)).unwrap().calls;
    assert!(learned >= 100, "{learned}");
}

#[tokio::test]
async fn a_flood_of_tokens_and_identities_stays_within_the_limits() {
    let limits = Limits {
        identities: 1,
        windows: 4,
        copies: 2,
    };
    let world = World::with(WatchConfig {
        limits,
        ..WatchConfig::default()
    })
    .await;
    for n in 0..50 {
        let token = world
            .issue(if n % 2 == 0 { SERVICE } else { SIBLING })
            .await;
        let mut tracker = world.cold_tracker();
        tracker.observe(
            &lanyard_drift::Event::of(lanyard_drift::OperationId::of("GET /a")),
            lanyard_drift::Millis(world.clock.now().0),
        );
        let answer = world
            .report(GATEWAY, &token, &tracker.report().unwrap())
            .await;
        assert_eq!(answer["accepted"], 1);
    }
    assert!(world.watch.counters().crowded_out.get() >= 46);
    assert!(world.store.head() > lanyard_token::Rev::ZERO);
}
