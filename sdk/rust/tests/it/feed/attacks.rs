//! Gaps, rollbacks, replays, forks and damage: the replica refuses, and stays what it was.

use bytes::Bytes;
use lanyard_sdk::feed::{Applied, FeedError, Replica};
use lanyard_token::{Entry, FeedMessage, FrameError, KeySet, Rev, Suspension};

use super::teller::{Key, Teller, node};

fn keys(key: &Key) -> KeySet {
    let mut keys = KeySet::default();
    keys.insert(key.public.clone());
    keys
}

fn take(replica: &mut Replica, key: &Key, bytes: &Bytes) -> Result<Applied, FeedError> {
    let message = FeedMessage::decode(bytes)?.verify(&keys(key), 0)?;
    replica.apply(&message, bytes)
}

/// A replica with a snapshot and three frames, and those frames.
fn follower(key: &Key) -> (Replica, Teller, Vec<Bytes>) {
    let mut teller = Teller::new(1, 1_000_000);
    let mut replica = Replica::default();
    take(&mut replica, key, &teller.snapshot(key)).unwrap();
    let frames: Vec<Bytes> = (1..=3).map(|n| teller.revoke(key, node(n))).collect();
    for frame in &frames {
        assert_eq!(take(&mut replica, key, frame).unwrap(), Applied::Frame);
    }
    (replica, teller, frames)
}

fn unchanged(replica: &Replica, before: &Replica) {
    assert_eq!(replica.position(), before.position());
    assert_eq!(replica.reached(), before.reached());
    assert_eq!(replica.liveness(), before.liveness());
}

#[test]
fn a_gap_stops_the_replica_until_the_missing_frame_comes() {
    let key = Key::new();
    let (mut replica, mut teller, _) = follower(&key);
    let before = replica.clone();
    let (fourth, fifth) = (teller.revoke(&key, node(4)), teller.revoke(&key, node(5)));
    let refused = take(&mut replica, &key, &fifth).unwrap_err();
    assert!(matches!(refused, FeedError::Gap { have: 3, known: 5 }));
    let heartbeat = teller.heartbeat(&key);
    assert!(matches!(
        take(&mut replica, &key, &heartbeat).unwrap_err(),
        FeedError::Gap { have: 3, known: 5 }
    ));
    unchanged(&replica, &before);
    for (frame, n) in [(&fourth, 4), (&fifth, 5)] {
        take(&mut replica, &key, frame).unwrap();
        assert_eq!(replica.position().unwrap().n, n);
    }
}

#[test]
fn what_is_older_is_a_rollback() {
    let key = Key::new();
    let (mut replica, mut teller, _) = follower(&key);
    let old = Teller::new(1, 1_000_000).snapshot(&key);
    let earlier_epoch = Teller::new(0, 2_000_000).revoke(&key, node(9));
    let before = replica.clone();
    for message in [old, earlier_epoch] {
        assert!(matches!(
            take(&mut replica, &key, &message).unwrap_err(),
            FeedError::Rollback { .. }
        ));
    }
    // A broker that says, long after our frame, that it has never heard of it.
    let mut forgetful = Teller {
        n: 0,
        hash: [0; 32],
        at_ms: teller.at_ms + 60_000,
        ..teller.clone()
    };
    assert!(matches!(
        take(&mut replica, &key, &forgetful.heartbeat(&key)).unwrap_err(),
        FeedError::Rollback { .. }
    ));
    // One that was made just before the frame is only late.
    let mut late = Teller {
        n: 0,
        hash: [0; 32],
        at_ms: 1_000_000,
        ..teller.clone()
    };
    assert_eq!(
        take(&mut replica, &key, &late.heartbeat(&key)).unwrap(),
        Applied::Nothing
    );
    unchanged(&replica, &before);
    assert_eq!(
        take(&mut replica, &key, &teller.heartbeat(&key)).unwrap(),
        Applied::Heartbeat
    );
}

#[test]
fn two_frames_of_one_number_are_a_fork_and_both_are_kept() {
    let key = Key::new();
    let (mut replica, teller, frames) = follower(&key);
    let before = replica.clone();
    let mut twin = Teller::new(1, 1_000_000);
    let others: Vec<Bytes> = (1..=4).map(|n| twin.revoke(&key, node(100 + n))).collect();
    for (n, other) in others.iter().take(3).enumerate() {
        let FeedError::Fork(evidence) = take(&mut replica, &key, other).unwrap_err() else {
            panic!("frame {n}")
        };
        assert_eq!((&evidence.ours, &evidence.theirs), (&frames[n], other));
        assert_eq!((evidence.epoch, evidence.n), (1, n as u64 + 1));
    }
    // The next frame of the other story names another predecessor.
    let FeedError::Fork(evidence) = take(&mut replica, &key, &others[3]).unwrap_err() else {
        panic!()
    };
    assert_eq!((evidence.n, &evidence.ours), (3, &frames[2]));
    // So do a heartbeat and a snapshot at our own number.
    let mut liar = Teller {
        hash: [7; 32],
        ..teller
    };
    assert!(matches!(
        take(&mut replica, &key, &liar.heartbeat(&key)).unwrap_err(),
        FeedError::Fork(_)
    ));
    assert!(matches!(
        take(&mut replica, &key, &liar.snapshot(&key)).unwrap_err(),
        FeedError::Fork(_)
    ));
    unchanged(&replica, &before);
}

#[test]
fn a_frame_after_everything_was_said_to_be_known_is_refused() {
    let key = Key::new();
    let (mut replica, mut teller, _) = follower(&key);
    let mut boastful = Teller {
        head: teller.head.forward(10).unwrap(),
        ..teller.clone()
    };
    take(&mut replica, &key, &boastful.heartbeat(&key)).unwrap();
    let refused = take(&mut replica, &key, &teller.revoke(&key, node(4))).unwrap_err();
    assert!(matches!(refused, FeedError::OutOfOrder { .. }));
}

#[test]
fn a_new_epoch_comes_only_through_a_snapshot_that_ends_the_past() {
    let key = Key::new();
    let (mut replica, teller, _) = follower(&key);
    let before = replica.clone();
    let mut next = Teller::new(2, teller.at_ms + 1_000);
    let first = next.revoke(&key, node(50));
    assert!(matches!(
        take(&mut replica, &key, &first).unwrap_err(),
        FeedError::NewEpoch { ours: 1, theirs: 2 }
    ));
    assert!(matches!(
        take(&mut replica, &key, &next.heartbeat(&key)).unwrap_err(),
        FeedError::NewEpoch { .. }
    ));
    assert!(matches!(
        take(&mut replica, &key, &next.snapshot(&key)).unwrap_err(),
        FeedError::PastNotEnded(2)
    ));
    unchanged(&replica, &before);
    next.floor = Rev::new(2, 0).unwrap();
    assert_eq!(
        take(&mut replica, &key, &next.snapshot(&key)).unwrap(),
        Applied::Snapshot
    );
    let yesterday = Rev::new(1, 1_000).unwrap();
    assert!(
        replica
            .liveness()
            .check(yesterday, std::iter::empty())
            .is_err(),
        "the past is dead"
    );
}

#[test]
fn a_snapshot_adds_watermarks_and_decides_suspensions() {
    let key = Key::new();
    let (mut replica, mut teller, _) = follower(&key);
    let paused = teller.frame(
        &key,
        vec![Entry::Suspend {
            node: node(60),
            until_ms: u64::MAX,
        }],
    );
    take(&mut replica, &key, &paused).unwrap();
    assert!(replica.liveness().is_suspended(node(60)));
    let _missed = teller.frame(
        &key,
        vec![Entry::Resume(node(60)), Entry::Watermark(node(61))],
    );
    teller.suspended = vec![Suspension {
        node: node(62),
        rev: teller.head,
        until_ms: 5_000_000,
    }];
    let forgetful = Teller {
        watermarks: vec![(node(61), teller.head)],
        ..teller
    };
    take(&mut replica, &key, &forgetful.snapshot(&key)).unwrap();
    assert!(!replica.liveness().is_suspended(node(60)));
    assert!(replica.liveness().is_suspended(node(62)));
    for revoked in [1, 2, 3, 61] {
        assert!(
            replica.liveness().watermark(node(revoked)).is_some(),
            "{revoked} stays revoked"
        );
    }
}

#[test]
fn ten_thousand_damaged_messages_are_refused_and_change_nothing() {
    let key = Key::new();
    let (replica, mut teller, _) = follower(&key);
    let frame = teller.frame(&key, (0..40).map(|n| Entry::Watermark(node(n))).collect());
    let messages = [frame, teller.heartbeat(&key), teller.snapshot(&key)];
    let mut tried = 0;
    for (place, message) in messages.iter().cycle().enumerate().take(3 * 3_400) {
        let mut bytes = message.to_vec();
        let bit = (place * 7_919) % (bytes.len() * 8);
        if place % 10 == 9 {
            bytes.truncate(bit / 8);
        } else {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let mut copy = replica.clone();
        let refused = take(&mut copy, &key, &bytes.into()).unwrap_err();
        assert!(
            matches!(
                refused,
                FeedError::Message(
                    FrameError::Damaged
                        | FrameError::Signature
                        | FrameError::UnknownKey
                        | FrameError::TooManyEntries
                        | FrameError::TooLong
                )
            ),
            "{refused:?}"
        );
        unchanged(&copy, &replica);
        tried += 1;
    }
    assert!(tried >= 10_000);
}

#[test]
fn a_stranger_key_signs_nothing_we_take() {
    let (key, stranger) = (Key::new(), Key::new());
    let (mut replica, mut teller, _) = follower(&key);
    let forged = teller.revoke(&stranger, node(4));
    let refused = take(&mut replica, &key, &forged).unwrap_err();
    assert!(matches!(
        refused,
        FeedError::Message(FrameError::UnknownKey)
    ));
}
