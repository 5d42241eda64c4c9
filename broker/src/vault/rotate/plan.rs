//! How a secret is to be exchanged: what an administrator says, and the driver that comes of it.

use std::time::Duration;

use lanyard_token::NodeId;
use serde::Deserialize;

use super::driver::{Driver, Unsuitable};
use super::machine::Rules;
use super::third_party::ThirdParty;
use super::{PlanView, RotateError, Rotations, VaultError};
use crate::store::Event;
use crate::store::event::{By, RotationPlan};

/// The numbers of a plan that does not say others.
///
/// `settle` is longer than any call is waited for, `spread` longer than IAM needs to tell its regions,
/// `overlap` two leases and `quiet` one.
pub const USUAL_RULES: Rules = Rules {
    call: 10_000,
    settle: 15_000,
    spread: 20_000,
    overlap: 120_000,
    quiet: 60_000,
    watch: 10_000,
};

/// How a secret is to be exchanged, as an administrator says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    /// At which third party.
    pub third_party: ThirdParty,
    /// The secret that manages credentials there, by name or number; none: the secret itself.
    #[serde(default)]
    pub manager: Option<String>,
    /// How often, in days; none: when somebody asks.
    #[serde(default)]
    pub every_days: Option<u32>,
    /// How long both stay good, in seconds.
    #[serde(default)]
    pub overlap_seconds: Option<u32>,
    /// How long nobody must have used the old one, in seconds.
    #[serde(default)]
    pub quiet_seconds: Option<u32>,
    /// How long a call may take, in seconds.
    #[serde(default)]
    pub call_seconds: Option<u32>,
    /// How long a lost answer is left to settle, in seconds; longer than a call may take.
    #[serde(default)]
    pub settle_seconds: Option<u32>,
    /// How long the third party may need until it knows of a change everywhere, in seconds.
    #[serde(default)]
    pub spread_seconds: Option<u32>,
}

impl Rotations {
    /// Says how a secret is exchanged from here on.
    pub async fn plan(&self, secret: &str, new: NewPlan, by: By) -> Result<PlanView, RotateError> {
        let id = self.vault.find(secret)?;
        let manager = match &new.manager {
            Some(manager) => self.vault.find(manager)?,
            None => id,
        };
        let usual = USUAL_RULES;
        let millis =
            |given: Option<u32>, usual: u64| given.map_or(usual, |given| u64::from(given) * 1_000);
        let rules = Rules {
            call: millis(new.call_seconds, usual.call),
            settle: millis(new.settle_seconds, usual.settle),
            spread: millis(new.spread_seconds, usual.spread),
            overlap: millis(new.overlap_seconds, usual.overlap),
            quiet: millis(new.quiet_seconds, usual.quiet),
            watch: usual.watch,
        };
        let third_party = serde_json::to_value(&new.third_party)
            .map_err(|error| Unsuitable::Settings(error.to_string()))?;
        if rules.settle <= rules.call || rules.call == 0 {
            let why = "`settle_seconds` must be longer than `call_seconds`: what was lost may still arrive";
            return Err(Unsuitable::Settings(why.to_owned()).into());
        }
        if new.every_days == Some(0) {
            let why = "`every_days` is at least 1; leave it out where only somebody asks";
            return Err(Unsuitable::Settings(why.to_owned()).into());
        }
        // Whatever cannot work is said now, not when the first rotation is due.
        let longest_call = Duration::from_millis(rules.call);
        new.third_party
            .driver(&self.client, &self.vault.clock, longest_call)?;
        let plan = RotationPlan {
            secret: id,
            third_party,
            manager,
            every_days: new.every_days,
            rules,
        };
        let planned = Event::RotationPlanned {
            plan: Box::new(plan.clone()),
            by,
        };
        // What is under way would go on at another third party, and take what it finds there for its own.
        let _changing = self.vault.changing.lock().await;
        self.is_left_alone(id)?;
        self.vault
            .store
            .append(vec![planned])
            .await
            .map_err(VaultError::from)?;
        Ok(self.plan_view(&plan))
    }

    /// Leaves a secret alone from here on. While it is being exchanged this is refused.
    pub async fn unplan(&self, secret: &str, by: By) -> Result<(), RotateError> {
        let id = self.vault.find(secret)?;
        self.planned(id)?;
        // What is under way needs the plan until it is over.
        let _changing = self.vault.changing.lock().await;
        self.is_left_alone(id)?;
        let event = Event::RotationUnplanned { secret: id, by };
        self.vault
            .store
            .append(vec![event])
            .await
            .map_err(VaultError::from)?;
        Ok(())
    }

    /// How a secret is exchanged.
    pub fn show_plan(&self, secret: &str) -> Result<PlanView, RotateError> {
        let plan = self.planned(self.vault.find(secret)?)?;
        Ok(self.plan_view(&plan))
    }

    pub(super) fn planned(&self, secret: NodeId) -> Result<RotationPlan, RotateError> {
        self.state.plan(secret).ok_or_else(|| RotateError::NoPlan {
            secret: self.vault.state.name_of(secret),
        })
    }

    pub(super) fn driver(&self, plan: &RotationPlan) -> Result<Box<dyn Driver>, RotateError> {
        let third_party: ThirdParty =
            serde_json::from_value(plan.third_party.clone()).map_err(|_| {
                RotateError::Unreadable {
                    secret: self.vault.state.name_of(plan.secret),
                }
            })?;
        let longest_call = Duration::from_millis(plan.rules.call);
        Ok(third_party.driver(&self.client, &self.vault.clock, longest_call)?)
    }
}
