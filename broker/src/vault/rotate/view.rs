//! What may be shown of exchanges.

use lanyard_token::NodeId;
use lanyard_token::integration::Network;
use serde::Serialize;

use super::Rotations;
use super::machine::{Alarm, Known, Outcome, Rules, Step, Version};
use super::state::Under;
use crate::clock::UnixMillis;
use crate::store::event::{By, RotationCause, RotationPlan};

/// How a secret is exchanged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanView {
    /// Its name.
    pub secret: String,
    /// At which third party, and how.
    pub third_party: serde_json::Value,
    /// The secret that manages credentials there.
    pub manager: String,
    /// Private networks that the third party may be in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<Network>,
    /// How often, in days.
    pub every_days: Option<u32>,
    /// How long its steps may take, in milliseconds.
    pub rules: Rules,
}

/// A rotation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RotationView {
    /// Its number.
    pub id: NodeId,
    /// Which secret.
    pub secret: String,
    /// Why.
    pub cause: RotationCause,
    /// Since when.
    pub begun: UnixMillis,
    /// Who began it.
    pub by: By,
    /// Where it stands.
    pub step: Step,
    /// Since when there.
    pub since: UnixMillis,
    /// The rotation that has to be over before it looks, where credentials are listed together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<NodeId>,
    /// The version that it makes.
    pub version: Version,
    /// What was in force before.
    pub old: Option<Known>,
    /// What somebody has to look at.
    pub alarm: Option<Alarm>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether it can still be undone.
    pub can_be_aborted: bool,
}

/// A secret that is due and cannot be exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptWaiting {
    /// Its name.
    pub secret: String,
    /// Why it is due.
    pub cause: RotationCause,
    /// Since when it is tried in vain.
    pub since: UnixMillis,
    /// What is in the way.
    pub why: String,
}

impl Rotations {
    pub(super) fn view(&self, id: NodeId, under: &Under) -> RotationView {
        let rotation = &under.rotation;
        RotationView {
            id,
            secret: self.vault.state.name_of(under.secret),
            cause: under.cause,
            begun: under.begun,
            by: under.by.clone(),
            step: rotation.step().clone(),
            since: rotation.since(),
            waits_for: self.turns.waits_for(id),
            version: rotation.version(),
            old: rotation.old().cloned(),
            alarm: rotation.alarm().cloned(),
            outcome: rotation.outcome(),
            can_be_aborted: rotation.can_be_abandoned(),
        }
    }

    pub(super) fn plan_view(&self, plan: &RotationPlan) -> PlanView {
        PlanView {
            secret: self.vault.state.name_of(plan.secret),
            third_party: plan.third_party.clone(),
            manager: self.vault.state.name_of(plan.manager),
            private: plan.private.clone(),
            every_days: plan.every_days,
            rules: plan.rules,
        }
    }
}
