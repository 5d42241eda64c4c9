//! Enumeration: the owner's read, on everybody's objects.
//!
//! It sits in the owner's workload and mints with the owner's key, so only the objects are strange. The fast one
//! asks twice a second; the slow one every thirty seconds, which with tokens of five minutes is ten objects per
//! token; the shuffled one does that in no order, which leaves no run of numbers anywhere.

use super::{Blow, Plan, View};
use crate::world::catalogue::{OperationIndex, numbered};
use crate::world::random::{Random, spread};

/// Share of numbers behind which there is nothing.
const HOLES: f64 = 0.1;
/// Objects after which it has enough.
const ENOUGH: u64 = 1_500;

/// A walk through a resource.
pub(super) struct Enumerate {
    pause: f64,
    shuffled: bool,
    operation: Option<OperationIndex>,
    start: u64,
    taken: u64,
}

impl Enumerate {
    /// An object every so many milliseconds, in order or in none.
    pub(super) fn new(pause: f64, shuffled: bool, random: &mut Random) -> Self {
        Self {
            pause,
            shuffled,
            operation: None,
            start: random.below(10_000),
            taken: 0,
        }
    }
}

impl Plan for Enumerate {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.taken >= ENOUGH {
            return None;
        }
        if self.operation.is_none() {
            self.operation = random.pick(&view.object_reads()).copied();
        }
        let operation = self.operation?;
        let resource = view.catalogue.get(operation)?.objects?;
        let newest = view.catalogue.resources.get(resource)?.newest(view.now);
        let step = self.start + self.taken;
        let number = if self.shuffled { spread(step) } else { step };
        self.taken += 1;
        let pause = random.log_normal(self.pause, 0.1) as u64;
        let mut blow = view.beside(operation, pause);
        blow.object = Some(numbered(resource, number % newest.max(1)));
        blow.status = if random.chance(HOLES) { 404 } else { 200 };
        blow.takes = true;
        Some(blow)
    }
}
