//! What gateways' fast detectors need, by names that never mean anything else.
//!
//! The answer about an identity names its compact baseline and its role by the hashes of their written
//! forms, and for a while afterwards both can be fetched by these. So a gateway fetches a role that many
//! identities share once, can tell whether what it got is what it was told of, and whatever lies in
//! between may keep it. Only the latest names are kept: whoever comes too late asks about the identity
//! again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use lanyard_drift::{Compact, Others, Role};
use lanyard_token::NodeId;
use ring::digest;
use serde::Serialize;

use super::intake::ReportError;
use super::opaque::subject;
use super::{Mode, Watch};
use crate::store::event::ContentHash;

/// Bytes of written forms that are kept: some thousands of identities with their roles.
const MOST_BYTES: usize = 64 * 1_024 * 1_024;
/// Identities for which a written form was named. The latest, because they are about to be asked for.
const ABOUT: usize = 64;
/// Roles whose names are remembered, so that each is written once and not for every question.
const NAMED_ROLES: usize = 16_384;

/// What the fast detector needs to know of an identity, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortraitNames {
    /// Its compact baseline: `GET /v1/baselines/{hash}`.
    pub baseline: ContentHash,
    /// What its peers call: `GET /v1/roles/{hash}`; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ContentHash>,
    /// Whether statistics act, or are only written down.
    pub enforced: bool,
}

/// Which of the two a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// A compact baseline.
    Baseline,
    /// What the members of a role call.
    Role,
}

/// Written forms by their names, the latest ones.
#[derive(Default)]
pub(super) struct Portraits {
    kept: HashMap<(Written, ContentHash), Kept>,
    /// Oldest first.
    order: VecDeque<(Written, ContentHash)>,
    bytes: usize,
    /// Of each identity, while that role lasts.
    roles: HashMap<NodeId, (Weak<Role>, ContentHash)>,
}

struct Kept {
    bytes: Bytes,
    about: VecDeque<NodeId>,
}

impl Watch {
    /// Names what the fast detector needs to know of an identity, and keeps it at hand.
    pub(super) fn name_portrait(&self, identity: NodeId) -> Option<PortraitNames> {
        let shard = self.shards.of(self.state.role(identity));
        let portrait = self.judging(shard, |judge| {
            judge.desk.portrait(&judge.bench, subject(identity))
        });
        let portrait = portrait.flatten()?;
        // Written outside of every lock.
        let baseline = written::<Compact>(&portrait.baseline)?;
        let named = portrait
            .role
            .as_ref()
            .and_then(|role| self.portraits.lock().name_of(identity, role));
        let role = match (&portrait.role, named) {
            (Some(role), None) => Some(written::<Others>(role.others())?),
            _ => None,
        };
        let mut portraits = self.portraits.lock();
        let baseline = portraits.keep(Written::Baseline, baseline, identity);
        let new = role.map(|role| portraits.keep(Written::Role, role, identity));
        if let (Some(name), Some(role)) = (new, &portrait.role) {
            portraits.remember(identity, role, name);
        }
        Some(PortraitNames {
            baseline,
            role: named.or(new),
            enforced: self.config.policy.mode == Mode::Enforce,
        })
    }

    /// What a name stands for, if the gateway serves an identity that it is about. `None` also when it
    /// is too old.
    pub fn portrait(
        &self,
        gateway: NodeId,
        written: Written,
        name: ContentHash,
    ) -> Result<Option<Bytes>, ReportError> {
        let gateway = self.gateway(gateway)?;
        let found = self.portraits.lock().find(written, name);
        Ok(found.and_then(|(bytes, about)| {
            let serves = |identity: &NodeId| {
                let subject = self.state.subject(*identity);
                subject.is_some_and(|subject| subject.is_served_by(&gateway))
            };
            about.iter().any(serves).then_some(bytes)
        }))
    }
}

impl Portraits {
    /// What an identity's role is called, if this very role was written before and is still at hand.
    fn name_of(&mut self, identity: NodeId, role: &Arc<Role>) -> Option<ContentHash> {
        let (known, name) = self.roles.get(&identity)?;
        let same = std::ptr::eq(known.as_ptr(), Arc::as_ptr(role));
        let kept = self.kept.contains_key(&(Written::Role, *name));
        (same && kept).then_some(*name)
    }

    fn remember(&mut self, identity: NodeId, role: &Arc<Role>, name: ContentHash) {
        if self.roles.len() >= NAMED_ROLES {
            self.roles.retain(|_, (role, _)| role.strong_count() > 0);
        }
        if self.roles.len() < NAMED_ROLES {
            self.roles.insert(identity, (Arc::downgrade(role), name));
        }
    }

    fn keep(&mut self, written: Written, bytes: Bytes, about: NodeId) -> ContentHash {
        let name = name(&bytes);
        let key = (written, name);
        if let Some(kept) = self.kept.get_mut(&key) {
            if !kept.about.contains(&about) {
                if kept.about.len() >= ABOUT {
                    kept.about.pop_front();
                }
                kept.about.push_back(about);
            }
            return name;
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        let about = VecDeque::from([about]);
        self.kept.insert(key, Kept { bytes, about });
        self.order.push_back(key);
        while self.bytes > MOST_BYTES
            && self.order.len() > 1
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.kept.remove(&oldest);
            let bytes = gone.map_or(0, |gone| gone.bytes.len());
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        name
    }

    fn find(&self, written: Written, name: ContentHash) -> Option<(Bytes, Vec<NodeId>)> {
        let kept = self.kept.get(&(written, name))?;
        Some((kept.bytes.clone(), kept.about.iter().copied().collect()))
    }
}

fn written<T: Serialize>(content: &T) -> Option<Bytes> {
    serde_json::to_vec(content).ok().map(Bytes::from)
}

/// SHA-256 over the written form.
fn name(bytes: &[u8]) -> ContentHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    ContentHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u64) -> NodeId {
        NodeId::from_u64(n)
    }

    #[test]
    fn the_latest_are_at_hand_and_the_oldest_make_room() {
        let mut portraits = Portraits::default();
        let large = |n: u8| Bytes::from(vec![n; MOST_BYTES / 4]);
        let names: Vec<_> = (0..6)
            .map(|n| portraits.keep(Written::Role, large(n), node(1)))
            .collect();
        let there = |name: &ContentHash| portraits.find(Written::Role, *name).is_some();
        let there: Vec<_> = names.iter().map(there).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
        assert_eq!(portraits.bytes, MOST_BYTES);
        let (_, about) = portraits.find(Written::Role, names[5]).unwrap();
        assert_eq!(about, [node(1)]);
        assert!(portraits.find(Written::Baseline, names[5]).is_none());
    }

    #[test]
    fn what_many_identities_share_is_kept_once_and_for_each_of_the_latest() {
        let mut portraits = Portraits::default();
        for n in 0..100 {
            portraits.keep(Written::Role, Bytes::from_static(b"role"), node(n));
        }
        assert_eq!((portraits.kept.len(), portraits.bytes), (1, 4));
        let (_, about) = portraits.find(Written::Role, name(b"role")).unwrap();
        assert_eq!(about.len(), ABOUT);
        assert_eq!(about.last(), Some(&node(99)));
    }
}
