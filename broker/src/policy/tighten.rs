//! What identities are registered for and do not use, and what may be taken from them.
//!
//! **Catches** scopes and audiences that an identity was registered for and did not use on any of the last N days. What
//! gateways saw is the honest measure of use; where no gateway tells, whatever a token had counts as used, so that
//! nothing is taken for want of a witness. A scope that requests name stays even when no gateway saw it used:
//! without it the request would come to nothing. The client has to stop asking first.
//!
//! **Misses** what is done less often than every N days and by nobody alike: the job at the end of the year, the
//! first use of something that was granted in advance. N is to be chosen for the longest period that matters; more
//! days lose fewer, and take less. Nothing here can know what a deployment of tomorrow is about to use.
//!
//! **Warms up** with the registration: what is registered for fewer than N days is left, whoever was active on
//! fewer than [`FEWEST_DAYS`] is left, and so is what the identity's role uses seldom or mostly. **Recovers**
//! by review: what is taken out is a patch, and giving it back is a line of a file.
//!
//! **Why not simply everything that is unused**: in a fleet with weekly and monthly work the next run would be
//! refused; and why not a model of each identity's habits: a person is to agree with every line, and "not used on
//! any of 30 days" is a reason that a person can check.

mod days;
mod evidence;
mod judging;
mod lists;
mod permits;

use std::collections::{BTreeMap, BTreeSet};

use lanyard_token::{Audience, Scope};
use serde::{Serialize, Serializer};
use time::Date;

pub use days::{Days, Place, Window};
use evidence::RoleName;
pub use evidence::{Evidence, Known, Use};
pub use judging::{Blocked, Judged, Narrower, judge};
pub use lists::{List, list_of};
pub use permits::{NarrowedPermit, narrow_permit, permits};

use super::trial::{Fixture, Kind};

/// Whoever was active on fewer days is left: two runs of a weekly job do not say what the third will need.
pub const FEWEST_DAYS: u32 = 3;
/// Done on at most one in so many of a member's active days, something is done seldom: a weekly duty of a service that
/// works daily is one in seven.
const SELDOM: u32 = 5;

/// Something an identity is registered for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// At any of its audiences.
    Scope(Scope),
    /// To obtain tokens for it.
    Audience(Audience),
}

impl Right {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Scope(scope) => scope.as_str(),
            Self::Audience(audience) => audience.as_str(),
        }
    }

    /// Whether it is a scope.
    pub const fn is_scope(&self) -> bool {
        matches!(self, Self::Scope(_))
    }

    /// Whether it is an audience.
    pub const fn is_audience(&self) -> bool {
        matches!(self, Self::Audience(_))
    }
}

/// What is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// What.
    pub right: Right,
    /// When it was last used, as far back as is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written")]
    pub last_used: Option<Date>,
    /// Tokens of the window that had it all the same, because everything was asked for.
    pub in_tokens: u64,
}

/// `2026-01-21`.
fn written<S: Serializer>(date: &Option<Date>, to: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(to)
}

/// Why something that was not used stays, or why nothing is known of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stays {
    /// Requests name it: without it they would come to nothing.
    Named,
    /// Tokens had it, and no gateway tells what they were used for.
    NoWitness,
    /// Administrators approved its use.
    Approved,
    /// Others of its role use it seldom: its day may come.
    SeldomInRole,
    /// Most others of its role use it.
    UsualInRole,
}

impl Stays {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Named => {
                "its requests name it, though no gateway saw it used: let the client stop asking for it first"
            }
            Self::NoWitness => "its tokens have it, and no gateway tells what they are used for",
            Self::Approved => "administrators approved its use",
            Self::SeldomInRole => "others of its kind and labels use it, but seldom",
            Self::UsualInRole => "most others of its kind and labels use it",
        }
    }
}

/// Why nothing at all is taken from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// Gateways and administrators have what Lanyard itself demands.
    Lanyards,
    /// Registered for all of it for less than the days looked at.
    Young,
    /// It obtained nothing: that is for `lanyard identity unused`.
    Silent,
    /// Active on too few days to know what else it does.
    SeldomActive,
    /// A permit that gave nothing: it may be for the day on which nothing else helps.
    GaveNothing,
    /// A permit that people agree to each time.
    NeedsApproval,
    /// A permit that does not list what it gives.
    NamesNoScopes,
}

impl Left {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lanyards => "they work for Lanyard itself",
            Self::Young => "younger than the days looked at",
            Self::Silent => "they obtained no token at all: see `lanyard identity unused`",
            Self::SeldomActive => "active on too few days to know what else it does",
            Self::GaveNothing => {
                "they gave nothing, and may be for the day on which nothing else helps"
            }
            Self::NeedsApproval => "people agree to each use",
            Self::NamesNoScopes => "they do not list the scopes they give",
        }
    }
}

/// What becomes of one identity.
#[derive(Clone, Debug, Serialize)]
pub struct Narrowed {
    /// Its name.
    pub identity: String,
    /// Who answers for it.
    pub owner: String,
    /// On how many of the days it was active.
    pub active_days: u32,
    /// What is taken.
    pub removed: Vec<Removal>,
    /// What nobody saw used, and stays.
    pub stays: Vec<(Right, Stays)>,
    /// Why nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

impl Narrowed {
    /// The registration without what is taken.
    pub fn registered(&self, identity: &Fixture) -> Fixture {
        let (mut scopes, mut audiences) = (BTreeSet::new(), BTreeSet::new());
        for removal in &self.removed {
            match &removal.right {
                Right::Scope(scope) => scopes.insert(scope.as_str()),
                Right::Audience(audience) => audiences.insert(audience.as_str()),
            };
        }
        let stays = |scope: &&Scope| !scopes.contains(scope.as_str());
        Fixture {
            scopes: identity.scopes.iter().filter(stays).cloned().collect(),
            audiences: identity
                .audiences
                .iter()
                .filter(|audience| !audiences.contains(audience.as_str()))
                .cloned()
                .collect(),
            ..identity.clone()
        }
    }
}

/// Says of everybody what may be taken.
pub fn narrow(evidence: &Evidence, window: Window) -> Vec<Narrowed> {
    let habits = Habits::of(evidence);
    let known = evidence.known.values();
    known
        .map(|known| narrowed(known, &habits, window))
        .collect()
}

fn narrowed(known: &Known, habits: &Habits, window: Window) -> Narrowed {
    let mut narrowed = Narrowed {
        identity: known.registered.name.clone(),
        owner: known.registered.owner.clone(),
        active_days: known.active.count(),
        removed: Vec::new(),
        stays: Vec::new(),
        left: left(known, window),
    };
    if narrowed.left.is_some() {
        return narrowed;
    }
    let role = known.role();
    for right in rights(&known.registered) {
        let used = used(known, &right);
        if let Some(stays) = stays(known, &right, used, habits.of_role(&role, &right)) {
            narrowed.stays.push((right, stays));
        } else if used.days.is_empty() {
            narrowed.removed.push(Removal {
                last_used: used.last,
                in_tokens: in_tokens(known, &right),
                right,
            });
        }
    }
    narrowed
}

fn left(known: &Known, window: Window) -> Option<Left> {
    let works_for_us = matches!(known.registered.kind, Kind::Gateway | Kind::Administrator);
    if works_for_us {
        Some(Left::Lanyards)
    } else if window.age(known.since) < window.days() {
        Some(Left::Young)
    } else if known.active.is_empty() {
        Some(Left::Silent)
    } else if known.active.count() < FEWEST_DAYS {
        Some(Left::SeldomActive)
    } else {
        None
    }
}

/// Everything somebody is registered for.
fn rights(registered: &Fixture) -> Vec<Right> {
    let scopes = registered.scopes.iter().cloned().map(Right::Scope);
    let audiences = registered.audiences.iter().cloned().map(Right::Audience);
    scopes.chain(audiences).collect()
}

fn used(known: &Known, right: &Right) -> Use {
    match right {
        Right::Scope(scope) => known.scope(scope),
        Right::Audience(audience) => known.audience(audience),
    }
}

/// Why something stays although no gateway saw it used on any of the days. `None`: it was seen, or it goes.
fn stays(known: &Known, right: &Right, used: Use, peers: Tally) -> Option<Stays> {
    if used.days.is_empty() {
        let approved = match right {
            Right::Scope(scope) => known
                .at
                .values()
                .any(|at| at.scopes.get(scope).is_some_and(|used| used.approved)),
            Right::Audience(audience) => known.at.get(audience).is_some_and(|at| at.approved),
        };
        return if approved {
            Some(Stays::Approved)
        } else {
            peers.stays()
        };
    }
    let Right::Scope(scope) = right else {
        return None;
    };
    let at = known.at.values();
    let of = at.filter_map(|at| Some((at, at.scopes.get(scope)?)));
    let (mut is_seen, mut is_named) = (false, false);
    for (_, used) in of {
        is_seen |= !used.seen.days.is_empty();
        is_named |= !used.named.days.is_empty();
    }
    match (is_seen, is_named) {
        (true, _) => None,
        // Without any gateway to ask, asking for it by name is use.
        (false, true) => is_watched_where_named(known, scope).then_some(Stays::Named),
        (false, false) => Some(Stays::NoWitness),
    }
}

fn is_watched_where_named(known: &Known, scope: &Scope) -> bool {
    known.at.values().any(|at| {
        let used = at.scopes.get(scope);
        at.is_watched() && used.is_some_and(|used| !used.named.days.is_empty())
    })
}

fn in_tokens(known: &Known, right: &Right) -> u64 {
    let Right::Scope(scope) = right else {
        return 0;
    };
    let at = known.at.values();
    at.filter_map(|at| Some(at.scopes.get(scope)?.given.count))
        .sum()
}

/// How the members of a role use something they are all registered for.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    members: u32,
    users: u32,
    seldom: u32,
}

impl Tally {
    /// Whether that is reason enough to leave it to one who does not use it.
    const fn stays(self) -> Option<Stays> {
        if self.users > 0 && self.seldom * 2 > self.users {
            Some(Stays::SeldomInRole)
        } else if self.members > 1 && self.users * 2 >= self.members {
            Some(Stays::UsualInRole)
        } else {
            None
        }
    }
}

#[derive(Default)]
struct Habits(BTreeMap<(RoleName, Right), Tally>);

impl Habits {
    fn of(evidence: &Evidence) -> Self {
        let mut habits = Self::default();
        for known in evidence.known.values() {
            let active = known.active.count();
            if active == 0 {
                continue;
            }
            for right in rights(&known.registered) {
                let days = used(known, &right).days.count();
                let tally = habits.0.entry((known.role(), right)).or_default();
                tally.members += 1;
                tally.users += u32::from(days > 0);
                tally.seldom += u32::from(days > 0 && days * SELDOM <= active);
            }
        }
        habits
    }

    fn of_role(&self, role: &RoleName, right: &Right) -> Tally {
        let key = (role.clone(), right.clone());
        self.0.get(&key).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
