//! The keys that sign access tokens, as the log has them, and which forged tokens carried their
//! signature.

use std::collections::VecDeque;

use lanyard_token::{KeyId, KeyUse, PublicKey};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::crypto::delegated_key;
use crate::store::event::{SigningKey, TokenDigest};

/// Forged tokens remembered per key: two end it.
const FORGERIES: usize = 8;

/// All of them; a handful at any time.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SigningKeys(Vec<Known>);

#[derive(Serialize, Deserialize)]
struct Known {
    key: KeyId,
    delegation: String,
    verifies_until: UnixMillis,
    #[serde(default)]
    forgeries: VecDeque<(TokenDigest, UnixMillis)>,
}

impl SigningKeys {
    pub(super) fn add(&mut self, key: &SigningKey) {
        if key.key_use != KeyUse::Mint {
            return;
        }
        self.remove(key.key);
        self.0.push(Known {
            key: key.key,
            delegation: key.delegation.clone(),
            verifies_until: key.verifies_until,
            forgeries: VecDeque::new(),
        });
    }

    pub(super) fn remove(&mut self, key: KeyId) {
        self.0.retain(|known| known.key != key);
    }

    /// Whether any were no longer believed, and are forgotten.
    pub(super) fn forget(&mut self, now: UnixMillis) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known.verifies_until > now);
        self.0.len() < before
    }

    pub(super) fn public(&self, key: KeyId, now: UnixMillis) -> Option<PublicKey> {
        let known = self.known(key)?;
        (now < known.verifies_until)
            .then(|| delegated_key(key, &known.delegation))
            .flatten()
    }

    pub(super) fn forged(&mut self, key: KeyId, digest: TokenDigest, at: UnixMillis) {
        let Some(known) = self.0.iter_mut().find(|known| known.key == key) else {
            return;
        };
        known.forgeries.retain(|(other, _)| *other != digest);
        if known.forgeries.len() >= FORGERIES {
            known.forgeries.pop_front();
        }
        known.forgeries.push_back((digest, at));
    }

    /// Forged tokens that carried its signature since then.
    pub(super) fn forgeries(&self, key: KeyId, since: UnixMillis) -> Vec<TokenDigest> {
        let forgeries = self
            .known(key)
            .into_iter()
            .flat_map(|known| &known.forgeries);
        forgeries
            .filter(|(_, at)| *at >= since)
            .map(|(digest, _)| *digest)
            .collect()
    }

    fn known(&self, key: KeyId) -> Option<&Known> {
        self.0.iter().find(|known| known.key == key)
    }
}
