//! Scraping: a partner's system, or somebody in it, reads everything it is allowed to, in breadth and in no
//! order, four times a second for half an hour.

use super::{Blow, Plan, View};
use crate::world::random::Random;

/// The middle of the pauses, in milliseconds.
const PAUSE: f64 = 250.0;
/// Calls in half an hour.
const CALLS: u64 = 7_200;
/// Share of calls that list instead of reading one object.
const LISTS: f64 = 0.1;

/// A scraper at work.
#[derive(Default)]
pub(super) struct Scrape {
    calls: u64,
}

impl Plan for Scrape {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        if self.calls >= CALLS {
            return None;
        }
        self.calls += 1;
        let pause = random.log_normal(PAUSE, 0.3) as u64;
        let lists: Vec<_> = view.habits.operations();
        let operation = if random.chance(LISTS) {
            lists.first().copied()?
        } else {
            random.pick(&view.object_reads()).copied()?
        };
        let mut blow = view.beside(operation, pause);
        blow.object = view.any_object(operation, random);
        blow.takes = true;
        Some(blow)
    }
}
