//! Thresholds per kind: changed by a person, after a rehearsal, and by nobody else.

use lanyard::store::event::{By, ContentHash, Kind};
use lanyard::store::{Event, Projection, Store};
use lanyard::watch::frozen::{Candidate, REHEARSAL_HOLDS};
use lanyard::watch::state::WatchState;
use lanyard_token::Rev;
use serde_json::{Value, json};

use super::world::*;

/// So patient that nothing a service does counts.
fn patient() -> Value {
    let bar = json!({"notable": 1e6, "strong": 1e7});
    let channels = [
        "order",
        "operations",
        "enumeration",
        "volume",
        "cadence",
        "origin",
        "destination",
        "refusals",
    ];
    channels
        .map(|channel| (channel.to_owned(), bar.clone()))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn candidate(kind: Kind, thresholds: &Value) -> Candidate {
    Candidate::parse(kind, thresholds.as_object().unwrap().clone()).unwrap()
}

async fn freeze(world: &World, kind: &str, thresholds: &Value, rehearsal: u8) -> (u16, Value) {
    let body = json!({
        "kind": kind,
        "thresholds": thresholds,
        "rehearsal": ContentHash([rehearsal; 32]),
    });
    world.post("/v1/drift/thresholds", &body.to_string()).await
}

async fn rehearse(world: &World, kind: Kind, thresholds: &Value, rehearsal: u8) {
    world
        .watch
        .note_rehearsal(
            &candidate(kind, thresholds),
            ContentHash([rehearsal; 32]),
            By::Broker,
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn only_what_was_rehearsed_for_this_kind_within_a_day_is_frozen() {
    let world = World::new().await;
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!(status, 409, "{answer}");
        assert!(
            answer["error_description"]
                .as_str()
                .unwrap()
                .contains("rehearsal")
        );
    };
    refused(freeze(&world, "service", &patient(), 1).await);
    rehearse(&world, Kind::Service, &patient(), 1).await;
    refused(freeze(&world, "agent", &patient(), 1).await);
    refused(freeze(&world, "service", &patient(), 2).await);
    refused(freeze(&world, "service", &json!({"minimum_history": 5}), 1).await);
    world.clock.advance_millis(REHEARSAL_HOLDS + 1);
    refused(freeze(&world, "service", &patient(), 1).await);
    rehearse(&world, Kind::Service, &patient(), 1).await;
    let (status, answer) = freeze(&world, "service", &patient(), 1).await;
    assert_eq!(status, 200, "{answer}");
    let of = |kind: &str| {
        let list = answer["thresholds"].as_array().unwrap();
        list.iter().find(|one| one["kind"] == kind).unwrap().clone()
    };
    assert_eq!(of("service")["thresholds"]["order"]["notable"], 1e6);
    assert!(of("service")["frozen"]["by"].is_object() || of("service")["frozen"]["by"].is_string());
    assert!(of("agent").get("frozen").is_none());
    for (kind, thresholds) in [
        ("gateway", patient()),
        ("service", json!({"surprise": 1})),
        ("service", json!({"order": {"notable": 3, "strong": 1}})),
    ] {
        let (status, answer) = freeze(&world, kind, &thresholds, 1).await;
        assert_eq!(status, 400, "{answer}");
    }
}

#[tokio::test]
async fn frozen_thresholds_judge_their_kind_from_then_on_also_after_a_replay() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    rehearse(&world, Kind::Service, &patient(), 1).await;
    assert_eq!(freeze(&world, "service", &patient(), 1).await.0, 200);
    let token = world.issue(SERVICE).await;
    let mut odd = world.tracker(SERVICE).await;
    world.masquerade(&mut odd, 90);
    world.report(GATEWAY, &token, &odd.report().unwrap()).await;
    assert!(world.verdicts().is_empty(), "{:?}", world.verdicts());

    let replayed = WatchState::new();
    for record in world.store.read(Rev::ZERO, usize::MAX).unwrap() {
        replayed.apply(&record);
    }
    assert_eq!(
        replayed.frozen(Kind::Service),
        world.state.frozen(Kind::Service)
    );
    let from_rows = WatchState::new();
    for row in replayed.changed_rows() {
        if let Some(value) = row.value {
            from_rows.load_row(&row.key, &value).unwrap();
        }
    }
    assert_eq!(
        from_rows.frozen(Kind::Service),
        world.state.frozen(Kind::Service)
    );
    assert!(from_rows.frozen(Kind::Service).is_some());
}

#[test]
fn thresholds_written_by_another_release_are_read_as_far_as_they_are_known() {
    let written = json!({
        "event": "thresholds_frozen",
        "kind": "agent",
        "thresholds": {"minimum_history": 77, "of_a_later_release": {"notable": 1, "strong": 2}},
        "rehearsal": ContentHash([1; 32]),
        "by": "broker",
    });
    let Event::ThresholdsFrozen { thresholds, .. } = serde_json::from_value(written).unwrap()
    else {
        panic!("another event")
    };
    assert_eq!(thresholds.minimum_history, 77);
    assert_eq!(thresholds.order, lanyard_drift::Thresholds::default().order);
}
