//! What policies say is done about drift, to the events in the log.

use std::sync::Arc;

use lanyard::policy::{Bundle, Policies};
use lanyard::store::Store;
use lanyard::store::event::{By, Chosen, Event, Identity, Kind, Response};
use lanyard::watch::review::ClearError;
use lanyard::watch::{Mode, Policy, WatchConfig};
use lanyard_drift::ladder::{Abuse, Rung};
use lanyard_token::NodeId;
use serde_json::json;

use super::world::*;

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
/// What every policy here is about.
const HEAD: &str = r#"principal, action == Lanyard::Action::"respond", resource"#;

fn bundle(policies: &str) -> Arc<Bundle> {
    let policies = policies.replace("HEAD", HEAD);
    Arc::new(Bundle::sent(SCHEMA.to_owned(), policies).unwrap())
}

/// A world whose watch room asks policies: these, or those that came with the program.
async fn asking(config: WatchConfig, policies: Option<&str>) -> (World, Arc<Policies>) {
    let world = World::with(config).await;
    let handle = Arc::new(Policies::open(None).unwrap());
    if let Some(policies) = policies {
        handle.swap(bundle(policies));
    }
    world.watch.respond_by(Arc::clone(&handle));
    let named = Event::OwnerCreated {
        owner: node(1),
        name: "payments".to_owned(),
        contact: None,
        by: By::Broker,
    };
    world.store.append(vec![named]).await.unwrap();
    (world, handle)
}

fn enforcing() -> WatchConfig {
    WatchConfig {
        policy: Policy {
            mode: Mode::Enforce,
            ..Policy::default()
        },
        ..WatchConfig::default()
    }
}

/// A thief walks with a token of its own.
async fn walk(world: &World) -> NodeId {
    let stolen = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    world.walk(&mut thief);
    world
        .report(GATEWAY, &stolen, &thief.report().unwrap())
        .await;
    stolen.jti
}

/// What was done, and how policies came to it, oldest first; what was told beside it left out.
fn steps(world: &World) -> Vec<(Response, Chosen)> {
    let step = |event| match event {
        Event::Responded {
            response, chosen, ..
        } => chosen.map(|chosen| (response, *chosen)),
        _ => None,
    };
    world.log().into_iter().filter_map(step).collect()
}

#[tokio::test]
async fn each_step_is_an_event_with_the_policies_that_asked_for_it() {
    let (world, handle) = asking(WatchConfig::default(), None).await;
    world.learn(SERVICE).await;
    let token = walk(&world).await;
    assert_eq!(world.recycled(), [token]);
    let steps = steps(&world);
    let (response, chosen) = &steps[0];
    assert_eq!(*response, Response::Recycle);
    let expected = Chosen {
        bundle: handle.current().hash(),
        abuse: Abuse::Enumeration,
        rung: Rung::First,
        asked: Response::Recycle,
        policies: vec!["response.recycle".to_owned()],
        in_share: Vec::new(),
        not_in_share: Vec::new(),
        capped: Vec::new(),
        full: false,
        faults: Vec::new(),
    };
    assert_eq!(*chosen, expected);
    let verdict = world.verdicts().pop().unwrap();
    let (_, shown) = world
        .get(&format!("/v1/drift/verdicts/{}", verdict.id))
        .await;
    let shown = shown["responses"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(shown["chosen"]["asked"], "recycle");
    assert_eq!(shown["chosen"]["policies"], json!(["response.recycle"]));
}

#[tokio::test]
async fn policies_that_are_swapped_answer_the_next_verdict_and_earlier_ones_keep_their_hash() {
    let (world, handle) = asking(WatchConfig::default(), None).await;
    world.learn(SERVICE).await;
    let first = walk(&world).await;
    let before = handle.current().hash();
    handle.swap(bundle(
        r#"@id("watch") @response("recycle") forbid(principal in Lanyard::Owner::"payments", action ==
            Lanyard::Action::"respond", resource);
        @id("usual") @response("recycle") permit(HEAD);"#,
    ));
    let second = walk(&world).await;
    assert_eq!(world.recycled(), [first], "{second} is only written down");
    assert!(world.state.is_alive(second));
    let steps = steps(&world);
    assert_eq!(steps[0].1.bundle, before);
    assert_eq!(steps[1].1.bundle, handle.current().hash());
    assert_eq!(steps[1].1.asked, Response::Alert);
    assert_eq!(steps[1].1.policies, ["usual", "watch"]);
}

#[tokio::test]
async fn a_cap_that_is_met_makes_the_step_one_rung_milder_and_the_event_says_so() {
    let policies = r#"@id("once") @response("recycle") @cap("1/min/owner") permit(HEAD);"#;
    let (world, _) = asking(WatchConfig::default(), Some(policies)).await;
    world.learn(SERVICE).await;
    let first = walk(&world).await;
    let second = walk(&world).await;
    assert_eq!(
        world.recycled(),
        [first],
        "{second} comes within the minute"
    );
    let met: Vec<_> = steps(&world)
        .into_iter()
        .map(|(_, chosen)| (chosen.asked, chosen.capped))
        .collect();
    let once = vec!["once".to_owned()];
    assert_eq!(met[0], (Response::Recycle, Vec::new()));
    assert_eq!(met[1], (Response::Alert, once));
    world.clock.advance_millis(60_000);
    let third = walk(&world).await;
    assert_eq!(world.recycled(), [first, third]);
}

#[tokio::test]
async fn a_canary_leaves_identities_outside_its_share_the_step_they_had() {
    let policies = r#"@id("old") @response("alert") permit(HEAD);
        @id("everybody") @response("recycle") @canary("100%") permit(HEAD) when { context.rung == "first" };
        @id("few") @response("revoke") @canary("0.01%") permit(HEAD);"#;
    let (world, _) = asking(WatchConfig::default(), Some(policies)).await;
    world.learn(SERVICE).await;
    let token = walk(&world).await;
    assert_eq!(world.recycled(), [token]);
    let (_, chosen) = steps(&world).remove(0);
    assert_eq!(chosen.policies, ["everybody"]);
    assert_eq!(chosen.in_share, ["everybody"]);
    assert_eq!(chosen.not_in_share, ["few"]);
}

#[tokio::test]
async fn no_policy_ends_a_credential_on_the_word_of_one_gateway() {
    let policies = r#"@id("harsh") @response("revoke") permit(HEAD);"#;
    let (world, _) = asking(enforcing(), Some(policies)).await;
    world.learn(SERVICE).await;
    walk(&world).await;
    assert!(world.revoked().is_empty());
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let (response, chosen) = steps(&world).remove(0);
    assert_eq!(
        (response, chosen.asked),
        (Response::Suspend, Response::Revoke)
    );
}

#[tokio::test]
async fn a_policy_sees_kind_label_and_living_tokens_and_one_that_fails_leaves_it_to_the_table() {
    let policies = r#"@id("seen") @response("recycle") permit(principal in Lanyard::Tag::"test", action ==
            Lanyard::Action::"respond", resource) when {
            principal.kind == "service" && principal.owner == "payments" && context.hard_rule &&
            context has tokens_live && context.tokens_live > 20 };"#;
    let (world, handle) = asking(WatchConfig::default(), Some(policies)).await;
    world.learn(SERVICE).await;
    let token = walk(&world).await;
    assert_eq!(world.recycled(), [token], "{:?}", steps(&world));
    handle.swap(bundle(
        r#"@id("overflow") @response("revoke") permit(HEAD) when { context.own_calls * 9223372036854775807 > 0 };"#,
    ));
    let token = walk(&world).await;
    assert_eq!(world.recycled().last(), Some(&token));
    let (_, chosen) = steps(&world).pop().unwrap();
    assert_eq!((chosen.asked, chosen.faults.len()), (Response::Recycle, 1));
    assert!(chosen.policies.is_empty());
}

async fn administrator(world: &World, identity: u64, tags: &[&str]) -> By {
    let grant = Identity {
        name: format!("admin-{identity:x}"),
        owner: node(2),
        kind: Kind::Administrator,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        audiences: Vec::new(),
        scopes: "admin".parse().unwrap(),
        max_lifetime: 300,
        sole_witness: false,
    };
    let created = Event::IdentityCreated {
        identity: node(identity),
        grant: Box::new(grant),
        by: By::Broker,
    };
    world.store.append(vec![created]).await.unwrap();
    By::Administrator {
        identity: node(identity),
        token: node(identity + 1),
    }
}

#[tokio::test]
async fn a_verdict_is_cleared_by_those_whom_its_policies_let() {
    let policies = r#"@id("tills") @response("recycle") @override("security owner") permit(HEAD);"#;
    let (world, _) = asking(WatchConfig::default(), Some(policies)).await;
    world.learn(SERVICE).await;
    walk(&world).await;
    let verdict = world.verdicts().pop().unwrap().id;
    let stranger = administrator(&world, 0xc1, &["platform"]).await;
    let refused = world.watch.clear(verdict, stranger, "it is fine").await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ClearError::NotYours { .. }), "{error}");
    let words = error.to_string();
    assert!(
        words.contains("`tills`") && words.contains("security, owner"),
        "{words}"
    );
    let guard = administrator(&world, 0xc3, &["security"]).await;
    let cleared = world.watch.clear(verdict, guard.clone(), "our own test");
    cleared.await.unwrap();
    let by = world.log().into_iter().find_map(|event| match event {
        Event::VerdictCleared { by, reason, .. } => Some((by, reason)),
        _ => None,
    });
    assert_eq!(by, Some((guard, "our own test".to_owned())));

    walk(&world).await;
    let verdict = world.verdicts().pop().unwrap().id;
    let path = format!("/v1/drift/verdicts/{verdict}/clear");
    let (status, answer) = world
        .post(&path, r#"{"reason":"through the socket"}"#)
        .await;
    assert_eq!(status, 200, "the way in when nobody else is left: {answer}");
}
