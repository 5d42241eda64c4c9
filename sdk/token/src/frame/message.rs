//! Whole messages: encoded and signed, decoded and verified.

use super::wire::{Reader, Writer};
use super::{
    FeedKeys, Frame, FrameError, Heartbeat, MAX_MESSAGE_BYTES, Snapshot, body, frame_hash,
};
use crate::{Algorithm, KeyId, Rev};

const MAGIC: [u8; 4] = *b"LYF1";
const FRAME: u8 = 1;
const HEARTBEAT: u8 = 2;
const SNAPSHOT: u8 = 3;
const SIGNATURE_BYTES: usize = 64;

/// A message of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedMessage {
    /// What changed.
    Frame(Frame),
    /// That nothing else did.
    Heartbeat(Heartbeat),
    /// All that holds.
    Snapshot(Snapshot),
}

impl FeedMessage {
    /// Takes a message apart, of which nothing may be believed yet.
    pub fn decode(bytes: &[u8]) -> Result<UnverifiedMessage<'_>, FrameError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(FrameError::TooLong);
        }
        let (signed, signature) = bytes
            .split_last_chunk::<SIGNATURE_BYTES>()
            .ok_or(FrameError::Damaged)?;
        let (content, kid) = signed
            .split_last_chunk::<{ KeyId::LENGTH }>()
            .ok_or(FrameError::Damaged)?;
        let mut input = Reader(content);
        let message = Self::read(&mut input)?;
        if !input.is_empty() {
            return Err(FrameError::Damaged);
        }
        Ok(UnverifiedMessage {
            bytes,
            signed,
            signature,
            kid: Reader(kid).key_id()?,
            message,
        })
    }

    /// The bytes of the message, signed by the feed key `kid`.
    ///
    /// `sign` makes the Ed25519 signature over what it is given. Fails only with more than
    /// [`MAX_ENTRIES`](super::MAX_ENTRIES) entries or 2^32 items: the maker splits them.
    pub fn encode(
        &self,
        kid: &KeyId,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Vec<u8>, FrameError> {
        match self {
            Self::Frame(frame) => frame.encode(kid, sign),
            Self::Heartbeat(heartbeat) => Ok(heartbeat.encode(kid, sign)),
            Self::Snapshot(snapshot) => snapshot.encode(kid, sign),
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        let Head {
            kind,
            epoch,
            n,
            hash,
            at_ms,
            rev,
            head,
            floor,
        } = Head::read(input)?;
        match kind {
            FRAME => {
                let entries = body::read_entries(input)?;
                Ok(Self::Frame(Frame {
                    epoch,
                    n,
                    prev: hash,
                    at_ms,
                    rev,
                    head,
                    floor,
                    entries,
                }))
            }
            HEARTBEAT => Ok(Self::Heartbeat(Heartbeat {
                epoch,
                n,
                hash,
                at_ms,
                head,
                floor,
            })),
            _ => {
                let mut snapshot = Snapshot {
                    epoch,
                    n,
                    hash,
                    at_ms,
                    head,
                    floor,
                    watermarks: Vec::new(),
                    suspended: Vec::new(),
                    narrowed: Vec::new(),
                    removed_keys: Vec::new(),
                };
                body::read_state(&mut snapshot, input)?;
                Ok(Self::Snapshot(snapshot))
            }
        }
    }
}

impl Frame {
    /// As [`FeedMessage::encode`].
    pub fn encode(
        &self,
        kid: &KeyId,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Vec<u8>, FrameError> {
        let head = Head {
            kind: FRAME,
            epoch: self.epoch,
            n: self.n,
            hash: self.prev,
            at_ms: self.at_ms,
            rev: self.rev,
            head: self.head,
            floor: self.floor,
        };
        let mut out = head.write();
        body::write_entries(&self.entries, &mut out)?;
        Ok(seal(out, kid, sign))
    }
}

impl Heartbeat {
    /// As [`FeedMessage::encode`], but cannot fail.
    pub fn encode(
        &self,
        kid: &KeyId,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Vec<u8> {
        let head = Head {
            kind: HEARTBEAT,
            epoch: self.epoch,
            n: self.n,
            hash: self.hash,
            at_ms: self.at_ms,
            rev: self.head,
            head: self.head,
            floor: self.floor,
        };
        seal(head.write(), kid, sign)
    }
}

impl Snapshot {
    /// As [`FeedMessage::encode`].
    pub fn encode(
        &self,
        kid: &KeyId,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Result<Vec<u8>, FrameError> {
        let head = Head {
            kind: SNAPSHOT,
            epoch: self.epoch,
            n: self.n,
            hash: self.hash,
            at_ms: self.at_ms,
            rev: self.head,
            head: self.head,
            floor: self.floor,
        };
        let mut out = head.write();
        body::write_state(self, &mut out)?;
        Ok(seal(out, kid, sign))
    }
}

/// A message of which nothing may be believed yet.
#[derive(Clone, Debug)]
pub struct UnverifiedMessage<'b> {
    bytes: &'b [u8],
    signed: &'b [u8],
    signature: &'b [u8; SIGNATURE_BYTES],
    kid: KeyId,
    message: FeedMessage,
}

impl UnverifiedMessage<'_> {
    /// The feed key it claims to be signed with.
    pub const fn key_id(&self) -> &KeyId {
        &self.kid
    }

    /// Checks the signature with the feed keys trusted at `now` (Unix seconds).
    pub fn verify(self, keys: &FeedKeys, now: u64) -> Result<VerifiedMessage, FrameError> {
        let key = keys.get_at(&self.kid, now).ok_or(FrameError::UnknownKey)?;
        if key.algorithm() != Algorithm::EdDsa || !key.verify(self.signed, self.signature) {
            return Err(FrameError::Signature);
        }
        Ok(VerifiedMessage {
            hash: frame_hash(self.bytes),
            kid: self.kid,
            message: self.message,
        })
    }
}

/// A message signed by a trusted feed key. Whether it is the next one, its reader decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedMessage {
    hash: [u8; 32],
    kid: KeyId,
    message: FeedMessage,
}

impl VerifiedMessage {
    /// What it says.
    pub const fn message(&self) -> &FeedMessage {
        &self.message
    }

    /// What it says, taken out.
    pub fn into_message(self) -> FeedMessage {
        self.message
    }

    /// The [`frame_hash`] of its bytes.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The key that signed it.
    pub const fn key_id(&self) -> &KeyId {
        &self.kid
    }
}

/// What every message begins with.
struct Head {
    kind: u8,
    epoch: u16,
    n: u64,
    hash: [u8; 32],
    at_ms: u64,
    rev: Rev,
    head: Rev,
    floor: Rev,
}

impl Head {
    fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        if *input.take()? != MAGIC {
            return Err(FrameError::Damaged);
        }
        let head = Self {
            kind: input.u8()?,
            epoch: input.u16()?,
            n: input.u64()?,
            hash: *input.take()?,
            at_ms: input.u64()?,
            rev: input.rev()?,
            head: input.rev()?,
            floor: input.rev()?,
        };
        if head.is_sound() {
            Ok(head)
        } else {
            Err(FrameError::Damaged)
        }
    }

    /// Whether the parts fit together: nothing lies above the head, frames count from 1, and where
    /// there is no frame there is no hash.
    fn is_sound(&self) -> bool {
        let no_hash = self.hash == [0; 32];
        let of_kind = match self.kind {
            FRAME => self.n >= 1 && (self.n > 1 || no_hash),
            HEARTBEAT | SNAPSHOT => self.rev == self.head && (self.n > 0 || no_hash),
            _ => false,
        };
        of_kind && self.rev <= self.head && self.floor <= self.head
    }

    fn write(&self) -> Writer {
        let mut out = Writer::default();
        out.bytes(&MAGIC);
        out.u8(self.kind);
        out.u16(self.epoch);
        out.u64(self.n);
        out.bytes(&self.hash);
        out.u64(self.at_ms);
        out.rev(self.rev);
        out.rev(self.head);
        out.rev(self.floor);
        out
    }
}

fn seal(
    mut out: Writer,
    kid: &KeyId,
    sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
) -> Vec<u8> {
    out.key_id(kid);
    let signature = sign(&out.0);
    out.bytes(&signature);
    out.0
}
