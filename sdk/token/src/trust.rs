//! Which keys are trusted now: those the root delegated, less those the feed removed.

use std::collections::HashSet;

use crate::{Delegation, KeyId, KeySet, KeyUse};

/// The keys of verified delegations that have neither ended nor been removed.
///
/// A removal is for good: the feed can take trust away but never give it back, so a delegation shown
/// again does not bring a removed key back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    mint: KeySet,
    feed: KeySet,
    removed: HashSet<KeyId>,
}

impl TrustedKeys {
    /// Trusts the key of a delegation until it ends; whether it does (not if it was removed).
    pub fn trust(&mut self, delegation: &Delegation) -> bool {
        let key = delegation.key().clone();
        if self.removed.contains(&key.thumbprint()) {
            return false;
        }
        let set = match delegation.key_use() {
            KeyUse::Mint => &mut self.mint,
            KeyUse::Feed => &mut self.feed,
        };
        set.insert_until(key, delegation.expires_at());
        true
    }

    /// Ends the trust in a key for good.
    pub fn remove(&mut self, kid: &KeyId) {
        self.mint.remove(kid);
        self.feed.remove(kid);
        self.removed.insert(*kid);
    }

    /// Forgets the keys whose delegation has ended at `now` (Unix seconds).
    pub fn prune(&mut self, now: u64) {
        self.mint.prune(now);
        self.feed.prune(now);
    }

    /// The keys that may sign tokens.
    pub const fn mint(&self) -> &KeySet {
        &self.mint
    }

    /// The keys that may sign feed messages.
    pub const fn feed(&self) -> &KeySet {
        &self.feed
    }

    /// The keys removed for good, in no order.
    pub fn removed(&self) -> impl Iterator<Item = &KeyId> {
        self.removed.iter()
    }
}

impl<'d> FromIterator<&'d Delegation> for TrustedKeys {
    fn from_iter<I: IntoIterator<Item = &'d Delegation>>(delegations: I) -> Self {
        let mut keys = Self::default();
        for delegation in delegations {
            keys.trust(delegation);
        }
        keys
    }
}
