//! Asking for approval, and the hash of exactly what was shown.

use lanyard::issue::administration::{
    AdminError, ApprovalState, ApprovalView, ChangeIdentity, NewApproval, NewIdentity, NewOwner,
};
use lanyard::issue::approval::{NotApproved, Standing, Wanted};
use lanyard::issue::identity::Book;
use lanyard::store::event::{By, ContentHash, Kind};
use lanyard::store::{Event, Store};
use lanyard_token::NodeId;
use serde_json::json;

use super::world::{ORDERS, STOCK, World};

pub(super) const ROOT: By = By::Socket { uid: 0 };

pub(super) fn asked() -> NewApproval {
    NewApproval {
        identity: "agent".to_owned(),
        audience: ORDERS.to_owned(),
        scopes: "orders:write".to_owned(),
        lifetime: Some(600),
        task: Some(json!([{"type": "lanyard_task", "operations": ["POST /refunds"]}])),
        reason: "refund 4711".to_owned(),
        seconds: 3_600,
    }
}

/// An administrator of their own, as the log names them.
pub(super) async fn administrator(world: &World, name: &str) -> By {
    let new = NewIdentity {
        name: name.to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Administrator,
        tags: Vec::new(),
        audiences: Vec::new(),
        scopes: String::new(),
        max_lifetime: None,
    };
    let identity = world.issue.create_identity(new, By::Broker).await;
    By::Administrator {
        identity: identity.unwrap().id,
        token: NodeId::from_u64(1),
    }
}

pub(super) fn why(refused: Result<ApprovalView, AdminError>) -> NotApproved {
    match refused {
        Err(AdminError::Approval(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Who approved this, asked the way a decision asks.
pub(super) fn given(
    world: &World,
    identity: NodeId,
    audience: &str,
    scopes: &str,
    lifetime: u64,
) -> Vec<String> {
    let task = lanyard_token::TaskScope::parse(
        r#"[{"type":"lanyard_task","operations":["POST /refunds"],"calls":1}]"#,
    );
    let (audience, scopes, task) = (
        audience.parse().unwrap(),
        scopes.parse().unwrap(),
        task.unwrap(),
    );
    let wanted = Wanted {
        audience: &audience,
        scopes: &scopes,
        lifetime,
        task: Some(&task),
    };
    let now = world.issue.now();
    let names = world
        .issue
        .state()
        .read(|book| Standing::of(book, identity, now))
        .names(wanted);
    names.into_iter().collect()
}

#[tokio::test]
async fn an_approval_counts_for_exactly_what_was_shown_and_within_its_time() {
    let world = World::new().await;
    let agent = world.identity("agent").await;
    let second = administrator(&world, "second").await;
    let view = world.issue.request_approval(asked(), ROOT).await.unwrap();
    assert_eq!(view.state, ApprovalState::Asked);
    for words in [
        "agent",
        "team",
        ORDERS,
        "orders:write",
        "600 seconds",
        "POST /refunds",
        "refund 4711",
        "uid 0",
    ] {
        assert!(view.shown.contains(words), "{words} in {}", view.shown);
    }
    let count = || given(&world, agent.id, ORDERS, "orders:write", 600);
    assert!(count().is_empty(), "asking is not getting");
    let view = world
        .issue
        .approve(view.id, view.hash, second)
        .await
        .unwrap();
    assert_eq!(view.state, ApprovalState::Approved);
    assert_eq!(count(), ["second"]);
    let none: Vec<String> = Vec::new();
    assert_eq!(given(&world, agent.id, STOCK, "orders:write", 600), none);
    let more = "orders:read orders:write";
    assert_eq!(given(&world, agent.id, ORDERS, more, 600), none);
    assert_eq!(given(&world, agent.id, ORDERS, "orders:write", 601), none);
    let other = world.identity("other").await;
    assert_eq!(given(&world, other.id, ORDERS, "orders:write", 600), none);
    world.clock.advance_millis(3_600_000);
    assert_eq!(count(), none);
    assert_eq!(
        world.issue.show_approval(view.id).unwrap().state,
        ApprovalState::Over
    );
}

#[tokio::test]
async fn whoever_asked_or_gets_it_has_no_say() {
    let world = World::new().await;
    world.identity("agent").await;
    let second = administrator(&world, "second").await;
    let by_root = world.issue.request_approval(asked(), ROOT).await.unwrap();
    let approve = |view: &ApprovalView, by: By| world.issue.approve(view.id, view.hash, by);
    assert_eq!(why(approve(&by_root, ROOT).await), NotApproved::Self_);
    // Nor with another name on the same machine, nor with a token made there.
    let neighbour = By::Socket { uid: 1_000 };
    assert_eq!(why(approve(&by_root, neighbour).await), NotApproved::Self_);
    world.issue.local_admin_token(ROOT).await.unwrap();
    let local = By::Administrator {
        identity: world.issue.find_identity("local-administrator").unwrap(),
        token: NodeId::from_u64(2),
    };
    assert_eq!(why(approve(&by_root, local).await), NotApproved::Self_);
    for nobody in [By::Broker, By::Verdict(NodeId::from_u64(3))] {
        assert_eq!(why(approve(&by_root, nobody).await), NotApproved::Self_);
    }
    // An administrator for itself: not when it asks, and not when another asks for it.
    let for_second = NewApproval {
        identity: "second".to_owned(),
        ..asked()
    };
    let view = world
        .issue
        .request_approval(for_second, ROOT)
        .await
        .unwrap();
    assert_eq!(
        why(approve(&view, second.clone()).await),
        NotApproved::Self_
    );
    assert!(approve(&by_root, second).await.is_ok());
}

#[tokio::test]
async fn what_the_sockets_own_identity_approved_with_a_token_ends_with_it() {
    let world = World::new().await;
    let agent = world.identity("agent").await;
    let second = administrator(&world, "second").await;
    world.issue.local_admin_token(ROOT).await.unwrap();
    let identity = world.issue.find_identity("local-administrator").unwrap();
    let token = NodeId::from_u64(2);
    let over_the_network = By::Administrator { identity, token };
    let count = || given(&world, agent.id, ORDERS, "orders:write", 600);
    let ask = || world.issue.request_approval(asked(), second.clone());

    let view = ask().await.unwrap();
    let approved = world.issue.approve(view.id, view.hash, over_the_network);
    approved.await.unwrap();
    assert_eq!(count(), ["local-administrator"]);
    let ended = world
        .issue
        .disable(identity, By::Broker, "its token was copied");
    ended.await.unwrap();
    assert!(count().is_empty());
    // Whoever is at the socket needs no identity.
    let view = ask().await.unwrap();
    world.issue.approve(view.id, view.hash, ROOT).await.unwrap();
    assert_eq!(count(), ["local-administrator"]);
}

#[tokio::test]
async fn nobody_but_the_broker_gives_the_name_of_the_sockets_identity() {
    let world = World::new().await;
    let new = NewIdentity {
        name: "local-administrator".to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Administrator,
        tags: Vec::new(),
        audiences: Vec::new(),
        scopes: String::new(),
        max_lifetime: None,
    };
    let refused = world.issue.create_identity(new, ROOT).await.unwrap_err();
    assert!(
        refused.to_string().contains("is the Unix socket's"),
        "{refused}"
    );
    let owner = NewOwner {
        name: "lanyard".to_owned(),
        contact: None,
    };
    let refused = world.issue.create_owner(owner, ROOT).await.unwrap_err();
    assert!(
        refused.to_string().contains("is the Unix socket's"),
        "{refused}"
    );
    world.issue.local_admin_token(ROOT).await.unwrap();
    assert!(world.issue.find_identity("local-administrator").is_ok());
    assert_eq!(world.issue.stranger_under_our_names(), None);
}

#[tokio::test]
async fn whoever_had_the_sockets_names_before_they_were_kept_is_told_of() {
    let world = World::new().await;
    let owner = NodeId::from_u64(77);
    let by = || By::Socket { uid: 0 };
    let made = Event::OwnerCreated {
        owner,
        name: "lanyard".to_owned(),
        contact: None,
        by: by(),
    };
    world.store.append(vec![made]).await.unwrap();
    let told = world.issue.stranger_under_our_names().unwrap();
    assert!(told.contains("the owner `lanyard`"), "{told}");
    // A service under the other name gets no administrator's token, and the socket says why.
    let mut grant = {
        let billing = world.identity("billing").await.id;
        let grant = |book: &Book| book.identity(billing).unwrap().grant.clone();
        world.issue.state().read(grant)
    };
    grant.name = "local-administrator".to_owned();
    let made = Event::IdentityCreated {
        identity: NodeId::from_u64(78),
        grant: Box::new(grant),
        by: by(),
    };
    world.store.append(vec![made]).await.unwrap();
    let told = world.issue.stranger_under_our_names().unwrap();
    assert!(told.contains("is no administrator"), "{told}");
    assert!(world.issue.local_admin_token(ROOT).await.is_err());
}

#[tokio::test]
async fn another_hash_a_second_time_too_late_or_after_a_change_is_refused() {
    let world = World::new().await;
    let agent = world.identity("agent").await;
    let (second, third) = (
        administrator(&world, "second").await,
        administrator(&world, "third").await,
    );
    let view = world.issue.request_approval(asked(), ROOT).await.unwrap();
    let approve = |by: &By, hash| world.issue.approve(view.id, hash, by.clone());
    assert_eq!(
        why(approve(&second, ContentHash([1; 32])).await),
        NotApproved::Hash
    );
    approve(&second, view.hash).await.unwrap();
    assert_eq!(why(approve(&second, view.hash).await), NotApproved::Already);

    // What may be asked for is not part of it; who answers for the identity is.
    let change = ChangeIdentity {
        tags: Some(vec!["prod".to_owned()]),
        ..ChangeIdentity::default()
    };
    let changed = world.issue.change_identity("agent", change, By::Broker);
    changed.await.unwrap();
    let count = || given(&world, agent.id, ORDERS, "orders:write", 600);
    assert_eq!(count(), ["second"]);
    let owner = NewOwner {
        name: "heirs".to_owned(),
        contact: None,
    };
    world.issue.create_owner(owner, By::Broker).await.unwrap();
    let transfer = world
        .issue
        .transfer_identity("agent", "heirs", By::Broker, None);
    transfer.await.unwrap();
    assert!(count().is_empty(), "an approval does not outlive its facts");
    assert_eq!(why(approve(&third, view.hash).await), NotApproved::Changed);

    let again = world.issue.request_approval(asked(), ROOT).await.unwrap();
    let refused = world
        .issue
        .refuse_approval(again.id, third.clone(), "not now")
        .await
        .unwrap();
    assert_eq!(refused.state, ApprovalState::Refused);
    assert_eq!(refused.refused_because.as_deref(), Some("not now"));
    let late = world.issue.approve(again.id, again.hash, second).await;
    assert_eq!(why(late), NotApproved::Refused);
    world.clock.advance_millis(3_600_000);
    let last = world.issue.request_approval(asked(), ROOT).await.unwrap();
    world.clock.advance_millis(3_600_000);
    let late = world.issue.approve(last.id, last.hash, third).await;
    assert_eq!(why(late), NotApproved::Over);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_not_shown_at_all() {
    let world = World::new().await;
    world.identity("agent").await;
    let refused = async |change: fn(&mut NewApproval)| {
        let mut new = asked();
        change(&mut new);
        match world.issue.request_approval(new, ROOT).await {
            Err(AdminError::Invalid(why)) => why.member,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(|new| new.reason = "fine\naudience  https://other.example".to_owned()).await,
        "reason"
    );
    assert_eq!(
        refused(
            |new| new.task = Some(json!([{"type": "lanyard_task", "operations": ["\u{202e}TEG"]}]))
        )
        .await,
        "task"
    );
    assert_eq!(refused(|new| new.task = Some(json!({}))).await, "task");
    assert_eq!(refused(|new| new.lifetime = Some(86_400)).await, "lifetime");
    assert_eq!(refused(|new| new.seconds = 0).await, "seconds");
    assert_eq!(refused(|new| new.seconds = u64::MAX).await, "seconds");
    assert_eq!(
        refused(|new| new.scopes = "a\"b".to_owned()).await,
        "scopes"
    );
    for _ in 0..32 {
        world.issue.request_approval(asked(), ROOT).await.unwrap();
    }
    assert_eq!(refused(|_| {}).await, "identity");
}
