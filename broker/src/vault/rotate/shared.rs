//! Two secrets that are one credential at the third party.
//!
//! What it catches: plans whose roles are another plan's too, and two planned secrets with one reference at one server. Exchanging
//! either would end the other, which nobody would hear of before its next call.
//!
//! What it misses: one server under two names, and a secret that has no plan: nobody knows where that one is kept.
//!
//! Why not compare values: they are opened for whoever uses them, and a role has another one after each exchange.

use lanyard_token::NodeId;

use super::machine::Reference;
use super::third_party::touched_at;
use super::{RotateError, Rotations};
use crate::store::event::RotationPlan;

impl Rotations {
    /// Asked when it is planned and whenever an exchange begins: either of the two may be put later.
    pub(super) fn is_nobody_elses(&self, plan: &RotationPlan) -> Result<(), RotateError> {
        let Some((server, ours)) = self.touched(plan) else {
            return Ok(());
        };
        for other in self.state.plans() {
            if other.secret == plan.secret {
                continue;
            }
            let theirs = self.touched(&other).filter(|(at, _)| *at == server);
            let theirs = theirs.map(|(_, references)| references).unwrap_or_default();
            if let Some(shared) = ours.iter().find(|reference| theirs.contains(reference)) {
                let name = |secret| self.vault.state.name_of(secret);
                return Err(RotateError::Shared {
                    secret: name(plan.secret),
                    other: name(other.secret),
                    reference: shared.0.clone(),
                });
            }
        }
        Ok(())
    }

    fn touched(&self, plan: &RotationPlan) -> Option<(String, Vec<Reference>)> {
        let (server, mut references) = touched_at(plan)?;
        references.extend(self.in_force(plan.secret));
        Some((server, references))
    }

    fn in_force(&self, secret: NodeId) -> Option<Reference> {
        self.vault.state.kept(secret, None)?.reference
    }
}
