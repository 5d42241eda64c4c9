//! Machines that walk: a batch every hour, a copy of the day at night, of the month at its end.
//!
//! These look most like thieves: object after object in order, as fast as answers come. Their habit is what
//! tells them apart, and a month's end is in no habit of a week.

use super::{Act, Planned, Scene, Work};
use crate::world::calendar::{DAY, HOUR, MINUTE, is_month_end, time_of_day};
use crate::world::catalogue::{OperationIndex, numbered};
use crate::world::random::Random;

/// A job that runs every hour at its own minute and goes on where it stopped.
pub(in crate::world) struct Job {
    minute: u64,
    left: u64,
    cursor: u64,
}

impl Job {
    pub(in crate::world) fn new(random: &mut Random) -> Self {
        Self {
            minute: random.below(60) * MINUTE,
            left: 0,
            cursor: random.below(1_000),
        }
    }
}

impl Work for Job {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        let program = scene.program();
        let [list, read, write] = [0, 1, 2].map(|at| program.get(at).copied().unwrap_or_default());
        if self.left == 0 {
            self.left = random.log_normal(110.0, 0.3).clamp(10.0, 400.0) as u64;
            let into = time_of_day(scene.now) % HOUR;
            let pause = (self.minute + HOUR - into - 1) % HOUR + 1;
            return plain(list, pause + random.below(3_000));
        }
        self.left -= 1;
        let pause = random.log_normal(70.0, 0.4) as u64;
        if self.left == 0 {
            return plain(write, pause);
        }
        walk(scene, read, &mut self.cursor, pause)
    }
}

/// A partner that copies the day's new objects every night, and the month's at its end.
pub(in crate::world) struct Export {
    at: u64,
    left: u64,
    cursor: u64,
}

impl Export {
    pub(in crate::world) fn new(random: &mut Random) -> Self {
        Self {
            at: HOUR + random.below(4 * HOUR),
            left: 0,
            cursor: random.below(1_000),
        }
    }
}

/// Objects of an ordinary night, in the middle.
const NIGHTLY: f64 = 900.0;
/// How many times that a month's end has.
const MONTHLY: f64 = 6.0;

impl Work for Export {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        let program = scene.program();
        let [list, read, history] =
            [0, 1, 2].map(|at| program.get(at).copied().unwrap_or_default());
        if self.left == 0 {
            let into = time_of_day(scene.now);
            let pause = (self.at + DAY - into - 1) % DAY + 1;
            let then = scene.now.plus(pause);
            let times = if is_month_end(then) { MONTHLY } else { 1.0 };
            self.left = (random.log_normal(NIGHTLY, 0.2) * times) as u64;
            return plain(list, pause + random.below(30_000));
        }
        self.left -= 1;
        let pause = random.log_normal(150.0, 0.4) as u64;
        let operation = if random.chance(0.1) { history } else { read };
        walk(scene, operation, &mut self.cursor, pause)
    }
}

fn plain(operation: OperationIndex, pause: u64) -> Planned {
    let act = Act {
        operation,
        object: None,
        destination: None,
        size: 1.0,
    };
    Planned {
        pause,
        act,
        begins: false,
    }
}

/// The next object in order, from the start again at the end.
fn walk(scene: &Scene<'_>, operation: OperationIndex, cursor: &mut u64, pause: u64) -> Planned {
    let resource = scene.resource();
    let newest = scene
        .catalogue
        .resources
        .get(resource)
        .map_or(0, |held| held.newest(scene.now));
    *cursor = if *cursor >= newest { 1 } else { *cursor + 1 };
    let mut planned = plain(operation, pause);
    planned.act.object = Some(numbered(resource, *cursor));
    planned
}
