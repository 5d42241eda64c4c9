//! The engine under test, as the measurements see it: the one file that touches it for the masquerade data.
//!
//! Everything that goes in here is a call. No label has a way in: the types that hold labels are not named here.

use lanyard_drift::{
    Baseline, Event, Millis, OperationId, Thresholds, TokenReport, Tracker, judge,
};

use super::people::{Person, WINDOW};

/// What the engine said about one identity, from the end of its known history on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    pub(super) identity: String,
    /// The score of each window; higher is stranger.
    pub(super) windows: Vec<f64>,
    /// The CUSUM after each call; empty where the engine has none.
    pub(super) calls: Vec<f32>,
}

/// An identity as the engine knows it.
#[derive(Clone)]
pub(super) struct Subject {
    baseline: Baseline,
    thresholds: Thresholds,
}

/// The others.
pub(super) struct Peers(Baseline);

impl Peers {
    pub(super) fn of<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> Self {
        let mut group = Baseline::empty();
        for subject in subjects {
            group.merge(&subject.baseline);
        }
        Self(group)
    }
}

impl Subject {
    /// An identity whose calls so far are known to be its own.
    pub(super) fn knowing(calls: &[OperationId]) -> Self {
        let mut subject = Self {
            baseline: Baseline::empty(),
            thresholds: Thresholds::default(),
        };
        for window in calls.chunks(WINDOW) {
            let report = subject.watched(window);
            let _ = subject.baseline.absorb_cleared(&report);
        }
        subject.baseline.set_anchor();
        subject
    }

    /// Scores a window, and only then offers it for learning; the engine decides whether it learns.
    fn window(&mut self, calls: &[OperationId], peers: &Peers) -> f64 {
        let report = self.watched(calls);
        let verdict = judge(
            &report,
            &self.baseline,
            Some(&peers.0),
            &self.thresholds,
            Millis(0),
        );
        let _ = self.baseline.absorb(&report, &verdict, &self.thresholds);
        verdict.mix_score
    }

    fn watched(&self, calls: &[OperationId]) -> TokenReport {
        let mut tracker = Tracker::new(Millis(0), self.baseline.bounds(&self.thresholds));
        for (second, call) in (0u64..).zip(calls) {
            tracker.observe(&Event::of(*call), Millis(second * 1_000));
        }
        tracker.report().unwrap_or_default()
    }
}

/// One pass over a person's windows, in order.
pub(super) fn score(person: &Person, mut subject: Subject, peers: &Peers) -> Scored {
    Scored {
        identity: person.identity.clone(),
        windows: person
            .windows()
            .map(|window| subject.window(window, peers))
            .collect(),
        calls: Vec::new(),
    }
}
