//! The engine under test, as the agent sessions see it. No label has a way in.
//!
//! Sessions have no clock, so all calls of one come at the same moment: the channels of pace stay absent. A call to
//! several destinations is one event for each of them.

use lanyard_drift::{
    Baseline, Event, Level, Millis, OperationId, Signal, Thresholds, TokenReport, Tracker, judge,
    stable_hash,
};

use super::scope::Declared;
use super::session::{Session, ToolCall};

const NO_CLOCK: Millis = Millis(0);

/// The first call with which a session leaves its task; never, when its token has no scope.
pub(super) fn leaves(session: &Session, declared: Option<Declared<'_>>) -> Option<usize> {
    let declared = declared?;
    let bounds = Baseline::empty().bounds(&Thresholds::default());
    let mut tracker = Tracker::new(NO_CLOCK, bounds);
    session.calls.iter().position(|call| {
        events(call, Some(declared))
            .iter()
            .any(|event| matches!(tracker.observe(event, NO_CLOCK), Signal::HardRule(_)))
    })
}

/// The habits of a role.
#[derive(Default)]
pub(super) struct Role {
    baseline: Baseline,
    thresholds: Thresholds,
}

impl Role {
    /// Learns a session that is known to be clean.
    pub(super) fn learn(&mut self, session: &Session) {
        let mut report = TokenReport::empty();
        self.watch(session, |so_far| {
            report.merge(&so_far);
            false
        });
        let _ = self.baseline.absorb_cleared(&report);
    }

    /// The first call after which the session no longer looks like the role.
    pub(super) fn flags(&self, session: &Session) -> Option<usize> {
        let mut so_far = TokenReport::empty();
        self.watch(session, |report| {
            so_far.merge(&report);
            let verdict = judge(&so_far, &self.baseline, None, &self.thresholds, NO_CLOCK);
            verdict.level > Level::Benign
        })
    }

    /// Shows each call's report until one is enough.
    fn watch(
        &self,
        session: &Session,
        mut enough: impl FnMut(TokenReport) -> bool,
    ) -> Option<usize> {
        let mut tracker = Tracker::new(NO_CLOCK, self.baseline.bounds(&self.thresholds));
        session.calls.iter().position(|call| {
            for event in events(call, None) {
                tracker.observe(&event, NO_CLOCK);
            }
            tracker.report().is_some_and(&mut enough)
        })
    }
}

fn events(call: &ToolCall, declared: Option<Declared<'_>>) -> Vec<Event> {
    let event = |to: Option<&str>| Event {
        destination: to.map(|to| stable_hash(to.as_bytes())),
        task: declared.map(|declared| declared.fit(call, to)),
        ..Event::of(OperationId::of(&call.operation))
    };
    if call.destinations.is_empty() {
        vec![event(None)]
    } else {
        call.destinations.iter().map(|to| event(Some(to))).collect()
    }
}
