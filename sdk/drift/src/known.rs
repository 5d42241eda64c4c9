//! A small set of hashes that can say "surely never seen" (a Bloom filter with two bits a member).
//!
//! In a token it decides only how *soon* a report leaves, never what a report says, so a false "seen" costs
//! at most the wait for the next regular report; in a baseline it makes the destinations' channel a little
//! more patient than it need be, never noisier. With 128 members in 1,024 bits that happens to
//! one newcomer in twenty. Filled up by junk it calls everything seen: quiet, never noisy. An exact
//! list would need four times the bytes in every live token.

use serde::{Deserialize, Serialize};

use crate::event::mix;

/// Bits that a member sets.
const BITS_A_MEMBER: f64 = 2.0;

/// A set of hashes in `WORDS` x 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "[u64; WORDS]: Serialize",
    deserialize = "[u64; WORDS]: Deserialize<'de>"
))]
pub(crate) struct KnownSet<const WORDS: usize> {
    words: [u64; WORDS],
}

impl<const WORDS: usize> KnownSet<WORDS> {
    pub(crate) const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    /// Adds a hash; true if it was surely not there before.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        let hash = mix(hash);
        let first = self.set(hash as u32);
        let second = self.set((hash >> 32) as u32);
        first || second
    }

    /// Adds all members of another set.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words) {
            *word |= more;
        }
    }

    /// About how many members it has: by the share of bits that are set (Swamidass and Baldi 2007).
    pub(crate) fn members(&self) -> f64 {
        let bits = (WORDS * 64) as f64;
        let set: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        // A full set has lost count; one bit less is the most that can be told.
        let set = f64::from(set).min(bits - 1.0);
        -(bits / BITS_A_MEMBER) * (1.0 - set / bits).ln()
    }

    /// What may be in both sets: the members that they share, and now and then one more.
    pub(crate) fn in_both(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (word, other) in both.words.iter_mut().zip(other.words) {
            *word &= other;
        }
        both
    }

    /// False only if the hash was surely never added.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let hash = mix(hash);
        self.has(hash as u32) && self.has((hash >> 32) as u32)
    }

    fn set(&mut self, bit: u32) -> bool {
        let Some(word) = self.words.get_mut(bit as usize / 64 % WORDS.max(1)) else {
            return false;
        };
        let mask = 1u64 << (bit % 64);
        let fresh = *word & mask == 0;
        *word |= mask;
        fresh
    }

    fn has(&self, bit: u32) -> bool {
        self.words
            .get(bit as usize / 64 % WORDS.max(1))
            .is_some_and(|word| *word & (1u64 << (bit % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_never_called_new_and_few_strangers_are_called_known() {
        let mut known = KnownSet::<16>::new();
        for n in 0..128u64 {
            known.insert(n);
        }
        assert!((0..128).all(|n| known.may_contain(n)));
        let mistaken = (1_000..11_000).filter(|n| known.may_contain(*n)).count();
        assert!(
            mistaken < 1_000,
            "{mistaken} of 10,000 strangers passed as known"
        );
    }

    #[test]
    fn members_are_counted_by_the_bits_they_set() {
        let mut known = KnownSet::<16>::new();
        assert_eq!(known.members(), 0.0);
        for n in 0..100u64 {
            known.insert(n);
        }
        assert!((known.members() - 100.0).abs() < 8.0, "{}", known.members());
        (0..100_000u64).for_each(|n| {
            known.insert(n);
        });
        assert!(known.members().is_finite());
    }

    #[test]
    fn inserting_twice_is_news_once() {
        let mut known = KnownSet::<4>::new();
        assert!(known.insert(7));
        assert!(!known.insert(7));
    }
}
