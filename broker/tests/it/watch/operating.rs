//! What operators see and say: explanations, deployments, the pager's budget.

use lanyard::store::Event;
use lanyard::store::event::{By, PagingGoal};
use lanyard::watch::{Watch, WatchConfig};
use lanyard_drift::Level;
use serde_json::{Value, json};

use super::world::*;

const ROLE: &str =
    r#"{"role": {"kind": "service", "tags": ["test"]}, "seconds": 7200, "reason": "release 7"}"#;

/// Reports a whole window of somebody else's behaviour on a fresh token.
async fn masquerade(world: &World, identity: u64) {
    let token = world.issue(identity).await;
    let mut other = world.tracker(identity).await;
    world.masquerade(&mut other, 101);
    let mut body = world.body(vec![token.entry(&other.report().unwrap())]);
    body["operations"] = json!(["GET /export", "GET /customers", "GET /keys"]);
    assert_eq!(world.send(GATEWAY, &body.to_string()).await.0, 200);
}

fn audited(world: &World, is: impl Fn(&Event) -> Option<By>) -> Vec<By> {
    world.log().iter().filter_map(is).collect()
}

#[tokio::test]
async fn an_explanation_tells_what_was_expected_what_stood_behind_it_and_what_weighed() {
    let world = World::new().await;
    world.learn(SIBLING).await;
    world.learn(SERVICE).await;
    masquerade(&world, SERVICE).await;
    let verdict = world.verdicts().pop().unwrap();
    let path = format!("/v1/drift/verdicts/{}/explanation", verdict.id);
    let (status, told) = world.get(&path).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["sentence"], json!(verdict.sentence()));
    assert!(!told["verdict"]["evidence"].as_array().unwrap().is_empty());
    let history = &told["history"];
    assert!(history["calls"].as_u64().unwrap() >= 1_500, "{history}");
    assert_eq!(
        history["role"],
        json!({"kind": "service", "tags": ["test"]})
    );
    assert_eq!(
        (&history["peers"], &history["anchored"]),
        (&json!(1), &json!(true))
    );
    assert!(history["since"].as_u64().unwrap() >= 1_800_000_000_000);
    let heaviest = told["heaviest"].as_array().unwrap();
    assert!((1..=5).contains(&heaviest.len()), "{heaviest:?}");
    let named = |of: &Value| of["operation"].as_str().unwrap().starts_with("GET /");
    assert!(heaviest.iter().any(named), "{heaviest:?}");
    let series = told["series"].as_array().unwrap();
    assert_eq!(series.len(), 21, "twenty ordinary windows and this one");
    let (ordinary, this) = series.split_at(20);
    assert!(
        ordinary
            .iter()
            .all(|point| point["reach"].as_f64().unwrap() < 1.0)
    );
    assert!(this[0]["reach"].as_f64().unwrap() >= 1.0);
    assert_eq!(this[0]["verdict"], json!(verdict.id));
    let nobody = world
        .get("/v1/drift/verdicts/00000000000000ff/explanation")
        .await;
    assert_eq!(nobody.0, 404);
}

#[tokio::test]
async fn the_course_of_windows_survives_a_restart_and_so_does_what_the_pager_spent() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    masquerade(&world, SERVICE).await;
    let verdict = world.verdicts().pop().unwrap().id;
    let before = (
        world.watch.explain(verdict).unwrap().series,
        spent(&world.watch),
    );
    assert_eq!(before.1.0, 21);
    world.watch.clone().run(std::future::ready(())).await;
    let after = reopened(&world);
    let after = (after.explain(verdict).unwrap().series, spent(&after));
    assert_eq!(after, before);
}

fn spent(watch: &Watch) -> (u64, u64, f64) {
    let budget = watch.budget();
    (budget.windows, budget.pages, budget.windows_per_day)
}

#[tokio::test]
async fn what_was_cleared_is_not_flagged_again() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    masquerade(&world, SERVICE).await;
    let verdicts = world.verdicts();
    let path = format!("/v1/drift/verdicts/{}/clear", verdicts.last().unwrap().id);
    let (status, answer) = world.post(&path, r#"{"reason":"the new export"}"#).await;
    assert_eq!(
        (status, &answer["learned"]),
        (200, &json!(true)),
        "{answer}"
    );
    for _ in 0..3 {
        world.clock.advance_millis(20_000);
        masquerade(&world, SERVICE).await;
    }
    let said: Vec<String> = world.verdicts().iter().map(|v| v.sentence()).collect();
    assert_eq!(said.len(), verdicts.len(), "{said:?}");
}

#[tokio::test]
async fn during_a_deployment_what_is_new_is_learned_and_hard_rules_stay() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let (status, opened) = world.post("/v1/drift/deployments", ROLE).await;
    assert_eq!(status, 201, "{opened}");
    assert_eq!(opened["members"], 2);
    let (_, listed) = world.get("/v1/drift/verdicts").await;
    assert_eq!(listed["deployments"][0]["reason"], "release 7");
    masquerade(&world, SERVICE).await;
    assert!(world.verdicts().is_empty(), "{:?}", world.verdicts());

    let token = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    world.walk(&mut thief);
    world
        .report(GATEWAY, &token, &thief.report().unwrap())
        .await;
    assert_eq!(
        world.verdicts().pop().unwrap().verdict.level,
        Level::Malicious
    );

    let by = audited(&world, |event| match event {
        Event::DeploymentAnnounced { by, reason, .. } => {
            assert_eq!(reason.as_deref(), Some("release 7"));
            Some(by.clone())
        }
        _ => None,
    });
    assert_eq!(by, [By::Socket { uid: 0 }]);
}

#[tokio::test]
async fn a_deployment_outlives_a_restart_and_ends_by_itself() {
    let world = World::new().await;
    let body = json!({"identity": node(SIBLING), "seconds": 3_600});
    let (status, opened) = world.post("/v1/drift/deployments", &body.to_string()).await;
    assert_eq!(
        (status, &opened["role"]["tags"]),
        (201, &json!(["test"])),
        "{opened}"
    );
    let watch = reopened(&world);
    assert_eq!(watch.deployments().len(), 1);
    world.clock.advance_millis(3_600_000);
    assert_eq!(watch.deployments(), []);
    let (_, none) = world.get("/v1/drift/deployments").await;
    assert_eq!(none, json!({"deployments": []}));

    world.learn(SERVICE).await;
    masquerade(&world, SERVICE).await;
    assert!(!world.verdicts().is_empty(), "it is over");
}

#[tokio::test]
async fn a_budget_is_shown_set_and_written_down_with_who() {
    let world = World::new().await;
    let (_, shipped) = world.get("/v1/drift/budget").await;
    assert_eq!(shipped["goal"], json!({"alarms_per_day": 5.0}));
    assert!(shipped.get("set").is_none());
    let (status, set) = world.post("/v1/drift/budget", r#"{"share": 0.25}"#).await;
    assert_eq!(
        (status, &set["goal"]),
        (200, &json!({"share": 0.25})),
        "{set}"
    );
    assert_eq!(set["set"]["by"], json!({"socket": {"uid": 0}}));
    assert_eq!(reopened(&world).budget().goal, PagingGoal::Share(0.25));
    let by = audited(&world, |event| match event {
        Event::BudgetSet { by, .. } => Some(by.clone()),
        _ => None,
    });
    assert_eq!(by, [By::Socket { uid: 0 }]);
}

#[tokio::test]
async fn a_page_is_an_event_and_a_mark_on_its_verdict_and_comes_once_a_day() {
    let world = World::new().await;
    world.post("/v1/drift/budget", r#"{"share": 0.25}"#).await;
    world.learn(SERVICE).await;
    for _ in 0..3 {
        masquerade(&world, SERVICE).await;
        world.clock.advance_millis(20_000);
    }
    let pages = world.log().into_iter().filter_map(|event| match event {
        Event::Paged { verdict, .. } => Some(verdict),
        _ => None,
    });
    let [verdict] = pages.collect::<Vec<_>>()[..] else {
        panic!("one page: {:?}", world.watch.budget())
    };
    let (_, told) = world.get(&format!("/v1/drift/verdicts/{verdict}")).await;
    assert!(told["paged"].is_u64(), "{told}");
    assert_eq!(world.watch.budget().pages, 1);
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused_in_words() {
    let world = World::new().await;
    for (path, body, status, word) in [
        ("deployments", r#"{"seconds": 60}"#, 400, "one of"),
        (
            "deployments",
            r#"{"identity": "00000000000000b1", "seconds": 0}"#,
            400,
            "1 to 86400",
        ),
        (
            "deployments",
            r#"{"identity": "00000000000000b1", "seconds": 86401}"#,
            400,
            "1 to 86400",
        ),
        (
            "deployments",
            r#"{"identity": "00000000000000ff", "seconds": 60}"#,
            404,
            "no such identity",
        ),
        (
            "deployments",
            r#"{"role": {"kind": "service"}, "seconds": 60}"#,
            409,
            "tags",
        ),
        (
            "deployments",
            r#"{"identity": "00000000000000b1", "seconds": 60, "reason": "a\nb"}"#,
            400,
            "one line",
        ),
        ("deployments", "[]", 400, "JSON"),
        ("budget", r#"{"alarms_per_day": -1}"#, 400, "more than 0"),
        ("budget", r#"{"share": 0.9}"#, 400, "at most 0.5"),
        (
            "budget",
            r#"{"share": 0.1, "alarms_per_day": 3}"#,
            400,
            "JSON",
        ),
        ("budget", "{}", 400, "JSON"),
    ] {
        let (found, answer) = world.post(&format!("/v1/drift/{path}"), body).await;
        assert_eq!(found, status, "{body}: {answer}");
        let words = answer["error_description"].as_str().unwrap();
        assert!(words.contains(word), "{body}: {words}");
    }
    let orders = |event: &Event| {
        matches!(
            event,
            Event::DeploymentAnnounced { .. } | Event::BudgetSet { .. }
        )
    };
    assert!(!world.log().iter().any(orders), "nothing was written");
}

fn reopened(world: &World) -> std::sync::Arc<Watch> {
    let (watch, refused) = Watch::open(
        world.state.clone(),
        world.store.clone(),
        world.clock.clone(),
        Box::new(world.shelf.clone()),
        WatchConfig::default(),
    );
    assert!(refused.is_none(), "{refused:?}");
    watch
}
