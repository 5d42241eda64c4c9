//! Framing: to be noticed, in somebody else's name.
//!
//! With nothing in hand: tokens that name the victim and never verify, ten a second. With one copied token: a
//! walk through ids and whatever is refused, five a second, from a strange network, until the token is dead. In
//! both cases the attacker has won if its victim can no longer work.

use super::{Blow, Plan, View};
use crate::world::catalogue::numbered;
use crate::world::random::Random;

/// Calls after which it gives up.
const CALLS: u64 = 3_000;

/// Somebody who wants the victim punished.
pub(super) struct Frame {
    pause: f64,
    origin: (u64, u64),
    calls: u64,
}

impl Frame {
    /// A call every so many milliseconds.
    pub(super) fn new(pause: f64, random: &mut Random) -> Self {
        Self {
            pause,
            origin: (random.bits(), random.bits()),
            calls: 0,
        }
    }
}

impl Plan for Frame {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.calls >= CALLS {
            return None;
        }
        self.calls += 1;
        let pause = random.log_normal(self.pause, 0.2) as u64;
        let reads = view.object_reads();
        let walks = random.chance(0.6);
        let strange = view.strange();
        let from = if walks { &reads[..] } else { &strange[..] };
        let operation = if walks {
            from.first()
        } else {
            random.pick(from)
        }
        .copied()?;
        let mut blow = view.elsewhere(operation, pause, self.origin);
        let resource = view
            .catalogue
            .get(operation)
            .and_then(|known| known.objects);
        blow.object = resource.map(|resource| numbered(resource, self.calls));
        blow.status = if walks { 200 } else { 403 };
        Some(blow)
    }
}
