//! A feed key and somebody who tells the feed with it.

use bytes::Bytes;
use lanyard_token::{
    Algorithm, Delegation, Entry, Frame, Heartbeat, KeyUse, NodeId, PublicKey, Rev, RootKey,
    Snapshot, Suspension, frame_hash,
};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// An Ed25519 key.
pub(crate) struct Key {
    pub(crate) pair: Ed25519KeyPair,
    pub(crate) public: PublicKey,
}

impl Key {
    pub(crate) fn new() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let public = PublicKey::from_raw(Algorithm::EdDsa, pair.public_key().as_ref()).unwrap();
        Self { pair, public }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().unwrap()
    }

    /// As the root: its word for another key.
    pub(crate) fn delegate(
        &self,
        issuer: &str,
        key: &PublicKey,
        key_use: KeyUse,
        nbf: u64,
        exp: u64,
    ) -> String {
        use base64_text as text;
        let input = Delegation::signing_input(issuer, key, key_use, nbf, exp);
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", text(&signature))
    }

    pub(crate) fn root(&self) -> RootKey {
        RootKey::from_raw(self.public.raw()).unwrap()
    }
}

/// base64url without padding.
fn base64_text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk
            .iter()
            .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(
                DIGITS[(number >> (18 - 6 * digit)) as usize & 63],
            ));
        }
    }
    text
}

/// Tells the feed from its beginning, one record a frame.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) epoch: u16,
    pub(crate) n: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) at_ms: u64,
    pub(crate) head: Rev,
    pub(crate) floor: Rev,
    pub(crate) watermarks: Vec<(NodeId, Rev)>,
    pub(crate) suspended: Vec<Suspension>,
}

impl Teller {
    pub(crate) fn new(epoch: u16, at_ms: u64) -> Self {
        Self {
            epoch,
            n: 0,
            hash: [0; 32],
            at_ms,
            head: Rev::new(epoch, 1).unwrap(),
            floor: Rev::ZERO,
            watermarks: vec![],
            suspended: vec![],
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self, key: &Key, entries: Vec<Entry>) -> Bytes {
        self.at_ms += 10;
        self.head = self.head.forward(1).unwrap();
        let frame = Frame {
            epoch: self.epoch,
            n: self.n + 1,
            prev: self.hash,
            at_ms: self.at_ms,
            rev: self.head,
            head: self.head,
            floor: self.floor,
            entries,
        };
        for entry in &frame.entries {
            if let Entry::Watermark(node) = entry {
                self.watermarks.push((*node, self.head));
            }
        }
        let bytes: Bytes = frame
            .encode(&key.public.thumbprint(), |message| key.sign(message))
            .unwrap()
            .into();
        self.n += 1;
        self.hash = frame_hash(&bytes);
        bytes
    }

    /// The next frame, ending one node.
    pub(crate) fn revoke(&mut self, key: &Key, node: NodeId) -> Bytes {
        self.frame(key, vec![Entry::Watermark(node)])
    }

    pub(crate) fn heartbeat(&mut self, key: &Key) -> Bytes {
        self.at_ms += 500;
        let heartbeat = Heartbeat {
            epoch: self.epoch,
            n: self.n,
            hash: self.hash,
            at_ms: self.at_ms,
            head: self.head,
            floor: self.floor,
        };
        heartbeat
            .encode(&key.public.thumbprint(), |message| key.sign(message))
            .into()
    }

    pub(crate) fn snapshot(&self, key: &Key) -> Bytes {
        let snapshot = Snapshot {
            epoch: self.epoch,
            n: self.n,
            hash: self.hash,
            at_ms: self.at_ms,
            head: self.head,
            floor: self.floor,
            watermarks: self.watermarks.clone(),
            suspended: self.suspended.clone(),
            narrowed: vec![],
            removed_keys: vec![],
        };
        snapshot
            .encode(&key.public.thumbprint(), |message| key.sign(message))
            .unwrap()
            .into()
    }
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::from_u64(number)
}
