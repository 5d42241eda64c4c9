//! The engine under test, as a broker and its gateways use it. No label has a way in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use lanyard_drift::{
    Baseline, Event, Level, Millis, Object, OperationId, Outcome, Signal, Thresholds, Tracker,
    judge, stable_hash,
};

use crate::replay::Call;

/// A token lives five minutes; its successor begins with what the baseline has become.
const TOKEN_LIFE: u64 = 300_000;
/// Without news a report goes out every minute.
const REGULAR_REPORT: u64 = 60_000;

/// An identity: its habits, as far as they have been learned.
#[derive(Clone, Default)]
pub(super) struct Identity {
    baseline: Baseline,
    thresholds: Thresholds,
}

/// What one report covered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Which of the identity's calls, by number.
    pub(super) calls: Range<usize>,
    pub(super) flagged: bool,
}

/// What is done with a judged window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learning {
    /// What the verdict allows.
    AsJudged,
    /// All of it: an owner says that it is fine.
    Cleared,
    /// Nothing.
    None,
}

impl Identity {
    /// Judges an identity's calls online, in order; learns what the verdicts allow.
    pub(super) fn live(&mut self, calls: &[&Call]) -> Vec<Window> {
        self.pass(calls, Learning::AsJudged)
    }

    /// Learns calls that are known to be the identity's own.
    pub(super) fn learn(&mut self, calls: &[&Call]) {
        self.pass(calls, Learning::Cleared);
    }

    /// Judges without learning.
    pub(super) fn judge(&self, calls: &[&Call]) -> Vec<Window> {
        self.clone().pass(calls, Learning::None)
    }

    fn pass(&mut self, calls: &[&Call], learning: Learning) -> Vec<Window> {
        let mut windows = Vec::new();
        let mut token: Option<(Tracker, u64)> = None;
        let mut first = 0;
        for (number, call) in calls.iter().enumerate() {
            let now = Millis(call.at_millis);
            let next = calls.get(number + 1).map(|next| next.at_millis);
            let began = calls
                .get(first)
                .map_or(call.at_millis, |call| call.at_millis);
            let (tracker, born) = token.get_or_insert_with(|| {
                let bounds = self.baseline.bounds(&self.thresholds);
                (Tracker::new(now, bounds), call.at_millis)
            });
            let news = tracker.observe(&event(call), now);
            let more = tracker.settle(&outcome(call), now);
            let urgent = news != Signal::Quiet || more != Signal::Quiet;
            let expires = next.is_none_or(|next| next.saturating_sub(*born) >= TOKEN_LIFE);
            let due = next.is_none_or(|next| next.saturating_sub(began) >= REGULAR_REPORT);
            if !(urgent || expires || due) {
                continue;
            }
            if let Some(report) = tracker.report() {
                let verdict = judge(&report, &self.baseline, None, &self.thresholds, now);
                let _ = match learning {
                    Learning::AsJudged => {
                        Some(self.baseline.absorb(&report, &verdict, &self.thresholds))
                    }
                    Learning::Cleared => Some(self.baseline.absorb_cleared(&report)),
                    Learning::None => None,
                };
                windows.push(Window {
                    calls: first..number + 1,
                    flagged: verdict.level > Level::Benign,
                });
                tracker.set_bounds(self.baseline.bounds(&self.thresholds));
            }
            first = number + 1;
            if expires {
                token = None;
            }
        }
        windows
    }
}

/// Calls by identity, with their numbers in the recording.
pub(super) fn by_identity(calls: &[Call]) -> BTreeMap<&str, Vec<(usize, &Call)>> {
    let mut identities: BTreeMap<&str, Vec<(usize, &Call)>> = BTreeMap::new();
    for numbered in calls.iter().enumerate() {
        let (_, call) = numbered;
        identities.entry(&call.identity).or_default().push(numbered);
    }
    identities
}

fn event(call: &Call) -> Event {
    let hash = |text: &String| stable_hash(text.as_bytes());
    Event {
        object: call.resource.as_deref().map(Object::of),
        source: call.source.map(network),
        client: call.agent.as_ref().map(hash),
        ..Event::of(OperationId::of(&call.operation))
    }
}

fn outcome(call: &Call) -> Outcome {
    Outcome {
        status: Some(call.status),
        request_bytes: None,
        response_bytes: call.bytes,
    }
}

/// Addresses change with every pod, networks do not: /24, and /48.
fn network(source: IpAddr) -> u64 {
    match source {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            stable_hash(&[a, b, c])
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            stable_hash(&[a.to_be_bytes(), b.to_be_bytes(), c.to_be_bytes()].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(at_millis: u64, operation: &str) -> Call {
        Call {
            identity: "i".to_owned(),
            session: None,
            at_millis,
            operation: operation.to_owned(),
            resource: None,
            source: None,
            agent: None,
            bytes: None,
            status: 200,
        }
    }

    fn habitual(calls: &[Call]) -> Identity {
        let mut identity = Identity::default();
        identity.learn(&calls.iter().collect::<Vec<_>>());
        identity
    }

    #[test]
    fn each_call_is_in_exactly_one_window() {
        let calls: Vec<Call> = (0..500).map(|n| call(n * 2_000, "read")).collect();
        let windows = Identity::default().live(&calls.iter().collect::<Vec<_>>());
        let covered: Vec<usize> = windows
            .iter()
            .flat_map(|window| window.calls.clone())
            .collect();
        assert_eq!(covered, (0..500).collect::<Vec<_>>());
        assert!(windows.len() >= 17, "a report a minute: {}", windows.len());
    }

    #[test]
    fn what_is_new_is_reported_on_the_call_and_judged_by_itself() {
        let usual: Vec<Call> = (0..2_000).map(|n| call(n * 2_000, "read")).collect();
        let identity = habitual(&usual);
        let strange = [
            call(0, "read"),
            call(1_000, "delete all"),
            call(2_000, "read"),
        ];
        let windows = identity.judge(&strange.iter().collect::<Vec<_>>());
        assert_eq!(windows[0].calls, 0..2);
        assert!(windows[0].flagged && !windows[1].flagged, "{windows:?}");
    }

    #[test]
    fn judging_alone_teaches_nothing() {
        let usual: Vec<Call> = (0..200).map(|n| call(n * 2_000, "read")).collect();
        let identity = habitual(&usual);
        let calls: Vec<&Call> = usual.iter().collect();
        assert_eq!(identity.judge(&calls), identity.judge(&calls));
        assert_eq!(identity.baseline.calls(), 200);
    }
}
