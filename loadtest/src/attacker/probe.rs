//! Probing: from inside the owner's workload, with the owner's key, whatever the owner never calls. Most of it
//! is refused, some of it is not there, a little works.

use super::{Blow, Plan, View};
use crate::world::random::Random;

/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 3_000.0;
/// Calls after which it knows enough.
const ENOUGH: u64 = 500;

/// A curious one.
#[derive(Default)]
pub(super) struct Probe {
    calls: u64,
}

impl Plan for Probe {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.calls >= ENOUGH {
            return None;
        }
        self.calls += 1;
        let operation = random.pick(&view.strange()).copied()?;
        let pause = random.log_normal(PAUSE, 0.4) as u64;
        let mut blow = view.beside(operation, pause);
        blow.object = view.any_object(operation, random);
        blow.status = match random.unit() {
            refused if refused < 0.7 => 403,
            missing if missing < 0.9 => 404,
            _ => 200,
        };
        blow.takes = blow.object.is_some();
        Some(blow)
    }
}
