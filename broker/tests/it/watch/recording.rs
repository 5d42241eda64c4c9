//! Windows that are recorded, and what other rules would have made of them.

use std::sync::Arc;

use lanyard::crypto::SealingRoot;
use lanyard::store::Event;
use lanyard::store::event::By;
use lanyard::watch::recorder::{Keeping, Recorder};
use lanyard_drift::Level;
use lanyard_drift::ladder::Response;
use lanyard_drift::rehearsal::{self, RecordedWindow, rehearse};
use serde_json::{Value, json};

use super::world::*;

fn recorder(folder: &tempfile::TempDir) -> Recorder {
    let root = Arc::new(SealingRoot::from_bytes(&[7; 32]));
    let keeping = Keeping {
        days: 7,
        bytes: 1 << 30,
    };
    Recorder::in_folder(folder.path(), root, keeping).unwrap()
}

/// A learned service, then a thief with its key: three tokens of somebody else's behaviour. In observe
/// mode, so nothing was done about it.
async fn theft(folder: &tempfile::TempDir) -> World {
    let world = World::new().await;
    world.watch.record_windows(recorder(folder));
    world.learn(SERVICE).await;
    for _ in 0..3 {
        let token = world.issue(SERVICE).await;
        let mut thief = world.tracker(SERVICE).await;
        world.masquerade(&mut thief, 101);
        let report = thief.report().unwrap();
        world.report(GATEWAY, &token, &report).await;
        world.report(SECOND_GATEWAY, &token, &report).await;
        world.clock.advance_millis(121_000);
        world.watch.tick().await;
    }
    world.clock.advance_millis(11_000);
    world.watch.tick().await;
    world
}

async fn would(world: &World, body: &Value) -> (u16, Value) {
    world.post("/v1/drift/would", &body.to_string()).await
}

#[tokio::test]
async fn every_closed_window_is_a_line_with_what_it_weighed_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let world = theft(&folder).await;
    let text = world.text("/v1/drift/windows?days=1").await;
    let windows: Vec<RecordedWindow> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(windows.len() as u64, world.watch.counters().recorded.get());
    assert_eq!(world.watch.counters().unrecorded.get(), 0);
    assert!(windows.is_sorted_by_key(|window| window.at));
    let odd: Vec<_> = windows
        .iter()
        .filter(|w| w.level != Level::Benign)
        .collect();
    assert!(odd.len() >= 3, "{}", odd.len());
    assert!(odd.iter().filter(|window| !window.done.is_empty()).count() >= 3);
    for window in odd {
        assert_eq!(window.identity().0, SERVICE);
        assert_eq!(window.kind, "service");
        assert!(window.issued_at < window.place);
        let done = window.done.iter();
        let carried_out = done.filter(|done| done.enforced).map(|done| done.response);
        for response in carried_out {
            assert!(response <= Response::Alert, "observed only: {response:?}");
        }
        assert!(window.report.as_ref().unwrap().calls() >= 101);
    }
    let sealed = std::fs::read_dir(folder.path().join("windows")).unwrap();
    for file in sealed {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|part| part == b"findings"), "sealed");
    }
}

#[tokio::test]
async fn a_rehearsal_tells_what_enforcement_would_have_done_and_the_export_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let world = theft(&folder).await;
    let (status, as_now) = would(&world, &json!({"days": 1})).await;
    assert_eq!(status, 200, "{as_now}");
    assert_eq!(as_now["rehearsal"]["would"]["recycle"], 0);
    let (_, enforced) = would(&world, &json!({"days": 1, "mode": "enforce"})).await;
    let told = &enforced["rehearsal"];
    assert!(told["would"]["recycle"].as_u64().unwrap() >= 1, "{told}");
    assert_eq!(told["done"]["recycle"], 0);
    let beyond =
        told["would"]["suspend"].as_u64().unwrap() + told["would"]["revoke"].as_u64().unwrap();
    assert!(beyond >= 1, "a thief who mints again is stopped: {told}");
    let steps = told["steps"].as_array().unwrap();
    let also_done = |response: &str| {
        let step = steps.iter().find(|step| step["response"] == response);
        step.unwrap()["also_done"].clone()
    };
    assert_eq!(
        (also_done("alert"), also_done("recycle")),
        (json!(true), json!(false))
    );

    let text = world.text("/v1/drift/windows?days=1").await;
    let windows: Vec<RecordedWindow> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut candidate = rehearsal::Candidate::default();
    candidate.policy.mode = lanyard_drift::ladder::Mode::Enforce;
    let again = serde_json::to_value(rehearse(&windows, &candidate)).unwrap();
    assert_eq!(&again, told, "pure: the same windows, the same answer");
}

#[tokio::test]
async fn other_policies_of_responses_are_rehearsed_before_anybody_puts_them_in_force() {
    const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
    let folder = tempfile::tempdir().unwrap();
    let world = theft(&folder).await;
    let by = |policies: &str| {
        json!({
            "days": 1, "mode": "enforce",
            "responses": {"schema": SCHEMA, "policies": policies},
        })
    };
    let head = r#"principal, action == Lanyard::Action::"respond", resource"#;
    let patient = format!(r#"@id("watch") @response("alert") permit({head});"#);
    let (status, watched) = would(&world, &by(&patient)).await;
    assert_eq!(status, 200, "{watched}");
    let told = &watched["rehearsal"]["would"];
    assert!(told["alert"].as_u64().unwrap() >= 1, "{told}");
    assert_eq!((&told["recycle"], &told["revoke"]), (&json!(0), &json!(0)));

    let quick = format!(
        r#"@id("quick") @response("suspend") permit({head}) when {{ context.level == "malicious" && principal.name == "n{SERVICE:x}" }};"#
    );
    let (_, hasty) = would(&world, &by(&quick)).await;
    let told = &hasty["rehearsal"]["would"];
    assert!(told["suspend"].as_u64().unwrap() >= 1, "{told}");
    assert_eq!(told["recycle"], 0, "{told}");
    assert_ne!(
        hasty["id"], watched["id"],
        "other policies have another name"
    );
    assert_ne!(hasty["bundle"], watched["bundle"]);

    for (policies, words) in [
        ("permit(principal", "policy.cedar:1:"),
        (
            r#"@id("a") permit(principal, action, resource);"#,
            "none of these policies",
        ),
        (
            r#"@id("a") @response("halt") permit(principal, action == Lanyard::Action::"respond", resource);"#,
            "`halt` is no response",
        ),
    ] {
        let (status, answer) = would(&world, &by(policies)).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer.to_string().contains(words), "{words}: {answer}");
    }
}

#[tokio::test]
async fn only_a_rehearsed_candidate_can_be_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let world = theft(&folder).await;
    let bar = json!({"notable": 1e6, "strong": 1e7});
    let patient = json!({
        "order": bar, "operations": bar, "volume": bar, "cadence": bar, "origin": bar, "refusals": bar,
    });
    let asked = json!({"days": 1, "mode": "enforce", "kind": "service", "thresholds": patient});
    let (status, answer) = would(&world, &asked).await;
    assert_eq!(status, 200, "{answer}");
    let none = json!({"alert": 0, "recycle": 0, "narrow": 0, "suspend": 0, "revoke": 0});
    assert_eq!(answer["rehearsal"]["would"], none);
    assert_eq!(
        (&answer["kinds"], &answer["unrehearsed"]),
        (&json!(["service"]), &json!(false))
    );
    let by = world.log().into_iter().find_map(|event| match event {
        Event::Rehearsed { by, .. } => Some(by),
        _ => None,
    });
    assert_eq!(by, Some(By::Socket { uid: 0 }));
    let freeze = |kind: &str, rehearsal: &Value| {
        json!({"kind": kind, "thresholds": patient, "rehearsal": rehearsal}).to_string()
    };
    let path = "/v1/drift/thresholds";
    assert_eq!(
        world.post(path, &freeze("agent", &answer["id"])).await.0,
        409
    );
    assert_eq!(
        world
            .post(path, &freeze("service", &json!("00".repeat(32))))
            .await
            .0,
        409
    );
    let (status, frozen) = world.post(path, &freeze("service", &answer["id"])).await;
    assert_eq!(status, 200, "{frozen}");

    let (_, other) = would(
        &world,
        &json!({"days": 1, "kind": "service", "thresholds": {}}),
    )
    .await;
    assert_ne!(
        other["id"], answer["id"],
        "another candidate has another name"
    );
    let bounds = json!({"days": 1, "kind": "service", "thresholds": {"run_floor": 9}});
    assert_eq!(would(&world, &bounds).await.1["unrehearsed"], true);
}

#[tokio::test]
async fn windows_of_the_last_seconds_are_written_at_the_end_and_read_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new().await;
    world.watch.record_windows(recorder(&folder));
    world.learn(SERVICE).await;
    world.watch.clone().run(std::future::ready(())).await;
    let mut read = 0;
    let back = recorder(&folder).read(lanyard::clock::UnixMillis(0), |_| {
        read += 1;
        true
    });
    assert_eq!((read, back.unwrap().cut), (20, 0));
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_refused_in_words() {
    let world = World::new().await;
    for (body, status) in [
        (json!({"days": 7}), 409),
        (json!({"days": 0}), 400),
        (json!({"days": 1_000}), 400),
        (json!({"days": 7, "kind": "service"}), 400),
        (json!({"days": 7, "kind": "gateway", "thresholds": {}}), 400),
        (json!({"days": 7, "thresholds": {"surprise": 1}}), 400),
        (json!({"days": 7, "mode": "off"}), 400),
        (json!([]), 400),
    ] {
        let (found, answer) = would(&world, &body).await;
        assert_eq!(found, status, "{body}: {answer}");
        assert!(answer["error_description"].is_string());
    }
    assert_eq!(world.get("/v1/drift/windows?days=7").await.0, 409);
    assert_eq!(world.get("/v1/drift/windows?days=x").await.0, 400);
}
