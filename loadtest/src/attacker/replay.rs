//! Replay beside the owner: one copied token, used in the owner's own network while the owner uses it too.
//!
//! Half of these copy the owner's client as well. What is left is another hand: every two seconds some read of
//! the owner's, in no flow, on any object.

use super::{Blow, Plan, View};
use crate::world::random::Random;

/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 2_000.0;

/// A second hand on one token.
pub(super) struct Replay {
    /// Its own client; `None` for whoever copies the owner's.
    client: Option<u64>,
}

impl Replay {
    pub(super) fn new(random: &mut Random) -> Self {
        let own = random.chance(0.5);
        Self {
            client: own.then(|| random.bits()),
        }
    }
}

impl Plan for Replay {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        let reads = view.object_reads();
        let operation = random.pick(&reads).copied()?;
        let pause = random.log_normal(PAUSE, 0.5) as u64;
        let mut blow = view.beside(operation, pause);
        blow.client = self.client.unwrap_or(blow.client);
        blow.object = view.any_object(operation, random);
        blow.takes = true;
        Some(blow)
    }
}
