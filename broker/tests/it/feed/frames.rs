//! Frames follow from the log alone; the floor keeps the snapshot small.

use std::sync::Arc;

use lanyard::clock::{Clock, ManualClock, UnixMillis};
use lanyard::issue::IssueState;
use lanyard::revoke::{NoStream, ReaderId, Revoke, RevokeState};
use lanyard::store::event::{By, Cause};
use lanyard::store::memory::MemoryStore;
use lanyard::store::{Event, Projection, Store};
use lanyard_token::{FeedMessage, KeySet, Rev};

use super::world::{MAX_LIFETIME, World, node};

const START: UnixMillis = UnixMillis(1_800_000_000_000);

fn world() -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    (World::new(clock.clone()), clock)
}

/// Another broker on the same log; `saved_at` records come from rows, the others are replayed.
fn restarted(world: &World, saved_at: usize) -> Revoke {
    let records = world.store.read(Rev::ZERO, 100_000).unwrap();
    let (first, second) = records.split_at(saved_at);
    let saving = RevokeState::new(world.seal.clone());
    for record in first {
        saving.apply(record);
    }
    let state = Arc::new(RevokeState::new(world.seal.clone()));
    for row in saving.changed_rows() {
        if let Some(value) = row.value {
            state.load_row(&row.key, &value).unwrap();
        }
    }
    for record in second {
        state.apply(record);
    }
    let clock = Arc::new(ManualClock::at(START));
    Revoke::new(
        state,
        Arc::new(MemoryStore::new(clock.clone(), vec![])),
        clock,
        MAX_LIFETIME,
    )
}

#[tokio::test]
async fn a_restarted_broker_makes_the_same_frames_byte_for_byte() {
    let (world, clock) = world();
    let rotated = START.plus_millis(5_000);
    let second_key = world.add_key(rotated, UnixMillis(u64::MAX));
    for number in 0..20 {
        clock.advance_millis(500);
        world.revoke(&[node(number), node(100 + number)]).await;
        world.append(Event::Booted {
            boot: 9,
            version: "x".to_owned(),
        });
        world
            .room
            .suspend(&[node(200)], clock.now(), Cause::Requested, By::Broker)
            .await
            .unwrap();
        world.room.resume(&[node(200)], By::Broker).await.unwrap();
    }
    let head = world.room.head();
    assert_eq!(head.n, 60, "a record without entries is no frame");
    let records = world.store.read(Rev::ZERO, 100_000).unwrap().len();
    for saved_at in [0, 1, 30, records - 5, records] {
        let other = restarted(&world, saved_at);
        assert_eq!(other.head(), head, "saved at {saved_at}");
        let mut compared = 0;
        for n in 1..=head.n {
            match other.frame(head.epoch, n) {
                Ok(bytes) => {
                    assert_eq!(
                        bytes,
                        world.room.frame(head.epoch, n).unwrap(),
                        "frame {n}, saved at {saved_at}"
                    );
                    compared += 1;
                }
                Err(error) => assert_eq!(error, NoStream::Gone, "frame {n}, saved at {saved_at}"),
            }
        }
        assert!(compared > 0 || saved_at == records);
    }
    let last = world.room.frame(head.epoch, head.n).unwrap();
    assert_eq!(
        FeedMessage::decode(&last).unwrap().key_id(),
        &second_key,
        "the newer key signs when its time has come"
    );
}

#[tokio::test]
async fn a_removed_feed_key_does_not_even_sign_its_own_removal() {
    let (world, _) = world();
    let first = world.room.head();
    world.revoke(&[node(1)]).await;
    let old = *FeedMessage::decode(&world.room.frame(first.epoch, 1).unwrap())
        .unwrap()
        .key_id();
    let new = world.add_key(START.plus_millis(86_400_000), UnixMillis(u64::MAX));
    world.append(Event::SigningKeyRemoved {
        key: old,
        reason: "drill".to_owned(),
        by: By::Broker,
    });
    let removal = world.room.frame(first.epoch, 2).unwrap();
    assert_eq!(FeedMessage::decode(&removal).unwrap().key_id(), &new);
}

#[tokio::test]
async fn without_a_feed_key_frames_wait_for_the_next_one() {
    let (world, _) = world();
    world.revoke(&[node(1)]).await;
    let epoch = world.room.head().epoch;
    let only = *FeedMessage::decode(&world.room.frame(epoch, 1).unwrap())
        .unwrap()
        .key_id();
    world.append(Event::SigningKeyRemoved {
        key: only,
        reason: "drill".to_owned(),
        by: By::Broker,
    });
    world.revoke(&[node(2)]).await;
    assert_eq!(world.room.head().n, 1);
    assert_eq!(world.room.snapshot(), None);
    let records = world.store.read(Rev::ZERO, 1_000).unwrap().len();
    let before = restarted(&world, records);
    assert_eq!(before.head().n, 1, "what waits survives a restart");
    world.add_key(START, UnixMillis(u64::MAX));
    assert_eq!(world.room.head().n, 3);
    assert_eq!(
        restarted(&world, records).frame(epoch, 3).unwrap(),
        world.room.frame(epoch, 3).unwrap()
    );
}

#[tokio::test]
async fn the_floor_rises_behind_the_longest_lifetime_and_empties_the_snapshot() {
    let (world, clock) = world();
    for number in 0..100 {
        world.revoke(&[node(number)]).await;
    }
    let full = world.room.snapshot().unwrap().len();
    world.room.raise_floor().await;
    assert_eq!(
        world.room.head().floor,
        Rev::ZERO,
        "nothing is old enough yet"
    );
    clock.advance_millis(MAX_LIFETIME * 1_000 / 2);
    let kept = world.revoke(&[node(500)]).await;
    clock.advance_millis(MAX_LIFETIME * 1_000 / 2 + 70_000);
    world.revoke(&[node(501)]).await;
    world.room.raise_floor().await;
    let head = world.room.head();
    assert!(head.floor > Rev::ZERO && head.floor < kept);
    let small = world.room.snapshot().unwrap();
    assert!(
        small.len() + 90 * 16 < full,
        "{} of {full} bytes",
        small.len()
    );
    world.state.with_liveness(|liveness| {
        assert_eq!(liveness.watermark(node(500)), Some(kept));
    });
    let records = || world.store.read(Rev::ZERO, 1_000).unwrap().len();
    let before = records();
    for _ in 0..10 {
        clock.advance_millis(MAX_LIFETIME * 1_000 * 2);
        world.room.raise_floor().await;
    }
    assert!(
        records() - before <= 1,
        "an idle broker does not raise the floor for ever"
    );
}

#[tokio::test]
async fn suspensions_end_by_themselves_and_the_log_says_so() {
    let (world, clock) = world();
    let until = START.plus_millis(10_000);
    world
        .room
        .suspend(&[node(1)], until, Cause::Requested, By::Broker)
        .await
        .unwrap();
    world.room.resume_what_is_over().await;
    assert!(
        world
            .state
            .with_liveness(|liveness| liveness.is_suspended(node(1)))
    );
    clock.set(until);
    world.room.resume_what_is_over().await;
    assert!(
        !world
            .state
            .with_liveness(|liveness| liveness.is_suspended(node(1)))
    );
    let n = world.room.head().n;
    world.room.resume_what_is_over().await;
    assert_eq!(world.room.head().n, n, "once is enough");
}

#[tokio::test]
async fn a_verdict_never_shortens_what_an_administrator_suspended() {
    let (world, clock) = world();
    let suspend = async |until: u64, cause: Cause| {
        let until = START.plus_millis(until);
        let nodes = [node(1)];
        let done = world.room.suspend(&nodes, until, cause, By::Broker);
        done.await.unwrap();
    };
    let until = || {
        world.state.with_liveness(|liveness| {
            let standing = liveness.suspended().find(|(known, _, _)| *known == node(1));
            standing.map(|(_, _, until)| until - START.0)
        })
    };
    let administrator = || Cause::Administrator("for a day".to_owned());
    suspend(80_000, administrator()).await;
    suspend(5_000, Cause::Drift(node(50))).await;
    assert_eq!(until(), Some(80_000));
    let head = world.room.head();
    let frame = world.room.frame(head.epoch, head.n).unwrap();
    let told = START.plus_millis(80_000).0.to_be_bytes();
    assert!(
        frame.windows(told.len()).any(|window| window == told),
        "gateways are told the same end"
    );
    clock.set(START.plus_millis(5_000));
    world.room.resume_what_is_over().await;
    assert_eq!(until(), Some(80_000));
    suspend(6_000, administrator()).await;
    assert_eq!(until(), Some(6_000), "a person decides again");
}

#[tokio::test]
async fn a_pause_that_the_feed_has_forgotten_outlives_a_shorter_one_that_came_after_it() {
    const DAY: u64 = 86_400_000;
    const A_MOMENT: u64 = 900_000;
    let clock = Arc::new(ManualClock::at(START));
    let issue = Arc::new(IssueState::new());
    let world = World::beside(clock.clone(), Some(issue.clone()));
    let suspend = async |millis: u64, cause: Cause| {
        let until = clock.now().plus_millis(millis);
        let done = world
            .room
            .suspend(&[node(1)], until, cause, By::Broker)
            .await;
        done.unwrap();
    };
    let standing = || issue.read(|book| book.suspended_until(node(1), clock.now()));
    let is_told = || {
        let world = &world;
        world
            .state
            .with_liveness(|liveness| liveness.is_suspended(node(1)))
    };
    suspend(DAY, Cause::Administrator("for a day".to_owned())).await;
    clock.advance_millis(10_000);
    world.revoke(&[node(2)]).await;
    clock.advance_millis(MAX_LIFETIME * 1_000 + 70_000);
    world.room.raise_floor().await;
    assert!(!is_told(), "no token that it concerned can live");
    assert_eq!(standing(), Some(START.plus_millis(DAY)));

    suspend(A_MOMENT, Cause::Drift(node(50))).await;
    assert!(is_told());
    clock.advance_millis(A_MOMENT);
    world.room.resume_what_is_over().await;
    assert!(!is_told());
    assert_eq!(standing(), Some(START.plus_millis(DAY)));
    world.room.resume(&[node(1)], By::Broker).await.unwrap();
    assert_eq!(standing(), None, "a person ends whatever there is");
}

#[tokio::test]
async fn who_ends_a_pause_of_their_own_does_not_end_a_longer_one_for_gateways() {
    let (world, _) = world();
    let pause = |until: u64, cause: Cause| Event::Suspended {
        node: node(1),
        until: START.plus_millis(until),
        cause,
        by: By::Broker,
    };
    let end = |until: u64| Event::Resumed {
        node: node(1),
        until: Some(START.plus_millis(until)),
        by: By::Broker,
    };
    let is_told = || {
        world
            .state
            .with_liveness(|liveness| liveness.is_suspended(node(1)))
    };
    world.append(pause(5_000, Cause::Drift(node(50))));
    world.append(pause(80_000, Cause::Administrator("for a day".to_owned())));
    let n = world.room.head().n;
    world.append(end(5_000));
    assert!(is_told());
    assert_eq!(world.room.head().n, n, "and nobody is told that it did");
    world.append(end(80_000));
    assert!(!is_told());
}

#[tokio::test]
async fn bulk_revocations_fill_frames_at_ten_bytes_a_node() {
    let (world, _) = world();
    let nodes: Vec<_> = (0..10_000).map(node).collect();
    world.revoke(&nodes).await;
    let head = world.room.head();
    assert_eq!(head.n, 10);
    let bytes: usize = (1..=head.n)
        .map(|n| world.room.frame(head.epoch, n).unwrap().len())
        .sum();
    assert!(bytes <= 10 * nodes.len(), "{bytes}");
}

#[tokio::test]
async fn a_reader_that_falls_out_of_the_ring_is_cut_off() {
    let (world, _) = world();
    let reader = |instance: &str| ReaderId {
        gateway: node(1),
        instance: instance.to_owned(),
    };
    let epoch = world.room.head().epoch;
    let mut slow = world.room.subscribe(reader("slow"), epoch, 0).unwrap();
    let mut keen = world.room.subscribe(reader("keen"), epoch, 0).unwrap();
    assert_eq!(world.room.open_streams(), 2);
    for number in 0..5_000 {
        world.revoke(&[node(number)]).await;
        if number % 100 == 0 {
            assert!(keen.next().await.is_some());
        }
    }
    assert!(keen.next().await.is_some());
    assert_eq!(slow.next().await, None);
    drop(slow);
    assert_eq!(world.room.open_streams(), 1);
    assert_eq!(
        world.room.subscribe(reader("slow"), epoch, 0).err(),
        Some(NoStream::Gone)
    );
    assert_eq!(
        world.room.subscribe(reader("slow"), epoch, 5_001).err(),
        Some(NoStream::Ahead)
    );
    assert_eq!(
        world.room.subscribe(reader("slow"), epoch + 1, 1).err(),
        Some(NoStream::Ahead)
    );
    assert_eq!(world.room.open_streams(), 1, "a refused stream is not open");
}

#[tokio::test]
async fn no_heartbeat_verifies_under_another_key() {
    let (world, _) = world();
    world.revoke(&[node(1)]).await;
    let frame = world.room.frame(world.room.head().epoch, 1).unwrap();
    let refused = FeedMessage::decode(&frame)
        .unwrap()
        .verify(&KeySet::default(), 0);
    assert!(refused.is_err());
}
