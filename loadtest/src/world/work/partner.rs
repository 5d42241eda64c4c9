//! Somebody else's system: asking for news every minute, or being told in bursts.

use super::{Act, Planned, Scene, Work};
use crate::world::calendar::{self, MINUTE};
use crate::world::catalogue::numbered;
use crate::world::random::Random;

/// New objects found by one question, in the busiest hour.
const NEWS: f64 = 3.0;
/// Bursts of deliveries per second in the busiest hour.
const BURSTS: f64 = 0.01;

/// Asks for what is new, once a minute, and reads it.
#[derive(Default)]
pub(in crate::world) struct Polling {
    left: u64,
}

impl Work for Polling {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        let program = scene.program();
        let [list, read] = [0, 1].map(|at| program.get(at).copied().unwrap_or_default());
        let (pause, operation) = if self.left == 0 {
            let news = NEWS * calendar::load(scene.now) * scene.rush;
            self.left = random.exponential(news).min(200.0) as u64;
            (MINUTE + random.below(2_000), list)
        } else {
            self.left -= 1;
            (random.log_normal(120.0, 0.5) as u64, read)
        };
        let mut act = scene.usual(operation, random);
        if act.object.is_some() {
            act.object = Some(recent(scene, random));
        }
        Planned {
            pause,
            act,
            begins: false,
        }
    }
}

/// Delivers events to receivers, many at a time and then none.
#[derive(Default)]
pub(in crate::world) struct Webhooks {
    left: u64,
}

impl Work for Webhooks {
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned {
        let pause = if self.left == 0 {
            self.left = random.log_normal(5.0, 1.0).clamp(1.0, 250.0) as u64;
            let rate = BURSTS * calendar::load(scene.now) * scene.rush;
            random.exponential(1_000.0 / rate.max(1e-6)) as u64
        } else {
            random.log_normal(80.0, 0.5) as u64
        };
        self.left -= 1;
        let receivers = &scene.habits.destinations;
        let rank = random.zipf(receivers.len() as u64) as usize;
        let act = Act {
            operation: scene.program().first().copied().unwrap_or_default(),
            object: None,
            destination: receivers.get(rank).copied(),
            size: 1.0,
        };
        Planned {
            pause,
            act,
            begins: false,
        }
    }
}

fn recent(scene: &Scene<'_>, random: &mut Random) -> lanyard_drift::Object {
    let resource = scene.resource();
    let held = scene.catalogue.resources.get(resource);
    let newest = held.map_or(0, |held| held.newest(scene.now));
    let back = random.exponential(10.0) as u64;
    numbered(resource, newest.saturating_sub(back))
}
