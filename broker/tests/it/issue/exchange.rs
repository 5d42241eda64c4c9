//! Token exchange (RFC 8693): narrower, never wider; who acts for whom.

use lanyard::issue::policy::Request;
use lanyard::issue::{Exchange, Refused, Subject};
use serde_json::json;

use super::world::{ACCESS_TOKEN, API_KEY, EXCHANGE, NOW, ORDERS, STOCK, World};

/// After RFC 8693 section 2.3: a resource server exchanges the token it was called with for one to
/// call its backend with.
#[tokio::test]
async fn a_server_exchanges_the_token_it_was_called_with() {
    let world = World::new().await;
    let (caller, server) = (
        world.identity("caller").await,
        world.identity("server").await,
    );
    let token = world.token(&caller).await;
    let answer = world
        .exchange(
            &server,
            &token,
            &[("resource", ORDERS), ("scope", "orders:read")],
        )
        .await;
    let body = answer.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(300))
    );
    let (parent, child) = (world.claims(&token), world.claims(&answer.token()));
    assert_eq!(child.sub, caller.id.to_string());
    assert_eq!(child.client_id, server.id.to_string());
    let act = child.act.as_ref().unwrap();
    assert_eq!(act.sub(), server.id);
    assert!(act.lin().contains(&server.credential));
    assert_eq!(child.lin.tokens(), [parent.jti]);
    assert_eq!(child.scope.to_string(), "orders:read");
}

#[tokio::test]
async fn a_subject_narrows_its_own_token_and_acts_for_nobody() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let task = r#"[{"type":"lanyard_task","operations":["GET /a","GET /b"],"calls":10}]"#;
    let token = world
        .token_with(&billing, &[("authorization_details", task)])
        .await;
    world.clock.advance_millis(100_000);
    let narrower = r#"[{"type":"lanyard_task","operations":["GET /a"]}]"#;
    let jwt = (
        "requested_token_type",
        "urn:ietf:params:oauth:token-type:jwt",
    );
    let answer = world
        .exchange(
            &billing,
            &token,
            &[
                ("authorization_details", narrower),
                ("requested_lifetime", "3600"),
                jwt,
            ],
        )
        .await;
    assert_eq!(answer.json()["issued_token_type"], jwt.1);
    assert_eq!(
        answer.json()["expires_in"],
        200,
        "a child never outlives its parent"
    );
    let child = world.claims(&answer.token());
    assert!(child.act.is_none());
    assert_eq!(child.exp, NOW + 300);
    let given = child.authorization_details.unwrap();
    assert!(given.allows_operation("GET /a") && !given.allows_operation("GET /b"));
    assert_eq!(given.calls, Some(10), "what is left out is inherited");
    let wider = r#"[{"type":"lanyard_task","operations":["GET /a","GET /c"]}]"#;
    let wider = world
        .exchange(&billing, &token, &[("authorization_details", wider)])
        .await;
    wider.assert_error(400, "invalid_authorization_details");
}

#[tokio::test]
async fn an_api_key_is_exchanged_without_saying_again_who_one_is() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", billing.secret.as_str()),
        ("subject_token_type", API_KEY),
        ("audience", STOCK),
    ];
    let answer = world.post("/oauth/token", None, &form).await;
    assert_eq!(answer.json()["issued_token_type"], ACCESS_TOKEN);
    let claims = world.claims(&answer.token());
    assert_eq!(
        (claims.aud.as_str(), claims.lin.credential()),
        (STOCK, billing.credential)
    );
    let foreign = [form[0], ("subject_token", "lyk_junk"), form[2], form[3]];
    world
        .post("/oauth/token", None, &foreign)
        .await
        .assert_error(400, "invalid_request");
    world
        .post("/oauth/token", Some(&billing), &foreign)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_access_token_alone_is_not_enough() {
    let world = World::new().await;
    let token = world.token(&world.identity("billing").await).await;
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", &token),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    world
        .post("/oauth/token", None, &form)
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_actor_token_makes_its_holder_the_actor_and_ends_the_child_with_it() {
    let world = World::new().await;
    let (alice, agent) = (world.identity("alice").await, world.identity("agent").await);
    let (subject, actor) = (
        world.token(&alice).await,
        world
            .token_with(&agent, &[("requested_lifetime", "60")])
            .await,
    );
    let both = [
        ("actor_token", actor.as_str()),
        ("actor_token_type", ACCESS_TOKEN),
    ];
    for client in [&alice, &agent] {
        let child = world.exchange(client, &subject, &both).await.token();
        let claims = world.claims(&child);
        assert_eq!(
            (claims.sub.clone(), claims.client_id.clone()),
            (alice.id.to_string(), agent.id.to_string())
        );
        assert!(
            claims
                .act
                .as_ref()
                .unwrap()
                .lin()
                .contains(&world.claims(&actor).jti)
        );
        assert_eq!(claims.exp, NOW + 60, "not longer than the actor's token");
    }
    let stranger = world.identity("stranger").await;
    world
        .exchange(&stranger, &subject, &both)
        .await
        .assert_error(400, "invalid_request");

    let child = world.exchange(&agent, &subject, &both).await.token();
    let ended = world
        .issue
        .end(&world.client(&agent), &actor, None)
        .await
        .unwrap()
        .unwrap();
    assert!(
        !world.lives(&child),
        "revoking the actor's token ends what it was for"
    );
    assert_eq!(ended.rev, world.head());
    assert!(world.lives(&subject));
    world
        .exchange(&agent, &subject, &both)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn loops_long_chains_and_actors_that_act_are_refused() {
    let world = World::new().await;
    let mut holders = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        holders.push(world.identity(name).await);
    }
    let [a, b, c, ..] = holders.as_slice() else {
        unreachable!()
    };
    let token = world.token(a).await;
    let by_b = world.exchange(b, &token, &[]).await.token();
    world
        .exchange(a, &by_b, &[])
        .await
        .assert_error(400, "invalid_request");
    let by_c = world.exchange(c, &by_b, &[]).await.token();
    world
        .exchange(b, &by_c, &[])
        .await
        .assert_error(400, "invalid_request");
    let acting = [
        ("actor_token", by_b.as_str()),
        ("actor_token_type", ACCESS_TOKEN),
    ];
    let own = world.token(c).await;
    world
        .exchange(b, &own, &acting)
        .await
        .assert_error(400, "invalid_request");

    let mut deepest = token;
    for holder in &holders[1..6] {
        deepest = world.exchange(holder, &deepest, &[]).await.token();
    }
    let claims = world.claims(&deepest);
    assert_eq!(
        (
            claims.lin.tokens().len(),
            claims.act.unwrap().iter().count()
        ),
        (5, 5)
    );
    world
        .exchange(&holders[6], &deepest, &[])
        .await
        .assert_error(400, "invalid_request");
    world
        .exchange(&holders[5], &deepest, &[])
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_thousand_children_are_enough() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let token = world.token(&billing).await;
    let client = world.client(&billing);
    let request = Request::default();
    let again = || Exchange {
        client: Some(&client),
        subject: Subject::AccessToken(&token),
        actor: None,
        request: &request,
        address: None,
    };
    for _ in 0..1_000 {
        assert!(world.issue.exchange(again()).await.is_ok());
    }
    assert_eq!(
        world.issue.exchange(again()).await.err(),
        Some(Refused::FanOut)
    );
    world
        .exchange(&billing, &token, &[])
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_task_too_large_for_a_token_is_refused() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let operations: Vec<String> = (0..60)
        .map(|n| format!("GET /{n}/{}", "x".repeat(100)))
        .collect();
    let task = json!([{ "type": "lanyard_task", "operations": operations }]).to_string();
    let form = [
        ("grant_type", "client_credentials"),
        ("audience", ORDERS),
        ("authorization_details", &task),
    ];
    world
        .post("/oauth/token", Some(&billing), &form)
        .await
        .assert_error(400, "invalid_request");
}
