//! Tokens that passed the gate, found again by their text.
//!
//! Keyed by the last bytes of the signature, which are as good as random, and then compared whole:
//! so no token is ever taken for another, and hashing 700 bytes is not needed. Sets of eight places,
//! each set two cache lines. Lookups take no lock and allocate nothing.
//!
//! **What never enters.** Whatever did not pass the gate: there is no negative entry, so a flood of
//! junk pushes nothing out and fills nothing. Nor the twin of a kept token, whose signature is as good and
//! whose text is another: nobody honest has one, and whoever makes one pays the gate with each call.
//!
//! **What goes when a set is full.** A token that has been retired, else the first that was not
//! asked for since the last look (second chance). A new one comes in without a chance of its own, so
//! a crowd of tokens that are used once cannot push out those used again and again.
//!
//! **Hot tokens** go to and fro between threads. For these each processor has a place of its own, looked
//! at first: see the hot module.
//!
//! Why not a concurrent map: measured, this is about half the cost of the fastest one, because a
//! map hashes the key and cannot use that ours is already random.

mod hot;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use lanyard_token::NodeId;

use self::hot::Hot;
use super::grant::{Grant, Hold};
use super::report::hex;

/// Places in a set: their tags and all else that a lookup reads first are one cache line.
const PLACES: usize = 8;
/// Bytes of the signature's text that make the tag: 16 symbols carry 96 bits.
const TAIL: usize = 16;

pub(super) struct SeenTable {
    sets: Box<[Set]>,
    hot: Hot,
    /// Random per process, so that nobody can choose which tokens share a set.
    seed: u64,
}

#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// 0: nothing here.
    tags: [AtomicU32; PLACES],
    used: [AtomicBool; PLACES],
    writing: Mutex<()>,
    kept: [ArcSwapOption<Grant>; PLACES],
}

/// A number for a token's text: which set it belongs to, and what its tag is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Spot(u64);

impl SeenTable {
    /// Room for at least `capacity` tokens; twice the places, because sets fill unevenly.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity.saturating_mul(2).div_ceil(PLACES).max(1);
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            hot: Hot::new(),
            seed: RandomState::new().hash_one(0),
        }
    }

    pub(super) fn get(&self, token: &str) -> Option<Hold> {
        let spot = self.spot(token)?;
        if let Some(count) = self.hot.get(spot, token) {
            return Some(Hold::Count(count));
        }
        let set = self.set(spot)?;
        let tag = spot.tag();
        for ((own, kept), used) in set.tags.iter().zip(&set.kept).zip(&set.used) {
            if own.load(Ordering::Acquire) != tag {
                continue;
            }
            let kept = kept.load();
            let Some(grant) = kept.as_ref() else {
                continue;
            };
            if *grant.text() == *token && !grant.is_retired() {
                if !used.load(Ordering::Relaxed) {
                    used.store(true, Ordering::Relaxed);
                }
                if grant.changed_threads_often() {
                    self.hot.offer(spot, grant);
                }
                return Some(Hold::Grant(Arc::clone(grant)));
            }
        }
        None
    }

    /// The text of a token, by number and digest, if it is still here. Looks at every place: for the one
    /// token in ten million that the broker asks about.
    pub(super) fn text_of(&self, token: NodeId, digest: &str) -> Option<Box<str>> {
        let places = self.sets.iter().flat_map(|set| &set.kept);
        places
            .filter_map(|kept| kept.load_full())
            .find(|grant| grant.jti() == token && hex(grant.digest()) == digest)
            .map(|grant| grant.text().into())
    }

    /// Keeps a token that passed the gate.
    pub(super) fn keep(&self, token: &str, grant: &Arc<Grant>) {
        if *grant.text() != *token {
            return;
        }
        let Some(spot) = self.spot(token) else { return };
        let Some(set) = self.set(spot) else { return };
        let _one_writer = set.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = set.place_for(token);
        set.put(place, spot.tag(), Some(Arc::clone(grant)));
    }

    /// Lets go of a token that is not kept any more.
    pub(super) fn forget(&self, grant: &Grant) {
        let Some(spot) = self.spot(grant.text()) else {
            return;
        };
        let Some(set) = self.set(spot) else { return };
        let _one_writer = set.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = set.position(|kept| std::ptr::eq(kept, grant)) {
            set.put(place, 0, None);
        }
    }

    fn spot(&self, token: &str) -> Option<Spot> {
        let tail: &[u8; TAIL] = token.as_bytes().last_chunk()?;
        let both = u128::from_le_bytes(*tail);
        let folded = (both as u64) ^ self.seed;
        let product = u128::from(folded) * u128::from((both >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        Some(Spot((product as u64) ^ ((product >> 64) as u64)))
    }

    fn set(&self, spot: Spot) -> Option<&Set> {
        // The upper half of the number as a fraction of all sets, so that there may be any number of them.
        let chosen = u128::from(spot.0 >> 32) * self.sets.len() as u128;
        self.sets.get((chosen >> 32) as usize)
    }
}

impl Spot {
    /// Other bits than those that choose the set; never 0.
    const fn tag(self) -> u32 {
        self.0 as u32 | 1
    }
}

impl Set {
    /// Where a token goes: its own place, a free one, a retired one's, else by second chance.
    fn place_for(&self, token: &str) -> usize {
        self.position(|kept| *kept.text() == *token)
            .or_else(|| self.kept.iter().position(|kept| kept.load().is_none()))
            .or_else(|| self.position(Grant::is_retired))
            .or_else(|| {
                self.used
                    .iter()
                    .position(|used| !used.swap(false, Ordering::Relaxed))
            })
            .unwrap_or(0)
    }

    fn position(&self, wanted: impl Fn(&Grant) -> bool) -> Option<usize> {
        self.kept
            .iter()
            .position(|kept| kept.load().as_deref().is_some_and(&wanted))
    }

    fn put(&self, place: usize, tag: u32, grant: Option<Arc<Grant>>) {
        let (Some(own), Some(kept), Some(used)) = (
            self.tags.get(place),
            self.kept.get(place),
            self.used.get(place),
        ) else {
            return;
        };
        own.store(0, Ordering::Release);
        kept.store(grant);
        used.store(false, Ordering::Relaxed);
        own.store(tag, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_two_cache_lines() {
        assert_eq!(size_of::<Set>(), 128);
    }
}
