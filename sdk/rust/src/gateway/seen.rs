//! Tokens that passed the gate, found again by their text.
//!
//! Keyed by the last bytes of the signature, which are as good as random, and then compared whole:
//! so no token is ever taken for another, and hashing 700 bytes is not needed. Sets of eight places;
//! a set's tags lie in one cache line. Lookups take no lock and allocate nothing.
//!
//! **What never enters.** Whatever did not pass the gate: there is no negative entry, so a flood of
//! junk pushes nothing out and fills nothing.
//!
//! **What goes when a set is full.** A token that has been retired, else the first that was not
//! asked for since the last look (second chance). A new one comes in without a chance of its own, so
//! a crowd of tokens that are used once cannot push out those used again and again.
//!
//! Why not a concurrent map: measured, this is about half the cost of the fastest one, because a
//! map hashes the key and cannot use that ours is already random.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use lanyard_token::NodeId;

use super::grant::{Grant, Hold, Holds};
use super::report::hex;

/// Places in a set: eight tags of eight bytes are one cache line.
const PLACES: usize = 8;
/// Bytes of the signature's text that make the tag: 16 symbols carry 96 bits.
const TAIL: usize = 16;

pub(super) struct SeenTable {
    sets: Box<[Set]>,
    /// Random per process, so that nobody can choose which tokens share a set.
    seed: u64,
}

#[derive(Default)]
struct Set {
    /// 0: nothing here.
    tags: [AtomicU64; PLACES],
    kept: [ArcSwapOption<Seen>; PLACES],
    used: [AtomicBool; PLACES],
    writing: Mutex<()>,
}

struct Seen {
    token: Box<str>,
    holds: Holds,
}

impl SeenTable {
    /// Room for at least `capacity` tokens; twice the places, because sets fill unevenly.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity
            .saturating_mul(2)
            .div_ceil(PLACES)
            .next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            seed: RandomState::new().hash_one(0),
        }
    }

    pub(super) fn get(&self, token: &str) -> Option<Hold> {
        let tag = self.tag(token)?;
        let set = self.set(tag)?;
        for ((own, kept), used) in set.tags.iter().zip(&set.kept).zip(&set.used) {
            if own.load(Ordering::Acquire) != tag {
                continue;
            }
            let kept = kept.load();
            let Some(seen) = kept.as_deref() else {
                continue;
            };
            if *seen.token == *token && !seen.holds.grant().is_retired() {
                if !used.load(Ordering::Relaxed) {
                    used.store(true, Ordering::Relaxed);
                }
                return Some(seen.holds.hold());
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
            .find(|seen| {
                let grant = seen.holds.grant();
                grant.claims.jti == token && hex(grant.digest) == digest
            })
            .map(|seen| seen.token.clone())
    }

    /// Keeps a token that passed the gate.
    pub(super) fn keep(&self, token: &str, grant: &Arc<Grant>) {
        let Some(tag) = self.tag(token) else { return };
        let Some(set) = self.set(tag) else { return };
        let _one_writer = set.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = set.place_for(token);
        let (Some(own), Some(kept), Some(used)) = (
            set.tags.get(place),
            set.kept.get(place),
            set.used.get(place),
        ) else {
            return;
        };
        own.store(0, Ordering::Release);
        kept.store(Some(Arc::new(Seen {
            token: token.into(),
            holds: Holds::new(grant),
        })));
        used.store(false, Ordering::Relaxed);
        own.store(tag, Ordering::Release);
    }

    fn tag(&self, token: &str) -> Option<u64> {
        let tail: &[u8; TAIL] = token.as_bytes().last_chunk()?;
        let both = u128::from_le_bytes(*tail);
        let folded = (both as u64) ^ self.seed;
        let product = u128::from(folded) * u128::from((both >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        Some(((product as u64) ^ ((product >> 64) as u64)).max(1))
    }

    fn set(&self, tag: u64) -> Option<&Set> {
        let mask = self.sets.len().wrapping_sub(1);
        self.sets
            .get(usize::try_from(tag >> 16).unwrap_or(0) & mask)
    }
}

impl Set {
    /// Where a token goes: its own place, a free one, a retired one's, else by second chance.
    fn place_for(&self, token: &str) -> usize {
        let holds = |wanted: &dyn Fn(&Seen) -> bool| {
            self.kept
                .iter()
                .position(|kept| kept.load().as_deref().is_some_and(wanted))
        };
        holds(&|seen| *seen.token == *token)
            .or_else(|| self.kept.iter().position(|kept| kept.load().is_none()))
            .or_else(|| holds(&|seen| seen.holds.grant().is_retired()))
            .or_else(|| {
                self.used
                    .iter()
                    .position(|used| !used.swap(false, Ordering::Relaxed))
            })
            .unwrap_or(0)
    }
}
