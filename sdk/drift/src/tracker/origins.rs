//! The origins a token was last used from, and whether a call comes back to one of them.
//!
//! Who moves goes from one to the next and stays there: A … A B … B. Two hands on one token take turns:
//! A B A B. What tells them apart is the *return*: a call from where this token was before, with something
//! else in between. Counted within one gateway's stream of one token, like transitions; returns of several
//! gateways add up.
//!
//! Misses returns after [`RECENT`] others: a pool of many exits returns less often than it could, in what is
//! learned as in what is judged.

use crate::event::mix;
use crate::habits::Origin;

/// Origins remembered: two hands with two networks each.
const RECENT: usize = 4;

/// The latest origins, the last one first.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    /// Hashes; 0 where there is none yet.
    recent: [u64; RECENT],
}

impl Origins {
    /// Takes note of a call's origin; whether it was left before and is back.
    pub(super) fn returns(&mut self, origin: Origin) -> bool {
        // Absent and 0 are two things, and no origin is an empty place.
        let part = |part: Option<u64>| part.map_or(1, |hash| mix(hash) | 2);
        let hash = mix(part(origin.source) ^ mix(part(origin.client))) | 1;
        let at = self.recent.iter().position(|known| *known == hash);
        let until = at.unwrap_or(RECENT - 1);
        if let Some(moved) = self.recent.get_mut(..=until) {
            moved.rotate_right(1);
        }
        if let Some(first) = self.recent.first_mut() {
            *first = hash;
        }
        at.is_some_and(|at| at > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returns(sources: &[u64]) -> usize {
        let mut origins = Origins::default();
        let from = |source: &u64| Origin {
            source: Some(*source),
            client: None,
        };
        sources
            .iter()
            .filter(|source| origins.returns(from(source)))
            .count()
    }

    #[test]
    fn a_move_is_no_return_and_taking_turns_is_one_after_the_other() {
        assert_eq!(returns(&[1, 1, 1, 2, 2, 2, 3, 3]), 0);
        assert_eq!(returns(&[1, 2, 1, 2, 1, 1]), 3);
        assert_eq!(returns(&[0, 0, 0]), 0);
    }

    #[test]
    fn another_client_in_the_same_network_is_another_origin() {
        let mut origins = Origins::default();
        let mut turn = |client| {
            origins.returns(Origin {
                source: Some(7),
                client,
            })
        };
        assert!(!turn(Some(1)) && !turn(None) && turn(Some(1)) && turn(None));
    }

    #[test]
    fn what_was_too_many_origins_ago_is_forgotten() {
        assert_eq!(returns(&[1, 2, 3, 4, 1]), 1);
        assert_eq!(returns(&[1, 2, 3, 4, 5, 1]), 0);
    }
}
