//! A table that takes memory as it fills.
//!
//! There is one set of tables for each active token, and most tokens do two or three different things from one
//! place until their next report: a table of 128 places would be empty but for two. So it begins with nothing,
//! then has few places, then some, then all that it may have. What it holds does not depend on that: it is
//! widened before anything would be dropped.

use crate::table::{Table, Value};

/// Places of the first size, and of the second.
const FEW: usize = 4;
const MORE: usize = 16;

/// At most `N` entries, ascending by key.
#[derive(Clone, Debug)]
pub(super) enum Few<K, V, const N: usize> {
    Empty,
    First(Box<Table<K, V, FEW>>),
    Second(Box<Table<K, V, MORE>>),
    Whole(Box<Table<K, V, N>>),
}

impl<K: Copy + Ord + Default, V: Value, const N: usize> Few<K, V, N> {
    /// Adds a value under a key, as [`Table::add`] does.
    pub(super) fn add(&mut self, key: K, value: &V) {
        self.widen_for(key);
        match self {
            // Widened just now.
            Self::Empty => {}
            Self::First(table) => table.add(key, value),
            Self::Second(table) => table.add(key, value),
            Self::Whole(table) => table.add(key, value),
        }
    }

    /// The same contents as a table of another size.
    pub(super) fn widened<const M: usize>(&self) -> Table<K, V, M> {
        match self {
            Self::Empty => Table::new(),
            Self::First(table) => table.widened(),
            Self::Second(table) => table.widened(),
            Self::Whole(table) => table.widened(),
        }
    }

    /// Bytes that it takes beside itself.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::First(_) => size_of::<Table<K, V, FEW>>(),
            Self::Second(_) => size_of::<Table<K, V, MORE>>(),
            Self::Whole(_) => size_of::<Table<K, V, N>>(),
        }
    }

    fn widen_for(&mut self, key: K) {
        match self {
            Self::Empty if N <= FEW => *self = Self::Whole(Box::new(Table::new())),
            Self::Empty => *self = Self::First(Box::new(Table::new())),
            Self::First(table) if table.len() == FEW && table.get(key).is_none() => {
                *self = if N <= MORE {
                    Self::Whole(Box::new(table.widened()))
                } else {
                    Self::Second(Box::new(table.widened()))
                };
            }
            Self::Second(table) if table.len() == MORE && table.get(key).is_none() => {
                *self = Self::Whole(Box::new(table.widened()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::mix;

    fn same<const N: usize>(keys: u64, adds: u64) {
        let mut few = Few::<u64, u32, N>::Empty;
        let mut table = Table::<u64, u32, N>::new();
        for n in 0..adds {
            let key = mix(n) % keys;
            few.add(key, &1);
            table.add(key, &1);
            assert_eq!(few.widened::<N>(), table);
        }
    }

    #[test]
    fn it_holds_at_every_step_what_a_table_of_full_size_holds() {
        same::<64>(300, 3_000);
        same::<8>(20, 300);
        same::<3>(9, 100);
        same::<64>(17, 300);
    }
}
