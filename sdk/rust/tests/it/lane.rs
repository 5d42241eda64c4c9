//! New tokens by the hundred, before a service.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::support::{World, http, serve, twin};

/// At once, from one address: more than one network may have waiting.
const AT_ONCE: usize = 200;

async fn answers(url: &str, tokens: Vec<String>) -> Vec<StatusCode> {
    let http = http();
    let asked = tokens.into_iter().map(|token| {
        let request = http.get(url).bearer_auth(token);
        async move {
            let response = request.send().await.unwrap();
            let status = response.status();
            let later = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(later, status == StatusCode::SERVICE_UNAVAILABLE);
            status
        }
    });
    stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

fn forged(token: &str, n: usize) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{n:08x}{}", &signature[8..])
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tokens_wait_their_turn_and_are_let_in() {
    let world = World::new();
    let service = Router::new().route("/orders", get(|| async { "orders" }));
    let address = serve(service.layer(world.gateway.layer())).await;
    let url = format!("http://{address}/orders");
    let tokens: Vec<String> = (0..20).map(|n| world.token(1_000 + n)).collect();
    let statuses = answers(&url, tokens).await;
    assert_eq!(statuses, [StatusCode::OK; 20]);
    assert_eq!(world.gateway.tokens_kept(), 20);
}

#[tokio::test]
async fn a_call_with_the_twin_of_a_kept_token_costs_one_signature_check_and_not_two() {
    /// As many as one network may have waiting, or less.
    const CALLS: usize = 30;
    let world = World::new();
    let service = Router::new().route("/orders", get(|| async { "orders" }));
    let service = service.layer(world.gateway.layer());
    let token = world.token(9);
    let call = |token: String| {
        let request = Request::get("/orders").header(AUTHORIZATION, format!("Bearer {token}"));
        let call = service
            .clone()
            .oneshot(request.body(Body::empty()).unwrap());
        async move { call.await.unwrap().status() }
    };
    assert_eq!(call(token.clone()).await, StatusCode::OK);
    let twin = twin(&token);
    let statuses = join_all((0..CALLS).map(|_| call(twin.clone()))).await;
    assert_eq!(statuses, [StatusCode::OK; CALLS]);
    assert_eq!(world.gateway.signatures_checked(), 1 + CALLS as u64);
    // The kept one costs none.
    assert_eq!(call(token).await, StatusCode::OK);
    assert_eq!(world.gateway.signatures_checked(), 1 + CALLS as u64);
    assert_eq!(world.gateway.tokens_kept(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forgeries_is_refused_and_whoever_was_seen_before_never_is() {
    let world = World::new();
    let service = Router::new().route("/orders", get(|| async { "orders" }));
    let address = serve(service.layer(world.gateway.layer())).await;
    let url = format!("http://{address}/orders");
    let seen = world.token(9);
    assert_eq!(answers(&url, vec![seen.clone()]).await, [StatusCode::OK]);
    let forgeries: Vec<String> = (0..2_000).map(|n| forged(&seen, n)).collect();
    let (refused, allowed) = tokio::join!(answers(&url, forgeries), answers(&url, vec![seen; 200]));
    assert_eq!(allowed, [StatusCode::OK; 200]);
    let told = |wanted| refused.iter().filter(|status| **status == wanted).count();
    let busy = told(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told(StatusCode::UNAUTHORIZED) + busy, 2_000);
    assert_eq!(world.gateway.signatures_refused(), busy as u64);
    assert_eq!(world.gateway.tokens_kept(), 1);
    // When it is over, new ones are let in again.
    let late = answers(&url, vec![world.token(10)]).await;
    assert_eq!(late, [StatusCode::OK]);
}
