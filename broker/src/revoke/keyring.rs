//! The feed keys this broker may sign with, opened once.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanyard_token::{KeyId, KeyUse};

use crate::clock::UnixMillis;
use crate::crypto::{CryptoError, SealingRoot, SigningKeyPair, open_signing_key};
use crate::store::event::SigningKey;

/// Feed keys by name.
#[derive(Default)]
pub(super) struct Keyring(BTreeMap<KeyId, FeedKey>);

/// A feed key and when it signs.
pub(super) struct FeedKey {
    record: SigningKey,
    pair: Arc<SigningKeyPair>,
}

/// What signs one message.
#[derive(Clone)]
pub(super) struct Signer {
    key: KeyId,
    pair: Arc<SigningKeyPair>,
}

impl Keyring {
    /// Takes a key in, if it is one for the feed.
    pub(super) fn add(
        &mut self,
        root: &SealingRoot,
        record: &SigningKey,
    ) -> Result<(), CryptoError> {
        if record.key_use == KeyUse::Feed {
            let pair = Arc::new(open_signing_key(root, record)?);
            self.0.insert(
                record.key,
                FeedKey {
                    record: record.clone(),
                    pair,
                },
            );
        }
        Ok(())
    }

    /// Never signs again.
    pub(super) fn remove(&mut self, key: &KeyId) {
        self.0.remove(key);
    }

    /// The key as the log has it.
    pub(super) fn record(&self, key: &KeyId) -> Option<&SigningKey> {
        self.0.get(key).map(|key| &key.record)
    }

    /// The key that signs what was made at `at`: of those in force the newest. Where none is, the one
    /// that was in force last: a rotation that comes late must not stop revocations.
    ///
    /// It depends on the log alone, so a restarted broker signs the same frames with the same keys.
    pub(super) fn signer(&self, at: UnixMillis) -> Option<Signer> {
        let in_force = |key: &&FeedKey| key.record.signs_from <= at && at < key.record.signs_until;
        self.0
            .values()
            .filter(in_force)
            .max_by_key(|key| (key.record.signs_from, key.record.key))
            .or_else(|| {
                self.0
                    .values()
                    .max_by_key(|key| (key.record.signs_until, key.record.key))
            })
            .map(|key| Signer {
                key: key.record.key,
                pair: Arc::clone(&key.pair),
            })
    }
}

impl Signer {
    /// Which key.
    pub(super) const fn key(&self) -> &KeyId {
        &self.key
    }

    /// Signs. Ed25519 needs no randomness, so it cannot fail where the key could be opened; a message
    /// it did fail on would carry zeros, which nobody believes.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).unwrap_or_else(|error| {
            tracing::error!(%error, "a feed message cannot be signed");
            [0; 64]
        })
    }
}
