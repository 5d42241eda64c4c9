//! Key sets: which keys are believed, by name alone.

use std::collections::HashMap;

use serde::Deserialize;

use super::{InvalidKey, PublicKey};
use crate::KeyId;
use crate::strict::Object;

/// Longest text of a key set that is read.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Keys by name, each with the moment its trust ends.
///
/// A lookup is by [`KeyId`] and by nothing else: no fallback to "the only key", none by algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: HashMap<KeyId, Trusted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trusted {
    key: PublicKey,
    /// In Unix seconds; `None`: until removed.
    until: Option<u64>,
}

impl KeySet {
    /// Trusts a key until it is removed.
    pub fn insert(&mut self, key: PublicKey) {
        self.keys
            .insert(key.thumbprint(), Trusted { key, until: None });
    }

    /// Trusts a key until `until` (Unix seconds, exclusive). Of two ends the later counts: both
    /// were granted.
    pub fn insert_until(&mut self, key: PublicKey, until: u64) {
        let trusted = self.keys.entry(key.thumbprint()).or_insert(Trusted {
            key,
            until: Some(0),
        });
        trusted.until = trusted.until.map(|old| old.max(until));
    }

    /// Ends the trust in a key; whether there was any.
    pub fn remove(&mut self, kid: &KeyId) -> bool {
        self.keys.remove(kid).is_some()
    }

    /// Forgets the keys whose trust has ended at `now` (Unix seconds).
    pub fn prune(&mut self, now: u64) {
        self.keys.retain(|_, trusted| trusted.is_valid_at(now));
    }

    /// The key of this name, whatever the time.
    pub fn get(&self, kid: &KeyId) -> Option<&PublicKey> {
        self.keys.get(kid).map(|trusted| &trusted.key)
    }

    /// The key of this name if it is still trusted at `now` (Unix seconds).
    pub fn get_at(&self, kid: &KeyId, now: u64) -> Option<&PublicKey> {
        self.keys
            .get(kid)
            .filter(|trusted| trusted.is_valid_at(now))
            .map(|trusted| &trusted.key)
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values().map(|trusted| &trusted.key)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none, so that no token can be believed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads a JWK set (RFC 7517 section 5) of which every key must be one of ours.
    ///
    /// One foreign key refuses the whole set: a set that mixes kinds of keys is how keys get used
    /// for what they are not.
    pub fn from_jwks(json: &str) -> Result<Self, InvalidKey> {
        if json.len() > MAX_TEXT_BYTES {
            return Err(InvalidKey::Jwk);
        }
        let Object(Wire { keys }) = serde_json::from_str(json).map_err(|_| InvalidKey::Jwk)?;
        let mut set = Self::default();
        for key in keys {
            if set.get(&key.thumbprint()).is_some() {
                return Err(InvalidKey::Repeated);
            }
            set.insert(key);
        }
        Ok(set)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    keys: Vec<PublicKey>,
}

impl Trusted {
    fn is_valid_at(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl FromIterator<PublicKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.insert(key);
        }
        set
    }
}
