//! New tokens by the hundred, before a service.

use axum::Router;
use axum::routing::get;
use futures::stream::{self, StreamExt};
use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::support::{World, http, serve};

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
