//! `POST /oauth/revoke` and `POST /oauth/introspect`.

use lanyard::clock::UnixMillis;
use lanyard::store::event::{By, Cause};
use lanyard::store::{Event, Store};
use serde_json::json;

use super::world::{Holder, ISSUER, NOW, ORDERS, World};

#[tokio::test]
async fn revoking_a_token_ends_everything_exchanged_from_it_and_nothing_else() {
    let world = World::new().await;
    let (billing, server) = (
        world.identity("billing").await,
        world.identity("server").await,
    );
    let (token, sibling) = (world.token(&billing).await, world.token(&billing).await);
    let child = world.exchange(&server, &token, &[]).await.token();
    let grandchild = world.exchange(&server, &child, &[]).await.token();
    let answer = world
        .post("/oauth/revoke", Some(&billing), &[("token", &token)])
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    for dead in [&token, &child, &grandchild] {
        assert!(!world.lives(dead));
        world
            .exchange(&server, dead, &[])
            .await
            .assert_error(400, "invalid_request");
        let shown = world
            .post("/oauth/introspect", Some(&server), &[("token", dead)])
            .await;
        assert_eq!(shown.body, r#"{"active":false}"#);
    }
    assert!(world.lives(&sibling));
    assert!(world.lives(&world.token(&billing).await));
}

#[tokio::test]
async fn a_client_ends_what_it_holds_and_what_descends_from_its_own_only() {
    let world = World::new().await;
    let (billing, server, other) = (
        world.identity("billing").await,
        world.identity("server").await,
        world.identity("other").await,
    );
    let token = world.token(&billing).await;
    let held_by_server = world.exchange(&server, &token, &[]).await.token();
    let again = world.exchange(&server, &token, &[]).await.token();
    let refused = world
        .post("/oauth/revoke", Some(&other), &[("token", &token)])
        .await;
    refused.assert_error(400, "unauthorized_client");
    world
        .post("/oauth/revoke", Some(&server), &[("token", &token)])
        .await
        .assert_error(400, "unauthorized_client");
    assert!(world.lives(&token));
    let end = |who, what: &str| {
        let form = [
            ("token", what.to_owned()),
            ("token_type_hint", "refresh_token".to_owned()),
        ];
        let world = &world;
        async move {
            let form: Vec<(&str, &str)> = form
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            world.post("/oauth/revoke", Some(who), &form).await.status
        }
    };
    assert_eq!(end(&server, &held_by_server).await, 200);
    assert_eq!(end(&billing, &again).await, 200);
    assert!(!world.lives(&held_by_server) && !world.lives(&again) && world.lives(&token));
}

#[tokio::test]
async fn unknown_tokens_are_answered_like_ended_ones_and_nothing_is_written() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let head = world.head();
    for junk in ["x", "lyk_junk", "a.b.c"] {
        let answer = world
            .post(
                "/oauth/revoke",
                Some(&billing),
                &[("token", junk), ("wait", "all")],
            )
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{junk}");
    }
    assert_eq!(world.head(), head);
    world
        .post("/oauth/revoke", Some(&billing), &[])
        .await
        .assert_error(400, "invalid_request");
    world
        .post("/oauth/revoke", None, &[("token", "x")])
        .await
        .assert_error(401, "invalid_client");
    world
        .post("/oauth/introspect", None, &[("token", "x")])
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn waiting_for_all_answers_with_the_receipt() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let token = world.token(&billing).await;
    let node = world.claims(&token).jti;
    let answer = world
        .post(
            "/oauth/revoke",
            Some(&billing),
            &[("token", &token), ("wait", "all")],
        )
        .await;
    let expected = json!({
        "node": node,
        "rev": world.head(),
        "confirmed": [{ "gateway": "000000000000004d", "ms": 3 }],
        "cut_off": [{ "gateway": "000000000000004e", "dead_by": NOW + 300 }],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let form = [("token", token.as_str()), ("wait", "some")];
    world
        .post("/oauth/revoke", Some(&billing), &form)
        .await
        .assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_gives_up_an_api_key_and_with_it_all_its_tokens() {
    let world = World::new().await;
    let (billing, other) = (
        world.identity("billing").await,
        world.identity("other").await,
    );
    let token = world.token(&billing).await;
    let refused = world
        .post("/oauth/revoke", Some(&other), &[("token", &billing.secret)])
        .await;
    refused.assert_error(400, "unauthorized_client");
    let answer = world
        .post(
            "/oauth/revoke",
            Some(&billing),
            &[("token", &billing.secret)],
        )
        .await;
    assert_eq!(answer.status, 200);
    assert!(!world.lives(&token));
    let form = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    world
        .post("/oauth/token", Some(&billing), &form)
        .await
        .assert_error(401, "invalid_client");
    let (_, key) = world
        .issue
        .add_key("billing", None, None, By::Broker)
        .await
        .unwrap();
    let fresh = super::world::Holder {
        secret: key.expose().to_owned(),
        ..billing
    };
    assert!(
        world.lives(&world.token(&fresh).await),
        "the identity itself goes on"
    );
}

#[tokio::test]
async fn introspection_tells_what_a_living_token_says() {
    let world = World::new().await;
    let (billing, server) = (
        world.identity("billing").await,
        world.identity("server").await,
    );
    let token = world
        .token_with(&billing, &[("scope", "orders:read")])
        .await;
    let answer = world
        .post("/oauth/introspect", Some(&server), &[("token", &token)])
        .await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    for (member, value) in [
        ("active", json!(true)),
        ("token_type", json!("Bearer")),
        ("scope", json!("orders:read")),
        ("client_id", json!(billing.id)),
        ("sub", json!(billing.id)),
        ("iss", json!(ISSUER)),
        ("aud", json!(ORDERS)),
        ("exp", json!(NOW + 300)),
        ("iat", json!(NOW)),
    ] {
        assert_eq!(body[member], value, "{member}");
    }
    world.clock.advance_millis(300_000);
    let expired = world
        .post("/oauth/introspect", Some(&server), &[("token", &token)])
        .await;
    assert_eq!(
        (expired.status, expired.body.as_str()),
        (200, r#"{"active":false}"#)
    );
}

#[tokio::test]
async fn what_is_suspended_can_be_ended_for_good() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let token = world.token(&billing).await;
    let node = world.claims(&token).jti;
    let (_, spare) = world
        .issue
        .add_key("billing", None, None, By::Broker)
        .await
        .unwrap();
    let spare_key = world
        .issue
        .list_keys("billing")
        .unwrap()
        .into_iter()
        .map(|key| key.id)
        .find(|id| *id != billing.credential)
        .unwrap();
    let suspended = [node, spare_key].map(|node| Event::Suspended {
        node,
        until: UnixMillis::from_seconds(NOW + 60),
        cause: Cause::Requested,
        by: By::Broker,
    });
    world.store.append(suspended.to_vec()).await.unwrap();
    assert!(!world.lives(&token));
    for ended in [token.as_str(), spare.expose()] {
        let answer = world
            .post("/oauth/revoke", Some(&billing), &[("token", ended)])
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
    world.clock.set(UnixMillis::from_seconds(NOW + 61));
    assert!(
        !world.lives(&token),
        "it was suspended, then ended, and must not come back with the end of the suspension"
    );
    let spare = Holder {
        secret: spare.expose().to_owned(),
        credential: spare_key,
        ..billing.clone()
    };
    world
        .post(
            "/oauth/token",
            Some(&spare),
            &[("grant_type", "client_credentials")],
        )
        .await
        .assert_error(401, "invalid_client");
    assert!(world.lives(&world.token(&billing).await));
}
