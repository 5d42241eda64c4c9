//! What is rehearsed: a policy, caps, and thresholds per kind of identity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ladder::{Caps, Policy, SubjectId};
use crate::thresholds::Thresholds;

/// What somebody thinks of switching to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Candidate {
    /// The table, and whether statistics act.
    pub policy: Policy,
    /// How much may be done per minute.
    pub caps: Caps,
    /// Gateways whose word about hard rules stands alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sole_witnesses: Vec<SubjectId>,
    /// Thresholds by kind of identity.
    pub thresholds: BTreeMap<String, Thresholds>,
    /// Thresholds of the kinds that are not named.
    pub otherwise: Thresholds,
}

impl Candidate {
    /// What a kind of identity would be judged by.
    #[must_use]
    pub fn thresholds(&self, kind: &str) -> &Thresholds {
        self.thresholds.get(kind).unwrap_or(&self.otherwise)
    }

    /// Whether, against the thresholds in force, something changes that recorded windows cannot show:
    /// bounds and bars that enter while a window is weighed, and what decides about learning.
    #[must_use]
    pub fn unrehearsed(candidate: &Thresholds, in_force: &Thresholds) -> bool {
        let rehearsed = Thresholds {
            minimum_history: in_force.minimum_history,
            order: in_force.order,
            operations: in_force.operations,
            volume: in_force.volume,
            cadence: in_force.cadence,
            origin: in_force.origin,
            destination: in_force.destination,
            refusals: in_force.refusals,
            ..*candidate
        };
        rehearsed != *in_force
    }
}
