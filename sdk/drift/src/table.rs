//! Values by key in a fixed number of places, sorted by key.
//!
//! Catches everything while there are places left, and keeps the heaviest keys once there are
//! not: a newcomer takes the place of the lightest entry if it is at least as heavy, and what
//! leaves is added to `overflow`, so totals stay exact under any flood of keys. What it misses:
//! once full, the count of a key that was pushed out starts again. Why not a hash table: sorted
//! places make equal contents equal bytes, whatever the order in which they came, and a range of
//! keys (all transitions from one operation) lies side by side. Why not a count-min sketch: a
//! baseline must name what it knows, so that a verdict can say it.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a table can hold.
pub(crate) trait Value: Clone + Default {
    /// Adds what another place knew about the same key.
    fn merge(&mut self, other: &Self);
    /// How much is lost if this value is dropped.
    fn weight(&self) -> u64;
    /// Forgets half of it; false if nothing is left.
    fn halve(&mut self) -> bool;
}

impl Value for u32 {
    fn merge(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
    fn weight(&self) -> u64 {
        u64::from(*self)
    }
    fn halve(&mut self) -> bool {
        *self /= 2;
        *self > 0
    }
}

/// At most `N` entries, ascending by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table<K, V, const N: usize> {
    places: [(K, V); N],
    used: usize,
    overflow: u64,
}

impl<K: Copy + Ord + Default, V: Value, const N: usize> Table<K, V, N> {
    pub(crate) fn new() -> Self {
        Self {
            places: std::array::from_fn(|_| (K::default(), V::default())),
            used: 0,
            overflow: 0,
        }
    }

    /// What another one held: at most `N` entries, ascending by key.
    pub(crate) fn holding(entries: &[(K, V)], overflow: u64) -> Self {
        let mut table = Self::new();
        for (key, value) in entries {
            table.add(*key, value);
        }
        table.overflow = table.overflow.saturating_add(overflow);
        table
    }

    pub(crate) fn entries(&self) -> &[(K, V)] {
        self.places.get(..self.used).unwrap_or(&[])
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let place = self.find(key).ok()?;
        self.entries().get(place).map(|(_, value)| value)
    }

    /// Weight of everything that was ever dropped for want of a place.
    pub(crate) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Weight of all entries and of the overflow.
    pub(crate) fn total(&self) -> u64 {
        let held = self
            .entries()
            .iter()
            .fold(0u64, |sum, (_, value)| sum.saturating_add(value.weight()));
        held.saturating_add(self.overflow)
    }

    /// Adds a value under a key.
    pub(crate) fn add(&mut self, key: K, value: &V) {
        match self.find(key) {
            Ok(place) => {
                if let Some((_, held)) = self.places.get_mut(place) {
                    held.merge(value);
                }
            }
            Err(place) if self.used < N => self.insert(place, key, value),
            Err(_) => self.displace(key, value),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, value) in other.entries() {
            self.add(*key, value);
        }
        self.overflow = self.overflow.saturating_add(other.overflow);
    }

    /// Drops every entry that is not to be kept. What leaves is not overflow: it never was there.
    pub(crate) fn retain(&mut self, keep: impl Fn(K) -> bool) {
        let mut kept = Self::new();
        for (key, value) in self.entries().iter().filter(|(key, _)| keep(*key)) {
            kept.add(*key, value);
        }
        kept.overflow = self.overflow;
        *self = kept;
    }

    /// Drops the lightest entries until so many of them are left; whether there was one to drop. What leaves is
    /// counted as overflow.
    pub(crate) fn cut_to(&mut self, left_of: impl Fn(usize) -> usize) -> bool {
        let left = left_of(self.used);
        let mut by_weight: Vec<_> = self.entries().to_vec();
        by_weight.sort_by_key(|(_, value)| std::cmp::Reverse(value.weight()));
        let gone = by_weight.split_off(left.min(by_weight.len()));
        let mut kept = Self::new();
        for (key, value) in &by_weight {
            kept.add(*key, value);
        }
        let lost = gone.iter().map(|(_, value)| value.weight());
        kept.overflow = lost.fold(self.overflow, u64::saturating_add);
        *self = kept;
        !gone.is_empty()
    }

    /// Forgets half of every value; entries with nothing left leave.
    pub(crate) fn halve(&mut self) {
        let mut kept = Self::new();
        for (key, value) in self.entries() {
            let mut value = value.clone();
            if value.halve() {
                kept.add(*key, &value);
            }
        }
        kept.overflow = self.overflow / 2;
        *self = kept;
    }

    /// The same contents with more places.
    pub(crate) fn widened<const M: usize>(&self) -> Table<K, V, M> {
        let mut wide = Table::new();
        for (key, value) in self.entries() {
            wide.add(*key, value);
        }
        wide.overflow = wide.overflow.saturating_add(self.overflow);
        wide
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        self.entries().binary_search_by(|(held, _)| held.cmp(&key))
    }

    fn insert(&mut self, place: usize, key: K, value: &V) {
        if let Some(tail) = self.places.get_mut(place..=self.used) {
            tail.rotate_right(1);
            if let Some(slot) = tail.first_mut() {
                *slot = (key, value.clone());
                self.used += 1;
            }
        }
    }

    fn displace(&mut self, key: K, value: &V) {
        let lightest = self
            .entries()
            .iter()
            .enumerate()
            .map(|(place, (_, held))| (held.weight(), place))
            .min();
        match lightest {
            Some((weight, place)) if weight <= value.weight() => {
                self.overflow = self.overflow.saturating_add(weight);
                if let Some(tail) = self.places.get_mut(place..self.used) {
                    tail.rotate_left(1);
                    self.used -= 1;
                }
                if let Err(place) = self.find(key) {
                    self.insert(place, key, value);
                }
            }
            _ => self.overflow = self.overflow.saturating_add(value.weight()),
        }
    }
}

impl<K: Serialize, V: Serialize, const N: usize> Serialize for Table<K, V, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = self.places.get(..self.used).unwrap_or(&[]);
        (held, self.overflow).serialize(serializer)
    }
}

impl<'de, K, V, const N: usize> Deserialize<'de> for Table<K, V, N>
where
    K: Copy + Ord + Default + Deserialize<'de>,
    V: Value + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (entries, overflow) = <(Vec<(K, V)>, u64)>::deserialize(deserializer)?;
        if entries.len() > N {
            return Err(D::Error::custom(format_args!(
                "{} entries where at most {N} fit",
                entries.len()
            )));
        }
        if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
            return Err(D::Error::custom("entries out of order or repeated"));
        }
        Ok(Self::holding(&entries, overflow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_keys_keeps_the_heavy_ones_and_the_exact_total() {
        let mut table = Table::<u64, u32, 8>::new();
        for _ in 0..100 {
            table.add(1, &1);
            table.add(2, &1);
        }
        for key in 10..100_010 {
            table.add(key, &1);
        }
        assert_eq!(table.get(1), Some(&100));
        assert_eq!(table.get(2), Some(&100));
        assert_eq!(table.len(), 8);
        assert_eq!(table.total(), 100_200);
    }

    #[test]
    fn equal_contents_are_equal_whatever_the_order() {
        let mut left = Table::<u64, u32, 8>::new();
        let mut right = Table::<u64, u32, 8>::new();
        for key in [3u64, 1, 2, 3] {
            left.add(key, &1);
        }
        for key in [1u64, 3, 3, 2] {
            right.add(key, &1);
        }
        assert_eq!(left, right);
        assert_eq!(left.entries(), &[(1, 1), (2, 1), (3, 2)]);
    }

    #[test]
    fn halving_forgets_what_was_seen_once() {
        let mut table = Table::<u64, u32, 4>::new();
        table.add(1, &1);
        table.add(2, &5);
        table.halve();
        assert_eq!(table.entries(), &[(2, 2)]);
    }

    #[test]
    fn counts_saturate() {
        let mut table = Table::<u64, u32, 4>::new();
        table.add(1, &u32::MAX);
        table.add(1, &u32::MAX);
        assert_eq!(table.get(1), Some(&u32::MAX));
    }

    #[test]
    fn too_many_or_unsorted_entries_are_refused_in_words() {
        let many = serde_json::from_str::<Table<u64, u32, 2>>("[[[1,1],[2,1],[3,1]],0]");
        assert!(many.unwrap_err().to_string().contains("at most 2 fit"));
        let twice = serde_json::from_str::<Table<u64, u32, 2>>("[[[1,1],[1,1]],0]");
        assert!(
            twice
                .unwrap_err()
                .to_string()
                .contains("out of order or repeated")
        );
    }
}
