//! The opened private keys of the mint: each unsealed and parsed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lanyard_token::{Algorithm, KeyId, SigningHeader};

use super::{KeyError, in_force};
use crate::clock::UnixMillis;
use crate::crypto::{self, SealingRoot, SigningKeyPair};
use crate::issue::identity::Book;
use crate::store::event::{KeyUse, SigningKey};

/// A key that signs access tokens. Only `issue::mint` does so.
pub struct MintKey {
    /// What headers call it.
    pub kid: KeyId,
    /// What headers say it signs with.
    pub algorithm: Algorithm,
    pub(in crate::issue) header: SigningHeader,
    pub(in crate::issue) pair: SigningKeyPair,
}

impl MintKey {
    /// Opens a key of the log.
    pub fn open(seal: &SealingRoot, key: &SigningKey) -> Result<Self, KeyError> {
        let pair = crypto::open_signing_key(seal, key)?;
        Ok(Self {
            kid: key.key,
            algorithm: key.algorithm,
            header: SigningHeader::new(key.algorithm, &key.key),
            pair,
        })
    }
}

/// Opened keys by name.
pub struct KeyRing {
    seal: Arc<SealingRoot>,
    opened: Mutex<HashMap<KeyId, Arc<MintKey>>>,
}

impl KeyRing {
    /// Nothing opened yet.
    pub fn new(seal: Arc<SealingRoot>) -> Self {
        Self {
            seal,
            opened: Mutex::default(),
        }
    }

    /// The key that signs at `now`, as the book says. A removed key is not in the book, so it never
    /// signs again, opened or not.
    pub fn signer(&self, book: &Book, now: UnixMillis) -> Result<Arc<MintKey>, KeyError> {
        let key = in_force(book.signing_keys(), KeyUse::Mint, now).ok_or(KeyError::None)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = opened.get(&key.key) {
            return Ok(Arc::clone(key));
        }
        let fresh = Arc::new(MintKey::open(&self.seal, key)?);
        // At most a few keys are believed at any time: what the book no longer knows is wiped here.
        opened.retain(|kid, _| book.signing_keys().any(|known| known.key == *kid));
        opened.insert(key.key, Arc::clone(&fresh));
        Ok(fresh)
    }
}
