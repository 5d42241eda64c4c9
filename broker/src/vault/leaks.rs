//! What was found where it does not belong: is it a credential that is kept here?
//!
//! A value is looked for by a keyed hash, so that nothing is compared with values and no list of them lies in memory. The
//! hashes are made when the first report comes and kept in memory alone: on disk they would let whoever has the key
//! try values on a copy. *What it misses:* a value that was reported with something before or behind it, or
//! encoded; and versions that are retired, which nobody should be able to use.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanyard_token::NodeId;

use super::{Vault, VaultError};
use crate::crypto::{Mac, SealingRoot};
use crate::store::Event;
use crate::store::event::Version;

/// Keyed hashes of values, and what they are of.
#[derive(Default)]
pub(super) struct Known {
    mac: Option<Mac>,
    by_tag: HashMap<[u8; 16], Vec<(NodeId, Version)>>,
    seen: HashMap<(NodeId, Version), [u8; 16]>,
    /// What was reported already, since this process began.
    reported: HashSet<(NodeId, Version)>,
}

impl Vault {
    /// Which version of which secret a text is, if it is one that could be in use.
    pub fn version_of(&self, text: &str) -> Result<Vec<(NodeId, Version)>, VaultError> {
        let mut known = self.known();
        let mac = known.mac(&self.seal)?;
        let mut new = Vec::new();
        self.state.each_sealed(|secret, name, version, sealed| {
            if !known.seen.contains_key(&(secret, version)) {
                new.push((secret, name.to_owned(), version, sealed.to_owned()));
            }
        });
        for (secret, name, version, sealed) in new {
            // One that does not open is told of when it is leased; it hides no other.
            let Ok(value) = self.place(secret, &name, version).open(&self.seal, &sealed) else {
                continue;
            };
            let tag = mac.tag(&[value.expose().as_bytes()]);
            known.seen.insert((secret, version), tag);
            known.by_tag.entry(tag).or_default().push((secret, version));
        }
        let mut found = known
            .by_tag
            .get(&mac.tag(&[text.as_bytes()]))
            .cloned()
            .unwrap_or_default();
        found.retain(|(secret, version)| self.state.is_kept(*secret, *version));
        Ok(found)
    }

    /// Writes down that a version was found where it does not belong: it should be exchanged. Says whether that is
    /// news: a report that comes again changes nothing, and would only make the log longer.
    pub async fn leaked(
        &self,
        (secret, version): (NodeId, Version),
        found_at: Option<String>,
    ) -> Result<bool, VaultError> {
        let is_queued = self.state.is_queued_if_in_force(secret, version);
        if !self.known().reported.insert((secret, version)) && is_queued {
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(super) type SharedKnown = Mutex<Known>;
