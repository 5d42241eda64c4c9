//! All tokens a gateway keeps, by number.
//!
//! Off the hot path: asked for tokens seen for the first time and by the reporter. Found by a keyed hash of
//! what is signed, and then compared. Bounded: what has expired goes by itself, and when a shard is full,
//! those that were silent longest. The observer takes their last reports and keeps them for the reporter,
//! so being pushed out hides nothing.
//!
//! They go by the lot: to find the one that was silent longest costs a look at all, and a caller with many
//! tokens would make each new one pay for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use lanyard_drift::{Bounds, Thresholds, TokenReport};
use lanyard_token::{KeyId, NodeId, VerifiedToken};

use super::super::seen::SeenTable;
use super::Grant;
use crate::clock::UnixMillis;

/// A power of two, so that a few bits of the number choose the shard.
const SHARDS: usize = 16;
/// The part of a shard that goes when it is full. So each new token pays for a look at so many others.
const LOT: usize = 64;
/// Names of keys that are kept: an issuer signs with one or two at a time.
const MOST_KEYS: usize = 64;
/// Identities whose bounds are kept. A gateway that serves more asks again.
const MAX_BOUNDS: usize = 16_384;
/// Tokens that were admitted since the last look. A second with more of them reports the rest with the
/// next regular report.
const MAX_FRESH: usize = 16_384;
/// Tokens that are gone, until the observer takes their last reports; and such reports, until the
/// reporter takes them.
const MAX_ORPHANS: usize = 4_096;

type Shard = HashMap<u64, Arc<Grant>>;

pub(crate) struct Grants {
    shards: [Mutex<Shard>; SHARDS],
    per_shard: usize,
    hasher: RandomState,
    keys: Mutex<Vec<Arc<KeyId>>>,
    bounds: Mutex<HashMap<NodeId, Tagged>>,
    cold: Arc<Bounds>,
    departed: Mutex<Vec<Arc<Grant>>>,
    orphans: Mutex<Orphans>,
    fresh: Mutex<Vec<Arc<Grant>>>,
}

/// Bounds, and what the broker calls them.
struct Tagged {
    bounds: Arc<Bounds>,
    tag: Option<HeaderValue>,
}

/// Last reports: of tokens that are not kept any more, or have fallen silent.
#[derive(Default)]
pub(crate) struct Orphans {
    pub(crate) reports: Vec<(Arc<Grant>, TokenReport)>,
    /// Reports for which there was no room.
    pub(crate) lost: u64,
}

impl Grants {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::new())),
            per_shard: capacity.div_ceil(SHARDS).max(1),
            hasher: RandomState::new(),
            keys: Mutex::new(Vec::new()),
            bounds: Mutex::new(HashMap::new()),
            cold: Arc::new(Bounds::cold(&Thresholds::default())),
            departed: Mutex::new(Vec::new()),
            orphans: Mutex::new(Orphans::default()),
            fresh: Mutex::new(Vec::new()),
        }
    }

    /// The grant of this token: the one there is, else a new one.
    pub(crate) fn admit(
        &self,
        verified: &VerifiedToken<'_>,
        seen: &SeenTable,
        make: impl FnOnce(Arc<KeyId>) -> Grant,
    ) -> Arc<Grant> {
        let signed = verified.signing_input();
        let mut key = self.hasher.hash_one(signed);
        let mut shard = self.shard(key);
        while let Some(known) = shard.get(&key) {
            if known.signing_input() == signed {
                return Arc::clone(known);
            }
            // Another with the same hash, once in a million years: the next place in the same shard.
            key = key.wrapping_add(SHARDS as u64);
        }
        if shard.len() >= self.per_shard {
            self.make_room(&mut shard, seen);
        }
        let grant = Arc::new(make(self.shared(verified.key_id())));
        shard.insert(key, Arc::clone(&grant));
        drop(shard);
        if grant.link.has_reporter() {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            if fresh.len() < MAX_FRESH {
                fresh.push(Arc::clone(&grant));
            }
        }
        grant
    }

    /// What was admitted since this was last asked.
    pub(crate) fn take_fresh(&self) -> Vec<Arc<Grant>> {
        std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Every grant there is. Collected shard by shard, so no call waits for long.
    pub(crate) fn all(&self) -> Vec<Arc<Grant>> {
        self.shards
            .iter()
            .flat_map(|shard| lock(shard).values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Lets expired ones go, with what they still had to say.
    pub(crate) fn sweep(&self, time: UnixMillis, seen: &SeenTable) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let expired: Vec<_> = shard
                .iter()
                .filter(|(_, grant)| grant.ends <= time.seconds())
                .map(|(key, _)| *key)
                .collect();
            for key in expired {
                self.retire(&mut shard, key, seen);
            }
        }
    }

    /// Those that are not kept any more, and may have a tracker.
    pub(crate) fn take_departed(&self) -> Vec<Arc<Grant>> {
        let mut departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *departed)
    }

    /// Keeps a last report for the reporter.
    pub(crate) fn leave_report(&self, grant: Arc<Grant>, report: TokenReport) {
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        if orphans.reports.len() < MAX_ORPHANS {
            orphans.reports.push((grant, report));
        } else {
            orphans.lost = orphans.lost.saturating_add(1);
        }
    }

    /// The last reports that were left since the last time.
    pub(crate) fn take_orphans(&self) -> Orphans {
        std::mem::take(&mut *self.orphans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How an identity usually behaves has arrived.
    pub(crate) fn set_bounds(&self, identity: NodeId, bounds: impl Into<Arc<Bounds>>) {
        let bounds = bounds.into();
        let mut known = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BOUNDS && !known.contains_key(&identity) {
            // Whichever goes is asked for again when it next comes.
            if let Some(other) = known.keys().next().copied() {
                known.remove(&other);
            }
        }
        known.insert(identity, Tagged { bounds, tag: None });
    }

    /// What the broker calls all that it told of an identity, once all of that is here.
    pub(crate) fn tag_bounds(&self, identity: NodeId, tag: Option<HeaderValue>) {
        let mut known = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&identity) {
            known.tag = tag;
        }
    }

    /// How far a token of this identity may go: those of an unknown one until it is known.
    pub(crate) fn bounds_for(&self, identity: NodeId) -> Arc<Bounds> {
        self.bounds_of(identity)
            .unwrap_or_else(|| Arc::clone(&self.cold))
    }

    /// As they arrived: a tracker adds what its own token does.
    pub(crate) fn bounds_of(&self, identity: NodeId) -> Option<Arc<Bounds>> {
        self.bounds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&identity)
            .map(|known| Arc::clone(&known.bounds))
    }

    /// What the broker called the bounds that are kept of this identity.
    pub(crate) fn bounds_tag(&self, identity: NodeId) -> Option<HeaderValue> {
        let known = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&identity)?.tag.clone()
    }

    /// The name of a key as all tokens have it that it signed.
    fn shared(&self, name: &KeyId) -> Arc<KeyId> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        if keys.len() >= MOST_KEYS {
            keys.retain(|known| Arc::strong_count(known) > 1);
        }
        let name = Arc::new(*name);
        if keys.len() < MOST_KEYS {
            keys.push(Arc::clone(&name));
        }
        name
    }

    #[cold]
    fn make_room(&self, shard: &mut Shard, seen: &SeenTable) {
        let silent_since = |(key, grant): (&u64, &Arc<Grant>)| {
            let last = grant.last_call.load(Ordering::Relaxed);
            (last, *key)
        };
        let mut by_silence: Vec<_> = shard.iter().map(silent_since).collect();
        let lot = self.per_shard.div_ceil(LOT).min(by_silence.len());
        if lot < by_silence.len() {
            by_silence.select_nth_unstable(lot);
        }
        for (_, key) in by_silence.into_iter().take(lot) {
            self.retire(shard, key, seen);
        }
    }

    fn retire(&self, shard: &mut Shard, key: u64, seen: &SeenTable) {
        let Some(grant) = shard.remove(&key) else {
            return;
        };
        grant.retired.store(true, Ordering::Release);
        seen.forget(&grant);
        let mut departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        if departed.len() < MAX_ORPHANS {
            departed.push(grant);
            return;
        }
        drop(departed);
        // Its tracker, if it has one, goes when it has been silent for long.
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        orphans.lost = orphans.lost.saturating_add(1);
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        let index = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        lock(self.shards.get(index).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Every change is a single insert or remove: a panic elsewhere leaves the map whole.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
