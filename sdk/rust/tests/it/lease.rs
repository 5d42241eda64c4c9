//! What stays open ends with its token.

use std::time::Duration;

use http::Method;
use lanyard_sdk::Request;
use lanyard_token::{NodeId, Rejection, Rev};
use tokio::time::{Instant, timeout};

use crate::support::World;

#[tokio::test(start_paused = true)]
async fn a_lease_ends_when_its_token_expires() {
    let world = World::new();
    let now = world.gateway.now();
    let lease = world
        .check_at(&world.token(9), &Request::new(&Method::GET, "/stream"), now)
        .unwrap();
    let began = Instant::now();
    assert_eq!(lease.ended().await.0, Rejection::Expired);
    let lasted = began.elapsed();
    assert!(
        (Duration::from_millis(299_990)..Duration::from_millis(300_100)).contains(&lasted),
        "{lasted:?}"
    );
    assert_eq!(
        lease.still_holds(world.gateway.now()).unwrap_err().0,
        Rejection::Expired
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_when_any_node_of_its_token_is_revoked_and_its_neighbours_go_on() {
    let world = World::new();
    let open = |jti| {
        let now = world.gateway.now();
        world
            .check_at(
                &world.token(jti),
                &Request::new(&Method::GET, "/stream"),
                now,
            )
            .unwrap()
    };
    let (lease, neighbour) = (open(9), open(10));
    let (ended, other) = (tokio::spawn(lease.ended()), neighbour.ended());
    let mut other = std::pin::pin!(other);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ended.is_finished());
    let revoked_at = Instant::now();
    world
        .gateway
        .feed()
        .end(NodeId::from_u64(9), Rev::new(0, 1).unwrap());
    assert_eq!(ended.await.unwrap().0, Rejection::Revoked);
    assert!(
        revoked_at.elapsed() < Duration::from_millis(10),
        "woken, not found by looking again"
    );
    assert!(timeout(Duration::from_secs(20), &mut other).await.is_err());
    world
        .gateway
        .feed()
        .end(NodeId::from_u64(1), Rev::new(0, 2).unwrap());
    assert_eq!(other.await.0, Rejection::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_token_that_is_dead_already_ends_at_once() {
    let world = World::new();
    let now = world.gateway.now();
    let lease = world
        .check_at(&world.token(9), &Request::new(&Method::GET, "/stream"), now)
        .unwrap();
    world
        .gateway
        .feed()
        .end(NodeId::from_u64(2), Rev::new(0, 1).unwrap());
    assert_eq!(lease.ended().await.0, Rejection::Revoked);
}
