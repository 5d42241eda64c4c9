//! Forging: somebody has the key that tokens are signed with, and makes one for every few calls, in a victim's
//! name. The signatures are valid; the log never issued any of them.

use super::{Blow, Plan, View};
use crate::world::random::Random;

/// Tokens it makes.
const TOKENS: u64 = 20;
/// Calls with each.
const CALLS: u64 = 3;
/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 4_000.0;

/// A forger at work.
pub(super) struct Forge {
    origin: (u64, u64),
    calls: u64,
}

impl Forge {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            origin: (random.bits(), random.bits()),
            calls: 0,
        }
    }
}

impl Plan for Forge {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.calls >= TOKENS * CALLS {
            return None;
        }
        let operation = random.pick(&view.object_reads()).copied()?;
        let pause = random.log_normal(PAUSE, 0.5) as u64;
        let mut blow = view.elsewhere(operation, pause, self.origin);
        blow.object = view.any_object(operation, random);
        blow.takes = true;
        blow.renews = self.calls.is_multiple_of(CALLS);
        self.calls += 1;
        Some(blow)
    }
}
