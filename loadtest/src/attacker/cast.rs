//! Who is attacked by whom, and when: one attack of each class, each on a victim of its own.

use lanyard_drift::Millis;

use super::enumerate::Enumerate;
use super::exfiltrate::Exfiltrate;
use super::forge::Forge;
use super::frame::Frame;
use super::hijack::Hijack;
use super::lie::Lie;
use super::poison::Poison;
use super::probe::Probe;
use super::replay::Replay;
use super::scrape::Scrape;
use super::theft::Theft;
use super::{Attack, Class, Plan};
use crate::world::World;
use crate::world::calendar::{DAY, HOUR};
use crate::world::random::Random;
use crate::world::role::Manner;

/// The first attacker's stream of chance, away from the callers'.
const STREAM: u64 = 2_000_000;

/// The attacks on a world, from a moment on: those that last for days begin within six hours, the others within a
/// day.
#[must_use]
pub fn cast(world: &World, seed: u64, from: Millis) -> Vec<Attack> {
    let mut random = Random::seeded(seed, STREAM);
    let mut free: Vec<usize> = (0..world.identities().len()).collect();
    let mut attacks = Vec::new();
    for class in Class::ALL {
        let suits: Vec<usize> = free
            .iter()
            .copied()
            .filter(|identity| suits(world, *identity, class))
            .collect();
        let Some(victim) = random.pick(&suits).copied() else {
            continue;
        };
        free.retain(|identity| *identity != victim);
        let within = match class {
            Class::Exfiltrate
            | Class::ExfiltrateHalf
            | Class::Poison
            | Class::EnumerateSlow
            | Class::EnumerateShuffled => 6 * HOUR,
            _ => DAY,
        };
        let mut own = Random::seeded(seed, STREAM + 1 + attacks.len() as u64);
        attacks.push(Attack {
            class,
            victim,
            begins: from.plus(random.below(within)),
            plan: plan(class, &mut own),
            random: own,
        });
    }
    attacks
}

fn suits(world: &World, identity: usize, class: Class) -> bool {
    let role = world.identities().get(identity).map(|known| known.role);
    let Some(role) = role.and_then(|role| world.roles().get(role)) else {
        return false;
    };
    match class {
        Class::HijackScoped => role.manner == Manner::Sessions && role.scoped,
        Class::HijackUnscoped => role.manner == Manner::Sessions && !role.scoped,
        Class::LieUnserved => role.manner == Manner::Sessions,
        Class::Scrape => role.manner == Manner::Polling,
        Class::Theft => matches!(role.manner, Manner::Requests | Manner::Polling),
        _ => role.manner == Manner::Requests,
    }
}

fn plan(class: Class, random: &mut Random) -> Box<dyn Plan> {
    match class {
        Class::EnumerateFast => Box::new(Enumerate::new(500.0, false, random)),
        Class::EnumerateSlow => Box::new(Enumerate::new(30_000.0, false, random)),
        Class::EnumerateShuffled => Box::new(Enumerate::new(30_000.0, true, random)),
        Class::Exfiltrate => Box::new(Exfiltrate::of(1.0)),
        Class::ExfiltrateHalf => Box::new(Exfiltrate::of(0.5)),
        Class::Scrape => Box::<Scrape>::default(),
        Class::Theft => Box::new(Theft::new(random)),
        Class::Replay => Box::new(Replay::new(random)),
        Class::Probe => Box::<Probe>::default(),
        Class::HijackScoped | Class::HijackUnscoped => Box::new(Hijack::new(random)),
        Class::Poison => Box::<Poison>::default(),
        Class::FrameJunk => Box::new(Frame::new(100.0, random)),
        Class::FrameToken => Box::new(Frame::new(200.0, random)),
        Class::Forge => Box::new(Forge::new(random)),
        Class::LieServed | Class::LieUnserved => Box::new(Lie::new(random)),
    }
}
