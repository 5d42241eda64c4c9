//! What another policy, or other thresholds, would have done: recorded windows through the ladder.
//!
//! **What it answers.** Before anybody switches enforcement on, or changes a bar: which tokens would
//! have been recycled, narrowed, suspended and revoked in the recorded time, when, and what was done
//! instead. The windows are put under the candidate's bars (see [`Verdict::under`]) and through
//! [`decide`], the same code as in a running broker, with a history of its own, so that escalation
//! follows from what the candidate would have done and not from what was done.
//!
//! **What it cannot know.** What people and thieves would have done differently. A token that the
//! candidate had recycled would have been replaced by another, so its later windows are passed over;
//! windows under something the candidate had suspended or revoked are counted as calls it had refused.
//! Windows were weighed beside the habits of their time, and habits are learned under the thresholds in
//! force: a candidate's own learning is not rehearsed, nor are numbers that enter while weighing
//! (see [`Candidate::unrehearsed`]). A window is known when it closes, so moments are late by a window
//! at most. Verdicts on identities as a whole only alert, and are left out.
//!
//! **Why not through the judge from the start.** That would begin with empty habits: for the first
//! thousand calls of everybody it would say what nobody asked.
//!
//! Which steps are taken says the candidate's table, or whoever is named in its place ([`Rehearsing::by`]).
//!
//! Pure, in one pass, and bounded: per identity as much as the ladder remembers, and the first
//! [`STEPS`] steps by name; all are counted.

mod candidate;
mod step;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use candidate::Candidate;
pub use step::{Step, Tally};
pub use window::{Done, RecordedWindow};

use crate::event::Millis;
use crate::evidence::Level;
use crate::ladder::{
    Action, Drifted, History, Narrowed, Recycled, Response, Situation, Spent, Steps, SubjectId,
    decide, decide_by,
};
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// Steps told one by one: as many as somebody can look through.
pub const STEPS: usize = 1_000;

/// What came of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Windows that were rehearsed.
    pub windows: u64,
    /// Calls in them.
    pub calls: u64,
    /// Distinct identities behind them.
    pub identities: u64,
    /// When the first of them closed, and the last.
    pub between: Option<(Millis, Millis)>,
    /// Windows by what the candidate says of them.
    pub levels: Levels,
    /// What the candidate would have carried out.
    pub would: Tally,
    /// What was carried out.
    pub done: Tally,
    /// What the candidate would have carried out where the same was done.
    pub both: Tally,
    /// Times a cap made the candidate milder.
    pub capped: u64,
    /// Calls after something above them was suspended or revoked by the candidate: they would have been
    /// refused, whoever made them.
    pub refused_calls: u64,
    /// Windows of tokens that the candidate had recycled: their calls had gone on with another token.
    pub moved_windows: u64,
    /// The first [`STEPS`] steps in order.
    pub steps: Vec<Step>,
}

/// Windows by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// Like itself.
    pub benign: u64,
    /// Unlike itself.
    pub anomalous: u64,
    /// Two witnesses or a hard rule.
    pub malicious: u64,
}

/// A rehearsal that goes on: one window after the other, oldest first.
pub struct Rehearsing<'a> {
    candidate: &'a Candidate,
    /// Who chooses steps instead of the candidate's table.
    steps: Option<&'a mut dyn Steps>,
    came_to: Rehearsal,
    identities: BTreeSet<SubjectId>,
    histories: BTreeMap<SubjectId, History>,
    spent: Spent,
    recycled: BTreeSet<SubjectId>,
    /// What the candidate ended, and until when.
    ended: BTreeMap<SubjectId, Millis>,
    number: u64,
}

/// Rehearses a candidate on windows in the order in which they closed.
pub fn rehearse<'w>(
    windows: impl IntoIterator<Item = &'w RecordedWindow>,
    candidate: &Candidate,
) -> Rehearsal {
    let mut rehearsing = Rehearsing::of(candidate);
    for window in windows {
        rehearsing.take(window);
    }
    rehearsing.end()
}

impl<'a> Rehearsing<'a> {
    /// Before the first window.
    #[must_use]
    pub fn of(candidate: &'a Candidate) -> Self {
        Self {
            candidate,
            steps: None,
            came_to: Rehearsal::default(),
            identities: BTreeSet::new(),
            histories: BTreeMap::new(),
            spent: Spent::default(),
            recycled: BTreeSet::new(),
            ended: BTreeMap::new(),
            number: 0,
        }
    }

    /// Before the first window, with somebody who chooses steps instead of the candidate's table.
    #[must_use]
    pub fn by(candidate: &'a Candidate, steps: &'a mut dyn Steps) -> Self {
        Self {
            steps: Some(steps),
            ..Self::of(candidate)
        }
    }

    /// The next window.
    pub fn take(&mut self, window: &RecordedWindow) {
        self.came_to.windows += 1;
        self.came_to.calls = self.came_to.calls.saturating_add(window.findings.calls);
        self.identities.insert(window.identity());
        let (first, _) = *self.came_to.between.get_or_insert((window.at, window.at));
        self.came_to.between = Some((first, window.at));
        for done in window.done.iter().filter(|done| done.enforced) {
            self.came_to.done.add(done.response);
        }
        let ended = |node: &SubjectId| self.ended.get(node).is_some_and(|until| window.at < *until);
        if window.path.iter().chain([&window.token]).any(ended) {
            let refused = &mut self.came_to.refused_calls;
            *refused = refused.saturating_add(window.findings.calls);
        } else if self.recycled.contains(&window.token) {
            self.came_to.moved_windows += 1;
        } else {
            self.judge(window);
        }
    }

    /// What it came to.
    #[must_use]
    pub fn end(mut self) -> Rehearsal {
        self.came_to.identities = self.identities.len() as u64;
        self.came_to
    }

    fn judge(&mut self, window: &RecordedWindow) {
        let verdict = window
            .findings
            .under(self.candidate.thresholds(&window.kind));
        self.came_to.levels.count(verdict.level);
        if verdict.level == Level::Benign {
            return;
        }
        let history = self.histories.entry(window.identity()).or_default();
        let situation = Situation {
            token: window.token,
            path: &window.path,
            place: window.issued_at,
            gateways: &window.gateways,
            carried_by: window.carried_by(),
            sole_witnesses: &self.candidate.sole_witnesses,
            history,
        };
        let (policy, at) = (&self.candidate.policy, window.at);
        let spending = (self.candidate.caps, &mut self.spent);
        let decision = match &mut self.steps {
            Some(steps) => decide_by(&verdict, &situation, (policy, &mut **steps), spending, at),
            None => decide(&verdict, &situation, policy, spending, at),
        };
        self.came_to.capped += u64::from(decision.capped);
        self.number += 1;
        self.remember(window, &verdict, &decision.actions);
        for action in decision.actions {
            self.step(window, &verdict, action);
        }
    }

    /// What the ladder will ask of the past.
    fn remember(&mut self, window: &RecordedWindow, verdict: &Verdict, actions: &[Action]) {
        let number = SubjectId(self.number);
        let history = self.histories.entry(window.identity()).or_default();
        let proven = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
        if proven || verdict.level == Level::Malicious {
            history.add_drifted(Drifted {
                token: window.token,
                path: window.path.clone(),
                place: window.issued_at,
                at: window.at,
                verdict: number,
                carried_by: window.carried_by().to_vec(),
            });
        }
        for action in actions.iter().filter(|action| action.enforced) {
            match (action.response, action.node) {
                (Response::Alert, _) => history.alerted(window.at),
                (Response::Narrow, _) => history.add_narrowed(Narrowed {
                    token: window.token,
                    verdict: number,
                }),
                (Response::Recycle, _) => {
                    history.add_recycled(Recycled {
                        token: window.token,
                        credential: window.credential(),
                        at: window.at,
                        rev: window.place,
                        verdict: number,
                    });
                    self.recycled.insert(window.token);
                }
                (Response::Suspend, Some(node)) => {
                    let until = action.until.unwrap_or(window.at);
                    history.add_suspended(node, until);
                    self.ended.insert(node, until);
                }
                (Response::Revoke, Some(node)) => {
                    self.ended.insert(node, Millis(u64::MAX));
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, window: &RecordedWindow, verdict: &Verdict, action: Action) {
        if !action.enforced {
            return;
        }
        self.came_to.would.add(action.response);
        let same = |done: &Done| done.enforced && done.response == action.response;
        let also_done = window.done.iter().any(same);
        if also_done {
            self.came_to.both.add(action.response);
        }
        // What is only written down is in the counts of levels already.
        if action.response != Response::Observe && self.came_to.steps.len() < STEPS {
            self.came_to.steps.push(Step {
                at: window.at,
                identity: window.identity(),
                token: window.token,
                response: action.response,
                node: action.node,
                until: action.until,
                level: verdict.level,
                also_done,
                sentence: verdict.sentence_with(|operation| window.name(operation)),
            });
        }
    }
}

impl Levels {
    fn count(&mut self, level: Level) {
        let counted = match level {
            Level::Benign => &mut self.benign,
            Level::Anomalous => &mut self.anomalous,
            Level::Malicious => &mut self.malicious,
        };
        *counted += 1;
    }
}

#[cfg(test)]
mod tests;
