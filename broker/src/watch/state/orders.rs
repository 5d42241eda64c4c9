//! What operators said about the drift engine: what is being deployed, and how often it may page.

use std::collections::BTreeMap;

use lanyard_drift::desk::RoleId;
use serde::{Deserialize, Serialize};

use super::subjects;
use crate::clock::UnixMillis;
use crate::store::event::{By, Kind, PagingGoal};

/// Deployments under way at most: as many roles as the desk follows. A new one takes the place of the
/// one that ends first.
const DEPLOYMENTS: usize = 1_024;

/// A role by what makes it: kind and sorted tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// What sort of thing its members are.
    pub kind: Kind,
    /// Their labels.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl From<super::Subject> for Role {
    fn from(subject: super::Subject) -> Self {
        Self {
            kind: subject.kind,
            tags: subject.tags,
        }
    }
}

impl Role {
    /// As a number that all its members share.
    pub fn id(&self) -> RoleId {
        subjects::role_id(self.kind, &self.tags)
    }
}

/// A role that is being deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which.
    pub role: Role,
    /// Since when.
    pub at: UnixMillis,
    /// Until when what is new in it is learned.
    pub until: UnixMillis,
    /// Who said so.
    pub by: By,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How often the pager may ring, as somebody set it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoalSet {
    /// How often.
    pub goal: PagingGoal,
    /// When it was said.
    pub at: UnixMillis,
    /// By whom.
    pub by: By,
}

/// All of it.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Orders {
    /// One per role: the last word holds.
    deployments: Vec<Deployment>,
    budget: Option<GoalSet>,
}

impl Orders {
    pub(super) fn announce(&mut self, deployment: Deployment) {
        self.deployments
            .retain(|known| known.role != deployment.role);
        if self.deployments.len() >= DEPLOYMENTS {
            let first = self.deployments.iter().map(|known| known.until).min();
            let at = first.and_then(|first| self.deployments.iter().position(|d| d.until == first));
            at.map(|at| self.deployments.remove(at));
        }
        self.deployments.push(deployment);
    }

    /// Forgets deployments that are over; whether there were any.
    pub(super) fn forget(&mut self, now: UnixMillis) -> bool {
        let before = self.deployments.len();
        self.deployments.retain(|known| known.until > now);
        before != self.deployments.len()
    }

    pub(super) fn deployments(&self) -> BTreeMap<Role, Deployment> {
        let known = self.deployments.iter();
        known
            .map(|known| (known.role.clone(), known.clone()))
            .collect()
    }

    pub(super) fn set_budget(&mut self, set: GoalSet) {
        self.budget = Some(set);
    }

    pub(super) const fn budget(&self) -> Option<&GoalSet> {
        self.budget.as_ref()
    }
}
