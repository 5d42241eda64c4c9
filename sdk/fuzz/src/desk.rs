//! The way that reports and baselines go in a broker: over its desk, hour after hour.

use lanyard_drift::desk::{Bench, Desk, Heard, Limits, Register, RoleId};
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::{Baseline, Millis, Thresholds, TokenReport, Verdict};

/// Whose habits lie there.
pub(super) const IDENTITY: SubjectId = SubjectId(1);
/// Another one of its role with the same habits.
const SIBLING: SubjectId = SubjectId(2);
/// Longer than any window stays open.
const LATER: u64 = 3_600_000;

/// Two identities of one role.
pub(super) struct Pair(pub(super) Thresholds);

impl Register for Pair {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        vec![SubjectId(3 - identity.0)]
    }

    fn role(&self, _: SubjectId) -> RoleId {
        RoleId(1)
    }

    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

/// Reports arrive one after the other, then nothing does, and the windows close.
pub(super) fn visit(baseline: &Baseline, reports: &[&TokenReport]) {
    let register = Pair(Thresholds::default());
    let known = |identity| (identity, Box::new(baseline.clone()));
    let mut desk = Desk::with_habits([known(IDENTITY), known(SIBLING)]);
    desk.keep_closed();
    for (token, report) in (10u64..).zip(reports) {
        let heard = Heard {
            token: SubjectId(token),
            identity: IDENTITY,
            gateway: SubjectId(7),
        };
        let now = Millis(token * LATER);
        let bench = Bench {
            register: &register,
            limits: Limits::default(),
            now,
        };
        tell(&desk.look(&bench, heard, report).verdict);
        let _ = desk.close_if_full(&bench, heard.token);
        let bench = Bench {
            now: now.plus(LATER / 2),
            ..bench
        };
        for closed in desk.close_silent(&bench) {
            tell(&closed.verdict);
        }
    }
    for window in desk.take_closed() {
        assert!(is_readable(&window.findings), "unreadable findings");
        let _ = window.findings.under(&register.0);
    }
}

/// Says a verdict in words, and writes it down as it is kept.
pub(super) fn tell(verdict: &Verdict) {
    assert!(!verdict.sentence().is_empty());
    assert!(is_readable(verdict), "an unreadable verdict: {verdict:?}");
}

/// What is no number cannot be written in JSON, and is not read again.
fn is_readable(verdict: &Verdict) -> bool {
    let text = serde_json::to_vec(verdict).unwrap_or_default();
    serde_json::from_slice::<Verdict>(&text).is_ok()
}
