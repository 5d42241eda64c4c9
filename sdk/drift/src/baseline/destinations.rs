//! Where each operation goes: pairs of operation and destination, in a fixed size.
//!
//! A pair is a habit once two windows have had it. Once is not a habit: a role's agents are many, each of
//! them errs now and then, and what one of them was talked into must not be usual for all. The sets are
//! of the kind that can say "surely not": a newcomer may be taken for known, a habit is never called new.
//!
//! How likely a window is to bring a pair that is no habit is a deleted estimate: each window is asked
//! what it would have brought, had it come last. A pair of one window would have been new then, and each
//! of the two windows of a pair would have found it seen once. Why not count the news as they come: at
//! the beginning everything is new, which says nothing about later, and sessions of agents are few.

use serde::{Deserialize, Serialize};

use crate::known::KnownSet;
use crate::report::TokenReport;

/// 1,024 bits a set: see the known module.
const WORDS: usize = 16;

/// The destinations of one identity, or of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Destinations {
    once: KnownSet<WORDS>,
    twice: KnownSet<WORDS>,
    thrice: KnownSet<WORDS>,
    /// Windows since the first that knew a destination, with one or without.
    windows: u32,
}

impl Destinations {
    pub(crate) const fn new() -> Self {
        Self {
            once: KnownSet::new(),
            twice: KnownSet::new(),
            thrice: KnownSet::new(),
            windows: 0,
        }
    }

    /// Whether nothing is known about where calls go.
    pub(crate) const fn is_empty(&self) -> bool {
        self.windows == 0
    }

    /// Whether a pair is usual.
    pub(crate) fn is_habit(&self, pair: u64) -> bool {
        self.twice.may_contain(pair)
    }

    /// How likely a window is to bring something that is no habit, here or of a role beside it.
    pub(crate) fn rarity(&self, role: Option<&Self>) -> f64 {
        let unknown_there = |here: &KnownSet<WORDS>| {
            let there = role.map_or(0.0, |role| here.in_both(&role.twice).members());
            (here.members() - there).max(0.0)
        };
        let (once, twice, thrice) = (
            unknown_there(&self.once),
            unknown_there(&self.twice),
            unknown_there(&self.thrice),
        );
        // Pairs of exactly one window, and both windows of pairs of exactly two.
        let would_be_new = (once - twice) + 2.0 * (twice - thrice);
        ((would_be_new.max(0.0) + 0.5) / (f64::from(self.windows) + 1.0)).min(1.0)
    }

    pub(crate) fn learn(&mut self, report: &TokenReport) {
        let pairs = report.destinations.entries();
        if pairs.is_empty() && self.is_empty() {
            return;
        }
        self.windows = self.windows.saturating_add(1);
        for (pair, _) in pairs {
            if self.twice.may_contain(*pair) {
                self.thrice.insert(*pair);
            }
            if self.once.may_contain(*pair) {
                self.twice.insert(*pair);
            }
            self.once.insert(*pair);
        }
    }

    /// Adds those of another identity: what two of them have seen is a habit of both together.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.thrice.merge(&other.thrice);
        self.thrice.merge(&self.once.in_both(&other.twice));
        self.thrice.merge(&self.twice.in_both(&other.once));
        self.twice.merge(&other.twice);
        self.twice.merge(&self.once.in_both(&other.once));
        self.once.merge(&other.once);
        self.windows = self.windows.saturating_add(other.windows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(pairs: &[u64]) -> TokenReport {
        let mut report = TokenReport::empty();
        for pair in pairs {
            report.destinations.add(*pair, &1);
        }
        report
    }

    fn learned(windows: &[&[u64]]) -> Destinations {
        let mut known = Destinations::new();
        for pairs in windows {
            known.learn(&window(pairs));
        }
        known
    }

    #[test]
    fn once_is_not_a_habit_and_twice_is() {
        let known = learned(&[&[1, 2], &[2]]);
        assert!(!known.is_habit(1) && known.is_habit(2) && !known.is_habit(3));
    }

    #[test]
    fn many_calls_in_one_window_are_still_once() {
        assert!(!learned(&[&[1, 1, 1]]).is_habit(1));
    }

    #[test]
    fn what_two_members_have_seen_is_a_habit_of_their_role_in_any_order_of_merging() {
        let members = [
            learned(&[&[1, 2]]),
            learned(&[&[2, 3]]),
            learned(&[&[3, 4]]),
        ];
        let merged = |order: [usize; 3]| {
            let mut role = Destinations::new();
            for member in order {
                role.merge(&members[member]);
            }
            role
        };
        let role = merged([0, 1, 2]);
        assert_eq!(role, merged([2, 0, 1]));
        assert!(role.is_habit(2) && role.is_habit(3));
        assert!(!role.is_habit(1) && !role.is_habit(4));
    }

    #[test]
    fn the_rarity_of_news_is_what_each_window_would_have_brought_had_it_come_last() {
        // Of forty windows two brought a pair that nobody else had, and two share a pair; the rest is usual.
        let mut windows: Vec<&[u64]> = vec![&[1]; 30];
        windows.extend::<[&[u64]; 10]>([&[2], &[3], &[4], &[4], &[], &[], &[], &[], &[], &[]]);
        let rarity = learned(&windows).rarity(None);
        assert!((rarity - 4.5 / 41.0).abs() < 0.01, "{rarity}");
    }

    #[test]
    fn whoever_is_for_ever_somewhere_new_is_never_surprising() {
        let mut known = Destinations::new();
        for pair in 0..40 {
            known.learn(&window(&[pair]));
        }
        assert!(known.rarity(None) > 0.9, "{}", known.rarity(None));
        // A webhook sender fills the sets, and everything is usual.
        for pair in 0..10_000 {
            known.learn(&window(&[pair]));
        }
        assert!(known.is_habit(1_000_000));
    }

    #[test]
    fn nothing_is_counted_before_a_first_destination_is_known() {
        assert!(learned(&[&[], &[]]).is_empty());
    }

    #[test]
    fn what_the_role_knows_is_no_news_of_its_members() {
        // Every window brings a place of its own, and each of them is known to the siblings.
        let windows: Vec<Vec<u64>> = (0..20).map(|place| vec![place]).collect();
        let windows: Vec<&[u64]> = windows.iter().map(Vec::as_slice).collect();
        let own = learned(&windows);
        let mut role = learned(&windows);
        role.merge(&learned(&windows));
        assert!(own.rarity(None) > 0.9);
        assert!(own.rarity(Some(&role)) < 0.1, "{}", own.rarity(Some(&role)));
        let strangers = learned(&[&[900, 901], &[900, 901]]);
        assert!(own.rarity(Some(&strangers)) > 0.8);
    }
}
