//! Policies see what was last seen of an identity's behaviour.

use lanyard::policy::Risk;
use lanyard::store::event::{By, Judgement};
use lanyard::store::{Event, Projection, Store};
use lanyard_token::{NodeId, Rev};
use serde_json::json;

use super::policies::{denials, enforce, last_decided};
use super::world::{ORDERS, World};

/// Everybody gets what it was registered for, unless it broke a hard rule; and only reads when it is unlike itself.
const CAREFUL: &str = r#"
@id("registered") @owner("team") @why("w")
permit(principal, action == Lanyard::Action::"issue", resource)
when { principal.scopes.contains(resource.name) };
@id("malicious") @owner("team") @why("w")
forbid(principal, action == Lanyard::Action::"issue", resource)
when { context.risk == "malicious" };
@id("anomalous") @owner("team") @why("w")
forbid(principal, action == Lanyard::Action::"issue", resource)
when { context.risk == "anomalous" && resource.name != "orders:read" };
"#;

const MINUTE: u64 = 60_000;

fn judged(identity: NodeId, id: u64, level: &str) -> Judgement {
    let gateways = [901, 902].map(NodeId::from_u64).to_vec();
    Judgement {
        id: NodeId::from_u64(id),
        identity,
        token: NodeId::from_u64(903),
        gateways,
        carried_by: Some(Vec::new()),
        whole: false,
        verdict: serde_json::from_value(json!({
            "level": level, "evidence": [], "hard_rule": null, "calls": 9, "history": 9, "since": 0, "judged_at": 0,
        }))
        .unwrap(),
        names: Vec::new(),
        forged: None,
        forged_by: None,
    }
}

async fn append(world: &World, event: Event) {
    world.store.append(vec![event]).await.unwrap();
}

async fn gets(world: &World, holder: &super::world::Holder, scope: &str) -> bool {
    let form = [
        ("grant_type", "client_credentials"),
        ("audience", ORDERS),
        ("scope", scope),
    ];
    let answer = world.post("/oauth/token", Some(holder), &form).await;
    if answer.status != 200 {
        answer.assert_error(400, "invalid_scope");
    }
    answer.status == 200
}

#[tokio::test]
async fn a_verdict_counts_in_decisions_until_its_hour_is_over_or_an_owner_clears_it() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    enforce(&world, CAREFUL).await.unwrap();
    assert!(gets(&world, &billing, "orders:write").await);

    let unlike = judged(billing.id, 71, "anomalous");
    append(&world, Event::Judged(Box::new(unlike))).await;
    assert!(!gets(&world, &billing, "orders:write").await);
    assert!(gets(&world, &billing, "orders:read").await);
    assert_eq!(
        last_decided(&world).asked.risk.as_deref(),
        Some("anomalous")
    );

    // Of the denials of one minute the log keeps one.
    world.clock.advance_millis(MINUTE);
    let broke = judged(billing.id, 72, "malicious");
    append(&world, Event::Judged(Box::new(broke))).await;
    assert!(!gets(&world, &billing, "orders:read").await);
    let denied = denials(&world).await.pop().unwrap().decided;
    assert_eq!(denied.policies, ["malicious"]);
    assert_eq!(denied.asked.risk.as_deref(), Some("malicious"));

    let cleared = Event::VerdictCleared {
        verdict: NodeId::from_u64(72),
        by: By::Broker,
        reason: "a deployment".to_owned(),
    };
    append(&world, cleared).await;
    assert!(gets(&world, &billing, "orders:write").await);
    assert_eq!(last_decided(&world).asked.risk, None);

    let again = judged(billing.id, 73, "malicious");
    append(&world, Event::Judged(Box::new(again))).await;
    world.clock.advance_millis(59 * MINUTE);
    assert!(!gets(&world, &billing, "orders:read").await);
    world.clock.advance_millis(MINUTE);
    assert!(gets(&world, &billing, "orders:write").await);
}

#[tokio::test]
async fn whoever_acts_for_another_brings_its_own_risk() {
    let world = World::new().await;
    let (user, agent) = (world.identity("user").await, world.identity("agent").await);
    enforce(&world, CAREFUL).await.unwrap();
    let subject = world.token(&user).await;
    let exchange = async |scope| world.exchange(&agent, &subject, &[("scope", scope)]).await;
    assert_eq!(exchange("orders:write").await.status, 200);
    let broke = judged(agent.id, 71, "malicious");
    append(&world, Event::Judged(Box::new(broke))).await;
    assert_eq!(exchange("orders:read").await.status, 400);
    assert!(gets(&world, &user, "orders:write").await);
}

#[tokio::test]
async fn a_lie_about_a_token_is_not_held_against_the_identity_it_names() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let digest = serde_json::from_value(json!("0102030405060708")).unwrap();
    let forged = Judgement {
        forged: Some(digest),
        ..judged(billing.id, 71, "malicious")
    };
    append(&world, Event::Judged(Box::new(forged))).await;
    assert_eq!(risk(&world, billing.id), Risk::None);
}

#[tokio::test]
async fn a_risk_survives_a_restart_from_saved_rows_and_is_forgotten_when_it_is_over() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let broke = judged(billing.id, 71, "malicious");
    append(&world, Event::Judged(Box::new(broke))).await;
    let again = lanyard::issue::IssueState::new();
    for row in world.issue.state().changed_rows() {
        again.load_row(&row.key, &row.value.unwrap()).unwrap();
    }
    let now = world.issue.now();
    assert_eq!(
        again.read(|book| book.risk(billing.id, now)),
        Risk::Malicious
    );
    world.clock.advance_millis(60 * MINUTE);
    append(&world, Event::FloorRaised { floor: Rev::ZERO }).await;
    let gone = world.issue.state().changed_rows();
    let gone = gone.iter().filter(|row| row.value.is_none()).count();
    assert!(gone >= 1, "the row is not deleted");
}

fn risk(world: &World, identity: NodeId) -> Risk {
    let now = world.issue.now();
    world.issue.state().read(|book| book.risk(identity, now))
}
