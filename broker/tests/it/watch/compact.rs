//! Reports in the compact form, as gateways send them.

use lanyard_drift::TokenReport;
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::parcel::Packing;
use serde_json::json;

use super::world::*;

fn usual(world: &World) -> TokenReport {
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 20);
    tracker.report().unwrap()
}

#[tokio::test]
async fn what_is_not_a_compact_report_is_refused_in_words_and_changes_nothing() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let good = packed(&token, &usual(&world)).sealed(1, 1, b"{}");
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let twice = {
        let mut packing = packed(&token, &usual(&world));
        let digest = u64::from_str_radix(&token.digest, 16)
            .unwrap()
            .to_be_bytes();
        let named = (SubjectId(token.jti.as_u64()), digest);
        assert!(packing.add(named, SubjectId(1), &TokenReport::empty()));
        packing.sealed(1, 1, b"{}")
    };
    let surprise = Packing::default().sealed(1, 1, br#"{"surprise":1}"#);
    let several = Packing::default().sealed(1, 1, br#"{"shown":[],"shown":[]}"#);
    for (body, status, word) in [
        (Vec::new(), 400, "ends in the middle"),
        (changed(|body| body.truncate(40)), 400, "ends in the middle"),
        (changed(|body| body.push(0)), 400, "goes on after its end"),
        (changed(|body| body[0] = 2), 415, "written in version 2"),
        (twice, 400, "entries out of order or repeated"),
        (surprise, 400, "unknown field `surprise`"),
        (several, 400, "duplicate field"),
        (vec![1; 300 * 1_024], 413, "bytes"),
    ] {
        let (answered, answer) = world.send_compact(GATEWAY, body).await;
        assert_eq!(answered, status, "{answer}");
        assert_eq!(answer["error"], "invalid_request");
        assert!(answer.to_string().contains(word), "{word}: {answer}");
    }
    assert_eq!(world.watch.counters().accepted.get(), 0);
    let (status, receipt) = world.send_compact(GATEWAY, good).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)));
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_refused_in_either_form() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut written = serde_json::to_value(usual(&world)).unwrap();
    written["calls"] = 1_000.into();
    let made_up: TokenReport = serde_json::from_value(written).unwrap();
    let compact = packed(&token, &made_up).sealed(1, 1, b"");
    let text = world.body(vec![token.entry(&made_up)]).to_string();
    for (status, answer) in [
        world.send_compact(GATEWAY, compact).await,
        world.send(GATEWAY, &text).await,
    ] {
        assert_eq!(status, 400);
        let refusal = answer.to_string();
        assert!(
            refusal.contains("operations that are not the calls"),
            "{refusal}"
        );
    }
    assert_eq!(world.watch.counters().accepted.get(), 0);
}

#[tokio::test]
async fn who_speaks_of_what_was_never_named_is_asked_for_names_and_nothing_is_lost_or_counted_twice()
 {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let packing = packed(&token, &usual(&world));
    let unnamed = packing.sealed(1, 1, br#"{"named_before":true}"#);
    let (status, answer) = world.send_compact(GATEWAY, unnamed.clone()).await;
    assert_eq!((status, &answer["error"]), (409, &json!("conflict")));
    assert!(answer.to_string().contains("name them all"), "{answer}");
    assert_eq!(world.watch.counters().accepted.get(), 0);

    let names =
        json!({ "operations": ["GET /orders", "GET /orders/{id}", "POST /orders"] }).to_string();
    let named = packing.sealed(1, 1, names.as_bytes());
    assert_eq!(world.send_compact(GATEWAY, named).await.1["accepted"], 1);
    // The same report, whatever is said beside it.
    assert_eq!(world.send_compact(GATEWAY, unnamed).await.1["duplicate"], 1);
    let next = packing.sealed(1, 2, br#"{"named_before":true}"#);
    assert_eq!(world.send_compact(GATEWAY, next).await.1["accepted"], 1);
}

#[tokio::test]
async fn gateways_of_the_release_before_report_in_json() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let body = world.body(vec![token.entry(&usual(&world))]);
    let (status, receipt) = world.send(GATEWAY, &body.to_string()).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)));
}
