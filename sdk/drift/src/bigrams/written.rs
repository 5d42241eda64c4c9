//! Habits on the wire and on the disk: what is held, and the total. What could not have been held is
//! refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Bigrams, Known, Place, Weight};
use crate::event::OperationId;

/// How it is written: what is held, and the total.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Id, count, successors; by id.
    operations: Vec<(u32, u16, u8)>,
    /// Place of an operation, of the one after it, count; by both places.
    transitions: Vec<(u8, u8, u16)>,
    total: u32,
}

impl<const O: usize, const T: usize> Serialize for Bigrams<O, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operation =
            |(id, known): (OperationId, Known)| (id.get(), known.count, known.successors);
        let transition = |(from, to, weight): (usize, usize, Weight)| {
            (from as u8, to as u8, weight.count() as u16)
        };
        Written {
            operations: self.operations().map(operation).collect(),
            transitions: self.rows.entries().map(transition).collect(),
            total: self.total,
        }
        .serialize(serializer)
    }
}

impl<'de, const O: usize, const T: usize> Deserialize<'de> for Bigrams<O, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        if written.operations.len() > O || written.transitions.len() > T {
            return Err(D::Error::custom("more habits than there are places"));
        }
        let ascending = written.operations.is_sorted_by_key(|(id, ..)| *id);
        let mut read = Self::new();
        for (place, (id, count, successors)) in written.operations.into_iter().enumerate() {
            let operation = OperationId::numbered(id);
            if id == 0 || count == 0 || !ascending || read.find(operation).is_ok() {
                return Err(D::Error::custom("an operation that cannot be held"));
            }
            read.open(operation, place, count);
            read.raise_successors(operation, successors);
        }
        for (from, to, count) in written.transitions {
            let (from, to) = (usize::from(from), usize::from(to));
            let weight = Weight::exactly(u32::from(count)).filter(|weight| *weight > Weight::NONE);
            let known = from.max(to) < usize::from(read.held);
            let repeated = read.after(Place(from)).find(to).is_ok();
            let Some(weight) = weight.filter(|_| known && !repeated) else {
                return Err(D::Error::custom("a transition that cannot be held"));
            };
            read.rows.insert(from, to, weight);
        }
        if written.total < read.placed() {
            return Err(D::Error::custom("a total below its parts"));
        }
        read.total = written.total;
        Ok(read)
    }
}
