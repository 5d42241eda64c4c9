//! Whatever order and however often messages come in, a replica ends where one does that got them
//! straight, and never goes back on the way.

use bytes::Bytes;
use lanyard_sdk::feed::Replica;
use lanyard_token::{Entry, FeedMessage, KeySet};
use proptest::prelude::*;

use super::teller::{Key, Teller, node};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn replays_and_reordering_change_nothing(
        order in prop::collection::vec(0_usize..24, 1..200),
        entries in prop::collection::vec((0_u64..8, 0_u8..3), 12),
    ) {
        let key = Key::new();
        let mut keys = KeySet::default();
        keys.insert(key.public.clone());
        let mut teller = Teller::new(1, 1_000_000);
        let snapshot = teller.snapshot(&key);
        let mut messages: Vec<Bytes> = Vec::new();
        for (number, kind) in entries {
            let entry = match kind {
                0 => Entry::Watermark(node(number)),
                1 => Entry::Suspend { node: node(number), until_ms: u64::MAX },
                _ => Entry::Resume(node(number)),
            };
            messages.push(teller.frame(&key, vec![entry]));
            messages.push(teller.heartbeat(&key));
        }
        let take = |replica: &mut Replica, bytes: &Bytes| {
            let message = FeedMessage::decode(bytes).unwrap().verify(&keys, 0).unwrap();
            replica.apply(&message, bytes).is_ok()
        };
        let mut straight = Replica::default();
        take(&mut straight, &snapshot);
        for message in &messages {
            prop_assert!(take(&mut straight, message));
        }
        let mut shuffled = Replica::default();
        take(&mut shuffled, &snapshot);
        for place in order {
            let before = (shuffled.position().unwrap().n, shuffled.reached());
            take(&mut shuffled, &messages[place]);
            let after = (shuffled.position().unwrap().n, shuffled.reached());
            prop_assert!(after >= before, "never back");
        }
        for message in &messages {
            take(&mut shuffled, message);
        }
        prop_assert_eq!(shuffled.position(), straight.position());
        prop_assert_eq!(shuffled.reached(), straight.reached());
        prop_assert_eq!(shuffled.liveness(), straight.liveness());
    }
}
