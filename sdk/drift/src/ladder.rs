//! What is done about a verdict: a step that somebody chooses, within bounds that nobody chooses.
//!
//! Which step a situation deserves is asked of whoever implements [`Steps`]: the [`Table`] by kind of [`Abuse`], or
//! a broker's policies. The bounds are applied here and nowhere else, and only ever make it milder: they are what
//! protects everybody from a wrong table, a wrong policy and a gateway that lies.
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
mod steps;
mod subject;
mod witness;

use serde::{Deserialize, Serialize};

pub use abuse::{Abuse, Rungs, Table};
pub use caps::{Caps, Spent};
pub use history::{Drifted, History, Narrowed, Recycled};
pub use steps::{Question, Rung, Steps};
pub use subject::{Place, SubjectId};

use self::escalation::{Successors, has_come_back};
use crate::event::Millis;
use crate::evidence::{Channel, Level, Strength};
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
    /// All of them, mildest first.
    pub const ALL: [Self; 6] = [
        Self::Observe,
        Self::Alert,
        Self::Recycle,
        Self::Narrow,
        Self::Suspend,
        Self::Revoke,
    ];

    /// The next milder one; there is nothing milder than observing.
    #[must_use]
    pub const fn milder(self) -> Self {
        match self {
            Self::Observe | Self::Alert => Self::Observe,
            Self::Recycle => Self::Alert,
            Self::Narrow => Self::Recycle,
            Self::Suspend => Self::Narrow,
            Self::Revoke => Self::Suspend,
        }
    }

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// In order; empty for a benign verdict.
    pub actions: Vec<Action>,
    /// Whether a cap made them milder.
    pub capped: bool,
    /// What was asked; `None` for a benign verdict.
    pub question: Option<Question>,
}

/// The table within the caps. What is carried out is spent.
pub fn decide(
    verdict: &Verdict,
    situation: &Situation<'_>,
    policy: &Policy,
    spending: (Caps, &mut Spent),
    now: Millis,
) -> Decision {
    let mut table = policy.table;
    decide_by(verdict, situation, (policy, &mut table), spending, now)
}

/// The same, with the step that somebody else says a situation deserves instead of the table's.
pub fn decide_by(
    verdict: &Verdict,
    situation: &Situation<'_>,
    (policy, steps): (&Policy, &mut dyn Steps),
    (caps, spent): (Caps, &mut Spent),
    now: Millis,
) -> Decision {
    let Some(standing) = Standing::of(verdict, situation, policy, now) else {
        return Decision::default();
    };
    let step = steps.step(&standing.question, now);
    let behind = behind(situation);
    let allowance = spent.allowance(caps, behind, now);
    let actions = standing.actions(step, allowance);
    let capped = allowance != Allowance::FULL && actions != standing.actions(step, Allowance::FULL);
    for action in actions.iter().filter(|action| action.enforced) {
        spent.spend(action.response, behind, now);
        steps.carried_out(action.response, now);
    }
    Decision {
        actions,
        capped,
        question: Some(standing.question),
    }
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
    let standing = Standing::of(verdict, situation, policy, now);
    standing.map_or_else(Vec::new, |standing| {
        let Question { abuse, rung, .. } = standing.question;
        standing.actions(policy.table.at(abuse, rung), allowance)
    })
}

/// A verdict that something is to be done about, with what the ladder goes by.
struct Standing<'a> {
    verdict: &'a Verdict,
    situation: &'a Situation<'a>,
    policy: &'a Policy,
    successors: Successors,
    question: Question,
    now: Millis,
}

impl<'a> Standing<'a> {
    /// `None` for a benign verdict.
    fn of(
        verdict: &'a Verdict,
        situation: &'a Situation<'a>,
        policy: &'a Policy,
        now: Millis,
    ) -> Option<Self> {
        let abuse = Abuse::of(verdict)?;
        let hard = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
        let successors = Successors::of(situation, policy, now);
        let rung = match successors.count() {
            _ if !hard && verdict.level != Level::Malicious => Rung::Anomalous,
            0 => Rung::First,
            1 => Rung::Again,
            _ => Rung::Then,
        };
        Some(Self {
            verdict,
            situation,
            policy,
            successors,
            question: Question::of(verdict, situation, (abuse, rung), hard),
            now,
        })
    }

    /// What is done, when this step is asked for.
    fn actions(&self, step: Response, allowance: Allowance) -> Vec<Action> {
        let Self {
            situation,
            policy,
            now,
            ..
        } = *self;
        let hard = self.question.hard_rule;
        let grave = self.question.rung != Rung::Anomalous;
        let enforced = hard || policy.mode == Mode::Enforce;
        let wanted = self.wanted(step);
        let above = self.successors.lowest_common_node();
        let allowed = match wanted {
            Response::Suspend | Response::Revoke if self.is_one_word() => {
                on_one_word(above, situation.history, policy, now)
            }
            wanted => wanted,
        };
        let held_back = (allowed != wanted).then_some(wanted);
        let (response, capped) = within(allowed, allowance);
        let pausing = situation.history.is_paused(above, now);
        let told = grave || wanted == Response::Alert || self.carries_out_data();
        // Who holds it back now waits for somebody: that is said even on a day on which somebody was told.
        let waits =
            held_back == Some(Response::Revoke) && response == Response::Suspend && !pausing;

        let mut actions = Vec::with_capacity(2);
        // A full cap is told every time: either many identities are attacked, or a gateway lies.
        if capped || waits || (told && !situation.history.is_alerted(now)) {
            actions.push(Action::new(Response::Alert, None, true));
        }
        let token = Some(situation.token);
        let action = match response {
            Response::Alert if actions.is_empty() => Action::new(Response::Observe, token, true),
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

    /// The step within what nobody who chooses steps can override.
    fn wanted(&self, step: Response) -> Response {
        let Self {
            situation,
            policy,
            now,
            ..
        } = *self;
        let wanted = match self.question.rung {
            Rung::Anomalous if has_come_back(situation, policy, now) => Response::Observe,
            Rung::Anomalous => step.min(Response::Narrow),
            Rung::First | Rung::Again | Rung::Then => step,
        };
        match wanted {
            Response::Revoke if !self.question.hard_rule && !self.statistics_may_revoke() => {
                Response::Suspend
            }
            Response::Narrow if !self.may_narrow() => Response::Recycle,
            wanted => wanted,
        }
    }

    /// Whether there is a gateway without whose word nothing of it would stand.
    fn is_one_word(&self) -> bool {
        let trusted = |gateway: &SubjectId| {
            self.question.hard_rule && self.situation.sole_witnesses.contains(gateway)
        };
        !self.successors.word().iter().all(trusted)
    }

    fn statistics_may_revoke(&self) -> bool {
        let Question {
            families,
            own_calls,
            ..
        } = self.question;
        families >= 2 && own_calls >= self.policy.minimum_history
    }

    /// Only what the baseline knows well enough can be narrowed to, and only once.
    fn may_narrow(&self) -> bool {
        let mut evidence = self.verdict.evidence.iter();
        let denied = evidence.any(|evidence| evidence.channel() == Channel::Refusals);
        let before = self.situation.history.is_narrowed(self.situation.token);
        let known = self.question.own_calls >= self.policy.minimum_history;
        self.has_witness() && denied && !before && known
    }

    /// Data that has left does not come back: somebody should look, however mild it seems.
    fn carries_out_data(&self) -> bool {
        self.question.abuse == Abuse::Exfiltration && self.has_witness()
    }

    fn has_witness(&self) -> bool {
        let mut evidence = self.verdict.evidence.iter();
        evidence.any(|evidence| evidence.strength == Strength::Strong)
    }
}

/// What one gateway's word is good for when the table asks for a larger thing than a token.
fn on_one_word(node: SubjectId, history: &History, policy: &Policy, now: Millis) -> Response {
    if history.is_paused(node, now) || !witness::was_paused(node, history, policy, now) {
        Response::Suspend
    } else {
        Response::Recycle
    }
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
