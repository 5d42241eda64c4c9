//! Feed messages: what is written is read back, and nothing else is read.

use lanyard_token::testing::TestIssuer;
use lanyard_token::{
    Algorithm, Checkpoint, Entry, FeedMessage, Frame, FrameError, Heartbeat, KeyId, KeySet,
    MAX_ENTRIES, NodeId, Rev, Snapshot, Suspension, VerifiedMessage, frame_hash,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const NOW: u64 = 1_800_000_000;

/// What is done to the content of a message before it is signed.
type Damage<'d> = &'d dyn Fn(&mut Vec<u8>);

/// Bytes of a message before its entries.
const HEAD: usize = 79;

/// A feed key and the keys its readers trust.
struct Feed(TestIssuer);

impl Feed {
    fn new() -> Self {
        Self(TestIssuer::new(Algorithm::EdDsa, "i", "a", NOW))
    }

    fn kid(&self) -> KeyId {
        self.0.key.thumbprint()
    }

    fn write(&self, message: &FeedMessage) -> Vec<u8> {
        message
            .encode(&self.kid(), |bytes| self.sign(bytes))
            .unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.signature(bytes).try_into().unwrap()
    }

    /// `content` signed as if it were a message.
    fn seal(&self, content: &[u8]) -> Vec<u8> {
        let signed = [content, self.kid().as_bytes()].concat();
        let signature = self.sign(&signed);
        [&signed[..], &signature].concat()
    }

    fn read(&self, bytes: &[u8]) -> Result<VerifiedMessage, FrameError> {
        FeedMessage::decode(bytes)?.verify(&self.0.keys(), NOW)
    }
}

fn rev(number: u64) -> Rev {
    Rev::new(1, number).unwrap()
}

fn node(number: u64) -> NodeId {
    NodeId::from_u64(number)
}

fn frame(entries: Vec<Entry>) -> Frame {
    Frame {
        epoch: 3,
        n: 7,
        prev: [9; 32],
        at_ms: NOW * 1_000,
        rev: rev(20),
        head: rev(21),
        floor: rev(4),
        entries,
    }
}

fn every_entry(kid: KeyId) -> Vec<Entry> {
    vec![
        Entry::Watermark(node(1)),
        Entry::Watermark(node(u64::MAX)),
        Entry::Suspend {
            node: node(2),
            until_ms: u64::MAX,
        },
        Entry::Resume(node(3)),
        Entry::Narrow(node(4)),
        Entry::RemoveKey(kid),
        Entry::Checkpoint(Checkpoint {
            root: [5; 32],
            size: 6,
        }),
    ]
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        epoch: 3,
        n: 7,
        hash: [9; 32],
        at_ms: NOW * 1_000,
        head: rev(21),
        floor: rev(4),
    }
}

fn snapshot(kid: KeyId) -> Snapshot {
    Snapshot {
        epoch: 3,
        n: 7,
        hash: [9; 32],
        at_ms: NOW * 1_000,
        head: rev(21),
        floor: rev(4),
        watermarks: vec![(node(1), rev(5)), (node(2), rev(21))],
        suspended: vec![Suspension {
            node: node(3),
            rev: rev(6),
            until_ms: 7,
        }],
        narrowed: vec![(node(4), rev(8))],
        removed_keys: vec![kid],
    }
}

fn messages(kid: KeyId) -> Vec<FeedMessage> {
    vec![
        FeedMessage::Frame(frame(every_entry(kid))),
        FeedMessage::Frame(frame(Vec::new())),
        FeedMessage::Heartbeat(heartbeat()),
        FeedMessage::Snapshot(snapshot(kid)),
    ]
}

#[test]
fn every_message_reads_back_what_was_written() {
    let feed = Feed::new();
    for message in messages(feed.kid()) {
        let bytes = feed.write(&message);
        let read = feed.read(&bytes).unwrap();
        assert_eq!(read.message(), &message);
        assert_eq!(
            (read.hash(), *read.key_id()),
            (frame_hash(&bytes), feed.kid())
        );
    }
}

fn any_entry(kid: KeyId) -> impl Strategy<Value = Entry> {
    let node = || any::<u64>().prop_map(node);
    prop_oneof![
        node().prop_map(Entry::Watermark),
        (node(), any::<u64>()).prop_map(|(node, until_ms)| Entry::Suspend { node, until_ms }),
        node().prop_map(Entry::Resume),
        node().prop_map(Entry::Narrow),
        Just(Entry::RemoveKey(kid)),
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(root, size)| Entry::Checkpoint(Checkpoint { root, size })),
    ]
}

#[test]
fn entries_of_all_kinds_in_any_order_survive_and_there_is_one_way_to_write_them() {
    let feed = Feed::new();
    let config = Config {
        cases: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let entries = proptest::collection::vec(any_entry(feed.kid()), 0..60);
    let outcome = TestRunner::new(config).run(&entries, |entries| {
        let bytes = feed.write(&FeedMessage::Frame(frame(entries.clone())));
        let FeedMessage::Frame(read) = feed.read(&bytes).unwrap().into_message() else {
            return Err(TestCaseError::fail("a frame was written"));
        };
        let kind = std::mem::discriminant::<Entry>;
        for of_kind in entries.iter().map(kind) {
            let written: Vec<_> = entries
                .iter()
                .filter(|entry| kind(entry) == of_kind)
                .collect();
            let found: Vec<_> = read
                .entries
                .iter()
                .filter(|entry| kind(entry) == of_kind)
                .collect();
            prop_assert_eq!(written, found);
        }
        prop_assert_eq!(read.entries.len(), entries.len());
        prop_assert_eq!(feed.write(&FeedMessage::Frame(read)), bytes);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_full_frame_costs_less_than_ten_bytes_per_watermark() {
    let feed = Feed::new();
    let full = |count: u64| {
        FeedMessage::Frame(frame(
            (0..count).map(|n| Entry::Watermark(node(n))).collect(),
        ))
    };
    let most = MAX_ENTRIES as u64;
    let bytes = feed.write(&full(most));
    assert!(bytes.len() <= 10 * MAX_ENTRIES, "{} bytes", bytes.len());
    let one_less = feed.write(&full(most - 1));
    assert_eq!(
        bytes.len() - one_less.len(),
        8,
        "one more watermark costs eight bytes"
    );
    let too_many = full(most + 1).encode(&feed.kid(), |bytes| feed.sign(bytes));
    assert_eq!(too_many, Err(FrameError::TooManyEntries));
}

/// `LANYARD_MUTANTS` sets how many are tried of each kind of message (default 10,000).
#[test]
fn flipped_bits_and_cut_or_longer_messages_are_refused() {
    let feed = Feed::new();
    let cases = std::env::var("LANYARD_MUTANTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000);
    let written: Vec<Vec<u8>> = messages(feed.kid())
        .iter()
        .map(|message| feed.write(message))
        .collect();
    for bytes in &written {
        for length in 0..bytes.len() {
            assert!(feed.read(&bytes[..length]).is_err(), "cut to {length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(feed.read(&longer).is_err());
    }
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let flips = proptest::collection::vec((0.0..1.0f64, 0..8u32), 1..4);
    let outcome = TestRunner::new(config).run(&(0..written.len(), flips), |(which, flips)| {
        let original = &written[which];
        let mut damaged = original.clone();
        for (place, bit) in flips {
            let at = (damaged.len() as f64 * place) as usize;
            damaged[at] ^= 1 << bit;
        }
        if damaged != *original {
            prop_assert!(feed.read(&damaged).is_err());
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn arbitrary_bytes_never_panic_and_never_pass() {
    let feed = Feed::new();
    let config = Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    let bytes = (0..4u8, proptest::collection::vec(any::<u8>(), 0..600));
    let outcome = TestRunner::new(config).run(&bytes, |(kind, bytes)| {
        prop_assert!(feed.read(&bytes).is_err());
        // The same behind a plausible beginning, so that the lists are reached.
        let head = FeedMessage::Heartbeat(heartbeat());
        let mut plausible = feed.write(&head);
        plausible[4] = kind;
        plausible.truncate(HEAD);
        plausible.extend_from_slice(&bytes);
        prop_assert!(feed.read(&plausible).is_err());
        let _ = FeedMessage::decode(&feed.seal(&plausible));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_well_signed_message_that_contradicts_itself_is_refused() {
    let feed = Feed::new();
    let sealed = |message: FeedMessage, change: Damage<'_>| {
        let bytes = feed.write(&message);
        let mut content = bytes[..bytes.len() - 107].to_vec();
        change(&mut content);
        feed.read(&feed.seal(&content))
    };
    let unchanged = sealed(FeedMessage::Heartbeat(heartbeat()), &|_| {});
    assert!(unchanged.is_ok(), "the seal itself is good");

    let watermarks = || FeedMessage::Frame(frame(vec![Entry::Watermark(node(1))]));
    let damages: [(&str, Damage<'_>); 8] = [
        ("another magic", &|content| content[0] = b'X'),
        ("an unknown kind", &|content| content[4] = 4),
        ("frame number zero", &|content| content[7..15].fill(0)),
        ("a first frame with a predecessor", &|content| {
            content[14] = 1
        }),
        ("an entry above the head", &|content| content[55] = 0xff),
        ("an unknown tag", &|content| content[HEAD + 1] = 7),
        ("an empty group", &|content| {
            content.truncate(HEAD + 4);
            content[HEAD + 2..].fill(0);
        }),
        ("a byte left over", &|content| content.push(0)),
    ];
    for (name, damage) in damages {
        assert_eq!(
            sealed(watermarks(), damage),
            Err(FrameError::Damaged),
            "{name}"
        );
    }
    let mut above = heartbeat();
    above.floor = rev(22);
    assert_eq!(
        feed.read(&feed.write(&FeedMessage::Heartbeat(above)))
            .map(|_| ()),
        Err(FrameError::Damaged),
        "a floor above the head"
    );
    let huge = |content: &mut Vec<u8>| content[HEAD..HEAD + 4].fill(0xff);
    let outcome = sealed(FeedMessage::Snapshot(snapshot(feed.kid())), &huge);
    assert_eq!(
        outcome,
        Err(FrameError::Damaged),
        "a count that the bytes cannot hold"
    );
}

#[test]
fn only_a_trusted_ed25519_key_speaks_for_the_feed() {
    let feed = Feed::new();
    let bytes = feed.write(&FeedMessage::Heartbeat(heartbeat()));
    let decoded = || FeedMessage::decode(&bytes).unwrap();
    assert_eq!(
        decoded().verify(&KeySet::default(), NOW),
        Err(FrameError::UnknownKey)
    );
    let mut ended = KeySet::default();
    ended.insert_until(feed.0.key.clone(), NOW);
    assert_eq!(decoded().verify(&ended, NOW), Err(FrameError::UnknownKey));
    assert!(decoded().verify(&ended, NOW - 1).is_ok());

    let other = TestIssuer::new(Algorithm::Es256, "i", "a", NOW);
    let sign = |bytes: &[u8]| other.signature(bytes).try_into().unwrap();
    let bytes = heartbeat().encode(&other.key.thumbprint(), sign);
    let outcome = FeedMessage::decode(&bytes)
        .unwrap()
        .verify(&other.keys(), NOW);
    assert_eq!(outcome, Err(FrameError::Signature));
}
