//! Which operations an identity uses and which follows which, in a fixed number of places.
//!
//! Operations are sorted by their id; transitions are [`Rows`] of places, two bytes each, so every one
//! of them is named exactly and nothing depends on hashes.
//!
//! **Catches** everything while there are places; people have about a hundred operations and four
//! hundred transitions, services fewer. **Misses**, once all are taken, the rarest: a newcomer wears the
//! lightest entry of all down and takes its place when nothing is left of it, so what keeps coming back
//! gets in, and a flood of keys that come once does not push out what is used every day. An operation
//! takes its transitions along when it goes. **Ages** by halves when a count would overflow, and never
//! forgets by that what was seen once: rare things tell people apart, and only the want of places may
//! cost them. Equal histories are equal bytes.
//!
//! Why more places for operations than most identities fill: an operation that comes and goes at the
//! edge of the table takes its transitions with it each time, which costs three times as much as
//! fewer transitions do (docs/drift.md). Why not sets chosen by a hash: luck then decides what is
//! forgotten. Why not a count-min sketch: the smoothing needs the number of distinct successors, and a
//! verdict must name what it knows.

mod rows;
mod weight;
mod written;

use std::fmt;

use crate::event::{OperationId, mix};
use crate::habits::Sequence;
pub(crate) use rows::Row;
use rows::Rows;
use weight::Weight;

/// The adaptive habits of one identity: at most 2 KiB.
pub(crate) type Adaptive = Bigrams<144, 444>;
/// The frozen ones: at most 1 KiB.
pub(crate) type Frozen = Bigrams<72, 216>;

/// Counts of operations and of transitions.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bigrams<const OPERATIONS: usize, const TRANSITIONS: usize> {
    /// Ascending; [`OperationId::OTHER`], which is 0, behind the last one.
    ids: [u32; OPERATIONS],
    counts: [u16; OPERATIONS],
    /// Distinct operations seen after this one; stays at 255.
    successors: [u8; OPERATIONS],
    rows: Rows<OPERATIONS, TRANSITIONS>,
    /// Everything that was ever counted and not aged, with and without a place.
    total: u32,
    held: u8,
}

/// What is known about one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its calls.
    pub(crate) count: u16,
    /// Distinct operations that followed it.
    pub(crate) successors: u8,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

impl<const O: usize, const T: usize> Bigrams<O, T> {
    pub(crate) const fn new() -> Self {
        Self {
            ids: [0; O],
            counts: [0; O],
            successors: [0; O],
            rows: Rows::new(),
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
        self.held as u16
    }

    /// Where an operation stands; `None` when it has no place.
    pub(crate) fn place(&self, operation: OperationId) -> Option<Place> {
        self.find(operation).ok().map(Place)
    }

    /// What is known about the operation in a place.
    pub(crate) fn known(&self, Place(place): Place) -> Known {
        Known {
            count: at(&self.counts, place),
            successors: at(&self.successors, place),
        }
    }

    /// What is known about an operation; nothing when it has no place.
    pub(crate) fn operation(&self, operation: OperationId) -> Known {
        let place = self.place(operation);
        place.map_or(Known::default(), |place| self.known(place))
    }

    /// What followed the operation in a place.
    pub(crate) fn after(&self, Place(place): Place) -> Row<'_> {
        self.rows.row(place)
    }

    /// How often a transition was seen.
    #[cfg(test)]
    pub(crate) fn transition(&self, from: OperationId, to: OperationId) -> u32 {
        let places = self.place(from).zip(self.place(to));
        places.map_or(0, |(from, to)| self.after(from).count(to))
    }

    /// Known operations.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (OperationId, Known)> + '_ {
        let entries = self.ids.iter().zip(&self.counts).zip(&self.successors);
        let held = entries.take(usize::from(self.held));
        held.map(|((id, count), successors)| {
            let known = Known {
                count: *count,
                successors: *successors,
            };
            (OperationId::numbered(*id), known)
        })
    }

    /// Known transitions between known operations, sorted.
    pub(crate) fn transitions(&self) -> impl Iterator<Item = (OperationId, OperationId, u32)> + '_ {
        let named = |place| OperationId::numbered(at(&self.ids, place));
        let entries = self.rows.entries();
        entries.map(move |(from, to, weight)| (named(from), named(to), weight.count()))
    }

    /// Learns a window of calls.
    pub(crate) fn learn(&mut self, window: &Sequence) {
        for (operation, calls) in window.operations.entries() {
            self.count(*operation, (*calls).min(MOST_AT_ONCE));
        }
        self.follow_all(window, |calls| calls.min(MOST_AT_ONCE));
        // At most as much as any one operation: one window is no history.
        let lost = window.operations.overflow().min(u64::from(MOST_AT_ONCE));
        self.total = self.total.saturating_add(lost as u32);
    }

    /// Learns of a window only which kinds of calls there are: each once, however often it was made.
    pub(crate) fn learn_kinds(&mut self, window: &Sequence) {
        for (operation, _) in window.operations.entries() {
            self.count(*operation, 1);
        }
        self.follow_all(window, |_| 1);
    }

    /// Adds another table.
    pub(crate) fn merge(&mut self, other: &Self) {
        let unplaced = other.total.saturating_sub(other.placed());
        for (operation, known) in other.operations() {
            self.count(operation, u32::from(known.count));
            self.raise_successors(operation, known.successors);
        }
        for (from, to, count) in other.transitions() {
            if let Some((from, to)) = self.place(from).zip(self.place(to)) {
                self.insert(from, to, count);
            }
        }
        self.total = self.total.saturating_add(unplaced);
    }

    /// The heaviest of it in a smaller table.
    pub(crate) fn condensed<const P: usize, const U: usize>(&self) -> Bigrams<P, U> {
        let mut small = Bigrams::new();
        let mut operations: Vec<_> = self.operations().collect();
        operations.sort_by(|(left, a), (right, b)| b.count.cmp(&a.count).then(left.cmp(right)));
        for (operation, known) in operations.into_iter().take(P) {
            small.count(operation, u32::from(known.count));
            small.raise_successors(operation, known.successors);
        }
        let mut transitions: Vec<_> = self
            .transitions()
            .filter_map(|(from, to, count)| Some((count, small.place(from)?, small.place(to)?)))
            .collect();
        transitions.sort_by_key(|(count, from, to)| (std::cmp::Reverse(*count), from.0, to.0));
        for (count, from, to) in transitions.into_iter().take(U) {
            small.insert(from, to, count);
        }
        small.total = self.total;
        small
    }

    /// Halves all counts; what is left of one is one.
    pub(crate) fn age(&mut self) {
        for count in &mut self.counts {
            *count = count.div_ceil(2);
        }
        self.rows.halve();
        self.total = (self.total / 2).max(self.placed());
    }

    fn placed(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    fn count(&mut self, operation: OperationId, calls: u32) {
        let calls = calls.min(u32::from(u16::MAX));
        if calls > 0 && operation != OperationId::OTHER {
            match self.find(operation) {
                Err(place) => self.admit(operation, place, calls as u16),
                Ok(place) => {
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

    /// Counts the transitions of a window between operations that have places.
    fn follow_all(&mut self, window: &Sequence, counted: impl Fn(u32) -> u32) {
        // Sorted by what came first, which is looked up once for all that followed it.
        let mut before = (OperationId::OTHER, None);
        for ((from, to), calls) in window.transitions.entries() {
            if before.0 != *from {
                before = (*from, self.place(*from));
            }
            if let Some((from, to)) = before.1.zip(self.place(*to)) {
                self.follow(from, to, counted(*calls));
            }
        }
    }

    fn follow(&mut self, from: Place, to: Place, calls: u32) {
        if self.insert(from, to, calls) == Insertion::New {
            let successors = at(&self.successors, from.0).saturating_add(1);
            set(&mut self.successors, from.0, successors);
        }
    }

    fn raise_successors(&mut self, from: OperationId, least: u8) {
        if let Some(Place(place)) = self.place(from) {
            let successors = at(&self.successors, place).max(least);
            set(&mut self.successors, place, successors);
        }
    }

    /// Its place, or where it would have to be.
    fn find(&self, operation: OperationId) -> Result<usize, usize> {
        let held = self.ids.get(..usize::from(self.held)).unwrap_or(&[]);
        held.binary_search(&operation.get())
    }

    /// Gives a new operation a place, if it can win one.
    fn admit(&mut self, operation: OperationId, place: usize, calls: u16) {
        if usize::from(self.held) < O {
            return self.open(operation, place, calls);
        }
        let Some(lightest) = self.lightest() else {
            return;
        };
        let count = at(&self.counts, lightest);
        if count > calls {
            return set(&mut self.counts, lightest, count - calls);
        }
        self.close(lightest);
        self.open(operation, place - usize::from(lightest < place), calls);
    }

    /// The operation with the fewest calls, the first from a drawn one on.
    fn lightest(&self) -> Option<usize> {
        let held = self.counts.get(..usize::from(self.held))?;
        let least = held.iter().min()?;
        let start = (self.draw(0) % held.len().max(1) as u64) as usize;
        let (before, after) = held.split_at_checked(start)?;
        let at = after.iter().position(|count| count == least);
        let at = at.map(|at| at + start);
        at.or_else(|| before.iter().position(|count| count == least))
    }

    fn open(&mut self, operation: OperationId, place: usize, calls: u16) {
        shift_in(&mut self.ids, place, operation.get());
        shift_in(&mut self.counts, place, calls);
        shift_in(&mut self.successors, place, 0);
        self.rows.open(place);
        self.held += 1;
    }

    fn close(&mut self, place: usize) {
        shift_out(&mut self.ids, place);
        shift_out(&mut self.counts, place);
        shift_out(&mut self.successors, place);
        self.rows.close(place);
        self.held -= 1;
    }

    /// Counts a transition.
    fn insert(&mut self, from: Place, to: Place, calls: u32) -> Insertion {
        if calls == 0 {
            return Insertion::Refused;
        }
        let (Place(before), Place(after)) = (from, to);
        let draw = self.draw((before << 8 | after) as u64);
        if let Ok(entry) = self.rows.row(before).find(after) {
            let sum = self.rows.weight(entry).count().saturating_add(calls);
            if sum > Weight::MOST && calls < Weight::MOST {
                self.age();
                return self.insert(from, to, calls);
            }
            self.rows.set(entry, Weight::of(sum, draw));
            return Insertion::Known;
        }
        if self.rows.is_full() {
            let Some(lightest) = self.rows.lightest(draw) else {
                return Insertion::Refused;
            };
            let count = self.rows.weight(lightest).count();
            if count > calls {
                self.rows.set(lightest, Weight::of(count - calls, draw));
                return Insertion::Refused;
            }
            self.rows.remove(lightest);
        }
        self.rows.insert(before, after, Weight::of(calls, draw));
        Insertion::New
    }

    /// A number that is another one for each thing in each window, and the same for equal histories.
    const fn draw(&self, what: u64) -> u64 {
        mix((self.total as u64) << 16 ^ what)
    }
}

/// What became of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Insertion {
    Known,
    New,
    /// It has no place.
    Refused,
}

impl<const O: usize, const T: usize> fmt::Debug for Bigrams<O, T> {
    /// In numbers: nobody reads thousands of places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bigrams")
            .field("calls", &self.total)
            .field("operations", &self.held)
            .field("transitions", &self.rows.len())
            .finish()
    }
}

/// Calls of one kind that one window teaches: a quarter of what a count holds, so that no window ages a
/// table more than once.
const MOST_AT_ONCE: u32 = Weight::MOST / 4;

fn at<V: Copy + Default>(places: &[V], place: usize) -> V {
    places.get(place).copied().unwrap_or_default()
}

fn set<V>(places: &mut [V], place: usize, value: V) {
    if let Some(held) = places.get_mut(place) {
        *held = value;
    }
}

fn shift_in<V>(places: &mut [V], place: usize, value: V) {
    if let Some(moved) = places.get_mut(place..) {
        moved.rotate_right(1);
        set(moved, 0, value);
    }
}

fn shift_out<V: Copy + Default>(places: &mut [V], place: usize) {
    if let Some(moved) = places.get_mut(place..) {
        moved.rotate_left(1);
        if let Some(last) = moved.last_mut() {
            *last = V::default();
        }
    }
}

#[cfg(test)]
mod tests;
