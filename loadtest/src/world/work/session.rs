//! An agent: sessions with a task, irregular in length, pace and order.

use super::{Act, Planned, Scene, Work};
use crate::world::calendar;
use crate::world::catalogue::OperationIndex;
use crate::world::random::Random;
use crate::world::role::Task;

/// Sessions per second in the busiest hour: about twenty on an average day.
const SESSIONS: f64 = 0.000_55;
/// Calls in a session, on average.
const CALLS: f64 = 35.0;
/// Share of calls that use the last tool once more.
const AGAIN: f64 = 0.35;

/// An agent at work.
#[derive(Default)]
pub(in crate::world) struct Sessions {
    task: Option<Task>,
    left: u64,
    last: OperationIndex,
}

impl Sessions {
    fn begin(&mut self, scene: &Scene<'_>, random: &mut Random) {
        self.task = random.weighted(&scene.habits.tasks).cloned();
        self.left = 2 + random.exponential(CALLS).min(300.0) as u64;
    }

    fn tool(&mut self, random: &mut Random) -> OperationIndex {
        let tools = self.task.as_ref().map_or(&[][..], |task| &task.operations);
        if !(tools.contains(&self.last) && random.chance(AGAIN)) {
            // The first tools of a task are used most.
            let rank = random.zipf(tools.len() as u64) as usize;
            self.last = tools.get(rank).copied().unwrap_or_default();
        }
        self.last
    }
}

impl Work for Sessions {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        let begins = self.left == 0;
        let pause = if begins {
            self.begin(scene, random);
            let rate = SESSIONS * calendar::load(scene.now) * scene.rush.sqrt();
            random.exponential(1_000.0 / rate.max(1e-9)) as u64
        } else {
            random.log_normal(5_000.0, 1.0).min(240_000.0) as u64
        };
        self.left -= 1;
        let operation = self.tool(random);
        let reaches = scene
            .catalogue
            .get(operation)
            .is_some_and(|tool| tool.has_destination);
        let places = self
            .task
            .as_ref()
            .map_or(&[][..], |task| &task.destinations);
        let destination = reaches.then(|| random.pick(places).copied()).flatten();
        let act = Act {
            operation,
            object: None,
            destination,
            size: 1.0,
        };
        Planned { pause, act, begins }
    }

    fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }
}
