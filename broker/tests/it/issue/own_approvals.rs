//! An identity asks for approval itself, with its own key.

use lanyard::issue::administration::ApprovalState;
use lanyard::issue::limits::LimitSettings;
use lanyard::store::event::{By, ContentHash};
use lanyard_token::{Algorithm, NodeId};
use serde_json::Value;

use super::approvals::administrator;
use super::policies::enforce;
use super::world::{Answer, Holder, NO_LIMITS, ORDERS, STOCK, World};

const APPROVED_ONLY: &str = r#"
@id("approved") @owner("team") @why("w")
permit(principal, action == Lanyard::Action::"issue", resource)
when { resource.name == "refunds:write" && !([principal.name].containsAll(context.approvals)) };
@id("registered") @owner("team") @why("w")
permit(principal, action == Lanyard::Action::"issue", resource)
when { principal.scopes.contains(resource.name) };
@id("approves") @owner("team") @why("w")
permit(principal, action == Lanyard::Action::"approvals:give", resource);
"#;

const TASK: &str = r#"[{"type":"lanyard_task","operations":["POST /refunds"],"calls":3}]"#;

/// What it wants; the same words ask for the token.
const WANTED: [(&str, &str); 4] = [
    ("audience", ORDERS),
    ("scope", "refunds:write"),
    ("requested_lifetime", "600"),
    ("authorization_details", TASK),
];

async fn ask(world: &World, holder: &Holder, changes: &[(&'static str, &'static str)]) -> Answer {
    let usual = WANTED
        .into_iter()
        .chain([("reason", "refund 4711"), ("seconds", "3600")]);
    let form: Vec<_> = usual
        .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
        .chain(changes.iter().copied())
        .collect();
    world.post("/oauth/approvals", Some(holder), &form).await
}

async fn token(world: &World, holder: &Holder) -> Answer {
    let grant = [("grant_type", "client_credentials")];
    let form: Vec<_> = grant.into_iter().chain(WANTED).collect();
    world.post("/oauth/token", Some(holder), &form).await
}

async fn look(world: &World, holder: &Holder, id: &str) -> Answer {
    let path = format!("/oauth/approvals/{id}");
    world.post(&path, Some(holder), &[]).await
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} in {answer}"))
}

#[tokio::test]
async fn an_agent_asks_in_the_words_of_its_token_request_and_gets_it_once_somebody_approved() {
    let world = World::new().await;
    let agent = world.identity("agent").await;
    let second = administrator(&world, "second").await;
    enforce(&world, APPROVED_ONLY).await.unwrap();
    token(&world, &agent)
        .await
        .assert_error(400, "invalid_scope");

    let asked = ask(&world, &agent, &[]).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    let asked = asked.json();
    let (id, shown) = (text(&asked, "id"), text(&asked, "shown"));
    for words in [
        ORDERS,
        "refunds:write",
        "600 seconds",
        "POST /refunds",
        "refund 4711",
        "agent",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let number: NodeId = id.parse().unwrap();
    let view = world.issue.show_approval(number).unwrap();
    assert_eq!(
        (view.state, view.shown.as_str()),
        (ApprovalState::Asked, shown)
    );
    token(&world, &agent)
        .await
        .assert_error(400, "invalid_scope");

    // Nobody approves what was not shown, nor what they asked for themselves.
    let approve = |hash, by| world.issue.approve(number, hash, by);
    assert!(approve(ContentHash([1; 32]), second.clone()).await.is_err());
    assert!(approve(view.hash, By::Identity(agent.id)).await.is_err());
    approve(view.hash, second).await.unwrap();
    let known = look(&world, &agent, id).await.json();
    assert_eq!(text(&known, "state"), "approved");
    assert_eq!(
        known.get("approved_by"),
        None,
        "who administers is not its business"
    );
    token(&world, &agent).await.token();

    let wider = [
        ("grant_type", "client_credentials"),
        ("audience", ORDERS),
        ("scope", "refunds:write"),
        ("requested_lifetime", "600"),
    ];
    world
        .post("/oauth/token", Some(&agent), &wider)
        .await
        .assert_error(400, "invalid_scope");
    world.clock.advance_millis(3_600_000);
    token(&world, &agent)
        .await
        .assert_error(400, "invalid_scope");
    assert_eq!(
        text(&look(&world, &agent, id).await.json(), "state"),
        "over"
    );
}

#[tokio::test]
async fn whoever_looks_too_often_waits_like_whoever_asks_for_tokens_too_often() {
    let limits = LimitSettings {
        identity_per_second: 1,
        identity_burst: 5,
        ..NO_LIMITS
    };
    let world = World::with(limits, Algorithm::Es256).await;
    let agent = world.identity("agent").await;
    let asked = ask(&world, &agent, &[]).await.json();
    let id = text(&asked, "id");
    let mut refused = 0;
    for _ in 0..30 {
        let answer = look(&world, &agent, id).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 429, "{answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused} refused");
    assert_eq!(ask(&world, &agent, &[]).await.status, 429);
}

#[tokio::test]
async fn what_was_asked_is_nobody_elses_business() {
    let world = World::new().await;
    let (agent, other) = (world.identity("agent").await, world.identity("other").await);
    let asked = ask(&world, &agent, &[]).await.json();
    let id = text(&asked, "id");
    assert_eq!(look(&world, &agent, id).await.status, 200);
    let unknown = look(&world, &other, "00000000000000ff").await;
    let foreign = look(&world, &other, id).await;
    assert_eq!((unknown.status, foreign.status), (404, 404));
    assert_eq!(look(&world, &agent, "x").await.status, 400);
    world
        .post(&format!("/oauth/approvals/{id}"), None, &[])
        .await
        .assert_error(401, "invalid_client");
    world
        .post("/oauth/approvals", None, &WANTED)
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn what_could_not_be_approved_exactly_is_refused_naming_the_parameter() {
    let world = World::new().await;
    let agent = world.identity("agent").await;
    for (changes, named) in [
        (&[("audience", "https://other.example")] as &[_], "audience"),
        (&[("audience", ORDERS), ("audience", STOCK)], "audience"),
        (&[("scope", "")], "scope"),
        (&[("partial_scope", "true")], "scope"),
        (&[("requested_lifetime", "3601")], "lifetime"),
        (&[("reason", "")], "reason"),
        (&[("reason", "two\nlines")], "reason"),
        (&[("seconds", "")], "seconds"),
        (&[("seconds", "59")], "seconds"),
        (&[("seconds", "604801")], "seconds"),
        (&[("seconds", "-1")], "seconds"),
        (&[("seconds", "soon")], "seconds"),
        (
            &[(
                "authorization_details",
                "[{\"type\":\"lanyard_task\",\"operations\":[\"GET /\u{202e}x\"]}]",
            )],
            "task",
        ),
    ] {
        let refused = ask(&world, &agent, changes).await;
        assert_eq!(refused.status, 400, "{changes:?}: {refused:?}");
        let words = refused.json();
        let words = text(&words, "error_description");
        assert!(
            words.contains(&format!("`{named}`")),
            "{changes:?}: {words}"
        );
    }
    ask(&world, &agent, &[("scope", "re\u{430}d")])
        .await
        .assert_error(400, "invalid_scope");
    for _ in 0..32 {
        assert_eq!(ask(&world, &agent, &[]).await.status, 201);
    }
    assert_eq!(
        ask(&world, &agent, &[]).await.status,
        400,
        "one more than can be decided"
    );
}
