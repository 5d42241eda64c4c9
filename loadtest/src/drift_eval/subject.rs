//! The engine under test, as the measurements see it: the one file that touches it for the masquerade data.
//!
//! Everything that goes in here is a call. No label has a way in: the types that hold labels are not named here.

use lanyard_drift::{
    Baseline, Cusum, Event, Millis, OperationId, Role, Thresholds, TokenReport, Tracker, judge,
};

use super::people::{Person, WINDOW};

/// Between two calls, in milliseconds: the recordings know an order and no time.
const PACE: u64 = 1_000;

/// What the engine said about one identity, from the end of its known history on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scored {
    pub(super) identity: String,
    /// The belief after each window; higher is stranger.
    pub(super) windows: Vec<f64>,
    /// How estranged from its anchor the identity is after each window.
    pub(super) estranged: Vec<f64>,
    /// The CUSUM after each call; empty where the engine has none.
    pub(super) calls: Vec<f32>,
}

/// An identity as the engine knows it, with its live token.
#[derive(Clone)]
pub(super) struct Subject {
    baseline: Baseline,
    thresholds: Thresholds,
    tracker: Tracker,
    cusum: Cusum,
    now: Millis,
}

/// The others.
pub(super) struct Peers(Option<Role>);

impl Peers {
    pub(super) fn of<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> Self {
        Self(Role::of(
            subjects.into_iter().map(|subject| &subject.baseline),
        ))
    }
}

impl Subject {
    /// An identity whose calls so far are known to be its own.
    pub(super) fn knowing(calls: &[OperationId]) -> Self {
        let (baseline, thresholds) = (Baseline::empty(), Thresholds::default());
        let mut subject = Self {
            tracker: Tracker::new(Millis(0), baseline.bounds(&thresholds)),
            baseline,
            thresholds,
            cusum: Cusum::default(),
            now: Millis(0),
        };
        for window in calls.chunks(WINDOW) {
            for call in window {
                subject.call(*call);
            }
            let report = subject.report();
            let _ = subject.baseline.absorb_cleared(&report);
        }
        subject.baseline.set_anchor();
        subject
    }

    /// Scores a window, and only then offers it for learning; the engine decides whether it learns.
    fn window(&mut self, calls: &[OperationId], peers: &Peers, scored: &mut Scored) {
        let (mut sum, role) = (
            scored.calls.last().copied().unwrap_or(0.0),
            peers.0.as_ref(),
        );
        for call in calls {
            self.call(*call);
            if let Some(block) = self.tracker.take_block() {
                let counted = Cusum::weigh(&block, &self.baseline, role);
                sum = self.cusum.add(counted) as f32;
            }
            scored.calls.push(sum);
        }
        let report = self.report();
        let verdict = judge(&report, &self.baseline, role, &self.thresholds, self.now);
        let _ = self.baseline.absorb(&report, &verdict, &self.thresholds);
        scored.windows.push(verdict.takeover.belief());
        scored.estranged.push(verdict.takeover.estrangement());
    }

    fn call(&mut self, operation: OperationId) {
        self.now = Millis(self.now.0 + PACE);
        self.tracker.observe(&Event::of(operation), self.now);
    }

    fn report(&mut self) -> TokenReport {
        self.tracker.report().unwrap_or_default()
    }
}

/// One pass over a person's windows, in order.
pub(super) fn score(person: &Person, mut subject: Subject, peers: &Peers) -> Scored {
    let mut scored = Scored {
        identity: person.identity.clone(),
        ..Scored::default()
    };
    for window in person.windows() {
        subject.window(window, peers, &mut scored);
    }
    scored
}
