//! The table of hostile tokens, through the function and through real HTTP.

use axum::Router;
use axum::routing::get;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use lanyard_sdk::DriftMode;
use lanyard_token::Algorithm;
use lanyard_token::testing::hostile_tokens;

use crate::support::{World, http, serve};

#[test]
fn no_hostile_token_is_ever_accepted_or_kept() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::with(algorithm, DriftMode::Enforce);
        let rows = hostile_tokens(&world.issuer);
        assert!(rows.len() >= 90);
        for row in rows {
            let denial = world
                .get(&row.text, "/orders")
                .err()
                .unwrap_or_else(|| panic!("accepted: {}", row.name));
            assert_eq!(denial.outside().status, 401, "{}", row.name);
        }
        assert_eq!(world.gateway.tokens_kept(), 0);
    }
}

#[tokio::test]
async fn every_hostile_token_gets_the_same_answer_over_http() {
    let mut world = World::new();
    // Some tokens name a place to fetch their key from: nobody must come.
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    world.issuer.listener = format!("http://{}/keys", trap.local_addr().unwrap());
    let router = Router::new()
        .route("/orders", get(|| async { "in" }))
        .layer(world.gateway.layer());
    let url = format!("http://{}/orders", serve(router).await);
    let http = http();
    let (mut sent, mut unsendable) = (0, 0);
    for row in hostile_tokens(&world.issuer) {
        // White space around a field's value is not part of it (RFC 9110, 5.5): on the wire some
        // rows are the good token.
        if row.text.ends_with([' ', '\t']) {
            unsendable += 1;
            continue;
        }
        let Ok(value) = HeaderValue::try_from(format!("Bearer {}", row.text)) else {
            unsendable += 1;
            continue;
        };
        let outcome = http.get(&url).header(AUTHORIZATION, value).send().await;
        let Ok(response) = outcome else {
            assert!(row.text.len() > 64 * 1024, "{}: {outcome:?}", row.name);
            continue;
        };
        sent += 1;
        if response.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
            assert!(row.text.len() > 4_096, "{}", row.name);
            continue;
        }
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{}", row.name);
        let challenge = response
            .headers()
            .get(WWW_AUTHENTICATE)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.text().await.unwrap();
        // A header that is empty after its scheme carries no token at all.
        if !row.text.trim().is_empty() {
            assert_eq!(challenge, r#"Bearer error="invalid_token""#, "{}", row.name);
        }
        assert_eq!(
            body,
            r#"{"error":"invalid_token","error_description":"the token is missing or not valid"}"#,
            "{}",
            row.name
        );
    }
    assert!(
        sent >= 80,
        "{sent} sent, {unsendable} cannot be written into a header"
    );
    let came = trap.accept().unwrap_err();
    assert_eq!(
        came.kind(),
        std::io::ErrorKind::WouldBlock,
        "a key was fetched from where a token said"
    );
}
