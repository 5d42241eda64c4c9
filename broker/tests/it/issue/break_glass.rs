//! The grant `break-glass` of the repository's own policies, from the first refusal to the last.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lanyard::issue::administration::{
    AdminError, ApprovalState, ApprovalView, ChangeIdentity, NewApproval, NewIdentity,
};
use lanyard::issue::approval::NotApproved;
use lanyard::store::event::{By, Kind};
use lanyard::store::{Event, Store};
use lanyard_token::{NodeId, Rev};

use super::approvals::administrator;
use super::world::{Answer, Holder, ORDERS, World};

const PRODUCTION: &str = "https://production.example";
const SHELL: &str = "shell:open";
const ROOT: By = By::Socket { uid: 0 };
/// The middle of November 2026: before the grant's own end.
const BEFORE_THE_GRANT_ENDS: u64 = 1_794_700_000;
const HOUR: u64 = 3_600;

async fn world() -> World {
    let world = World::at(BEFORE_THE_GRANT_ENDS).await;
    let folder = ours();
    world.issue.read_policies_from(Some(&folder));
    world.issue.reload_policies(By::Broker, None).await.unwrap();
    world
}

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

async fn on_call(world: &World, name: &str) -> Holder {
    let new = NewIdentity {
        name: name.to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Service,
        tags: vec!["grant.break-glass".to_owned()],
        audiences: vec![PRODUCTION.to_owned()],
        scopes: String::new(),
        max_lifetime: None,
    };
    let identity = world.issue.create_identity(new, By::Broker).await.unwrap();
    let key = world.issue.add_key(name, None, None, By::Broker).await;
    let (credential, key) = key.unwrap();
    Holder {
        id: identity.id,
        credential,
        secret: key.expose().to_owned(),
    }
}

async fn requested(world: &World, scopes: &str) -> ApprovalView {
    let new = NewApproval {
        identity: "night-shift".to_owned(),
        audience: PRODUCTION.to_owned(),
        scopes: scopes.to_owned(),
        lifetime: Some(600),
        task: None,
        reason: "the disk of the order book is full".to_owned(),
        seconds: HOUR,
    };
    world.issue.request_approval(new, ROOT).await.unwrap()
}

async fn open(world: &World, holder: &Holder, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("audience", PRODUCTION),
    ];
    form.extend_from_slice(more);
    world.post("/oauth/token", Some(holder), &form).await
}

async fn shell(world: &World, holder: &Holder, seconds: &str) -> Answer {
    let more = [("scope", SHELL), ("requested_lifetime", seconds)];
    open(world, holder, &more).await
}

fn events(world: &World) -> Vec<Event> {
    let records = world.store.read(Rev::ZERO, 10_000).unwrap();
    let events = records.into_iter().flat_map(|record| record.events);
    events.collect()
}

#[tokio::test]
async fn a_shell_opens_only_after_a_second_administrator_approved_exactly_that_and_within_its_time()
{
    let world = world().await;
    let (night_shift, other) = (
        on_call(&world, "night-shift").await,
        on_call(&world, "other").await,
    );
    let second = administrator(&world, "second").await;
    let stays_shut = async |holder: &Holder, seconds: &str| {
        let refused = shell(&world, holder, seconds).await;
        refused.assert_error(400, "invalid_scope");
    };
    stays_shut(&night_shift, "600").await;
    let view = requested(&world, SHELL).await;
    stays_shut(&night_shift, "600").await;
    let alone = world.issue.approve(view.id, view.hash, ROOT).await;
    assert!(matches!(
        alone,
        Err(AdminError::Approval(NotApproved::Self_))
    ));
    stays_shut(&night_shift, "600").await;

    let approved = world.issue.approve(view.id, view.hash, second).await;
    approved.unwrap();
    let given = shell(&world, &night_shift, "600").await;
    assert_eq!(given.json()["expires_in"], 600);
    assert_eq!(world.claims(&given.token()).scope.to_string(), SHELL);

    // Not for longer, for anybody else, for more, or for what was not named.
    stays_shut(&night_shift, "601").await;
    stays_shut(&other, "600").await;
    for scopes in ["shell:root", "shell:open shell:root"] {
        let refused = open(&world, &night_shift, &[("scope", scopes)]).await;
        refused.assert_error(400, "invalid_scope");
    }
    let unnamed = open(&world, &night_shift, &[]).await;
    assert_eq!(world.claims(&unnamed.token()).scope.to_string(), "");

    world.clock.advance_millis((HOUR - 1) * 1_000);
    assert_eq!(shell(&world, &night_shift, "600").await.status, 200);
    world.clock.advance_millis(1_000);
    stays_shut(&night_shift, "600").await;
}

#[tokio::test]
async fn every_step_of_it_is_an_event_and_the_token_names_who_approved() {
    let world = world().await;
    let night_shift = on_call(&world, "night-shift").await;
    let second = administrator(&world, "second").await;
    let before = events(&world).len();
    shell(&world, &night_shift, "600").await;
    world.issue.write_denials(true).await.unwrap();
    let view = requested(&world, SHELL).await;
    let by = second.clone();
    world.issue.approve(view.id, view.hash, by).await.unwrap();
    shell(&world, &night_shift, "600").await.token();
    let taken_back = world.issue.refuse_approval(view.id, second, "it is over");
    taken_back.await.unwrap();
    let refused = shell(&world, &night_shift, "600").await;
    refused.assert_error(400, "invalid_scope");
    world.issue.write_denials(true).await.unwrap();

    let told = events(&world).split_off(before);
    let [
        Event::Denied(first),
        Event::ApprovalRequested { shown, .. },
        Event::ApprovalGiven { hash, .. },
        Event::TokenIssued(token),
        Event::ApprovalRefused { reason, .. },
        Event::Denied(last),
    ] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert!(first.decided.approvals.is_empty());
    assert!(shown.contains("the disk of the order book is full"));
    assert_eq!(*hash, view.hash);
    let decided = token.decided.as_ref().unwrap();
    assert_eq!(decided.policies, ["break-glass"]);
    assert_eq!(decided.approvals, ["second"]);
    assert_eq!(reason, "it is over");
    assert!(last.decided.approvals.is_empty());
}

#[tokio::test]
async fn an_approval_ends_with_whoever_gave_it() {
    let world = world().await;
    let night_shift = on_call(&world, "night-shift").await;
    let second = administrator(&world, "second").await;
    let view = requested(&world, SHELL).await;
    world
        .issue
        .approve(view.id, view.hash, second)
        .await
        .unwrap();
    shell(&world, &night_shift, "600").await.token();
    let id: NodeId = world.issue.find_identity("second").unwrap();
    let left = world.issue.disable(id, By::Broker, "left");
    left.await.unwrap();
    shell(&world, &night_shift, "600")
        .await
        .assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn an_approval_ends_with_the_right_to_give_it_and_comes_back_with_it() {
    let world = world().await;
    let night_shift = on_call(&world, "night-shift").await;
    let second = administrator(&world, "second").await;
    let view = requested(&world, SHELL).await;
    let given = world.issue.approve(view.id, view.hash, second).await;
    assert_eq!(given.unwrap().state, ApprovalState::Approved);
    let label = async |tags: &[&str]| {
        let change = ChangeIdentity {
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..ChangeIdentity::default()
        };
        let changed = world.issue.change_identity("second", change, By::Broker);
        changed.await.unwrap();
        world.issue.show_approval(view.id).unwrap()
    };
    let told = |view: &ApprovalView| {
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        (names(&view.approved_by), names(&view.lapsed), view.state)
    };
    let second = || "second".to_owned();

    shell(&world, &night_shift, "600").await.token();
    for role in ["role.auditor", "role.security-responder", "role.nobody-has"] {
        let shown = label(&[role]).await;
        let lost = (String::new(), second(), ApprovalState::Asked);
        assert_eq!(told(&shown), lost, "{role}");
        assert_eq!(world.issue.list_approvals(), [shown]);
        shell(&world, &night_shift, "600")
            .await
            .assert_error(400, "invalid_scope");
    }
    let shown = label(&["role.administrator", "on-call"]).await;
    let back = (second(), String::new(), ApprovalState::Approved);
    assert_eq!(told(&shown), back);
    shell(&world, &night_shift, "600").await.token();

    // Other policies take it away as well.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("grant")).unwrap();
    for file in ["schema.cedarschema", "break-glass/policy.cedar"] {
        let to = file.replace("break-glass", "grant");
        fs::copy(ours().join(file), folder.path().join(to)).unwrap();
    }
    world.issue.read_policies_from(Some(folder.path()));
    world.issue.reload_policies(By::Broker, None).await.unwrap();
    shell(&world, &night_shift, "600")
        .await
        .assert_error(400, "invalid_scope");
    let shown = world.issue.show_approval(view.id).unwrap();
    assert_eq!(told(&shown).1, "second");
}

#[tokio::test]
async fn an_approval_is_for_the_identity_itself_and_not_for_whoever_acts_for_it() {
    let world = World::new().await;
    let (billing, agent) = (
        world.identity("billing").await,
        world.identity("agent").await,
    );
    let parent = world.token(&billing).await;
    let folder = tempfile::tempdir().unwrap();
    let schema = "schema.cedarschema";
    fs::copy(ours().join(schema), folder.path().join(schema)).unwrap();
    fs::create_dir(folder.path().join("grant")).unwrap();
    let policy = "@id(\"approved\") permit(principal, action == Lanyard::Action::\"issue\", resource) \
                  when { !context.approvals.isEmpty() };\n\
                  @id(\"approves\") permit(principal, action == Lanyard::Action::\"approvals:give\", resource);\n";
    fs::write(folder.path().join("grant/policy.cedar"), policy).unwrap();
    world.issue.read_policies_from(Some(folder.path()));
    world.issue.reload_policies(By::Broker, None).await.unwrap();
    let second = administrator(&world, "second").await;
    let new = NewApproval {
        identity: "billing".to_owned(),
        audience: ORDERS.to_owned(),
        scopes: "orders:read".to_owned(),
        lifetime: None,
        task: None,
        reason: "refund 4711".to_owned(),
        seconds: HOUR,
    };
    let view = world.issue.request_approval(new, ROOT).await.unwrap();
    let read = [("scope", "orders:read")];
    world
        .exchange(&billing, &parent, &read)
        .await
        .assert_error(400, "invalid_scope");
    let approved = world.issue.approve(view.id, view.hash, second).await;
    approved.unwrap();
    world.exchange(&billing, &parent, &read).await.token();
    world
        .exchange(&agent, &parent, &read)
        .await
        .assert_error(400, "invalid_scope");
}
