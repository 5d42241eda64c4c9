//! Puts a window of calls beside the habits, channel by channel, and says what it comes to.
//!
//! A pure function of its arguments: two judges with the same window and baseline say the same.
//! Each channel weighs by itself (`judge/…`); here is only how they add up:
//!
//! * a broken hard rule that proves abuse is malicious, from the first call;
//! * strong evidence from two families (which share no input) is malicious, once the identity has
//!   [`Thresholds::minimum_history`] own calls behind it;
//! * any other evidence is anomalous: a reason for a fresh token, no more;
//! * else the window is benign, which also means "too little to say".
//!
//! Why not add all weights up: two channels that look at the same calls would count one surprise
//! twice, and a deployment that adds a busy new operation would be a thief.

mod destination;
mod enumeration;
mod interleaved;
mod operation;
mod origin;
mod pace;

use std::collections::BTreeSet;

use crate::baseline::Baseline;
use crate::block::{CALLS, SAMPLE};
use crate::cusum::Pulse;
use crate::event::Millis;
use crate::evidence::{Evidence, Level, Measure, Strength};
use crate::model::{Contribution, Model, per_window};
use crate::report::TokenReport;
use crate::role::Role;
use crate::signal::HardRule;
use crate::takeover::Takeover;
use crate::thresholds::{Bar, Thresholds};
use crate::verdict::Verdict;

/// Judges a window: the merged reports of one token, or of one identity over some minutes.
///
/// `peers` is the role, the identity itself left out.
#[must_use]
pub fn judge(
    report: &TokenReport,
    baseline: &Baseline,
    peers: Option<&Role>,
    thresholds: &Thresholds,
    now: Millis,
) -> Verdict {
    let case = Case::of(report, baseline, peers, thresholds);
    let takeover = case.takeover();
    let mut evidence = Vec::new();
    if report.calls() > 0 {
        evidence.extend(operation::order(&case, takeover));
        evidence.extend(operation::estranged(&case, takeover));
        evidence.extend(operation::never_used(&case));
        evidence.extend(operation::refused(&case));
        evidence.extend(enumeration::objects(&case));
        evidence.extend(pace::bytes(&case));
        evidence.extend(pace::calls(&case));
        evidence.extend(pace::pauses(&case));
        evidence.extend(origin::origin(&case));
        evidence.extend(interleaved::interleaved(&case));
        evidence.extend(destination::never_seen(&case));
    }
    evidence.extend(operation::sudden(&case));
    evidence.extend(outside_task(report));
    sort(&mut evidence);
    let level = level(report.hard_rule(), baseline.calls(), &evidence, thresholds);
    let heaviest = match level {
        Level::Benign => Vec::new(),
        Level::Anomalous | Level::Malicious => case.heaviest(),
    };
    Verdict {
        level,
        evidence,
        hard_rule: report.hard_rule(),
        calls: report.calls(),
        history: baseline.calls(),
        since: report.span().map_or(now, |(first, _)| first.min(now)),
        judged_at: now,
        takeover,
        pulse: case.pulse(),
        heaviest,
    }
}

/// Everything a channel may look at.
struct Case<'a> {
    report: &'a TokenReport,
    baseline: &'a Baseline,
    peers: Option<&'a Role>,
    thresholds: &'a Thresholds,
    /// What each block weighs, others against the adaptive habits: three channels ask for it.
    weights: [f64; SAMPLE],
}

impl<'a> Case<'a> {
    fn of(
        report: &'a TokenReport,
        baseline: &'a Baseline,
        peers: Option<&'a Role>,
        thresholds: &'a Thresholds,
    ) -> Self {
        let (own, others) = (&baseline.sequence, peers.map(Role::others));
        let model = Model { own, peers: others };
        let mut weights = [0.0; SAMPLE];
        for (weight, block) in weights.iter_mut().zip(report.blocks.blocks()) {
            *weight = model.block(block);
        }
        Self {
            report,
            baseline,
            peers,
            thresholds,
            weights,
        }
    }

    /// The window's evidence per hundred calls, others against the adaptive habits.
    fn score(&self) -> Option<f64> {
        per_window(self.report.blocks.blocks(), self.weights.iter().sum())
    }

    /// The same against the anchor.
    fn against_anchor(&self) -> Option<f64> {
        let (own, peers) = (self.baseline.anchor()?, self.peers.map(Role::others));
        Model { own, peers }.window(self.report.blocks.blocks())
    }

    /// The calls that weighed most.
    fn heaviest(&self) -> Vec<Contribution> {
        let (own, peers) = (&self.baseline.sequence, self.peers.map(Role::others));
        Model { own, peers }.heaviest(self.report.blocks.blocks())
    }

    /// What is believed after this window.
    fn takeover(&self) -> Takeover {
        let part = self.report.calls() as f64 / crate::model::WINDOW;
        let adaptive = self.score().unwrap_or(0.0);
        let anchor = self.against_anchor();
        let known = self.baseline.calls();
        self.baseline.takeover.after(adaptive, anchor, part, known)
    }

    /// What a usual block is after this window.
    fn pulse(&self) -> Pulse {
        let mut pulse = self.baseline.pulse;
        for (block, weight) in self.report.blocks.blocks().iter().zip(self.weights) {
            pulse.note(weight * CALLS as f64 / block.calls() as f64);
        }
        pulse
    }

    /// What the own baseline says, or else the role's: for an identity that is still young.
    fn own_or_peers<T>(&self, look: impl Fn(&Baseline) -> Option<T>) -> Option<T> {
        look(self.baseline).or_else(|| self.peers.map(Role::habits).and_then(look))
    }
}

fn outside_task(report: &TokenReport) -> Option<Evidence> {
    let (outside, _) = report.violations();
    // A spent number of calls is a hint; an operation or a destination outside is a witness.
    let weight = match report.hard_rule() {
        Some(HardRule::TaskOperation { .. } | HardRule::TaskDestination { .. }) => 2.0,
        _ => 1.0,
    };
    let bar = Bar {
        notable: 1.0,
        strong: 2.0,
    };
    (outside > 0)
        .then(|| Evidence::weigh(Measure::OutsideTask, (outside as f64, 0.0), weight, bar))
        .flatten()
}

/// Strongest first.
pub(crate) fn sort(evidence: &mut [Evidence]) {
    evidence.sort_by(|left, right| {
        // Weights of different channels have different bars: a witness goes before any hint.
        let by_strength = right.strength.cmp(&left.strength);
        by_strength
            .then(right.weight.total_cmp(&left.weight))
            .then(left.measure.cmp(&right.measure))
    });
}

/// What evidence comes to.
pub(crate) fn level(
    hard_rule: Option<HardRule>,
    history: u64,
    evidence: &[Evidence],
    thresholds: &Thresholds,
) -> Level {
    if hard_rule.is_some_and(HardRule::proves_abuse) {
        return Level::Malicious;
    }
    let witnesses: BTreeSet<_> = evidence
        .iter()
        .filter(|found| found.strength == Strength::Strong)
        .map(Evidence::family)
        .collect();
    if witnesses.len() >= 2 && history >= thresholds.minimum_history {
        Level::Malicious
    } else if evidence.is_empty() {
        Level::Benign
    } else {
        Level::Anomalous
    }
}
