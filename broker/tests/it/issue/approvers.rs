//! Whose approval counts, once something of what it was given with has ended; and who may not give one.

use lanyard::issue::administration::{ApprovalState, ApprovalView, NewIdentity};
use lanyard::issue::approval::NotApproved;
use lanyard::store::event::{By, Cause, Kind};
use lanyard::store::{Event, Store};
use lanyard_token::NodeId;

use super::approvals::{ROOT, administrator, asked, given, why};
use super::world::{ISSUER, ORDERS, World};

/// An administrator who has come in with a key.
struct Approver {
    identity: NodeId,
    key: NodeId,
    token: String,
    by: By,
}

impl Approver {
    async fn new(world: &World, name: &str) -> Self {
        administrator(world, name).await;
        let key = world.issue.add_key(name, None, None, By::Broker).await;
        let (key, secret) = key.unwrap();
        let identity = world.issue.find_identity(name).unwrap();
        let holder = super::world::Holder {
            id: identity,
            credential: key,
            secret: secret.expose().to_owned(),
        };
        let audience = format!("{ISSUER}/admin");
        let form = [
            ("grant_type", "client_credentials"),
            ("audience", &*audience),
        ];
        let token = world
            .post("/oauth/token", Some(&holder), &form)
            .await
            .token();
        let number = world.claims(&token).jti;
        Self {
            identity,
            key,
            token,
            by: By::Administrator {
                identity,
                token: number,
            },
        }
    }
}

async fn approved(world: &World, by: &By) -> ApprovalView {
    let view = world.issue.request_approval(asked(), ROOT).await.unwrap();
    let given = world.issue.approve(view.id, view.hash, by.clone()).await;
    given.unwrap()
}

fn count(world: &World) -> Vec<String> {
    let agent = world.issue.find_identity("agent").unwrap();
    given(world, agent, ORDERS, "orders:write", 600)
}

async fn revoke(world: &World, node: NodeId, cause: Cause) {
    let by = By::Broker;
    let revoked = Event::Revoked { node, cause, by };
    world.store.append(vec![revoked]).await.unwrap();
}

#[tokio::test]
async fn what_was_approved_with_something_that_ended_does_not_come_back_when_that_is_enabled() {
    let world = World::new().await;
    world.identity("agent").await;
    let team = world.issue.find_owner("team").unwrap();
    for (round, end) in ["identity", "owner", "key"].into_iter().enumerate() {
        let second = Approver::new(&world, &format!("second-{round}")).await;
        let view = approved(&world, &second.by).await;
        let name = format!("second-{round}");
        assert_eq!(count(&world), [&*name], "{end}");
        let node = match end {
            "identity" => second.identity,
            "owner" => team,
            _ => second.key,
        };
        let ended = world.issue.disable(node, By::Broker, "it was copied").await;
        ended.unwrap();
        assert!(count(&world).is_empty(), "{end}");
        world.issue.enable(node, By::Broker, None).await.unwrap();
        assert!(!world.lives(&second.token), "{end}");
        assert!(count(&world).is_empty(), "{end}: it came back");
        let shown = world.issue.show_approval(view.id).unwrap();
        assert_eq!(shown.state, ApprovalState::Asked, "{end}");
        assert!(shown.lapsed.contains(&name), "{end}");

        // Whoever has the identity now says it again.
        let again = By::Administrator {
            identity: second.identity,
            token: NodeId::from_u64(9),
        };
        let said = world.issue.approve(view.id, view.hash, again).await;
        assert!(said.unwrap().lapsed.is_empty(), "{end}");
        assert_eq!(count(&world), [&*name], "{end}");
        let over = world.issue.refuse_approval(view.id, ROOT, "next").await;
        over.unwrap();
    }
}

#[tokio::test]
async fn an_approval_ends_with_its_token_and_not_when_whoever_gave_it_logs_out() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = Approver::new(&world, "second").await;
    let token = world.claims(&second.token).jti;
    approved(&world, &second.by).await;
    revoke(&world, token, Cause::Requested).await;
    assert_eq!(count(&world), ["second"]);
    revoke(&world, token, Cause::NeverIssued).await;
    assert!(count(&world).is_empty());
}

#[tokio::test]
async fn an_approval_that_is_written_down_after_the_end_of_its_token_never_counts() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = Approver::new(&world, "second").await;
    let view = world.issue.request_approval(asked(), ROOT).await.unwrap();
    let cause = Cause::Administrator("it was copied".to_owned());
    revoke(&world, second.key, cause).await;
    // It had been let in before.
    let approved = world.issue.approve(view.id, view.hash, second.by).await;
    assert_eq!(approved.unwrap().state, ApprovalState::Asked);
    assert!(count(&world).is_empty());
}

#[tokio::test]
async fn a_restored_broker_counts_no_approval_of_before() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = administrator(&world, "second").await;
    let third = administrator(&world, "third").await;
    let view = approved(&world, &second).await;
    let restored = Event::EpochStarted {
        kept: world.head(),
        lost: None,
        by: By::Broker,
    };
    world.store.append(vec![restored]).await.unwrap();
    assert!(count(&world).is_empty());
    let again = world.issue.approve(view.id, view.hash, third).await;
    assert!(again.unwrap().lapsed.contains("second"));
    assert_eq!(count(&world), ["third"]);
}

#[tokio::test]
async fn a_pause_and_another_owner_only_interrupt_an_approval() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = Approver::new(&world, "second").await;
    approved(&world, &second.by).await;
    let until = world.issue.now().plus_millis(60_000);
    let paused = Event::Suspended {
        node: second.identity,
        until,
        cause: Cause::Administrator("looking".to_owned()),
        by: By::Broker,
    };
    world.store.append(vec![paused]).await.unwrap();
    assert!(count(&world).is_empty());
    world.clock.advance_millis(60_000);
    assert_eq!(count(&world), ["second"]);

    let heirs = lanyard::issue::administration::NewOwner {
        name: "heirs".to_owned(),
        contact: None,
    };
    let heirs = world.issue.create_owner(heirs, By::Broker).await.unwrap();
    let given = world
        .issue
        .transfer_identity("second", "heirs", By::Broker, None);
    given.await.unwrap();
    assert_eq!(count(&world), ["second"]);
    // From then on it ends with that one.
    let ended = world.issue.disable(heirs.id, By::Broker, "left").await;
    ended.unwrap();
    let enabled = world.issue.enable(heirs.id, By::Broker, None).await;
    enabled.unwrap();
    assert!(count(&world).is_empty());
}

#[tokio::test]
async fn whoever_is_at_the_socket_says_again_what_its_identity_said_before_it_was_ended() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = administrator(&world, "second").await;
    world.issue.local_admin_token(ROOT).await.unwrap();
    let identity = world.issue.find_identity("local-administrator").unwrap();
    let token = NodeId::from_u64(2);
    let view = world.issue.request_approval(asked(), second).await.unwrap();
    let approve = |by| world.issue.approve(view.id, view.hash, by);
    approve(By::Administrator { identity, token })
        .await
        .unwrap();
    assert_eq!(why(approve(ROOT).await), NotApproved::Already);
    let ended = world
        .issue
        .disable(identity, By::Broker, "its token was copied");
    ended.await.unwrap();
    let said = approve(ROOT).await.unwrap();
    assert_eq!(said.state, ApprovalState::Approved);
    assert_eq!(count(&world), ["local-administrator"]);
    assert_eq!(why(approve(ROOT).await), NotApproved::Already);
}

#[tokio::test]
async fn whoever_made_the_key_that_it_was_asked_with_has_no_say() {
    let world = World::new().await;
    let (alice, bob) = (
        administrator(&world, "alice").await,
        administrator(&world, "bob").await,
    );
    let new = NewIdentity {
        name: "night-shift".to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec![ORDERS.to_owned()],
        scopes: String::new(),
        max_lifetime: None,
    };
    let identity = world.issue.create_identity(new, bob.clone()).await.unwrap();
    for (maker, other) in [(&alice, &bob), (&bob, &alice), (&ROOT, &alice)] {
        let key = world
            .issue
            .add_key("night-shift", None, None, maker.clone());
        let (credential, secret) = key.await.unwrap();
        let holder = super::world::Holder {
            id: identity.id,
            credential,
            secret: secret.expose().to_owned(),
        };
        let form = [
            ("audience", ORDERS),
            ("scope", "orders:write"),
            ("requested_lifetime", "600"),
            ("reason", "the disk is full"),
            ("seconds", "3600"),
        ];
        let asked = world.post("/oauth/approvals", Some(&holder), &form).await;
        assert_eq!(asked.status, 201, "{asked:?}");
        let id = asked.json()["id"].as_str().unwrap().parse().unwrap();
        let view = world.issue.show_approval(id).unwrap();
        let approve = |by: &By| world.issue.approve(id, view.hash, by.clone());
        assert_eq!(why(approve(maker).await), NotApproved::Self_, "{maker:?}");
        // Also when the key is gone by then.
        let ended = world
            .issue
            .revoke_credential(credential, ROOT, "done")
            .await;
        ended.unwrap();
        assert_eq!(why(approve(maker).await), NotApproved::Self_, "{maker:?}");
        approve(other).await.unwrap();
    }
}
