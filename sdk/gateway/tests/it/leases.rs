//! What egress has of the broker: until when it is used, and what comes in its place.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use crate::calls::echo;
use crate::support::{HEADER, VALUE, World, carried, party};

#[tokio::test]
async fn a_value_is_forgotten_when_its_time_is_over_and_had_again_when_the_broker_is_back() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    world
        .change(|script| script.lease_for = Duration::from_millis(700))
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    world.broker.0.lock().unwrap().away = true;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let refused = world.get("/party/v1/x").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let calls = seen.lock().unwrap().len();
    world.broker.0.lock().unwrap().away = false;
    // The pause after failures is five seconds at most.
    let mut status = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..5 {
        status = world.get("/party/v1/x").await.status();
        if status == 200 {
            break;
        }
    }
    assert_eq!(status, 200);
    assert_eq!(seen.lock().unwrap().len(), calls + 1);
}

#[tokio::test]
async fn a_revocation_ends_a_lease_at_once() {
    let (upstream, seen) = echo().await;
    // The integration, the secret, egress itself.
    for node in [1001, 1002, 77] {
        let world = World::new(&party(upstream, HEADER, "")).await;
        assert_eq!(world.get("/party/v1/x").await.status(), 200);
        let before = seen.lock().unwrap().len();
        world.broker.0.lock().unwrap().away = true;
        world.end(node);
        assert_eq!(world.get("/party/v1/x").await.status(), 503, "{node}");
        assert_eq!(seen.lock().unwrap().len(), before);
    }
}

#[tokio::test]
async fn a_new_version_and_a_new_rule_reach_the_next_call() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    world
        .change(|script| {
            let lease = script.leases.get_mut("party").unwrap();
            *lease = (1002, 2, None, "the second value".to_owned());
        })
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    let sent: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(_, headers, _)| headers["authorization"].clone())
        .collect();
    assert_eq!(
        sent,
        [
            format!("Bearer {VALUE}"),
            "Bearer the second value".to_owned()
        ]
    );

    let narrower = party(upstream, HEADER, "").replace("/v1/{what}", "/v1/only");
    world
        .change(|script| script.integrations = vec![carried(1001, &narrower)])
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 403);
    assert_eq!(world.get("/party/v1/only").await.status(), 200);
    world.change(|script| script.integrations.clear()).await;
    assert_eq!(world.get("/party/v1/only").await.status(), 403);

    // What was used is told, version by version, since the start.
    world.change(|_| {}).await;
    let script = world.broker.0.lock().unwrap();
    let told = &script.heard.last().unwrap().uses;
    let told: Vec<_> = told.iter().map(|used| (used.version, used.calls)).collect();
    assert_eq!(told, [(1, 1), (2, 2)]);
}

#[tokio::test]
async fn a_value_for_integrations_that_cannot_be_carried_does_not_go_where_the_one_before_went() {
    let (upstream, seen) = echo().await;
    let (elsewhere, _) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    // The value of another place, in the same answer with more rules than one egress takes.
    let rules: String = (0..250)
        .map(|n| {
            format!("[[rule]]\nmethod = \"GET\"\ntemplate = \"/v2/{n}\"\nclass = \"normal\"\n")
        })
        .collect();
    let moved = party(elsewhere, HEADER, "");
    let many = (0..17).map(|n| {
        let named = party(elsewhere, HEADER, "").replace("\"party\"", &format!("\"more-{n}\""));
        carried(2000 + n, &(named + &rules))
    });
    let integrations = std::iter::once(carried(1001, &moved)).chain(many).collect();
    world
        .change(|script| {
            script.integrations = integrations;
            let lease = script.leases.get_mut("party").unwrap();
            *lease = (1003, 1, None, "for elsewhere".to_owned());
        })
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    for (_, headers, _) in &*seen.lock().unwrap() {
        assert_eq!(headers["authorization"], format!("Bearer {VALUE}"));
    }
}

#[tokio::test]
async fn what_the_broker_refuses_is_used_no_more_and_not_asked_for_with_every_call() {
    let (upstream, _) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    let gone = world.broker.0.lock().unwrap().leases.clone();
    world
        .change(|script| {
            script.leases.clear();
            let why = "no policy allows it".to_owned();
            script.refused.insert("party".to_owned(), why);
        })
        .await;
    let asked = world.broker.0.lock().unwrap().heard.len();
    for _ in 0..20 {
        let refused = world.get("/party/v1/x").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(world.broker.0.lock().unwrap().heard.len(), asked);
    world
        .change(|script| {
            script.refused.clear();
            script.leases = gone;
        })
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
}

#[tokio::test]
async fn what_the_broker_refuses_ends_also_where_the_rest_of_its_answer_cannot_be_carried() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    world
        .change(|script| {
            script.integrations = more_than_one_egress_takes(upstream);
            script.leases.clear();
            let why = "no policy allows it".to_owned();
            script.refused.insert("party".to_owned(), why);
        })
        .await;
    assert_eq!(world.get("/party/v1/x").await.status(), 503);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

fn more_than_one_egress_takes(upstream: SocketAddr) -> Vec<serde_json::Value> {
    let rules: String = (0..241)
        .map(|at| format!("[[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/r{at}\"\n"))
        .collect();
    let too_many = (0..17).map(|at| {
        let written = party(upstream, HEADER, "").replace("\"party\"", &format!("\"p{at}\""));
        carried(2_000 + at, &format!("{written}{rules}"))
    });
    too_many.collect()
}

#[tokio::test]
async fn integrations_that_cannot_be_carried_leave_those_before_and_are_asked_for_ever_more_rarely()
{
    let (upstream, _) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let before = world.broker.0.lock().unwrap().integrations.clone();
    let too_many = more_than_one_egress_takes(upstream);
    world.change(|script| script.integrations = too_many).await;
    let asked = world.broker.0.lock().unwrap().heard.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = world.broker.0.lock().unwrap().heard.len() - asked;
    // After 0.4, 0.8 and 1.6 seconds; it was every 0.2.
    assert!((1..=4).contains(&more), "{more}");
    assert_eq!(
        world.get("/party/v1/x").await.status(),
        200,
        "those before stay"
    );
    {
        let mut script = world.broker.0.lock().unwrap();
        script.hash += 1;
        script.integrations = before;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
}
