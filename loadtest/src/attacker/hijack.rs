//! A hijacked agent: something it read told it to look around and send what it finds to a stranger.
//!
//! It is the agent itself, with its own token, between its own calls: a look or two with its own tools, then a
//! few calls that carry data out, to one destination that nobody of its role has ever reached.

use super::{Blow, Plan, View};
use crate::world::catalogue::OperationIndex;
use crate::world::random::Random;

/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 4_000.0;

/// An injected instruction.
pub(super) struct Hijack {
    stranger: u64,
    looks: u64,
    sends: u64,
}

impl Hijack {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            stranger: random.bits(),
            looks: 1 + random.below(2),
            sends: 3 + random.below(4),
        }
    }
}

impl Plan for Hijack {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        let pause = random.log_normal(PAUSE, 0.6) as u64;
        if self.looks > 0 {
            self.looks -= 1;
            let own = view.task.map(|task| task.operations.clone());
            let operation = random.pick(&own.unwrap_or_default()).copied()?;
            let mut blow = view.beside(operation, pause);
            blow.destination = destination(view, operation, random);
            return Some(blow);
        }
        self.sends = self.sends.checked_sub(1)?;
        // With a tool of the task if one reaches out at all, else with any.
        let reaches = |index: &OperationIndex| {
            view.catalogue
                .get(*index)
                .is_some_and(|tool| tool.has_destination)
        };
        let own = view
            .task
            .map(|task| task.operations.clone())
            .unwrap_or_default();
        let own: Vec<_> = own.into_iter().filter(reaches).collect();
        let any: Vec<_> = view.catalogue.tools().filter(reaches).collect();
        let operation = random.pick(&own).or(random.pick(&any)).copied()?;
        let mut blow = view.beside(operation, pause);
        blow.destination = Some(self.stranger);
        blow.takes = true;
        Some(blow)
    }
}

fn destination(view: &View<'_>, operation: OperationIndex, random: &mut Random) -> Option<u64> {
    let reaches = view.catalogue.get(operation)?.has_destination;
    let places = &view.task?.destinations;
    reaches.then(|| random.pick(places).copied()).flatten()
}
