//! A lying gateway: it reports a walk through ids, strange operations and refusals that nobody made, about the
//! victim's living tokens, ten calls a second for twenty minutes, with every new token again.

use super::{Blow, Plan, View};
use crate::world::catalogue::numbered;
use crate::world::random::Random;

/// Calls it invents.
const CALLS: u64 = 12_000;
/// Milliseconds between them.
const PAUSE: u64 = 100;

/// A gateway that was taken over.
pub(super) struct Lie {
    origin: (u64, u64),
    calls: u64,
}

impl Lie {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            origin: (random.bits(), random.bits()),
            calls: 0,
        }
    }
}

impl Plan for Lie {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.calls >= CALLS {
            return None;
        }
        self.calls += 1;
        let walks = random.chance(0.7);
        let reads = view.object_reads();
        let strange = view.strange();
        let operation = if walks {
            reads.first()
        } else {
            random.pick(&strange)
        }
        .copied()?;
        let mut blow = view.elsewhere(operation, PAUSE, self.origin);
        let resource = view
            .catalogue
            .get(operation)
            .and_then(|known| known.objects);
        blow.object = resource.map(|resource| numbered(resource, self.calls));
        blow.status = if walks { 200 } else { 403 };
        Some(blow)
    }
}
