//! A replica behind people: flows of calls whenever somebody asks for something.

use super::{Act, Planned, Scene, Work};
use crate::world::calendar;
use crate::world::catalogue::OperationIndex;
use crate::world::random::Random;

/// Flows per second in the busiest hour of a working day: five thousand calls on an average day.
pub(crate) const REQUESTS_PER_SECOND: f64 = 0.045;
/// Share of steps that a cache answers.
const CACHED: f64 = 0.1;
/// Share of steps that are done twice.
const TWICE: f64 = 0.05;

/// A replica at work.
pub(in crate::world) struct Requests {
    /// What is left of the current flow, last step first.
    left: Vec<OperationIndex>,
    /// Replicas do not get exactly the same share.
    share: f64,
}

impl Requests {
    pub(in crate::world) fn new(random: &mut Random) -> Self {
        Self {
            left: Vec::new(),
            share: random.log_normal(1.0, 0.15),
        }
    }

    fn begin(&mut self, scene: &Scene<'_>, random: &mut Random) -> Option<OperationIndex> {
        let flow = random.weighted(&scene.habits.flows)?;
        self.left = flow.iter().rev().copied().collect();
        self.left.pop()
    }
}

impl Work for Requests {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        while !self.left.is_empty() && random.chance(CACHED) {
            self.left.pop();
        }
        let within = random.log_normal(60.0, 0.8) as u64;
        let (pause, operation) = match self.left.pop() {
            Some(operation) => (within, operation),
            None => {
                let rate =
                    REQUESTS_PER_SECOND * self.share * calendar::load(scene.now) * scene.rush;
                let pause = random.exponential(1_000.0 / rate.max(1e-6)) as u64;
                let operation = self.begin(scene, random).unwrap_or_default();
                (pause, operation)
            }
        };
        if random.chance(TWICE) {
            self.left.push(operation);
        }
        let act: Act = scene.usual(operation, random);
        Planned {
            pause,
            act,
            begins: false,
        }
    }
}
