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
