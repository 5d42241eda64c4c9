//! Plain pieces of what is remembered, shared by trackers, reports and baselines.

use serde::{Deserialize, Serialize};

use crate::block::{Block, Sample};
use crate::event::OperationId;
use crate::rate::Rate;
use crate::sketch::Sketch;
use crate::table::{Table, Value};

/// Operations told apart. People use about a hundred, services fewer (measured).
pub(crate) const OPERATIONS: usize = 128;
/// Transitions told apart; the rarest fall back on single operations.
pub(crate) const TRANSITIONS: usize = 256;
/// Operations whose objects are followed one by one.
pub(crate) const OBJECTS: usize = 16;
/// Networks, clients, and pairs of them told apart.
pub(crate) const ORIGINS: usize = 16;

/// Operations and which followed which, in one window: what is learned from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    pub(crate) operations: Table<OperationId, u32, OPERATIONS>,
    pub(crate) transitions: Table<(OperationId, OperationId), u32, TRANSITIONS>,
}

impl Sequence {
    pub(crate) fn new() -> Self {
        Self {
            operations: Table::new(),
            transitions: Table::new(),
        }
    }

    /// What these blocks alone come to.
    pub(crate) fn of(blocks: &Sample) -> Self {
        let mut sequence = Self::new();
        for (before, call) in blocks.blocks().iter().flat_map(Block::pairs) {
            sequence.operations.add(call, &1);
            if let Some(before) = before {
                sequence.transitions.add((before, call), &1);
            }
        }
        sequence
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.operations.merge(&other.operations);
        self.transitions.merge(&other.transitions);
    }
}

/// How an identity treats the objects of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectHabit {
    /// Calls that named an object.
    pub(crate) calls: u32,
    /// Longest run of neighbouring object numbers.
    pub(crate) longest_run: u32,
    /// Distinct objects per minute.
    pub(crate) distinct: Rate,
}

impl Value for ObjectHabit {
    fn merge(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.longest_run = self.longest_run.max(other.longest_run);
        self.distinct.merge(&other.distinct);
    }

    fn weight(&self) -> u64 {
        u64::from(self.calls)
    }

    fn halve(&mut self) -> bool {
        self.calls /= 2;
        self.longest_run -= self.longest_run / 8;
        self.distinct.age();
        self.calls > 0
    }
}

/// A habit with the objects themselves, as far as a sketch holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectUse {
    pub(crate) habit: ObjectHabit,
    pub(crate) objects: Sketch,
}

impl Value for ObjectUse {
    fn merge(&mut self, other: &Self) {
        self.habit.merge(&other.habit);
        self.objects.merge(&other.objects);
    }

    fn weight(&self) -> u64 {
        self.habit.weight()
    }

    fn halve(&mut self) -> bool {
        self.habit.halve()
    }
}

/// Where a call came from, as far as the gateway could see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) source: Option<u64>,
    pub(crate) client: Option<u64>,
}
