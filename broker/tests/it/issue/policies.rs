//! Policies decide what the token endpoint gives, and the log says which.

use std::fs;

use lanyard::issue::ReloadError;
use lanyard::store::event::{By, Decided, Denial};
use lanyard::store::{Event, Store};
use lanyard_token::Rev;

use super::world::{Answer, EXCHANGE, Holder, ORDERS, World};

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
const EVERYTHING: &str = "@id(\"everything\") permit(principal, action, resource);\n";

async fn ask(world: &World, holder: &Holder, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![("grant_type", "client_credentials"), ("audience", ORDERS)];
    form.extend_from_slice(more);
    world.post("/oauth/token", Some(holder), &form).await
}

/// Puts these policies in force.
pub(super) async fn enforce(world: &World, policies: &str) -> Result<(), ReloadError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.cedarschema"), SCHEMA).unwrap();
    fs::create_dir(folder.path().join("grant")).unwrap();
    fs::write(folder.path().join("grant/policy.cedar"), policies).unwrap();
    world.issue.read_policies_from(Some(folder.path()));
    let read = world.issue.reload_policies(By::Broker, None).await;
    read.map(drop)
}

fn events(world: &World) -> Vec<Event> {
    let records = world.store.read(Rev::ZERO, 10_000).unwrap();
    records
        .into_iter()
        .flat_map(|record| record.events)
        .collect()
}

pub(super) fn last_decided(world: &World) -> Decided {
    let issued = events(world)
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::TokenIssued(token) => token.decided,
            _ => None,
        });
    *issued.unwrap()
}

pub(super) async fn denials(world: &World) -> Vec<Denial> {
    world.issue.write_denials(true).await.unwrap();
    let denied = events(world).into_iter().filter_map(|event| match event {
        Event::Denied(denial) => Some(*denial),
        _ => None,
    });
    denied.collect()
}

#[tokio::test]
async fn less_than_asked_is_given_only_to_whoever_said_so_and_the_answer_says_what() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let wide = ("scope", "admin orders:read");
    let refused = ask(&world, &billing, &[wide]).await;
    refused.assert_error(400, "invalid_scope");
    assert!(!refused.body.contains("orders"), "{refused:?}");
    ask(&world, &billing, &[wide, ("partial_scope", "false")])
        .await
        .assert_error(400, "invalid_scope");
    let given = ask(&world, &billing, &[wide, ("partial_scope", "true")]).await;
    assert_eq!(given.json()["scope"], "orders:read");
    assert_eq!(
        world.claims(&given.token()).scope.to_string(),
        "orders:read"
    );
    ask(
        &world,
        &billing,
        &[("scope", "admin"), ("partial_scope", "true")],
    )
    .await
    .assert_error(400, "invalid_scope");
    ask(&world, &billing, &[wide, ("partial_scope", "yes")])
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_exchange_may_take_less_too_but_never_more_than_its_parent() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let parent = world
        .token_with(&billing, &[("scope", "orders:read")])
        .await;
    let both = ("scope", "orders:read orders:write");
    let refused = world.exchange(&billing, &parent, &[both]).await;
    refused.assert_error(400, "invalid_scope");
    let given = world
        .exchange(&billing, &parent, &[both, ("partial_scope", "true")])
        .await;
    assert_eq!(given.json()["scope"], "orders:read");
}

#[tokio::test]
async fn the_log_says_which_policies_gave_a_token_and_what_was_asked() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    ask(
        &world,
        &billing,
        &[("scope", "orders:read"), ("requested_lifetime", "60")],
    )
    .await
    .token();
    let decided = last_decided(&world);
    assert_eq!(decided.bundle, world.issue.policies().hash());
    assert_eq!(decided.policies, ["registered"]);
    assert_eq!(decided.asked.scopes.unwrap().to_string(), "orders:read");
    assert_eq!(decided.asked.lifetime, Some(60));
    assert_eq!(decided.asked.proof, "api_key");
    assert_eq!(decided.asked.network.as_deref(), Some("127.0.0.0/24"));
}

#[tokio::test]
async fn other_policies_are_in_force_from_their_announcement_on() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let before = world.issue.policies().hash();
    enforce(
        &world,
        r#"@id("capped") @max_ttl("90s") permit(principal, action == Lanyard::Action::"issue", resource) when { resource.name == "orders:read" };"#,
    )
    .await
    .unwrap();
    let after = world.issue.policies().hash();
    assert_ne!(before, after);
    assert!(matches!(
        events(&world).last(),
        Some(Event::PolicyActivated { bundle, policies: 1, by: By::Broker }) if *bundle == after
    ));
    let given = ask(&world, &billing, &[("scope", "orders:read")]).await;
    assert_eq!(given.json()["expires_in"], 90);
    assert_eq!(last_decided(&world).policies, ["capped"]);
    assert_eq!(last_decided(&world).bundle, after);
    ask(&world, &billing, &[("scope", "orders:write")])
        .await
        .assert_error(400, "invalid_scope");
    // No policy reaches past what the identity was registered for, or past the trust domain.
    enforce(&world, EVERYTHING).await.unwrap();
    let long = ask(&world, &billing, &[("requested_lifetime", "999999")]).await;
    assert_eq!(long.json()["expires_in"], 3_600);
    let elsewhere = [
        ("grant_type", "client_credentials"),
        ("audience", "https://elsewhere.example"),
    ];
    world
        .post("/oauth/token", Some(&billing), &elsewhere)
        .await
        .assert_error(400, "invalid_target");
}

#[tokio::test]
async fn broken_policies_are_refused_by_place_and_the_last_good_ones_stay() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let (good, head) = (world.issue.policies().hash(), world.head());
    let error = enforce(&world, "@id(\"a\")\npermit(principal, action);").await;
    let words = error.unwrap_err().to_string();
    assert!(words.contains("grant/policy.cedar:2:"), "{words}");
    assert_eq!(world.issue.policies().hash(), good);
    assert_eq!(world.head(), head, "nothing was announced");
    assert_eq!(world.issue.policies_refused(), 1);
    ask(&world, &billing, &[]).await.token();
}

#[tokio::test]
async fn a_thousand_denials_are_one_sample_that_names_the_forbid() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let policies = format!(
        "{EVERYTHING}@id(\"no-writes\") forbid(principal, action == Lanyard::Action::\"issue\", resource) \
         when {{ resource.name like \"*:write\" }};"
    );
    enforce(&world, &policies).await.unwrap();
    for _ in 0..1_000 {
        ask(&world, &billing, &[("scope", "orders:write")])
            .await
            .assert_error(400, "invalid_scope");
    }
    ask(&world, &billing, &[("scope", "orders:read")])
        .await
        .token();
    let denials = denials(&world).await;
    let [denial] = denials.as_slice() else {
        panic!("{denials:?}")
    };
    assert_eq!((denial.identity, denial.count), (billing.id, 1_000));
    assert_eq!(denial.reason, "scope");
    assert_eq!(denial.decided.policies, ["no-writes"]);
    let asked = denial.decided.asked.scopes.clone().unwrap();
    assert_eq!(asked.to_string(), "orders:write");
}

#[tokio::test]
async fn a_binding_that_nobody_can_check_denies() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let bound = "@id(\"bound\") @require_binding(\"dpop\") permit(principal, action, resource);";
    enforce(&world, bound).await.unwrap();
    ask(&world, &billing, &[("scope", "orders:read")])
        .await
        .assert_error(400, "invalid_scope");
    assert_eq!(denials(&world).await[0].unbound, ["bound"]);
}

#[tokio::test]
async fn policies_see_who_acts_for_whom_and_with_what_it_was_proven() {
    let world = World::new().await;
    let (billing, agent) = (
        world.identity("billing").await,
        world.identity("agent").await,
    );
    let policies = format!(
        "{EVERYTHING}@id(\"nobody-acts\") forbid(principal, action == Lanyard::Action::\"issue\", resource) \
         when {{ context has actor && context.actor == Lanyard::Identity::\"agent\" && context.proof == \"access_token\" }};"
    );
    let parent = world.token(&billing).await;
    enforce(&world, &policies).await.unwrap();
    world
        .exchange(&agent, &parent, &[])
        .await
        .assert_error(400, "invalid_scope");
    let denials = denials(&world).await;
    assert_eq!(
        (denials[0].identity, denials[0].actor),
        (billing.id, Some(agent.id))
    );
    assert_eq!(denials[0].decided.policies, ["nobody-acts"]);
    world.exchange(&billing, &parent, &[]).await.token();
    // With its key the subject vouches for the actor itself.
    let form = [
        ("grant_type", EXCHANGE),
        ("audience", ORDERS),
        ("subject_token", billing.secret.as_str()),
        ("subject_token_type", super::world::API_KEY),
    ];
    world
        .post("/oauth/token", Some(&agent), &form)
        .await
        .token();
}

#[tokio::test]
async fn policies_see_how_old_an_identity_is_and_for_how_long_nobody_used_it() {
    const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
    let world = World::new().await;
    let (busy, idle) = (world.identity("busy").await, world.identity("idle").await);
    let policies = "@id(\"old-enough\") permit(principal, action, resource) \
                    when { principal has age_days && principal.age_days >= 2 };\n\
                    @id(\"asleep\") forbid(principal, action, resource) \
                    when { principal has unused_days && principal.unused_days > 3 };";
    // Used when it was new, under other policies.
    world.token(&busy).await;
    enforce(&world, policies).await.unwrap();
    let read = [("scope", "orders:read")];
    for day in 0..=5 {
        let asked = ask(&world, &busy, &read).await;
        assert_eq!(asked.status == 200, day >= 2, "day {day}: {asked:?}");
        if day < 5 {
            world.clock.advance_millis(DAY_MILLIS);
            world.issue.keep_keys().await.unwrap();
        }
    }
    ask(&world, &idle, &read)
        .await
        .assert_error(400, "invalid_scope");
    let denied = denials(&world).await.pop().unwrap();
    assert_eq!(denied.identity, idle.id);
    assert_eq!(denied.decided.policies, ["asleep"]);
}
