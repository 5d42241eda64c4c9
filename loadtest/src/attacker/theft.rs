//! Theft: one copied token, used from the thief's own network with the thief's own tool, about once a second,
//! on what the owner's program uses and on what else there might be.

use super::{Blow, Plan, View};
use crate::world::random::Random;

/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 1_000.0;
/// Share of calls to operations that the owner does not use.
const CURIOUS: f64 = 0.3;
/// Share of those that are refused.
const REFUSED: f64 = 0.6;

/// A thief with its own origin.
pub(super) struct Theft {
    origin: (u64, u64),
}

impl Theft {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            origin: (random.bits(), random.bits()),
        }
    }
}

impl Plan for Theft {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        let curious = random.chance(CURIOUS);
        let known = view.habits.operations();
        let from = if curious { view.strange() } else { known };
        let operation = random.pick(&from).copied()?;
        let pause = random.log_normal(PAUSE, 0.5) as u64;
        let mut blow = view.elsewhere(operation, pause, self.origin);
        blow.object = view.any_object(operation, random);
        blow.status = if curious && random.chance(REFUSED) {
            403
        } else {
            200
        };
        blow.takes = blow.object.is_some();
        Some(blow)
    }
}
