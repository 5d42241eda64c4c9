//! Who does what: rendezvous hashing (highest random weight).
//!
//! Each key goes to the candidate with the highest hash of key and candidate together. Whoever knows
//! the same candidates, in whatever order, chooses the same; when one goes, only its own keys move,
//! and evenly to all others. **Misses**: candidates of unequal strength get equal shares, and one
//! heavy key stays heavy. Why not the key modulo their number: one more or less would move nearly
//! every key. Why not a ring: it needs a table of points to be even, and here a list is all there is.

use crate::event::mix;

/// The candidate for a key; `None` when there are none.
#[must_use]
pub fn rendezvous(key: u64, candidates: impl IntoIterator<Item = u64>) -> Option<u64> {
    candidates
        .into_iter()
        .max_by_key(|candidate| (mix(mix(key) ^ spread(*candidate)), *candidate))
}

/// Candidates are small numbers; those of their neighbours must not look alike.
const fn spread(candidate: u64) -> u64 {
    // The golden ratio in 64 bits: multiples of it lie as far apart as they can.
    mix(candidate
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = [0_u32; 16];
        for key in 0..160_000 {
            let at = rendezvous(key, 0..16).unwrap();
            counts[usize::try_from(at).unwrap()] += 1;
        }
        // Ten thousand each, plus or minus six deviations.
        assert!(
            counts.iter().all(|count| (9_400..10_600).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(rendezvous(7, []), None);
    }

    proptest! {
        #[test]
        fn the_choice_does_not_depend_on_the_order(
            key: u64,
            mut candidates in proptest::collection::vec(any::<u64>(), 1..20),
        ) {
            let chosen = rendezvous(key, candidates.iter().copied());
            candidates.reverse();
            prop_assert_eq!(rendezvous(key, candidates), chosen);
        }

        #[test]
        fn when_one_goes_only_its_own_keys_move(
            key: u64,
            candidates in proptest::collection::btree_set(any::<u64>(), 2..20),
            gone: prop::sample::Index,
        ) {
            let before = rendezvous(key, candidates.iter().copied()).unwrap();
            let gone = *gone.get(&candidates.iter().copied().collect::<Vec<_>>());
            let left = candidates.into_iter().filter(|candidate| *candidate != gone);
            let after = rendezvous(key, left).unwrap();
            prop_assert!(after == before || before == gone);
        }
    }
}
