//! Poisoning: two days of ever more strange calls among usual ones, so that the habits follow; then the strange
//! ones alone, at three times the pace.
//!
//! It sits in the owner's workload with the owner's key, and mints tokens of its own. Six operations that the
//! owner never calls are what it wants in the end.

use lanyard_drift::Millis;

use super::{Blow, Plan, View};
use crate::world::calendar::{DAY, HOUR};
use crate::world::catalogue::OperationIndex;
use crate::world::random::Random;

/// How long the ramp is.
const RAMP: u64 = 2 * DAY;
/// How long the take-over lasts.
const TAKE_OVER: u64 = 2 * HOUR;
/// The middle of the pauses while it creeps, in milliseconds.
const PAUSE: f64 = 30_000.0;

/// A patient one.
#[derive(Default)]
pub(super) struct Poison {
    began: Option<Millis>,
    wanted: Vec<OperationIndex>,
}

impl Plan for Poison {
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow> {
        let began = *self.began.get_or_insert(view.now);
        let into = view.now.since(began);
        if into > RAMP + TAKE_OVER {
            return None;
        }
        if self.wanted.is_empty() {
            self.wanted = random.draw(&view.strange(), 6);
        }
        let strange = (into as f64 / RAMP as f64).min(1.0);
        let pace = if into > RAMP { 3.0 } else { 1.0 };
        let from = if random.chance(strange) {
            self.wanted.clone()
        } else {
            view.habits.operations()
        };
        let operation = random.pick(&from).copied()?;
        let mut blow = view.beside(operation, random.log_normal(PAUSE / pace, 0.6) as u64);
        blow.object = view.any_object(operation, random);
        blow.takes = self.wanted.contains(&operation);
        Some(blow)
    }
}
