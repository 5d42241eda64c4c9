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
//! **When statistics may revoke.** Two families of channels with disjoint inputs, at least
//! [`Policy::minimum_history`] own calls, and reports of more than one gateway. Otherwise they
//! suspend for at most [`Policy::longest_suspension`]. A hard rule needs none of that.
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
mod history;
mod subject;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use abuse::{Abuse, Rungs, Table};
pub use caps::{Caps, Spent};
pub use history::{Drifted, History, Narrowed, Recycled};
pub use subject::{Place, SubjectId};

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
    let allowance = spent.allowance(caps, situation.gateways, now);
    let actions = respond(verdict, situation, policy, allowance, now);
    let capped = allowance != Allowance::FULL
        && actions != respond(verdict, situation, policy, Allowance::FULL, now);
    for action in actions.iter().filter(|action| action.enforced) {
        spent.spend(action.response, situation.gateways, now);
    }
    Decision { actions, capped }
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
    Action {
        response,
        node: Some(identity),
        enforced: true,
        until: None,
    }
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
    let successors = successors(situation, policy, now);
    let wanted = match successors.len() {
        _ if !grave && has_come_back(situation, policy, now) => Response::Observe,
        _ if !grave => rungs.anomalous.min(Response::Narrow),
        0 => rungs.first,
        1 => rungs.again,
        _ => rungs.then,
    };
    let wanted = match wanted {
        Response::Revoke if !hard && !statistics_may_revoke(verdict, situation, policy) => {
            Response::Suspend
        }
        Response::Narrow if !may_narrow(verdict, situation, policy) => Response::Recycle,
        wanted => wanted,
    };
    let (response, capped) = within(wanted, allowance);
    let above = lowest_common_node(&successors, credential(situation.path));
    let paused = situation
        .history
        .suspended
        .iter()
        .any(|(node, until)| *node == above && *until > now);
    let told = grave || wanted == Response::Alert || carries_out_data(verdict, abuse);

    let mut actions = Vec::with_capacity(2);
    // A full cap is told every time: either many identities are attacked, or a gateway lies.
    if capped || (told && !situation.history.is_alerted(now)) {
        actions.push(Action {
            response: Response::Alert,
            node: None,
            enforced: true,
            until: None,
        });
    }
    actions.extend(match response {
        Response::Recycle | Response::Narrow => Some(Action {
            response,
            node: Some(situation.token),
            enforced,
            until: None,
        }),
        // Prolonging a running suspension would make it last as long as somebody keeps reporting.
        Response::Suspend if paused => Some(Action {
            response: Response::Observe,
            node: Some(above),
            enforced: true,
            until: None,
        }),
        Response::Suspend => {
            let until = Some(now.plus(policy.longest_suspension));
            Some(Action {
                response,
                node: Some(above),
                enforced,
                until,
            })
        }
        Response::Revoke => Some(Action {
            response,
            node: Some(above),
            enforced,
            until: None,
        }),
        Response::Observe => Some(Action {
            response,
            node: Some(situation.token),
            enforced: true,
            until: None,
        }),
        Response::Alert => None,
    });
    actions
}

/// The path of each token of this credential that drifted gravely although it was minted after one
/// of the credential's tokens was recycled; this token included.
fn successors(
    situation: &Situation<'_>,
    policy: &Policy,
    now: Millis,
) -> BTreeMap<SubjectId, Vec<SubjectId>> {
    let credential = credential(situation.path);
    let recent = |at: Millis| now.since(at) <= policy.recycling_memory;
    let first = situation
        .history
        .recycled
        .iter()
        .filter(|recycled| recycled.credential == credential && recent(recycled.at))
        .map(|recycled| recycled.rev)
        .min();
    let Some(first) = first else {
        return BTreeMap::new();
    };
    let earlier = situation.history.drifted.iter().filter(|drifted| {
        drifted.place > first
            && recent(drifted.at)
            && drifted.path.get(CREDENTIAL) == Some(&credential)
    });
    let mut found: BTreeMap<_, _> = earlier
        .map(|Drifted { token, path, .. }| (*token, path.clone()))
        .collect();
    if situation.place > first {
        found.insert(situation.token, situation.path.to_vec());
    } else {
        // It was minted before: recycling it is the answer, whatever others did.
        found.clear();
    }
    found
}

/// Whether this token was minted after enough others of its credential were recycled.
fn has_come_back(situation: &Situation<'_>, policy: &Policy, now: Millis) -> bool {
    let credential = credential(situation.path);
    let recycled = situation.history.recycled.iter().filter(|recycled| {
        recycled.credential == credential
            && recycled.rev < situation.place
            && now.since(recycled.at) <= policy.recycling_memory
    });
    recycled.count() >= policy.recyclings.max(1)
}

/// Where the credential stands in a path: owner, identity, credential.
const CREDENTIAL: usize = 2;

fn credential(path: &[SubjectId]) -> SubjectId {
    path.get(CREDENTIAL).copied().unwrap_or_default()
}

/// The last node that all paths share, never above the credential.
fn lowest_common_node(
    successors: &BTreeMap<SubjectId, Vec<SubjectId>>,
    credential: SubjectId,
) -> SubjectId {
    let mut paths = successors.values();
    let Some(mut common) = paths.next().map(Vec::as_slice) else {
        return credential;
    };
    for path in paths {
        let shared = common
            .iter()
            .zip(path)
            .take_while(|(mine, theirs)| mine == theirs)
            .count();
        common = common.get(..shared).unwrap_or_default();
    }
    common
        .get(CREDENTIAL..)
        .and_then(<[SubjectId]>::last)
        .copied()
        .unwrap_or(credential)
}

/// Two scores over the same input always agree, and one gateway may lie.
fn statistics_may_revoke(verdict: &Verdict, situation: &Situation<'_>, policy: &Policy) -> bool {
    let mut families: Vec<Family> = verdict
        .evidence
        .iter()
        .filter(|evidence| evidence.strength == Strength::Strong)
        .map(Evidence::family)
        .collect();
    families.sort_unstable();
    families.dedup();
    families.len() >= 2
        && verdict.history >= policy.minimum_history
        && situation.gateways.len() >= 2
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
