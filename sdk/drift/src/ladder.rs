//! What is done about a verdict: a fixed [`Table`] by kind of [`Abuse`], applied here and nowhere else.
//!
//! An anomalous window costs its token at most: recycle or narrow. For a malicious one it counts how
//! many tokens drifted that were minted *after* one of the same credential was recycled: none, one,
//! two or more choose the rung.
//!
//! **Why recycling comes first.** It costs the owner milliseconds and a thief with a copied bearer
//! token everything, so it may be wrong. Whoever still drifts with a token minted *after* that can
//! mint: then the thing the tokens were minted from is what leaked. One such token may be a second
//! copy or an honest job that changed; two have a lowest common node, and that node is ended: the
//! parent token if they share one, else the credential. Never above the credential: a sibling
//! credential of the same identity, and the fleet of the same owner, are not touched.
//!
//! **When something may be revoked.** Never on the word of one gateway, which may have been taken over
//! (see `ladder/witness.rs`): then it is paused, for at most [`Policy::longest_suspension`] and once an
//! hour, somebody is told, and the second gateway that sees the same, or a person, may end it. A hard rule
//! needs nothing more, and of a gateway that an administrator trusts alone not even that. Statistics need
//! two families of channels with disjoint inputs and [`Policy::minimum_history`] own calls as well.
//!
//! **When recycling ends.** Whoever had [`Policy::recyclings`] tokens taken within the hour and comes back
//! with another one holds the key; for a window that is merely anomalous recycling has then said all it
//! can. It is written down, and what lasts becomes habit. Without this a replica whose release brought a
//! new client and a new network lost every token at its first call, for ever (seen in simulation).
//!
//! **When a token is narrowed.** Only with a witness, denials beside it, and a history: what a release
//! calls anew is let through, what somebody tries is refused, and a baseline of few calls knows too few
//! scopes. A token that was narrowed before is recycled instead: narrowing it again changes nothing.
//!
//! **What it does not do.** It does not weigh: the judge has done that. It does not page: alerts are
//! one per identity and day. In observe mode statistics are written down and nothing more, and since
//! nothing was recycled, nothing escalates.

mod abuse;
mod caps;
mod escalation;
mod history;
mod subject;
mod witness;

use serde::{Deserialize, Serialize};

pub use abuse::{Abuse, Rungs, Table};
pub use caps::{Caps, Spent};
pub use history::{Drifted, History, Narrowed, Recycled};
pub use subject::{Place, SubjectId};

use self::escalation::{Successors, has_come_back};
use crate::event::Millis;
use crate::evidence::{Channel, Evidence, Family, Level, Strength};
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// The ladder of answers to drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Written down.
    Observe,
    /// Somebody is told.
    Alert,
    /// This token ends; its owner mints anew.
    Recycle,
    /// Only what the baseline knows.
    Narrow,
    /// Paused.
    Suspend,
    /// Ended.
    Revoke,
}

impl Response {
    /// As telemetry names it: one of a closed set.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Alert => "alert",
            Self::Recycle => "recycle",
            Self::Narrow => "narrow",
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }
}

/// Whether statistics act or are only written down. Hard rules always act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Written down, with what would have been done.
    #[default]
    Observe,
    /// Carried out.
    Enforce,
}

/// The numbers of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether statistics act.
    pub mode: Mode,
    /// What is done about each kind of abuse.
    pub table: Table,
    /// How long a recycling is remembered, in milliseconds: a token minted within it counts as
    /// minted after it. An hour is the longest a token lives.
    pub recycling_memory: u64,
    /// Recyclings within that memory after which an anomalous window of a token minted since leads to
    /// no other. The first may have met the thief or the owner, the second says that somebody mints.
    pub recyclings: usize,
    /// The longest suspension, in milliseconds.
    pub longest_suspension: u64,
    /// Own calls behind the baseline below which statistics never revoke.
    pub minimum_history: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            table: Table::default(),
            recycling_memory: 3_600_000,
            recyclings: 2,
            longest_suspension: 900_000,
            minimum_history: 1_000,
        }
    }
}

/// What is known about the token when its verdict falls.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Which token.
    pub token: SubjectId,
    /// The nodes above it: owner, identity, credential, then the tokens it was exchanged from.
    pub path: &'a [SubjectId],
    /// Where it was issued.
    pub place: Place,
    /// Whose reports stand behind the verdict.
    pub gateways: &'a [SubjectId],
    /// Of a grave verdict: those of them that each carry it, as [`Sight`](crate::desk::Sight) tells.
    pub carried_by: &'a [SubjectId],
    /// Gateways whose word about hard rules an administrator lets stand alone.
    pub sole_witnesses: &'a [SubjectId],
    /// What happened to its identity lately.
    pub history: &'a History,
}

/// What may still be done this minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whether another token may be recycled.
    pub recycle: bool,
    /// Whether something larger than a token may be suspended or revoked.
    pub end: bool,
}

impl Allowance {
    /// Before any cap is met.
    pub const FULL: Self = Self {
        recycle: true,
        end: true,
    };
}

/// One response to carry out or write down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Which.
    pub response: Response,
    /// To what.
    pub node: Option<SubjectId>,
    /// Whether it is carried out.
    pub enforced: bool,
    /// For a suspension: when it ends.
    pub until: Option<Millis>,
    /// What the table asks for instead, and the word of one gateway does not allow.
    pub held_back: Option<Response>,
}

impl Action {
    /// With nothing more to say of it.
    #[must_use]
    pub const fn new(response: Response, node: Option<SubjectId>, enforced: bool) -> Self {
        Self {
            response,
            node,
            enforced,
            until: None,
            held_back: None,
        }
    }
}

/// What is done about a verdict, within what may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In order; empty for a benign verdict.
    pub actions: Vec<Action>,
    /// Whether a cap made them milder.
    pub capped: bool,
}

/// The table within the caps. What is carried out is spent.
pub fn decide(
    verdict: &Verdict,
    situation: &Situation<'_>,
    policy: &Policy,
    (caps, spent): (Caps, &mut Spent),
    now: Millis,
) -> Decision {
    let behind = behind(situation);
    let allowance = spent.allowance(caps, behind, now);
    let actions = respond(verdict, situation, policy, allowance, now);
    let capped = allowance != Allowance::FULL
        && actions != respond(verdict, situation, policy, Allowance::FULL, now);
    for action in actions.iter().filter(|action| action.enforced) {
        spent.spend(action.response, behind, now);
    }
    Decision { actions, capped }
}

/// Whose caps count: those of who carries it, and of all who reported when nobody alone does.
const fn behind<'a>(situation: &Situation<'a>) -> &'a [SubjectId] {
    match situation.carried_by {
        [] => situation.gateways,
        carried_by => carried_by,
    }
}

/// No single token stood out, the sum of them does: somebody should look. Which token to end is not
/// known, so none is.
#[must_use]
pub fn on_identity(identity: SubjectId, history: &History, now: Millis) -> Action {
    let response = if history.is_alerted(now) {
        Response::Observe
    } else {
        Response::Alert
    };
    Action::new(response, Some(identity), true)
}

/// The table. Empty for a benign verdict.
#[must_use]
pub fn respond(
    verdict: &Verdict,
    situation: &Situation<'_>,
    policy: &Policy,
    allowance: Allowance,
    now: Millis,
) -> Vec<Action> {
    let Some(abuse) = Abuse::of(verdict) else {
        return Vec::new();
    };
    let hard = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
    let grave = hard || verdict.level == Level::Malicious;
    let enforced = hard || policy.mode == Mode::Enforce;
    let rungs = policy.table.rungs(abuse);
    let successors = Successors::of(situation, policy, now);
    let wanted = match successors.count() {
        _ if !grave && has_come_back(situation, policy, now) => Response::Observe,
        _ if !grave => rungs.anomalous.min(Response::Narrow),
        0 => rungs.first,
        1 => rungs.again,
        _ => rungs.then,
    };
    let wanted = match wanted {
        Response::Revoke if !hard && !statistics_may_revoke(verdict, policy) => Response::Suspend,
        Response::Narrow if !may_narrow(verdict, situation, policy) => Response::Recycle,
        wanted => wanted,
    };
    let above = successors.lowest_common_node();
    let allowed = match wanted {
        Response::Suspend | Response::Revoke if is_one_word(&successors, situation, hard) => {
            on_one_word(above, situation.history, policy, now)
        }
        wanted => wanted,
    };
    let held_back = (allowed != wanted).then_some(wanted);
    let (response, capped) = within(allowed, allowance);
    let pausing = situation.history.is_paused(above, now);
    let told = grave || wanted == Response::Alert || carries_out_data(verdict, abuse);
    // Who holds it back now waits for somebody: that is said even on a day on which somebody was told.
    let waits = held_back == Some(Response::Revoke) && response == Response::Suspend && !pausing;

    let mut actions = Vec::with_capacity(2);
    // A full cap is told every time: either many identities are attacked, or a gateway lies.
    if capped || waits || (told && !situation.history.is_alerted(now)) {
        actions.push(Action::new(Response::Alert, None, true));
    }
    let token = Some(situation.token);
    let action = match response {
        Response::Alert => return actions,
        Response::Observe => Action::new(response, token, true),
        Response::Recycle | Response::Narrow => Action::new(response, token, enforced),
        // Prolonging a running suspension would make it last as long as somebody keeps reporting.
        Response::Suspend if pausing => Action::new(Response::Observe, Some(above), true),
        Response::Suspend => Action {
            until: Some(now.plus(policy.longest_suspension)),
            ..Action::new(response, Some(above), enforced)
        },
        Response::Revoke => Action::new(response, Some(above), enforced),
    };
    actions.push(Action {
        held_back,
        ..action
    });
    actions
}

/// Whether there is a gateway without whose word nothing of it would stand.
fn is_one_word(successors: &Successors, situation: &Situation<'_>, hard: bool) -> bool {
    let trusted = |gateway: &SubjectId| hard && situation.sole_witnesses.contains(gateway);
    !successors.word().iter().all(trusted)
}

/// What one gateway's word is good for when the table asks for a larger thing than a token.
fn on_one_word(node: SubjectId, history: &History, policy: &Policy, now: Millis) -> Response {
    if history.is_paused(node, now) || !witness::was_paused(node, history, policy, now) {
        Response::Suspend
    } else {
        Response::Recycle
    }
}

/// Two scores over the same input always agree.
fn statistics_may_revoke(verdict: &Verdict, policy: &Policy) -> bool {
    let mut families: Vec<Family> = verdict
        .evidence
        .iter()
        .filter(|evidence| evidence.strength == Strength::Strong)
        .map(Evidence::family)
        .collect();
    families.sort_unstable();
    families.dedup();
    families.len() >= 2 && verdict.history >= policy.minimum_history
}

/// Only what the baseline knows well enough can be narrowed to, and only once.
fn may_narrow(verdict: &Verdict, situation: &Situation<'_>, policy: &Policy) -> bool {
    let witness = verdict
        .evidence
        .iter()
        .any(|evidence| evidence.strength == Strength::Strong);
    let denied = verdict
        .evidence
        .iter()
        .any(|evidence| evidence.channel() == Channel::Refusals);
    let before = situation.history.is_narrowed(situation.token);
    witness && denied && !before && verdict.history >= policy.minimum_history
}

/// Data that has left does not come back: somebody should look, however mild it seems.
fn carries_out_data(verdict: &Verdict, abuse: Abuse) -> bool {
    let witness = verdict
        .evidence
        .iter()
        .any(|evidence| evidence.strength == Strength::Strong);
    abuse == Abuse::Exfiltration && witness
}

/// The mildest of what is wanted and what the caps leave; `true` when a cap was met.
const fn within(wanted: Response, allowance: Allowance) -> (Response, bool) {
    match wanted {
        Response::Suspend | Response::Revoke if !allowance.end => {
            if allowance.recycle {
                (Response::Recycle, true)
            } else {
                (Response::Alert, true)
            }
        }
        Response::Recycle | Response::Narrow if !allowance.recycle => (Response::Alert, true),
        within => (within, false),
    }
}

#[cfg(test)]
mod tests;
