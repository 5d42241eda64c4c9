//! What lies on the judge's desk: the engine's windows and habits, and what only a broker has:
//! which reports were counted, what operations are called, whose bounds have changed, what was done
//! in the last minute.

use std::collections::HashMap;

use lanyard_drift::desk::{self, Register, RoleId};
use lanyard_drift::ladder::{Spent, SubjectId};
use lanyard_drift::{Baseline, Thresholds};
use lanyard_token::NodeId;

use super::ROLE_MEMBERS;
use super::changes::Changes;
use super::counters::Counters;
use super::frozen::JUDGED;
use super::intake::Seen;
use super::names::Names;
use super::opaque::{node, subject, subjects};
use super::state::WatchState;
use crate::store::event::Kind;

/// What lies on the desk.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) windows: desk::Desk,
    pub(super) seen: HashMap<NodeId, Seen>,
    pub(super) spent: Spent,
    pub(super) names: Names,
    pub(super) changes: Changes,
    /// Whether habits changed since they were saved.
    pub(super) changed: bool,
}

impl Desk {
    /// With the habits that were saved last.
    pub(super) fn of(habits: impl Iterator<Item = (NodeId, Box<Baseline>)>) -> Self {
        let habits = habits.map(|(identity, baseline)| (subject(identity), baseline));
        Self {
            windows: desk::Desk::with_habits(habits),
            ..Self::default()
        }
    }

    /// The habits of an identity; empty when there are none.
    pub(super) fn habits(&self, identity: NodeId) -> Box<Baseline> {
        let habits = self.windows.habits(subject(identity));
        habits
            .map(|habits| Box::new(habits.clone()))
            .unwrap_or_default()
    }

    /// Takes note of what the windows came to: whose bounds are news, what is to be saved.
    pub(super) fn settle(&mut self, register: &dyn Register, counters: &Counters) {
        let tally = self.windows.take_tally();
        counters.absorbed.add(tally.absorbed);
        counters.withheld.add(tally.withheld);
        counters.crowded_out.add(tally.crowded_out);
        // A refused window counts too: how long a mild anomaly lasts is part of the habits.
        self.changed |= tally.withheld > 0 || !tally.learned.is_empty();
        for identity in tally.learned {
            if let Some(habits) = self.windows.habits(identity) {
                let bounds = habits.bounds(register.thresholds(identity));
                self.changes.note(node(identity), bounds);
            }
        }
    }
}

/// Roles as the log knows them.
pub(super) struct Roles<'a> {
    pub(super) state: &'a WatchState,
    pub(super) thresholds: ByKind,
}

/// What each kind of identity is judged by.
pub(super) struct ByKind {
    product: Thresholds,
    frozen: [Option<Thresholds>; JUDGED.len()],
}

impl ByKind {
    /// As they are in force now, and the product's for the rest.
    pub(super) fn now(state: &WatchState, product: Thresholds) -> Self {
        let frozen = JUDGED.map(|kind| state.frozen(kind).map(|frozen| frozen.thresholds));
        Self { product, frozen }
    }

    pub(super) fn of(&self, kind: Option<Kind>) -> &Thresholds {
        let known = JUDGED.iter().position(|judged| Some(*judged) == kind);
        known
            .and_then(|at| self.frozen.get(at)?.as_ref())
            .unwrap_or(&self.product)
    }
}

impl Register for Roles<'_> {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        subjects(&self.state.peers(node(identity), ROLE_MEMBERS))
    }

    fn role(&self, identity: SubjectId) -> RoleId {
        self.state.role(node(identity))
    }

    fn thresholds(&self, identity: SubjectId) -> &Thresholds {
        self.thresholds.of(self.state.kind(node(identity)))
    }
}
