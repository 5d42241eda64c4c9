//! What the doors say to whom.

use serde_json::json;

use super::world::*;

#[tokio::test]
async fn what_is_not_a_report_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let long = format!(
        r#"{{"epoch":1,"seq":1,"entries":[],"shadow_routes":[]}}{}"#,
        " ".repeat(300 * 1_024)
    );
    let many = json!({"epoch": 1, "seq": 1, "entries": vec![json!({}); 600]}).to_string();
    for (body, expected) in [
        ("", 400),
        ("[]", 400),
        (r#"{"epoch":1,"seq":1,"entries":[],"surprise":true}"#, 400),
        (r#"{"epoch":1,"seq":1,"seq":2,"entries":[]}"#, 400),
        (&many, 400),
        (&long, 413),
    ] {
        let (status, answer) = world.send(GATEWAY, body).await;
        assert_eq!(status, expected, "{answer}");
        assert_eq!(answer["error"], "invalid_request");
    }
    assert_eq!(world.watch.counters().accepted.get(), 0);
}

#[tokio::test]
async fn only_gateways_report_and_ask_for_bounds() {
    let world = World::new().await;
    let body = world.body(Vec::new()).to_string();
    for identity in [SERVICE, 0xdead] {
        assert_eq!(world.send(identity, &body).await.0, 403);
        assert_eq!(world.bounds(identity, SERVICE).await.0, 403);
    }
    let (status, answer) = world.get(&format!("/v1/baselines/{}", node(SERVICE))).await;
    assert_eq!(
        (status, answer["error"].as_str()),
        (401, Some("invalid_token"))
    );
}

#[tokio::test]
async fn bounds_are_for_gateways_that_serve_the_identity() {
    let world = World::new().await;
    let (status, answer) = world.bounds(GATEWAY, SERVICE).await;
    assert_eq!(status, 200);
    assert_eq!(answer["hash"].as_str().unwrap().len(), 64);
    let (none_of_its_business, one) = world.bounds(MAIL_GATEWAY, SERVICE).await;
    let (does_not_exist, other) = world.bounds(MAIL_GATEWAY, 0xdead).await;
    assert_eq!((none_of_its_business, does_not_exist), (404, 404));
    assert_eq!(one, other, "the answer does not tell which");
}

#[tokio::test]
async fn bounds_that_a_gateway_has_are_not_sent_again() {
    let world = World::new().await;
    let (status, tag) = world.bounds_unless(GATEWAY, SERVICE, "\"none\"").await;
    assert_eq!(status, 200);
    let both = format!("\"none\", {tag}");
    for known in [&tag, &both] {
        let answer = world.bounds_unless(GATEWAY, SERVICE, known).await;
        assert_eq!(answer, (304, tag.clone()));
    }
    world.learn(SERVICE).await;
    let (status, other) = world.bounds_unless(GATEWAY, SERVICE, &tag).await;
    assert_eq!(status, 200);
    assert_ne!(tag, other);
}

#[tokio::test]
async fn administrators_see_verdicts_with_numbers_and_responses() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut agent = world.cold_tracker();
    world.leave_task(&mut agent);
    world
        .report(GATEWAY, &token, &agent.report().unwrap())
        .await;

    let (_, list) = world
        .get(&format!(
            "/v1/drift/verdicts?identity={}&limit=5",
            node(SERVICE)
        ))
        .await;
    let listed = &list["verdicts"][0];
    let (status, verdict) = world
        .get(&format!(
            "/v1/drift/verdicts/{}",
            listed["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(status, 200);
    assert_eq!(&verdict, listed);
    assert_eq!(verdict["token"], json!(token.jti));
    assert!(
        verdict["sentence"]
            .as_str()
            .unwrap()
            .contains("outside the task"),
        "{verdict}"
    );
    assert_eq!(
        verdict["responses"][1],
        json!({"response": "recycle", "node": token.jti, "enforced": true})
    );

    let (_, nobody) = world
        .get(&format!("/v1/drift/verdicts?identity={}", node(SIBLING)))
        .await;
    assert_eq!(nobody, json!({"verdicts": []}));
    let (_, identity) = world
        .get(&format!("/v1/drift/identities/{}", node(SERVICE)))
        .await;
    assert_eq!(identity["history"]["recycled"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn gateways_hear_whose_bounds_have_changed_and_only_of_those_they_serve() {
    let world = World::new().await;
    let (status, start) = world.changes(GATEWAY, "").await;
    assert_eq!((status, &start["changed"]), (200, &json!([])));
    world.learn(SERVICE).await;
    let since = format!("?run={}&after={}", start["run"], start["at"]);
    let (_, news) = world.changes(GATEWAY, &since).await;
    assert_eq!(news["changed"], json!([node(SERVICE)]));
    assert!(news["at"].as_u64() > start["at"].as_u64());
    let since = format!("?run={}&after={}", news["run"], news["at"]);
    let (_, quiet) = world.changes(GATEWAY, &since).await;
    assert_eq!(
        quiet,
        json!({"run": news["run"], "at": news["at"], "changed": []})
    );

    let (_, other) = world
        .changes(MAIL_GATEWAY, &format!("?run={}&after=0", start["run"]))
        .await;
    assert_eq!(other["changed"], json!([]), "none of its business");
    let (_, restarted) = world.changes(GATEWAY, "?run=999&after=0").await;
    assert_eq!(restarted["changed"], json!([]));
    assert_eq!(restarted["run"], start["run"]);
    assert_eq!(world.changes(SERVICE, "").await.0, 403);
    assert_eq!(world.changes(GATEWAY, "?run=x").await.0, 400);
    assert_eq!(world.changes(GATEWAY, "?surprise=1").await.0, 400);
}

#[tokio::test]
async fn a_verdict_names_its_operations_as_the_gateway_behind_it_does_also_after_a_restart() {
    let world = World::new().await;
    let token = world.issue(SERVICE).await;
    let mut agent = world.cold_tracker();
    world.leave_task(&mut agent);
    let mut body = world.body(vec![token.entry(&agent.report().unwrap())]);
    body["operations"] = json!(["GET /orders", "GET /else", "GET /<b>", "\u{1b}[2J"]);
    let (status, answer) = world.send(GATEWAY, &body.to_string()).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)));

    let (_, list) = world.get("/v1/drift/verdicts").await;
    let verdict = &list["verdicts"][0];
    let sentence = verdict["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("`GET /orders` with a destination outside the task"),
        "{sentence}"
    );
    assert_eq!(verdict["operations"].as_array().unwrap().len(), 1);

    let [judgement] = world.verdicts().try_into().unwrap();
    let written = serde_json::to_vec(&lanyard::store::Event::Judged(Box::new(judgement))).unwrap();
    match serde_json::from_slice(&written).unwrap() {
        lanyard::store::Event::Judged(read) => assert_eq!(read.sentence(), sentence),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_gateway_cannot_name_what_it_does_not_serve_nor_misname_what_it_does() {
    let world = World::new().await;
    let mut body = world.body(Vec::new());
    body["operations"] = json!(["GET /orders", "GET /health"]);
    assert_eq!(world.send(MAIL_GATEWAY, &body.to_string()).await.0, 200);

    let token = world.issue(SERVICE).await;
    let mut agent = world.cold_tracker();
    world.leave_task(&mut agent);
    let mut body = world.body(vec![token.entry(&agent.report().unwrap())]);
    body["operations"] = json!(["GET /health"]);
    assert_eq!(world.send(GATEWAY, &body.to_string()).await.0, 200);
    let [judgement] = world.verdicts().try_into().unwrap();
    assert!(judgement.names.is_empty(), "{:?}", judgement.names);
    assert!(
        judgement.sentence().contains("operation "),
        "{}",
        judgement.sentence()
    );

    let mut many = world.body(Vec::new());
    many["operations"] = json!(vec!["GET /a"; 1_025]);
    assert_eq!(world.send(GATEWAY, &many.to_string()).await.0, 413);
}

#[tokio::test]
async fn a_report_with_routes_that_do_not_exist_is_counted() {
    let world = World::new().await;
    let mut body = world.body(Vec::new());
    body["shadow_routes"] = json!([{"method": "GET", "path": "/admin", "calls": 3}]);
    assert_eq!(world.send(GATEWAY, &body.to_string()).await.0, 200);
    assert_eq!(world.watch.counters().shadow_calls.get(), 3);
}

#[tokio::test]
async fn wrong_questions_get_answers_in_words() {
    let world = World::new().await;
    for (path, expected) in [
        ("/v1/drift/verdicts?limit=0", 400),
        ("/v1/drift/verdicts?limit=1001", 400),
        ("/v1/drift/verdicts?surprise=1", 400),
        ("/v1/drift/verdicts/nonsense", 400),
        ("/v1/drift/verdicts/0000000000000001", 404),
        ("/v1/drift/identities/0000000000000001", 404),
    ] {
        let (status, answer) = world.get(path).await;
        assert_eq!(status, expected, "{path}: {answer}");
        assert!(
            answer["error_description"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    for body in ["{}", r#"{"reason":""}"#, r#"{"reason":"x","more":1}"#] {
        let (status, _) = world
            .post("/v1/drift/verdicts/0000000000000001/clear", body)
            .await;
        assert_eq!(status, 400, "{body}");
    }
}
