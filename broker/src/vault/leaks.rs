//! What was found where it does not belong: is it a credential that is kept here?
//!
//! A value is looked for by a keyed hash, so that nothing is compared with values and no list of them lies in memory. The
//! hashes are made when the first report comes and kept in memory alone: on disk they would let whoever has the key
//! try values on a copy. Each version is opened once for it, beside what the broker serves: a report costs a hash and a
//! look-up, however much is kept. *What it misses:* a value that was reported with something before or behind it, or
//! encoded; and versions that are retired, which nobody should be able to use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_token::NodeId;

use super::{Vault, VaultError};
use crate::crypto::{CryptoError, Mac, SealingRoot};
use crate::store::Event;
use crate::store::event::{RotationCause, Version};

/// Keyed hashes of values, and what they are of.
#[derive(Default)]
struct Known {
    mac: Option<Mac>,
    by_tag: HashMap<[u8; 16], Vec<(NodeId, Version)>>,
    /// What was reported already, since this process began.
    reported: HashSet<(NodeId, Version)>,
}

impl Vault {
    /// Which version of which secret a text is, if it is one that could be in use.
    pub async fn version_of(
        self: &Arc<Self>,
        text: &str,
    ) -> Result<Vec<(NodeId, Version)>, VaultError> {
        // One at a time, and whoever comes meanwhile waits until it is through.
        let reading = Arc::clone(&self.known.reading).lock_owned().await;
        if self.state.has_unread() {
            let vault = Arc::clone(self);
            let read = tokio::task::spawn_blocking(move || {
                let _reading = reading;
                vault.read_new()
            });
            read.await
                .map_err(|_| CryptoError::Unusable("read what is kept"))??;
        }
        let mut known = self.known();
        let mac = known.mac(&self.seal)?;
        let mut found = known
            .by_tag
            .get(&mac.tag(&[text.as_bytes()]))
            .cloned()
            .unwrap_or_default();
        found.retain(|(secret, version)| self.state.is_kept(*secret, *version));
        Ok(found)
    }

    /// Opens what came since the last time.
    fn read_new(&self) -> Result<(), VaultError> {
        let mac = self.known().mac(&self.seal)?;
        for (secret, version) in self.state.take_unread() {
            let Some(kept) = self.state.kept(secret, Some(version)) else {
                continue;
            };
            // One that does not open is told of when it is leased; it hides no other.
            let place = self.place(secret, &kept.name, version);
            let Ok(value) = place.open(&self.seal, &kept.sealed) else {
                continue;
            };
            let tag = mac.tag(&[value.expose().as_bytes()]);
            let mut known = self.known();
            let same = known.by_tag.entry(tag).or_default();
            if !same.contains(&(secret, version)) {
                same.push((secret, version));
            }
        }
        Ok(())
    }

    /// Writes down that a version was found where it does not belong: it should be exchanged, and stays one that was found
    /// for as long as it is there. Says whether that is news: a report that comes again would only make the log longer.
    pub async fn leaked(
        &self,
        (secret, version): (NodeId, Version),
        found_at: Option<String>,
    ) -> Result<bool, VaultError> {
        let is_known = self.state.exposed(secret, version) == Some(RotationCause::Leak);
        if is_known || !self.known().reported.insert((secret, version)) {
            return Ok(false);
        }
        let event = Event::SecretLeaked {
            secret,
            version,
            found_at,
        };
        let written = self.store.append(vec![event]).await;
        if written.is_err() {
            self.known().reported.remove(&(secret, version));
        }
        written?;
        Ok(true)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is remembered beside the log is never half of anything.
        self.known
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn mac(&mut self, seal: &SealingRoot) -> Result<Mac, VaultError> {
        if let Some(mac) = &self.mac {
            return Ok(mac.clone());
        }
        let mac = seal.mac("leaked values", b"vault")?;
        self.mac = Some(mac.clone());
        Ok(mac)
    }
}

/// Of a vault, shared.
#[derive(Default)]
pub(super) struct SharedKnown {
    known: Mutex<Known>,
    /// Held by whoever opens what came.
    reading: Arc<tokio::sync::Mutex<()>>,
}
