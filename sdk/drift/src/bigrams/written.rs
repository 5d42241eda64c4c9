//! Habits on the wire and on the disk: what is held, and the total. What could not have been held is
//! refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::followed::Followed;
use super::{Bigrams, Known, Spot, set_of};
use crate::event::OperationId;

/// How it is written: what is held, and the total.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    operations: Vec<(u32, u16, u8)>,
    /// Set, mark, count.
    transitions: Vec<(u16, u16, u16)>,
    total: u32,
}

impl<const O: usize, const T: usize> Serialize for Bigrams<O, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operation =
            |(id, known): (OperationId, Known)| (id.get(), known.count, known.successors);
        let transition = |(spot, count): (Spot, u32)| (spot.set as u16, spot.mark, count as u16);
        Written {
            operations: self.operations().map(operation).collect(),
            transitions: self.spots().map(transition).collect(),
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
        let mut read = Self::new();
        for (id, count, successors) in written.operations {
            let operation = OperationId::numbered(id);
            let known = read.place_of(operation).is_some();
            if id == 0 || count == 0 || known || !read.has_room_for(operation) {
                return Err(D::Error::custom("an operation that cannot be held"));
            }
            read.admit(operation, count);
            read.raise_successors(operation, successors);
        }
        for (set, mark, count) in written.transitions {
            let spot = Spot {
                set: usize::from(set),
                mark,
            };
            let sound = u32::from(mark.max(count)) <= Followed::MOST && count > 0;
            let placed = spot.set < Self::TRANSITION_SETS && read.has_room_at(spot);
            if !sound || !placed || read.followed(spot) > 0 {
                return Err(D::Error::custom("a transition that cannot be held"));
            }
            let (start, ways) = set_of(&read.followed, spot.set);
            let free = ways.iter().position(|held| held.count() == 0);
            let entry = Followed::new(mark, u32::from(count));
            read.settle(start + free.unwrap_or(0), entry);
        }
        if written.total < read.placed() {
            return Err(D::Error::custom("a total below its parts"));
        }
        read.total = written.total;
        Ok(read)
    }
}
