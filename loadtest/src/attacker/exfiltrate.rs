//! Slow exfiltration: for three days as many reads again as the owner makes, or half as many, with the owner's
//! program, at the owner's hours, from the owner's network. No call is unlike the owner's; there are twice as
//! many, or half as many more.

use lanyard_drift::Millis;

use super::{Blow, Plan, View};
use crate::world::calendar::DAY;
use crate::world::catalogue::OperationIndex;
use crate::world::random::Random;
use crate::world::{REQUESTS_PER_SECOND, calendar};

/// How long it goes on.
const LASTS: u64 = 3 * DAY;

/// A second copy of a replica, which only reads.
pub(super) struct Exfiltrate {
    /// Its reads for each of the owner's flows.
    times: f64,
    began: Option<Millis>,
    left: Vec<OperationIndex>,
}

impl Exfiltrate {
    /// So many times what the owner does.
    pub(super) const fn of(times: f64) -> Self {
        Self {
            times,
            began: None,
            left: Vec::new(),
        }
    }
}

impl Plan for Exfiltrate {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        let began = *self.began.get_or_insert(view.now);
        if view.now.since(began) > LASTS {
            return None;
        }
        let mut pause = random.log_normal(60.0, 0.8);
        while self.left.is_empty() {
            let rate = self.times * REQUESTS_PER_SECOND * calendar::load(view.now);
            pause += random.exponential(1_000.0 / rate.max(1e-6));
            let flow = random.weighted(&view.habits.flows)?;
            let reads = |index: &&OperationIndex| {
                view.catalogue.get(**index).is_some_and(|known| known.reads)
            };
            self.left = flow.iter().rev().filter(reads).copied().collect();
        }
        let operation = self.left.pop()?;
        let mut blow = view.beside(operation, pause as u64);
        blow.object = view
            .catalogue
            .get(operation)
            .and_then(|known| known.objects)
            .map(|resource| view.catalogue.usual_object(resource, view.now, random));
        blow.takes = true;
        Some(blow)
    }
}
