//! The gateway before a real axum service.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures::StreamExt;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use lanyard_sdk::Verified;
use lanyard_token::{NodeId, Rev};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::{World, http, serve};

/// A service whose answers tell what got through to it.
fn service(world: &World) -> Router {
    let ticks = || async {
        let ticks = futures::stream::unfold(0_u64, |n| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((
                Ok::<_, std::io::Error>(Bytes::from(format!("{n}\n"))),
                n + 1,
            ))
        });
        Body::from_stream(ticks)
    };
    let echo = |verified: Verified, headers: HeaderMap| async move {
        let names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        format!("{} {}", verified.identity(), names.join(" "))
    };
    let upload = |body: Body| async move {
        match axum::body::to_bytes(body, usize::MAX).await {
            Ok(bytes) => (StatusCode::OK, bytes.len().to_string()),
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        }
    };
    Router::new()
        .route("/echo", get(echo))
        .route(
            "/orders",
            get(|| async { "orders" }).post(|| async { "made" }),
        )
        .route("/stream", get(ticks))
        .route("/upload", post(upload))
        .layer(world.gateway.layer())
}

async fn started(world: &World) -> (String, reqwest::Client) {
    (format!("http://{}", serve(service(world)).await), http())
}

#[tokio::test]
async fn the_verified_caller_reaches_the_handler_and_claims_of_gateways_do_not() {
    let world = World::new();
    let (url, http) = started(&world).await;
    let response = http
        .get(format!("{url}/echo"))
        .bearer_auth(world.token(9))
        .header("x-lanyard-identity", "0000000000000001")
        .header("X-Lanyard-Anything", "1")
        .header("x-request-id", "kept")
        .header("lanyard-min-rev", "0")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["lanyard-rev"], "0");
    let text = response.text().await.unwrap();
    assert!(text.starts_with("0000000000000002 "), "{text}");
    assert!(
        text.contains("x-request-id") && !text.contains("x-lanyard"),
        "{text}"
    );
}

#[tokio::test]
async fn refusals_say_what_the_standards_ask_and_no_more() {
    let world = World::new();
    let (url, http) = started(&world).await;
    let token = world.token(9);
    let response = http.get(format!("{url}/orders")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(response.headers()["cache-control"], "no-store");

    let response = http
        .post(format!("{url}/orders"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        r#"Bearer error="insufficient_scope", scope="orders:write""#
    );
    let response = http
        .get(format!("{url}/elsewhere"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);

    let response = http
        .get(format!("{url}/orders"))
        .bearer_auth(&token)
        .header("lanyard-min-rev", "x")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(!response.headers().contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn two_tokens_in_one_request_are_refused_in_every_way_they_can_come() {
    let world = World::new();
    let (url, http) = started(&world).await;
    let bearer = format!("Bearer {}", world.token(9));
    let twice = http
        .get(format!("{url}/orders"))
        .header(AUTHORIZATION, &bearer)
        .header(AUTHORIZATION, &bearer);
    let joined = http
        .get(format!("{url}/orders"))
        .header(AUTHORIZATION, format!("{bearer}, {bearer}"));
    let query = http
        .get(format!("{url}/orders?access_token=x"))
        .header(AUTHORIZATION, &bearer);
    for request in [twice, joined, query] {
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn an_open_response_is_cut_when_its_token_is_revoked() {
    let world = World::new();
    let (url, http) = started(&world).await;
    let open = |jti| {
        http.get(format!("{url}/stream"))
            .bearer_auth(world.token(jti))
            .send()
    };
    let mut revoked = open(9).await.unwrap().bytes_stream();
    let mut neighbour = open(10).await.unwrap().bytes_stream();
    assert!(revoked.next().await.unwrap().is_ok());
    world
        .gateway
        .feed()
        .end(NodeId::from_u64(9), Rev::new(0, 1).unwrap());
    let end = timeout(Duration::from_secs(10), async {
        loop {
            match revoked.next().await {
                Some(Ok(_)) => {}
                end => return end,
            }
        }
    });
    // An error, not an end: what was cut must not look whole.
    assert!(matches!(end.await.unwrap(), Some(Err(_))));
    for _ in 0..5 {
        assert!(neighbour.next().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_token_that_ends_while_the_service_is_at_work_is_refused_where_nothing_was_done_and_else_broken_off()
 {
    let world = World::new();
    let at_work = Arc::new(Semaphore::new(0));
    let work = {
        let (gateway, at_work) = (world.gateway.clone(), Arc::clone(&at_work));
        move |verified: Verified| async move {
            gateway
                .feed()
                .end(verified.token(), Rev::new(0, 1).unwrap());
            at_work.add_permits(1);
            "what nobody may read any more"
        }
    };
    let refusing = {
        let gateway = world.gateway.clone();
        move |verified: Verified| async move {
            gateway
                .feed()
                .end(verified.token(), Rev::new(0, 1).unwrap());
            StatusCode::UNAUTHORIZED
        }
    };
    let routes = Router::new()
        .route("/orders", get(work.clone()))
        .route("/upload", post(work))
        .route("/mail", post(refusing))
        .layer(world.gateway.layer());
    let (url, http) = (format!("http://{}", serve(routes).await), http());

    let read = http
        .get(format!("{url}/orders"))
        .bearer_auth(world.token(9));
    let read = read.send().await.unwrap();
    assert_eq!(read.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        read.headers()[WWW_AUTHENTICATE],
        r#"Bearer error="invalid_token""#
    );
    let text = read.text().await.unwrap();
    assert!(!text.contains("nobody"), "{text}");

    let made = http
        .post(format!("{url}/upload"))
        .bearer_auth(world.token(10));
    let answer = made.send().await;
    assert!(
        answer.is_err(),
        "it was done: nothing may say that it was not"
    );
    let refused = http
        .post(format!("{url}/mail"))
        .bearer_auth(world.token(11));
    assert_eq!(
        refused.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(at_work.available_permits(), 2);
}

#[tokio::test]
async fn an_upload_is_cut_when_its_token_is_revoked() {
    let world = World::new();
    let (url, http) = started(&world).await;
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    sender
        .unbounded_send(Ok(Bytes::from_static(b"begun")))
        .unwrap();
    let request = http
        .post(format!("{url}/upload"))
        .bearer_auth(world.token(9))
        .body(reqwest::Body::wrap_stream(receiver));
    let sent = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sent.is_finished());
    world
        .gateway
        .feed()
        .end(NodeId::from_u64(9), Rev::new(0, 1).unwrap());
    let response = timeout(Duration::from_secs(10), sent)
        .await
        .unwrap()
        .unwrap();
    // Answered by the service, which saw its body break off, or the connection closed on it.
    assert!(
        response.is_err()
            || response.is_ok_and(|response| response.status() == StatusCode::BAD_REQUEST)
    );
    drop(sender);
}

#[tokio::test]
async fn a_layer_inside_a_nested_router_sees_the_whole_path() {
    let world = World::new();
    let inner = Router::new()
        .route("/{id}", get(|| async { "order" }))
        .layer(world.gateway.layer());
    let url = format!(
        "http://{}",
        serve(Router::new().nest("/orders", inner)).await
    );
    let response = http()
        .get(format!("{url}/orders/7"))
        .bearer_auth(world.token(9))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handler_without_the_layer_has_no_caller() {
    let router = Router::new().route(
        "/echo",
        get(|verified: Verified| async move { verified.token().to_string() }),
    );
    let url = format!("http://{}/echo", serve(router).await);
    let world = World::new();
    let response = http()
        .get(url)
        .bearer_auth(world.token(9))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}
