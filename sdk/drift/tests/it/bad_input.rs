//! What nobody in his right mind sends, and somebody will.

use lanyard_drift::desk::{Bench, Desk, Heard, Limits, Register, RoleId};
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::{
    Absorption, Bar, Baseline, Bounds, Event, Level, Millis, Outcome, Refusal, Thresholds,
    TokenReport, Tracker, judge,
};

use crate::world::{Identity, op, order, stolen};

struct Alone(Thresholds);

impl Register for Alone {
    fn peers(&self, _: SubjectId) -> Vec<SubjectId> {
        Vec::new()
    }

    fn role(&self, _: SubjectId) -> RoleId {
        RoleId(1)
    }

    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

fn everywhere(value: f64) -> Thresholds {
    let bar = Bar {
        notable: value,
        strong: value,
    };
    Thresholds {
        order: bar,
        estrangement: bar,
        operations: bar,
        enumeration: bar,
        volume: bar,
        cadence: bar,
        origin: bar,
        destination: bar,
        refusals: bar,
        ..Thresholds::default()
    }
}

/// Everything at once that a thief can do wrong, short of a hard rule.
fn strange() -> (Identity, TokenReport) {
    let mut identity = Identity::with_history(2_000);
    for n in 0..90 {
        let elsewhere = stolen(Event::of(op(&format!("DELETE /{n}"))));
        identity.call(&elsewhere, 10);
    }
    let report = identity.tracker.report().unwrap();
    (identity, report)
}

#[test]
fn bars_that_are_infinite_or_no_numbers_mean_never_and_bars_below_everything_still_need_evidence() {
    let (identity, report) = strange();
    let level = |bar: f64| {
        let thresholds = everywhere(bar);
        let verdict = judge(&report, &identity.baseline, None, &thresholds, Millis(0));
        assert!(!verdict.sentence().is_empty());
        verdict.level
    };
    assert_eq!(level(2.0), Level::Malicious);
    assert_eq!(level(f64::INFINITY), Level::Benign);
    assert_eq!(level(f64::NAN), Level::Benign);
    let empty = TokenReport::empty();
    let lowest = everywhere(f64::NEG_INFINITY);
    let verdict = judge(&empty, &identity.baseline, None, &lowest, Millis(0));
    assert_eq!(verdict.level, Level::Benign);
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_in_reports_and_baselines() {
    let (identity, report) = strange();
    let report = serde_json::to_string(&report).unwrap();
    let baseline = serde_json::to_string(&identity.baseline).unwrap();
    for number in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "null",
        "-1",
        "1.5",
    ] {
        let wrong = report.replacen("\"calls\":90", &format!("\"calls\":{number}"), 1);
        assert_ne!(wrong, report);
        assert!(
            serde_json::from_str::<TokenReport>(&wrong).is_err(),
            "{number}"
        );
        let calls = format!("\"calls\":{}", identity.baseline.calls());
        let wrong = baseline.replacen(&calls, &format!("\"calls\":{number}"), 1);
        assert_ne!(wrong, baseline);
        assert!(
            serde_json::from_str::<Baseline>(&wrong).is_err(),
            "{number}"
        );
    }
}

#[test]
fn an_empty_session_is_benign_and_teaches_nothing_even_by_decree() {
    let (mut identity, _) = strange();
    let before = identity.baseline.clone();
    let empty = TokenReport::empty();
    let verdict = judge(&empty, &before, None, &identity.thresholds, Millis(0));
    assert_eq!(verdict.level, Level::Benign);
    let refused = Absorption::Refused(Refusal::Empty);
    let learned = identity
        .baseline
        .absorb(&empty, &verdict, &identity.thresholds);
    assert_eq!(learned, refused);
    assert_eq!(identity.baseline.absorb_cleared(&empty), refused);
    assert_eq!(identity.baseline, before);
}

#[test]
fn a_session_beyond_all_counting_is_judged_learned_and_written_down() {
    let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
    for n in 0..100 {
        tracker.observe(&order(n * 7_919), Millis(n * 100));
        let outcome = Outcome {
            status: Some(200),
            request_bytes: Some(u64::MAX),
            response_bytes: Some(u64::MAX),
        };
        tracker.settle(&outcome, Millis(n * 100));
    }
    let mut report = tracker.report().unwrap();
    // Doubled until no counter holds it.
    for _ in 0..70 {
        let same = report.clone();
        report.merge(&same);
    }
    assert_eq!(report.calls(), u64::MAX);
    assert_eq!(report.bytes(), Some((u64::MAX, u64::MAX)));
    let thresholds = Thresholds::default();
    for mut baseline in [Baseline::empty(), Identity::with_history(2_000).baseline] {
        for _ in 0..3 {
            let verdict = judge(&report, &baseline, None, &thresholds, Millis(0));
            assert!(
                verdict
                    .evidence
                    .iter()
                    .all(|found| found.weight.is_finite())
            );
            let _ = baseline.absorb(&report, &verdict, &thresholds);
            let _ = baseline.absorb_cleared(&report);
        }
        assert_eq!(baseline.calls(), u64::MAX);
        let text = serde_json::to_string(&baseline).unwrap();
        assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline);
    }
}

#[test]
fn a_desk_whose_time_stands_still_or_runs_backwards_or_leaps_keeps_its_windows_and_goes_on() {
    let register = Alone(Thresholds::default());
    let mut desk = Desk::default();
    let identity = SubjectId(1);
    let times = [5, 5, 0, u64::MAX, 0, 3_600_000, u64::MAX, u64::MAX, 1];
    for (token, now) in (10u64..).zip(times) {
        let bench = Bench {
            register: &register,
            limits: Limits::default(),
            now: Millis(now),
        };
        // The calls run backwards too: each window begins before the one that was heard before it.
        let mut tracker = Tracker::new(Millis(now), Bounds::cold(&register.0));
        for n in (0..100u64).rev() {
            tracker.observe(&order(n * 7_919), Millis(now / 2 + n * 500));
        }
        let heard = Heard {
            token: SubjectId(token),
            identity,
            gateway: SubjectId(7),
        };
        let sight = desk.look(&bench, heard, &tracker.report().unwrap());
        assert_eq!(sight.verdict.calls, 100);
        let _ = desk.close_if_full(&bench, heard.token);
        let _ = desk.close_silent(&bench);
    }
    let habits = desk.habits(identity).unwrap();
    assert_eq!(habits.calls(), 900);
    let (since, updated) = habits.span().unwrap();
    assert!(since <= updated);
}
