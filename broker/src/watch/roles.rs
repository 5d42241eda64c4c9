//! Roles and thresholds as the log knows them, for the engine.

use lanyard_drift::Thresholds;
use lanyard_drift::desk::{Register, RoleId};
use lanyard_drift::ladder::SubjectId;

use super::frozen::JUDGED;
use super::opaque::{node, subjects};
use super::state::WatchState;
use crate::store::event::Kind;

/// How many members speak for a role: more would not make its habits clearer.
pub(super) const ROLE_MEMBERS: usize = 32;

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
