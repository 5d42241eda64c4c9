//! "We are deploying this role": for a bounded time what is new in its members is learned instead of
//! held against them. Hard rules and amounts are judged as ever, and it ends by itself.

use serde::Serialize;

use super::Watch;
use super::paging::{self, BudgetView, GoalError};
use super::review::{MAX_REASON_BYTES, is_reason};
use super::state::{Deployment, Role};
use crate::store::event::{By, PagingGoal};
use crate::store::{Event, StoreError};

/// The longest learning window, in seconds: a day. Whoever deploys longer says so again.
pub const LONGEST: u64 = 86_400;

/// A role that is being deployed, as people see it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct DeploymentView {
    /// What it is.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// How many identities play the role.
    pub members: usize,
}

/// Why no learning window was opened, or no budget set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Look at the list of identities.
    #[error("there is no such identity")]
    Unknown,
    /// Nobody to learn from; most likely a tag is missing.
    #[error("no identity plays this role: a role is the kind and all the tags of its members")]
    NobodyPlays,
    /// Shorter, or longer than nothing.
    #[error("a learning window is 1 to {LONGEST} seconds")]
    Length,
    /// Say it in fewer words.
    #[error("a reason is one line of 1 to {MAX_REASON_BYTES} bytes")]
    Reason,
    /// See there.
    #[error(transparent)]
    Goal(#[from] GoalError),
    /// Ask again later.
    #[error("the log takes no events now")]
    Store(#[from] StoreError),
}

impl Watch {
    /// What is being deployed now.
    pub fn deployments(&self) -> Vec<DeploymentView> {
        let now = self.clock.now();
        let known = self.state.deployments().into_iter();
        known
            .filter(|deployment| deployment.until > now)
            .map(|deployment| DeploymentView {
                members: self.state.members(&deployment.role),
                deployment,
            })
            .collect()
    }

    /// The role that an identity plays, by its name or number.
    pub fn role_of(&self, identity: &str) -> Result<Role, OrderError> {
        let subject = self.state.subject_called(identity);
        subject.map(Role::from).ok_or(OrderError::Unknown)
    }

    /// Opens a learning window for a role.
    pub async fn deploy(
        &self,
        mut role: Role,
        seconds: u64,
        reason: Option<String>,
        by: By,
    ) -> Result<DeploymentView, OrderError> {
        if seconds == 0 || seconds > LONGEST {
            return Err(OrderError::Length);
        }
        if reason.as_deref().is_some_and(|reason| !is_reason(reason)) {
            return Err(OrderError::Reason);
        }
        role.tags.sort();
        role.tags.dedup();
        if self.state.members(&role) == 0 {
            return Err(OrderError::NobodyPlays);
        }
        let now = self.clock.now();
        let until = now.plus_millis(seconds * 1_000);
        let announced = Event::DeploymentAnnounced {
            kind: role.kind,
            tags: role.tags.clone(),
            until,
            by: by.clone(),
            reason: reason.clone(),
        };
        self.store.append(vec![announced]).await?;
        self.shards.announce_deployment(role.id(), until, now);
        Ok(DeploymentView {
            members: self.state.members(&role),
            deployment: Deployment {
                role,
                at: now,
                until,
                by,
                reason,
            },
        })
    }

    /// What the log knows to be under way, after a start.
    pub(super) fn announce_known(&self) {
        let now = self.clock.now();
        for known in self.state.deployments() {
            self.shards
                .announce_deployment(known.role.id(), known.until, now);
        }
    }

    /// How often the pager may ring, and how often it did.
    pub fn budget(&self) -> BudgetView {
        self.kept.lock().pager.view(self.state.budget())
    }

    /// Sets how often the pager may ring. Nothing that is enforced follows from it.
    pub async fn set_budget(&self, goal: PagingGoal, by: By) -> Result<BudgetView, OrderError> {
        paging::check(goal)?;
        self.store
            .append(vec![Event::BudgetSet { goal, by }])
            .await?;
        Ok(self.budget())
    }
}
