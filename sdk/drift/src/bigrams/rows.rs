//! Which operation follows which: for each place of an operation a row of the places that followed it.
//!
//! All rows lie behind one another, each sorted, so a transition takes two bytes: a place and a
//! [`Weight`]. It is named exactly by where it stands, and nothing depends on hashes. Once there is no
//! room left, the lightest of all transitions goes, whosever row it is in; of several that are
//! equally light one from anywhere, as told by a draw of the caller, or the rows of some operations
//! would lose all that is rare in them.
//!
//! Why not a table for each operation: most have three successors and some have sixty. Why not sets of
//! a hash table: which transitions share one, and push each other out, follows then from nothing but
//! their names; by those alone the figures of docs/drift.md moved by twenty points.

use super::Place;
use super::weight::Weight;

/// The rows of `O` places, together at most `T` entries.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Rows<const O: usize, const T: usize> {
    lengths: [u8; O],
    to: [u8; T],
    weights: [Weight; T],
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(usize);

impl<const O: usize, const T: usize> Rows<O, T> {
    pub(super) const fn new() -> Self {
        const {
            assert!(O < 256, "a place is a byte");
        }
        Self {
            lengths: [0; O],
            to: [0; T],
            weights: [Weight::NONE; T],
        }
    }

    /// Entries in all rows.
    pub(super) fn len(&self) -> usize {
        sum(&self.lengths)
    }

    /// The row of one place, to look into many times.
    pub(super) fn row(&self, from: usize) -> Row<'_> {
        let start = sum(self.lengths.get(..from).unwrap_or(&[]));
        let end = start + usize::from(self.lengths.get(from).copied().unwrap_or(0));
        Row {
            start,
            to: self.to.get(start..end).unwrap_or(&[]),
            weights: self.weights.get(start..end).unwrap_or(&[]),
        }
    }

    /// Every entry: from, to, weight; sorted by both places.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, usize, Weight)> + '_ {
        let from = self.lengths.iter().enumerate();
        let from = from.flat_map(|(from, length)| (0..*length).map(move |_| from));
        let entries = from.zip(&self.to).zip(&self.weights);
        entries.map(|((from, to), weight)| (from, usize::from(*to), *weight))
    }

    pub(super) fn weight(&self, entry: Entry) -> Weight {
        self.weights.get(entry.0).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, entry: Entry, weight: Weight) {
        if let Some(held) = self.weights.get_mut(entry.0) {
            *held = weight;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= T
    }

    /// Puts an entry into a row that does not have it; there must be room.
    pub(super) fn insert(&mut self, from: usize, to: usize, weight: Weight) {
        let len = self.len();
        let row = self.row(from);
        let Err(Entry(at)) = row.find(to) else {
            return;
        };
        let moved = (self.to.get_mut(at..=len), self.weights.get_mut(at..=len));
        let (Some(places), Some(weights)) = moved else {
            return;
        };
        places.rotate_right(1);
        weights.rotate_right(1);
        if let (Some(place), Some(held)) = (places.first_mut(), weights.first_mut()) {
            (*place, *held) = (to as u8, weight);
        }
        if let Some(length) = self.lengths.get_mut(from) {
            *length += 1;
        }
    }

    /// The lightest entry, the first from a drawn one on.
    pub(super) fn lightest(&self, draw: u64) -> Option<Entry> {
        let held = self.weights.get(..self.len())?;
        let least = held.iter().fold(Weight::HEAVIEST, |a, b| a.min(*b));
        let start = (draw % held.len().max(1) as u64) as usize;
        let (before, after) = held.split_at_checked(start)?;
        let at = after.iter().position(|weight| *weight == least);
        let at = at.map(|at| at + start);
        at.or_else(|| before.iter().position(|weight| *weight == least))
            .map(Entry)
    }

    pub(super) fn remove(&mut self, entry: Entry) {
        let len = self.len();
        let mut end = 0;
        let row = self.lengths.iter_mut().find(|length| {
            end += usize::from(**length);
            entry.0 < end
        });
        let Some(length) = row else {
            return;
        };
        *length -= 1;
        if let Some(places) = self.to.get_mut(entry.0..len) {
            places.rotate_left(1);
            set_last(places, 0);
        }
        if let Some(weights) = self.weights.get_mut(entry.0..len) {
            weights.rotate_left(1);
            set_last(weights, Weight::NONE);
        }
    }

    /// Makes an empty row at a place; those from there on are one further from now on.
    pub(super) fn open(&mut self, place: usize) {
        let len = self.len();
        for to in self.to.get_mut(..len).into_iter().flatten() {
            *to += u8::from(usize::from(*to) >= place);
        }
        if let Some(lengths) = self.lengths.get_mut(place..) {
            lengths.rotate_right(1);
            if let Some(first) = lengths.first_mut() {
                *first = 0;
            }
        }
    }

    /// Drops a row, and its place from all others; those behind it are one nearer from now on.
    pub(super) fn close(&mut self, place: usize) {
        let mut rest = Self::new();
        let nearer = |other: usize| other - usize::from(other > place);
        let stay = self
            .entries()
            .filter(|(from, to, _)| *from != place && *to != place);
        let places = rest.to.iter_mut().zip(&mut rest.weights);
        for ((from, to, weight), (place, held)) in stay.zip(places) {
            (*place, *held) = (nearer(to) as u8, weight);
            if let Some(length) = rest.lengths.get_mut(nearer(from)) {
                *length += 1;
            }
        }
        *self = rest;
    }

    /// Halves every weight.
    pub(super) fn halve(&mut self) {
        for weight in &mut self.weights {
            *weight = weight.halved();
        }
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    start: usize,
    to: &'a [u8],
    weights: &'a [Weight],
}

impl Row<'_> {
    /// The entry, or where it would have to be.
    pub(super) fn find(&self, to: usize) -> Result<Entry, Entry> {
        let before = self.to.partition_point(|held| usize::from(*held) < to);
        let entry = Entry(self.start + before);
        match self.to.get(before) {
            Some(held) if usize::from(*held) == to => Ok(entry),
            _ => Err(entry),
        }
    }

    /// How often the operation in a place followed.
    pub(crate) fn count(&self, Place(to): Place) -> u32 {
        let before = self.to.partition_point(|held| usize::from(*held) < to);
        let held = self.to.get(before).zip(self.weights.get(before));
        held.map_or(0, |(held, weight)| {
            if usize::from(*held) == to {
                weight.count()
            } else {
                0
            }
        })
    }
}

fn sum(lengths: &[u8]) -> usize {
    let sum: u32 = lengths.iter().map(|length| u32::from(*length)).sum();
    sum as usize
}

fn set_last<V>(places: &mut [V], value: V) {
    if let Some(last) = places.last_mut() {
        *last = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(entries: &[(usize, usize, u32)]) -> Rows<6, 8> {
        let mut rows = Rows::new();
        for (from, to, count) in entries {
            rows.insert(*from, *to, Weight::of(*count, 0));
        }
        rows
    }

    fn told(rows: &Rows<6, 8>) -> Vec<(usize, usize, u32)> {
        let entries = rows.entries();
        entries
            .map(|(from, to, weight)| (from, to, weight.count()))
            .collect()
    }

    #[test]
    fn entries_are_sorted_whatever_the_order_they_came_in() {
        let sorted = [(0, 3, 1), (2, 0, 2), (2, 4, 3), (5, 5, 4)];
        let mut turned = sorted;
        turned.reverse();
        assert!(rows(&sorted) == rows(&turned));
        assert_eq!(told(&rows(&turned)), sorted);
        assert_eq!(rows(&sorted).row(2).count(Place(4)), 3);
        assert_eq!(rows(&sorted).row(2).count(Place(3)), 0);
        assert_eq!(rows(&sorted).row(1).count(Place(0)), 0);
    }

    #[test]
    fn the_lightest_goes_and_of_equally_light_ones_one_from_anywhere() {
        let mut rows = rows(&[(0, 1, 5), (1, 2, 1), (3, 1, 1), (4, 4, 9)]);
        let first = rows.lightest(0).unwrap();
        assert_ne!(first, rows.lightest(2).unwrap());
        assert_eq!(first, rows.lightest(3).unwrap(), "around the end");
        rows.remove(first);
        assert_eq!(told(&rows), [(0, 1, 5), (3, 1, 1), (4, 4, 9)]);
    }

    #[test]
    fn opening_and_closing_a_place_moves_what_is_behind_it() {
        let before = rows(&[(0, 1, 5), (1, 2, 6), (2, 1, 7), (2, 3, 8)]);
        let mut opened = before.clone();
        opened.open(1);
        assert_eq!(told(&opened), [(0, 2, 5), (2, 3, 6), (3, 2, 7), (3, 4, 8)]);
        opened.close(1);
        assert!(opened == before, "nothing was in that row");
        opened.close(2);
        assert_eq!(told(&opened), [(0, 1, 5)]);
    }
}
