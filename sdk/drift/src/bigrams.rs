//! Which operations an identity uses and which follows which, in a fixed number of places.
//!
//! Two set-associative tables of eight ways: operations by their id, transitions by a fingerprint
//! within the set that their hash chooses.
//!
//! **Catches** everything while there are places; people have about a hundred operations and four
//! hundred transitions, services fewer. **Misses**, once a set is full, the rarest: a newcomer wears
//! the lightest entry down and takes its place when nothing is left of it, so what keeps coming back
//! gets in, and a flood of keys that come once does not push out what is used every day. **Ages** by halves when a
//! count would overflow: equal histories are equal bytes.
//!
//! Why not the sorted table of the reports: a lookup there is a walk over cache lines, here it is two
//! of them; and an identity must fit into two kibibytes. Why not a count-min sketch: the smoothing
//! needs the number of distinct successors, and a verdict must name what it knows.

mod followed;
mod written;

use std::fmt;

use crate::event::{OperationId, mix};
use crate::habits::Sequence;
use followed::Followed;

/// Entries that share a set: one cache line of ids, a quarter of one of fingerprints.
const WAYS: usize = 8;
/// The adaptive habits of one identity: at most 2 KiB.
pub(crate) type Adaptive = Bigrams<104, 424>;
/// The frozen ones: at most 1 KiB.
pub(crate) type Frozen = Bigrams<64, 184>;

/// Counts of operations and of transitions.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bigrams<const OPERATIONS: usize, const TRANSITIONS: usize> {
    /// [`OperationId::OTHER`], which is 0, marks a free place.
    ids: [u32; OPERATIONS],
    counts: [u16; OPERATIONS],
    /// Distinct operations seen after this one; stays at 255.
    successors: [u8; OPERATIONS],
    followed: [Followed; TRANSITIONS],
    /// Everything that was ever counted and not aged, with and without a place.
    total: u32,
    held: u16,
}

/// What is known about one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its calls.
    pub(crate) count: u16,
    /// Distinct operations that followed it.
    pub(crate) successors: u8,
}

/// Where a transition belongs, and how it is marked there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    set: usize,
    mark: u16,
}

impl Spot {
    const fn of(from: OperationId, to: OperationId, sets: usize) -> Self {
        let hash = mix(((from.get() as u64) << 32) | to.get() as u64);
        Self {
            // The high bits; the remainder of a division by a constant is a multiplication.
            set: (hash >> 32) as usize % sets,
            mark: (hash as u32 & Followed::MOST) as u16,
        }
    }
}

impl<const O: usize, const T: usize> Bigrams<O, T> {
    const OPERATION_SETS: usize = O / WAYS;
    const TRANSITION_SETS: usize = T / WAYS;

    pub(crate) const fn new() -> Self {
        const {
            assert!(O.is_multiple_of(WAYS) && T.is_multiple_of(WAYS));
        }
        Self {
            ids: [0; O],
            counts: [0; O],
            successors: [0; O],
            followed: [Followed::NONE; T],
            total: 0,
            held: 0,
        }
    }

    /// Calls in all.
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// Share of the calls whose operation has lost its place.
    pub(crate) fn forgotten(&self) -> f64 {
        let lost = self.total.saturating_sub(self.placed());
        f64::from(lost) / f64::from(self.total.max(1))
    }

    /// Distinct operations that have a place.
    pub(crate) const fn distinct(&self) -> u16 {
        self.held
    }

    /// What is known about an operation; nothing when it has no place.
    pub(crate) fn operation(&self, operation: OperationId) -> Known {
        let (start, ids) = set_of(&self.ids, operation_set(operation, Self::OPERATION_SETS));
        let Some(way) = ids.iter().position(|id| *id == operation.get() && *id != 0) else {
            return Known::default();
        };
        Known {
            count: at(&self.counts, start + way),
            successors: at(&self.successors, start + way),
        }
    }

    /// How often a transition was seen.
    pub(crate) fn transition(&self, from: OperationId, to: OperationId) -> u32 {
        self.followed(Spot::of(from, to, Self::TRANSITION_SETS))
    }

    /// Known operations.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (OperationId, Known)> + '_ {
        let entries = self.ids.iter().zip(&self.counts).zip(&self.successors);
        entries
            .filter(|((id, _), _)| **id != 0)
            .map(|((id, count), successors)| {
                let known = Known {
                    count: *count,
                    successors: *successors,
                };
                (OperationId::numbered(*id), known)
            })
    }

    /// Known transitions between known operations. A table knows transitions by their fingerprints
    /// alone, so every pair of operations is asked; of several pairs with the fingerprint of one entry
    /// it is taken to be the one of the busiest operations. Not for a request path.
    pub(crate) fn transitions(&self) -> Vec<(OperationId, OperationId, u32)> {
        let known: Vec<_> = self.operations().collect();
        let mut named = vec![None; T];
        for (from, before) in known.iter().filter(|(_, known)| known.successors > 0) {
            for (to, after) in &known {
                let spot = Spot::of(*from, *to, Self::TRANSITION_SETS);
                let (start, ways) = set_of(&self.followed, spot.set);
                let Some(way) = ways.iter().position(|held| held.is(spot.mark)) else {
                    continue;
                };
                let busy = before.count.min(after.count);
                if let Some(name) = named.get_mut(start + way) {
                    *name = (*name).max(Some((busy, *from, *to)));
                }
            }
        }
        let entries = named.into_iter().zip(&self.followed);
        let named = entries.filter_map(|(name, held)| {
            let (_, from, to) = name?;
            Some((from, to, held.count()))
        });
        named.collect()
    }

    /// Learns a window of calls.
    pub(crate) fn learn(&mut self, window: &Sequence) {
        for (operation, calls) in window.operations.entries() {
            self.count(*operation, (*calls).min(MOST_AT_ONCE));
        }
        for ((from, to), calls) in window.transitions.entries() {
            self.follow(*from, *to, (*calls).min(MOST_AT_ONCE));
        }
        let lost = u32::try_from(window.operations.overflow()).unwrap_or(u32::MAX);
        self.total = self.total.saturating_add(lost);
    }

    /// Learns of a window only which kinds of calls there are: each once, however often it was made.
    pub(crate) fn learn_kinds(&mut self, window: &Sequence) {
        for (operation, _) in window.operations.entries() {
            self.count(*operation, 1);
        }
        for ((from, to), _) in window.transitions.entries() {
            self.follow(*from, *to, 1);
        }
    }

    /// Adds another table.
    pub(crate) fn merge(&mut self, other: &Self) {
        let unplaced = other.total.saturating_sub(other.placed());
        for (operation, known) in other.operations() {
            self.count(operation, u32::from(known.count));
            self.raise_successors(operation, known.successors);
        }
        for (spot, count) in other.spots() {
            self.insert(spot, count);
        }
        self.total = self.total.saturating_add(unplaced);
    }

    /// The heaviest of it in a smaller table.
    pub(crate) fn condensed<const P: usize, const U: usize>(&self) -> Bigrams<P, U> {
        let mut small = Bigrams::new();
        let mut operations: Vec<_> = self.operations().collect();
        operations.sort_by(|(left, a), (right, b)| b.count.cmp(&a.count).then(left.cmp(right)));
        for (operation, known) in operations {
            if small.has_room_for(operation) {
                small.count(operation, u32::from(known.count));
                small.raise_successors(operation, known.successors);
            }
        }
        let mut transitions = self.transitions();
        transitions.sort_by_key(|(from, to, count)| (std::cmp::Reverse(*count), *from, *to));
        for (from, to, count) in transitions {
            let spot = Spot::of(from, to, U / WAYS);
            if small.has_room_at(spot) {
                small.insert(spot, count);
            }
        }
        small.total = self.total;
        small
    }

    /// Forgets half of everything.
    pub(crate) fn age(&mut self) {
        let old = self.clone();
        *self = Self::new();
        for (operation, known) in old.operations().filter(|(_, known)| known.count > 1) {
            self.count(operation, u32::from(known.count / 2));
            self.raise_successors(operation, known.successors);
        }
        for (spot, count) in old.spots().filter(|(_, count)| *count > 1) {
            self.insert(spot, count / 2);
        }
        self.total = old.total / 2;
    }

    fn spots(&self) -> impl Iterator<Item = (Spot, u32)> + '_ {
        let held = self.followed.iter().enumerate();
        held.filter(|(_, held)| held.count() > 0)
            .map(|(place, held)| {
                let spot = Spot {
                    set: place / WAYS,
                    mark: held.mark(),
                };
                (spot, held.count())
            })
    }

    fn placed(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    fn count(&mut self, operation: OperationId, calls: u32) {
        let calls = calls.min(u32::from(u16::MAX));
        if calls > 0 && operation != OperationId::OTHER {
            match self.place_of(operation) {
                None => self.admit(operation, calls as u16),
                Some(place) => {
                    let Some(sum) = at(&self.counts, place).checked_add(calls as u16) else {
                        self.age();
                        return self.count(operation, calls);
                    };
                    set(&mut self.counts, place, sum);
                }
            }
        }
        self.total = self.total.saturating_add(calls);
    }

    fn follow(&mut self, from: OperationId, to: OperationId, calls: u32) {
        let spot = Spot::of(from, to, Self::TRANSITION_SETS);
        let news = self.followed(spot) == 0;
        if calls > 0 && self.insert(spot, calls) && news {
            self.add_successor(from);
        }
    }

    fn add_successor(&mut self, from: OperationId) {
        if let Some(place) = self.place_of(from) {
            let successors = at(&self.successors, place).saturating_add(1);
            set(&mut self.successors, place, successors);
        }
    }

    fn raise_successors(&mut self, from: OperationId, least: u8) {
        if let Some(place) = self.place_of(from) {
            let successors = at(&self.successors, place).max(least);
            set(&mut self.successors, place, successors);
        }
    }

    fn followed(&self, spot: Spot) -> u32 {
        let (_, ways) = set_of(&self.followed, spot.set);
        let found = ways.iter().find(|held| held.is(spot.mark));
        found.map_or(0, |held| held.count())
    }

    fn place_of(&self, operation: OperationId) -> Option<usize> {
        let (start, ids) = set_of(&self.ids, operation_set(operation, Self::OPERATION_SETS));
        let way = ids.iter().position(|id| *id == operation.get())?;
        (operation != OperationId::OTHER).then_some(start + way)
    }

    fn has_room_for(&self, operation: OperationId) -> bool {
        let (_, ids) = set_of(&self.ids, operation_set(operation, Self::OPERATION_SETS));
        ids.contains(&0)
    }

    fn has_room_at(&self, spot: Spot) -> bool {
        let (_, ways) = set_of(&self.followed, spot.set);
        ways.contains(&Followed::NONE)
    }

    /// Gives a new operation a place, if it can win one.
    fn admit(&mut self, operation: OperationId, calls: u16) {
        let start = operation_set(operation, Self::OPERATION_SETS) * WAYS;
        let Some(counts) = self.counts.get_mut(start..start + WAYS) else {
            return;
        };
        let Some((way, lightest)) = counts
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, count)| **count)
        else {
            return;
        };
        if *lightest > calls {
            *lightest -= calls;
            return;
        }
        let place = start + way;
        self.held += u16::from(at(&self.ids, place) == 0);
        set(&mut self.ids, place, operation.get());
        set(&mut self.counts, place, calls);
        set(&mut self.successors, place, 0);
        let mut place = place;
        while let Some(other) = step(place, start, |place| free_last(at(&self.ids, place))) {
            self.ids.swap(place, other);
            self.counts.swap(place, other);
            self.successors.swap(place, other);
            place = other;
        }
    }

    /// Counts a transition; whether it has a place now.
    fn insert(&mut self, spot: Spot, calls: u32) -> bool {
        let calls = calls.min(Followed::MOST);
        let start = spot.set * WAYS;
        let Some(ways) = self.followed.get_mut(start..start + WAYS) else {
            return false;
        };
        if let Some(held) = ways.iter_mut().find(|held| held.is(spot.mark)) {
            let sum = held.count() + calls;
            if sum > Followed::MOST {
                self.age();
                return self.insert(spot, calls);
            }
            *held = Followed::new(spot.mark, sum);
            return true;
        }
        let Some((way, lightest)) = ways
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, held)| held.count())
        else {
            return false;
        };
        if lightest.count() > calls {
            *lightest = Followed::new(lightest.mark(), lightest.count() - calls);
            return false;
        }
        self.settle(start + way, Followed::new(spot.mark, calls));
        true
    }

    /// Puts a transition into a place of its set, and the set in order.
    fn settle(&mut self, place: usize, entry: Followed) {
        set(&mut self.followed, place, entry);
        let (mut place, start) = (place, place - place % WAYS);
        let rank = |held: Followed| (held.count() == 0, held.mark());
        while let Some(other) = step(place, start, |place| rank(at(&self.followed, place))) {
            self.followed.swap(place, other);
            place = other;
        }
    }
}

impl<const O: usize, const T: usize> fmt::Debug for Bigrams<O, T> {
    /// In numbers: nobody reads thousands of places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bigrams")
            .field("calls", &self.total)
            .field("operations", &self.held)
            .field("transitions", &self.spots().count())
            .finish()
    }
}

/// Calls of one kind that one window teaches: a quarter of what a count holds, so that no window ages a
/// table more than once.
const MOST_AT_ONCE: u32 = Followed::MOST / 4;

fn operation_set(operation: OperationId, sets: usize) -> usize {
    mix(u64::from(operation.get())) as usize % sets
}

fn set_of<V>(places: &[V], set: usize) -> (usize, &[V]) {
    let start = set * WAYS;
    (start, places.get(start..start + WAYS).unwrap_or(&[]))
}

fn at<V: Copy + Default>(places: &[V], place: usize) -> V {
    places.get(place).copied().unwrap_or_default()
}

fn set<V>(places: &mut [V], place: usize, value: V) {
    if let Some(held) = places.get_mut(place) {
        *held = value;
    }
}

/// Ids in order, free places last.
fn free_last(id: u32) -> (bool, u32) {
    (id == 0, id)
}

/// Where the entry at `place` has to go next, so that the entries of its set are sorted and equal
/// contents are equal bytes.
fn step<R: Ord>(place: usize, start: usize, rank: impl Fn(usize) -> R) -> Option<usize> {
    if place > start && rank(place) < rank(place - 1) {
        Some(place - 1)
    } else if place + 1 < start + WAYS && rank(place + 1) < rank(place) {
        Some(place + 1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
