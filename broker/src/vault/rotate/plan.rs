//! How a secret is to be exchanged: what an administrator says, and the driver that comes of it.
//!
//! Whatever cannot work is refused when it is said, in words that name the member and what is right, and repeat
//! nothing of what was there: a credential that somebody wrote into a plan would be in every log. A plan in the log is taken
//! as it is, since what is under way could not end by one that a later release would not take any more.

mod table;

use std::time::Duration;

use lanyard_token::NodeId;
use lanyard_token::integration::Network;

pub(super) use self::table::Table;
pub use self::table::Written;
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

/// Longest that a call may take, in seconds: a broker that stops waits for none, and a third party that takes longer
/// than what proxies wait for has not answered.
const LONGEST_CALL: u32 = 60;
/// Longest that a lost answer may take to settle, or the third party to know of a change everywhere, in seconds: it is
/// waited for while two credentials are good.
const LONGEST_SETTLING: u32 = 60 * 60;
/// Longest that both stay good on purpose, in seconds: a quarter, as the slowest of releases need.
const LONGEST_OVERLAP: u32 = 92 * 24 * 60 * 60;
/// Most days between two exchanges: ten years, beyond which nobody plans.
const MOST_DAYS: u32 = 3_650;
/// Most private networks of a plan: one server, its copies, and another site.
const MOST_NETWORKS: usize = 16;
/// Networks that are private as a whole (RFC 1918, 6598, 4193, and this machine): whatever lies in them may be named.
const PRIVATE: [&str; 6] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
];
/// Shortest prefix of a network elsewhere, such as one of a site with addresses of its own. A shorter one would name what
/// nobody means, the cloud's metadata too.
const SHORTEST_PREFIX: (u8, u8) = (16, 32);

/// How a secret is to be exchanged, as an administrator says it.
#[derive(Debug)]
pub struct NewPlan {
    third_party: ThirdParty,
    manager: Option<String>,
    private: Vec<Network>,
    every_days: Option<u32>,
    rules: Rules,
}

impl NewPlan {
    /// Reads what somebody wrote. A member that is not known is refused, in the innermost table too.
    pub fn read(Written(plan): Written) -> Result<Self, Unsuitable> {
        let mut table = Table::read("", plan)?;
        let third_party = ThirdParty::read(table.table("third_party")?)?;
        let manager = table.optional("manager", "the name of a secret")?;
        let private = private(&mut table)?;
        let every_days = within(&mut table, "every_days", 1, MOST_DAYS)?;
        let mut millis = |member, least, most, usual: u64| {
            let seconds = within(&mut table, member, least, most)?;
            Ok::<_, Unsuitable>(seconds.map_or(usual, |seconds| u64::from(seconds) * 1_000))
        };
        let usual = USUAL_RULES;
        let rules = Rules {
            call: millis("call_seconds", 1, LONGEST_CALL, usual.call)?,
            settle: millis("settle_seconds", 1, LONGEST_SETTLING, usual.settle)?,
            spread: millis("spread_seconds", 0, LONGEST_SETTLING, usual.spread)?,
            overlap: millis("overlap_seconds", 0, LONGEST_OVERLAP, usual.overlap)?,
            quiet: millis("quiet_seconds", 0, LONGEST_OVERLAP, usual.quiet)?,
            watch: usual.watch,
        };
        table.finish()?;
        if rules.settle <= rules.call {
            let why = "`settle_seconds` must be longer than `call_seconds`: what was lost may still arrive";
            return Err(Unsuitable::Settings(why.to_owned()));
        }
        Ok(Self {
            third_party,
            manager,
            private,
            every_days,
            rules,
        })
    }
}

/// A number between two.
fn within(
    table: &mut Table,
    member: &'static str,
    least: u32,
    most: u32,
) -> Result<Option<u32>, Unsuitable> {
    let is = format!("a number from {least} to {most}");
    match table.optional::<u32>(member, &is)? {
        Some(number) if !(least..=most).contains(&number) => {
            let why = format!("`{}` is {is}", table.path(member));
            Err(Unsuitable::Settings(why))
        }
        number => Ok(number),
    }
}

fn private(table: &mut Table) -> Result<Vec<Network>, Unsuitable> {
    let is = "a list of private networks, such as [\"10.1.0.0/16\"]";
    let networks: Vec<Network> = table.optional("private", is)?.unwrap_or_default();
    let (shortest, shortest_v6) = SHORTEST_PREFIX;
    let is_too_wide = |network: &Network| {
        let shortest = if network.is_ipv6() {
            shortest_v6
        } else {
            shortest
        };
        let is_private = PRIVATE
            .iter()
            .filter_map(|whole| whole.parse::<Network>().ok())
            .any(|whole| whole.contains_all(network));
        !is_private && network.prefix() < shortest
    };
    let why = if networks.len() > MOST_NETWORKS {
        format!("`private` names at most {MOST_NETWORKS} networks")
    } else if networks.iter().any(is_too_wide) {
        "`private` names a network that is wider than any private one".to_owned()
    } else {
        return Ok(networks);
    };
    Err(Unsuitable::Settings(why))
}

impl RotateError {
    /// What of a plan may change while it is used.
    fn about_a_plan(self) -> Self {
        match self {
            Self::UnderWay { secret, rotation } => Self::PlanInUse { secret, rotation },
            error => error,
        }
    }
}

impl Rotations {
    /// Says how a secret is exchanged from here on.
    pub async fn plan(&self, secret: &str, new: NewPlan, by: By) -> Result<PlanView, RotateError> {
        let id = self.vault.find(secret)?;
        let manager = match &new.manager {
            Some(manager) => self.vault.find(manager)?,
            None => id,
        };
        let third_party = serde_json::to_value(&new.third_party)
            .map_err(|error| Unsuitable::Settings(error.to_string()))?;
        let plan = RotationPlan {
            secret: id,
            third_party,
            manager,
            private: new.private,
            every_days: new.every_days,
            rules: new.rules,
        };
        // Whatever cannot work is said now, not when the first rotation is due.
        self.driver(&plan, plan.rules.call)?;
        let planned = Event::RotationPlanned {
            plan: Box::new(plan.clone()),
            by,
        };
        let _changing = self.vault.changing.lock().await;
        let under_way = self.state.under_way(id);
        let goes_on = under_way.is_some();
        // What is under way would go on at another third party, and take what it finds there for its own.
        if !goes_on || !self.is_at_the_same(&plan) {
            self.is_left_alone(id).map_err(RotateError::about_a_plan)?;
            self.is_managed_by_its_own(&plan)?;
            self.is_nobody_elses(&plan)?;
        }
        self.vault
            .store
            .append(vec![planned])
            .await
            .map_err(VaultError::from)?;
        if let Some(rotation) = under_way {
            self.running.begin_again(rotation);
        }
        Ok(self.plan_view(&plan))
    }

    /// Whether a plan speaks to whom the one in force speaks to, in the same way and as the same manager. Networks and
    /// certificates may be others: without them what is under way might never end.
    fn is_at_the_same(&self, plan: &RotationPlan) -> bool {
        let whom = |plan: &RotationPlan| {
            // As it is written now, whichever version wrote it.
            let read: ThirdParty = serde_json::from_value(plan.third_party.clone()).ok()?;
            let mut written = serde_json::to_value(&read).ok()?;
            written.as_object_mut()?.remove("ca_file");
            Some(written)
        };
        let known = self.state.plan(plan.secret);
        known.is_some_and(|known| {
            // Nobody can go on with what nobody can read.
            let known_whom = whom(&known);
            known.manager == plan.manager && (known_whom.is_none() || known_whom == whom(plan))
        })
    }

    /// Whoever plans says where the manager's value is sent, so it has to answer to whom the secret answers to. It is
    /// asked whenever a rotation begins, since either may be transferred.
    pub(super) fn is_managed_by_its_own(&self, plan: &RotationPlan) -> Result<(), RotateError> {
        let owner = |secret| self.vault.state.owner_of(secret);
        if owner(plan.manager) == owner(plan.secret) {
            return self.is_called_something(plan);
        }
        Err(RotateError::ManagerOfAnother {
            manager: self.vault.state.name_of(plan.manager),
            secret: self.vault.state.name_of(plan.secret),
        })
    }

    /// Whoever is sent to a third party needs a name there; the secret itself is asked for its own when it is exchanged.
    fn is_called_something(&self, plan: &RotationPlan) -> Result<(), RotateError> {
        let shown = self.vault.state.kept(plan.manager, None);
        match shown.filter(|shown| plan.manager != plan.secret && shown.reference.is_none()) {
            None => Ok(()),
            Some(shown) => Err(RotateError::NoReference {
                secret: shown.name,
                version: shown.version.0,
            }),
        }
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

    /// What speaks to the third party of a plan; no call takes longer than so many milliseconds.
    pub(super) fn driver(
        &self,
        plan: &RotationPlan,
        longest_call: u64,
    ) -> Result<Box<dyn Driver>, RotateError> {
        let third_party: ThirdParty =
            serde_json::from_value(plan.third_party.clone()).map_err(|_| {
                RotateError::Unreadable {
                    secret: self.vault.state.name_of(plan.secret),
                }
            })?;
        let longest_call = Duration::from_millis(longest_call);
        let outside = self.outside.with(&plan.private)?;
        Ok(third_party.driver(&outside, &self.vault.clock, longest_call)?)
    }
}
