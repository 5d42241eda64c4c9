//! Which nodes have ended, and where in the log: written by the reader of the feed, read by every request.
//!
//! **What it catches.** Every token at or under a node that was ended after the token was issued; a storm of a million
//! nodes is taken in at the price of one line of memory each, and requests never wait for it.
//!
//! **What it misses.** What has not arrived; and whoever reads while a larger table takes the place of this one sees an
//! earlier moment, as if he had asked before ([`FeedView::generation`](super::FeedView::generation) moves after it).
//!
//! Open addressing over pairs of two words, a node and its place. A pair is written once, node first, and its place only
//! rises after that, so a reader that sees a place sees the node it belongs to, without a lock or a counter. Nothing is
//! ever taken out of a table: what the floor has made needless is left behind when a new one is made.
//!
//! Why not a concurrent map: it allocates for each entry and counts its readers, and eight gateways that took in a
//! million nodes at once spent 2.3 us on each, in cache misses. Why not a map behind a lock: then whoever takes in a
//! storm holds up requests.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use lanyard_token::{NodeId, Rev};

/// Pairs of the first table.
const LEAST: usize = 64;
/// One pair in two is used at most: a search then ends after two or three, which lie side by side.
const SPARE: usize = 2;
/// 2^64 over the golden ratio: numbers that follow one another come to lie far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The places at which nodes ended.
pub(super) struct Watermarks {
    table: ArcSwap<Table>,
    /// How many pairs are used; held by whoever writes.
    used: Mutex<usize>,
}

struct Table {
    pairs: Box<[Pair]>,
    /// Random, so that nobody can choose nodes that lie in each other's way.
    seed: u64,
}

/// Free while the place is 0, at which nothing can end.
#[derive(Default)]
struct Pair {
    node: AtomicU64,
    place: AtomicU64,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self {
            table: ArcSwap::from_pointee(Table::with_room(0)),
            used: Mutex::new(0),
        }
    }
}

impl Watermarks {
    /// Whether one of these nodes ended after `rev`.
    pub(super) fn any_above(&self, rev: Rev, nodes: &[NodeId]) -> bool {
        let table = self.table.load();
        nodes
            .iter()
            .any(|node| table.place(*node).is_some_and(|place| place > rev.as_u64()))
    }

    /// These ended, `most` of them at most, each at its place; of two places of one node the later counts.
    pub(super) fn raise(&self, most: usize, ended: impl Iterator<Item = (NodeId, Rev)>) {
        let mut used = self.writing();
        let mut table = self.table.load_full();
        let room = used.saturating_add(most);
        if room.saturating_mul(SPARE) > table.pairs.len() {
            // Twice what is there, so that entries that come one by one do not each make a table.
            let larger = Table::with_room(room.max(*used * 2));
            *used = larger.take(&table, Rev::ZERO);
            self.table.store(larger.into());
            table = self.table.load_full();
        }
        for (node, rev) in ended.take(most) {
            *used += usize::from(table.raise(node, rev.as_u64()));
        }
    }

    /// Forgets what is not above the floor.
    pub(super) fn forget(&self, floor: Rev) {
        let mut used = self.writing();
        if *used == 0 {
            return;
        }
        let table = self.table.load_full();
        let left = table.above(floor).count();
        let rest = Table::with_room(left);
        *used = rest.take(&table, floor);
        self.table.store(rest.into());
    }

    fn writing(&self) -> MutexGuard<'_, usize> {
        // Whatever a panic left half done is an entry more or less counted: the table grows a little sooner.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn with_room(entries: usize) -> Self {
        let pairs = entries.saturating_mul(SPARE).max(LEAST).next_power_of_two();
        Self {
            pairs: (0..pairs).map(|_| Pair::default()).collect(),
            seed: RandomState::new().hash_one(0),
        }
    }

    fn place(&self, node: NodeId) -> Option<u64> {
        for pair in self.search(node) {
            match pair.place.load(Ordering::Acquire) {
                0 => return None,
                place if pair.node.load(Ordering::Relaxed) == node.as_u64() => return Some(place),
                _ => {}
            }
        }
        None
    }

    /// Whether a pair was used for it. Only for whoever holds the lock.
    fn raise(&self, node: NodeId, place: u64) -> bool {
        for pair in self.search(node) {
            let known = pair.place.load(Ordering::Relaxed);
            if known == 0 {
                pair.node.store(node.as_u64(), Ordering::Relaxed);
                pair.place.store(place, Ordering::Release);
                return place != 0;
            }
            if pair.node.load(Ordering::Relaxed) == node.as_u64() {
                if place > known {
                    pair.place.store(place, Ordering::Release);
                }
                return false;
            }
        }
        false
    }

    /// Takes what is above `floor` of another table, and says how much it was.
    fn take(&self, other: &Self, floor: Rev) -> usize {
        other
            .above(floor)
            .filter(|(node, place)| self.raise(*node, *place))
            .count()
    }

    fn above(&self, floor: Rev) -> impl Iterator<Item = (NodeId, u64)> {
        self.pairs.iter().filter_map(move |pair| {
            let place = pair.place.load(Ordering::Relaxed);
            let node = NodeId::from_u64(pair.node.load(Ordering::Relaxed));
            (place > floor.as_u64()).then_some((node, place))
        })
    }

    /// All pairs, from the one at which a node is looked for first.
    fn search(&self, node: NodeId) -> impl Iterator<Item = &Pair> {
        let spread = (node.as_u64() ^ self.seed).wrapping_mul(SPREAD);
        // The upper half of the product as a fraction of the table.
        let first = ((u128::from(spread) * self.pairs.len() as u128) >> 64) as usize;
        let (before, from) = self.pairs.split_at(first);
        from.iter().chain(before)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::from_u64(number)
    }

    fn rev(number: u64) -> Rev {
        Rev::from_u64(number).unwrap()
    }

    fn raise(marks: &Watermarks, number: u64, at: u64) {
        marks.raise(1, std::iter::once((node(number), rev(at))));
    }

    proptest! {
        #[test]
        fn it_answers_as_a_map_would(
            steps in prop::collection::vec((0_u64..300, 1_u64..100, 0_u8..12), 0..600)
        ) {
            let (marks, mut map) = (Watermarks::default(), HashMap::<u64, u64>::new());
            for (number, at, what) in steps {
                if what == 0 {
                    marks.forget(rev(at / 2));
                    map.retain(|_, place| *place > at / 2);
                } else {
                    raise(&marks, number, at);
                    let known = map.entry(number).or_insert(at);
                    *known = at.max(*known);
                }
            }
            for number in 0..300 {
                for at in [0, 1, 49, 50, 99] {
                    let expected = map.get(&number).is_some_and(|place| *place > at);
                    prop_assert_eq!(marks.any_above(rev(at), &[node(number)]), expected);
                }
            }
        }
    }

    #[test]
    fn many_that_follow_one_another_lie_apart() {
        let marks = Watermarks::default();
        marks.raise(
            100_000,
            (0..100_000).map(|number| (node(number << 8), rev(7))),
        );
        let table = marks.table.load();
        let longest = (0..100_000).map(|number| {
            let sought = node(number << 8).as_u64();
            table
                .search(node(sought))
                .position(|pair| pair.node.load(Ordering::Relaxed) == sought)
        });
        assert!(longest.map(Option::unwrap).max().unwrap() < 64);
        assert!(!marks.any_above(rev(6), &[node(1), node(u64::MAX)]));
    }

    #[test]
    fn what_has_ended_stays_ended_for_those_who_read_while_the_table_grows() {
        let marks = Arc::new(Watermarks::default());
        raise(&marks, 1, 5);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200_000 {
                        assert!(marks.any_above(rev(4), &[node(1)]));
                        assert!(!marks.any_above(rev(4), &[node(u64::MAX)]));
                    }
                });
            }
            for number in 2..200_000 {
                raise(&marks, number, 6);
                if number % 50_000 == 0 {
                    marks.forget(rev(4));
                }
            }
        });
        assert!((2..200_000).all(|number| marks.any_above(rev(5), &[node(number)])));
    }
}
