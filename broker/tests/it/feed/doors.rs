//! The feed's doors: who gets in, what is cached, what is gone.

use http::StatusCode;
use serde_json::json;

use super::world::{World, http_client, node};

async fn get(world: &World, path: &str) -> reqwest::Response {
    let request = http_client()
        .get(format!("{}{path}", world.issuer))
        .header("authorization", "Bearer gateway-1");
    request.send().await.unwrap()
}

#[tokio::test]
async fn frames_are_immutable_and_the_snapshot_is_not() {
    let world = World::open().await;
    world.revoke(&[node(1)]).await;
    let epoch = world.room.head().epoch;
    let frame = get(&world, &format!("/v1/feed/{epoch}/1")).await;
    assert_eq!(frame.status(), StatusCode::OK);
    assert!(
        frame.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert_eq!(
        frame.bytes().await.unwrap(),
        world.room.frame(epoch, 1).unwrap()
    );
    let snapshot = get(&world, "/v1/feed/snapshot").await;
    assert!(
        !snapshot.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let early = get(&world, &format!("/v1/feed/{epoch}/2")).await;
    assert_eq!(
        (
            early.status(),
            early.headers()["cache-control"].to_str().unwrap()
        ),
        (StatusCode::NOT_FOUND, "no-store")
    );
}

#[tokio::test]
async fn every_door_of_the_feed_needs_a_token() {
    let world = World::open().await;
    for path in ["/v1/feed?after=1.0", "/v1/feed/1/1", "/v1/feed/snapshot"] {
        let bare = http_client()
            .get(format!("{}{path}", world.issuer))
            .send()
            .await
            .unwrap();
        assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "{path}");
        let wrong = http_client()
            .get(format!("{}{path}", world.issuer))
            .header("authorization", "Bearer x");
        assert_eq!(
            wrong.send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let bare = http_client()
        .post(format!("{}/v1/feed/position", world.issuer))
        .json(&json!({}));
    assert_eq!(
        bare.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_place_that_is_gone_ahead_or_nonsense_is_told_apart() {
    let world = World::open().await;
    world.revoke(&[node(1)]).await;
    let epoch = world.room.head().epoch;
    for (after, status) in [
        (format!("{}.0", epoch - 1), StatusCode::GONE),
        (format!("{epoch}.2"), StatusCode::CONFLICT),
        (format!("{}.0", epoch + 1), StatusCode::CONFLICT),
        ("1".to_owned(), StatusCode::BAD_REQUEST),
        ("+1.0".to_owned(), StatusCode::BAD_REQUEST),
        ("1.-1".to_owned(), StatusCode::BAD_REQUEST),
        ("99999.1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(
            get(&world, &format!("/v1/feed?after={after}"))
                .await
                .status(),
            status,
            "{after}"
        );
    }
    assert_eq!(
        get(&world, "/v1/feed").await.status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        get(&world, &format!("/v1/feed?after={epoch}.1&instance=a%2Fb"))
            .await
            .status(),
        StatusCode::BAD_REQUEST
    );
    let head = world.room.head();
    for (body, status) in [
        (
            json!({"epoch": epoch, "n": 1, "rev": head.rev}),
            StatusCode::NO_CONTENT,
        ),
        (
            json!({"epoch": epoch, "n": 2, "rev": head.rev}),
            StatusCode::CONFLICT,
        ),
        (
            json!({"epoch": epoch, "n": 1, "rev": head.rev.forward(1)}),
            StatusCode::CONFLICT,
        ),
        (json!({"epoch": epoch, "n": 1}), StatusCode::BAD_REQUEST),
        (
            json!({"epoch": epoch, "n": 1, "rev": head.rev, "more": 1}),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let request = http_client()
            .post(format!("{}/v1/feed/position", world.issuer))
            .header("authorization", "Bearer gateway-1")
            .json(&body);
        assert_eq!(request.send().await.unwrap().status(), status, "{body}");
    }
}
