//! The SDK's readers on the broker's feed, over real sockets.

use std::time::{Duration, Instant};

use lanyard_token::Rev;

use super::world::{World, node, until};

fn old() -> Rev {
    Rev::new(1, 0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_seen_by_eight_gateways() {
    let world = World::open().await;
    let folder = tempfile::tempdir().unwrap();
    let readers: Vec<_> = (1..=8)
        .map(|number| world.reader(number, folder.path()))
        .collect();
    until("all are connected", || {
        readers.iter().all(|(view, _)| view.has_snapshot()) && world.room.open_streams() == 8
    })
    .await;
    let mut latencies = Vec::new();
    for number in 0..200 {
        let watches: Vec<_> = readers
            .iter()
            .map(|(view, _)| view.subscribe(old(), &[node(number)]))
            .collect();
        let began = Instant::now();
        world.revoke(&[node(number)]).await;
        for watch in &watches {
            tokio::time::timeout(Duration::from_secs(20), watch.dead())
                .await
                .expect("every gateway sees it");
        }
        latencies.push(began.elapsed());
    }
    latencies.sort();
    println!(
        "revocation to the last of 8 gateways over loopback HTTP: p50 {:?}, p99 {:?}, worst {:?}",
        latencies[100], latencies[198], latencies[199]
    );
    for (view, _) in &readers {
        assert!((0..200).all(|number| view.check(old(), &[node(number)]).is_err()));
        assert!(view.check(old(), &[node(1_000)]).is_ok());
        assert!(
            view.age(lanyard_sdk::Clock::now(&lanyard_sdk::SystemClock).boot)
                < Duration::from_secs(60)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_revocations_arrives_whole() {
    let world = World::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (view, _stop) = world.reader(1, folder.path());
    until("it is connected", || {
        view.has_snapshot() && world.room.open_streams() == 1
    })
    .await;
    let nodes: Vec<_> = (0..100_000).map(node).collect();
    let began = Instant::now();
    let rev = world.revoke(&nodes).await;
    let appended = began.elapsed();
    until("all of it arrived", || view.reached() >= rev).await;
    println!(
        "100000 nodes in bulk: appended in {appended:?}, at the gateway after {:?}",
        began.elapsed()
    );
    assert!(
        nodes
            .iter()
            .all(|node| view.check(old(), &[*node]).is_err())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_names_who_has_it_and_who_is_cut_off() {
    let world = World::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (one, _stop) = world.reader(1, folder.path());
    let (two, stop_two) = world.reader(2, folder.path());
    until("both are connected", || {
        one.has_snapshot() && two.has_snapshot() && world.room.open_streams() == 2
    })
    .await;
    let rev = world.revoke(&[node(70)]).await;
    let receipt = world
        .room
        .confirmed(node(70), rev, None, Duration::from_secs(20))
        .await;
    assert_eq!(
        (receipt.confirmed.len(), receipt.cut_off.len()),
        (2, 0),
        "{receipt:?}"
    );

    drop(stop_two);
    until("the second is gone", || world.room.open_streams() == 1).await;
    let rev = world.revoke(&[node(71)]).await;
    let receipt = world
        .room
        .confirmed(node(71), rev, None, Duration::from_millis(1_500))
        .await;
    assert_eq!(
        receipt
            .confirmed
            .iter()
            .map(|one| one.reader.gateway)
            .collect::<Vec<_>>(),
        [node(1)]
    );
    assert_eq!(
        receipt
            .cut_off
            .iter()
            .map(|one| one.reader.gateway)
            .collect::<Vec<_>>(),
        [node(2)]
    );
    let json = serde_json::to_value(&receipt).unwrap();
    assert_eq!(json["node"], "0000000000000047");
    assert!(
        json["confirmed"][0]["ms"].is_u64() && json["cut_off"][0]["dead_by"].is_u64(),
        "{json}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_was_away_misses_nothing() {
    let world = World::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (view, stop) = world.reader(1, folder.path());
    until("it is connected", || view.has_snapshot()).await;
    world.revoke(&[node(1)]).await;
    until("the first arrived", || {
        view.check(old(), &[node(1)]).is_err()
    })
    .await;
    drop(stop);
    until("it is gone", || world.room.open_streams() == 0).await;
    // More than the ring holds.
    let mut last = Rev::ZERO;
    for number in 2..5_000 {
        last = world.revoke(&[node(number)]).await;
    }
    let (view, _stop) = world.reader(1, folder.path());
    until("the state on disk is back", || view.has_snapshot()).await;
    assert!(
        view.check(old(), &[node(1)]).is_err(),
        "from the disk, before anything was fetched"
    );
    until("the last arrived", || view.reached() >= last).await;
    assert!((1..5_000).all(|number| view.check(old(), &[node(number)]).is_err()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_turned_out_loses_its_stream() {
    let world = World::open().await;
    let folder = tempfile::tempdir().unwrap();
    let (view, _stop) = world.reader(1, folder.path());
    until("it is connected", || {
        view.has_snapshot() && world.room.open_streams() == 1
    })
    .await;
    world.gate.0.lock().unwrap().insert(1);
    until("its stream ends", || world.room.open_streams() == 0).await;
    world.revoke(&[node(9)]).await;
    assert!(
        view.check(old(), &[node(9)]).is_ok(),
        "it hears nothing more"
    );
}
