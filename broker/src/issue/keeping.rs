//! Keeping signing keys: making the next ones in time, removing stolen ones, showing all of them.

use lanyard_token::KeyId;
use serde_json::{Value, json};

use super::Issue;
use super::keys::{self, Addition, KeyError};
use crate::clock::UnixMillis;
use crate::store::Event;
use crate::store::event::{By, KeyUse, SigningKey};

impl Issue {
    /// Makes the keys that are due. Called at the start, before anything is signed, and every minute.
    pub async fn keep_keys(&self) -> Result<(), KeyError> {
        let _one_at_a_time = self.keeping.lock().await;
        let now = self.clock.now();
        for addition in keys::plan(&self.signing_keys(), self.settings.algorithm, now) {
            self.add_key_pair(addition, now).await?;
        }
        Ok(())
    }

    /// Makes a new key of this use, which takes over as soon as every verifier can know it.
    pub async fn rotate(&self, key_use: KeyUse) -> Result<KeyId, KeyError> {
        /// Twice the JWKS max-age.
        const PUBLISHED_MILLIS: u64 = 20 * 60_000;
        let _one_at_a_time = self.keeping.lock().await;
        let now = self.clock.now();
        let algorithm = keys::algorithm_for(key_use, self.settings.algorithm);
        let signs_from = now.plus_millis(PUBLISHED_MILLIS);
        self.add_key_pair(
            Addition {
                key_use,
                algorithm,
                signs_from,
            },
            now,
        )
        .await
    }

    /// Ends the trust in a key from now on, whatever it signed, and puts a new one in its place.
    ///
    /// Two appends: the removal is taken even while the disk is full, the new key is not, and a stolen
    /// key must not live on because its successor cannot be written.
    pub async fn compromise(&self, key: KeyId, reason: &str, by: By) -> Result<KeyId, KeyError> {
        let _one_at_a_time = self.keeping.lock().await;
        let known = self
            .signing_keys()
            .into_iter()
            .find(|known| known.key == key);
        let removed = known.ok_or(KeyError::Unknown(key))?;
        let event = Event::SigningKeyRemoved {
            key,
            reason: reason.to_owned(),
            by,
        };
        self.store.append(vec![event]).await?;
        let now = self.clock.now();
        let algorithm = keys::algorithm_for(removed.key_use, self.settings.algorithm);
        self.add_key_pair(
            Addition {
                key_use: removed.key_use,
                algorithm,
                signs_from: now,
            },
            now,
        )
        .await
    }

    /// The keys that are believed or will be, newest first.
    pub fn signing_keys(&self) -> Vec<SigningKey> {
        let now = self.clock.now();
        let mut keys: Vec<SigningKey> = self.state.read(|book| {
            book.signing_keys()
                .filter(|key| key.verifies_until > now)
                .cloned()
                .collect()
        });
        keys.sort_by_key(|key| (std::cmp::Reverse(key.signs_from), key.key));
        keys
    }

    /// The key set of access tokens (RFC 7517), each key with the root's word for it (`delegation`).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .signing_keys()
            .iter()
            .filter(|key| key.key_use == KeyUse::Mint)
            .filter_map(|key| {
                let mut jwk = keys::delegated_key(key)?.to_jwk();
                jwk.as_object_mut()?
                    .insert("delegation".to_owned(), json!(key.delegation));
                Some(jwk)
            })
            .collect();
        json!({ "keys": keys })
    }

    /// The root's words for all keys, mint and feed.
    pub fn delegations(&self) -> Vec<String> {
        self.signing_keys()
            .into_iter()
            .map(|key| key.delegation)
            .collect()
    }

    async fn add_key_pair(&self, addition: Addition, now: UnixMillis) -> Result<KeyId, KeyError> {
        let longest = self.settings.lifetimes.longest;
        let key = keys::create(
            addition,
            &self.settings.issuer,
            &self.seal,
            &self.root,
            longest,
            now,
        )?;
        let (kid, key_use) = (key.key, addition.key_use);
        self.store
            .append(vec![Event::SigningKeyAdded(Box::new(key))])
            .await?;
        tracing::info!(
            name: "lanyard.key.added",
            { lanyard.key.id = %kid, lanyard.key.r#use = ?key_use },
            "signing key added"
        );
        Ok(kid)
    }
}
