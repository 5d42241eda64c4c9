use super::*;
use crate::evidence::{Evidence, Measure, Strength};
use crate::ladder::{Mode, Place, Policy};
use crate::thresholds::{Bar, Thresholds};

const IDENTITY: SubjectId = SubjectId(2);
const CREDENTIAL: SubjectId = SubjectId(3);

/// A window of a token with findings of these weights, closed at this minute of the log's 10th places.
fn window(token: u64, minute: u64, findings: &[(Measure, f64)]) -> RecordedWindow {
    let evidence = findings.iter().map(|(measure, weight)| Evidence {
        measure: *measure,
        operation: None,
        observed: 9.0,
        expected: 1.0,
        weight: *weight,
        strength: Strength::Strong,
    });
    let at = Millis(minute * 60_000);
    RecordedWindow {
        at,
        place: Place(minute * 10 + 5),
        token: SubjectId(token),
        path: vec![SubjectId(1), IDENTITY, CREDENTIAL],
        issued_at: Place(minute * 10),
        kind: "service".to_owned(),
        gateways: vec![SubjectId(7), SubjectId(8)],
        carried_by: Some(Vec::new()),
        findings: Verdict {
            level: Level::Anomalous,
            evidence: evidence.collect(),
            hard_rule: None,
            calls: 100,
            history: 5_000,
            since: at,
            judged_at: at,
            takeover: Default::default(),
            pulse: Default::default(),
            heaviest: Vec::new(),
        },
        level: Level::Benign,
        done: Vec::new(),
        names: Vec::new(),
        report: None,
    }
}

/// Two families, far out.
fn theft(token: u64, minute: u64) -> RecordedWindow {
    let findings = [
        (Measure::NewNetworkAndClient, 9.0),
        (Measure::OrderScore, 300.0),
    ];
    window(token, minute, &findings)
}

fn mild(token: u64, minute: u64) -> RecordedWindow {
    window(token, minute, &[(Measure::CallsPerMinute, 3.5)])
}

fn benign(token: u64, minute: u64) -> RecordedWindow {
    window(token, minute, &[(Measure::CallsPerMinute, 0.5)])
}

fn enforcing() -> Candidate {
    Candidate {
        policy: Policy {
            mode: Mode::Enforce,
            ..Policy::default()
        },
        ..Candidate::default()
    }
}

fn did(rehearsal: &Rehearsal) -> Vec<(Response, Option<u64>)> {
    let steps = rehearsal.steps.iter();
    steps
        .map(|step| (step.response, step.node.map(|node| node.0)))
        .collect()
}

#[test]
fn observing_changes_nothing_but_who_is_told() {
    let windows = [mild(10, 1), theft(11, 2), theft(12, 3), benign(13, 4)];
    let observing = rehearse(&windows, &Candidate::default());
    assert_eq!(did(&observing), [(Response::Alert, None)]);
    let levels = Levels {
        benign: 1,
        anomalous: 1,
        malicious: 2,
    };
    assert_eq!(observing.levels, levels);
    assert_eq!((observing.windows, observing.calls), (4, 400));
    assert_eq!(observing.between, Some((Millis(60_000), Millis(240_000))));
}

#[test]
fn a_thief_with_the_key_is_escalated_by_what_the_candidate_did_and_not_by_what_was_done() {
    let windows = [theft(10, 1), theft(11, 2), theft(12, 3), benign(13, 4)];
    let enforced = rehearse(&windows, &enforcing());
    assert_eq!(
        (
            enforced.would.recycle,
            enforced.would.suspend,
            enforced.would.revoke
        ),
        (1, 1, 0),
        "{:?}",
        enforced.steps
    );
    assert_eq!(enforced.steps[0].at, Millis(60_000));
    // Two windows below the credential that was suspended, one of them of an honest caller.
    assert_eq!(enforced.refused_calls, 200);
}

#[test]
fn a_suspension_ends_and_the_next_thief_is_revoked() {
    let windows = [theft(10, 1), theft(11, 2), theft(12, 20)];
    let enforced = rehearse(&windows, &enforcing());
    assert_eq!(enforced.would.revoke, 1, "{:?}", enforced.steps);
    let revoked = enforced.steps.last().unwrap();
    assert_eq!(
        (revoked.response, revoked.node),
        (Response::Revoke, Some(CREDENTIAL))
    );
}

#[test]
fn later_windows_of_a_recycled_token_had_moved_to_another() {
    let windows = [mild(10, 1), mild(10, 2), benign(10, 3)];
    let enforced = rehearse(&windows, &enforcing());
    assert_eq!((enforced.would.recycle, enforced.moved_windows), (1, 2));
    assert_eq!(enforced.refused_calls, 0);
}

#[test]
fn who_probes_is_narrowed_once_and_then_recycled() {
    let findings = [
        (Measure::NewOperations, 50.0),
        (Measure::RefusedShare, 50.0),
    ];
    let probing = |minute| window(10, minute, &findings);
    let enforced = rehearse(&[probing(1), probing(2)], &enforcing());
    assert_eq!(
        did(&enforced),
        [(Response::Narrow, Some(10)), (Response::Recycle, Some(10))]
    );
}

#[test]
fn higher_bars_of_a_kind_hold_for_that_kind_alone() {
    let mut other = mild(11, 2);
    other.kind = "agent".to_owned();
    let windows = [mild(10, 1), other];
    let mut candidate = enforcing();
    let patient = Thresholds {
        cadence: Bar {
            notable: 50.0,
            strong: 60.0,
        },
        ..Thresholds::default()
    };
    candidate.thresholds.insert("agent".to_owned(), patient);
    let enforced = rehearse(&windows, &candidate);
    assert_eq!(did(&enforced), [(Response::Recycle, Some(10))]);
}

#[test]
fn what_was_done_is_put_beside_what_would_have_been() {
    let mut recycled = mild(10, 1);
    let done = |response, enforced| Done {
        response,
        node: Some(SubjectId(10)),
        enforced,
    };
    recycled.done = vec![done(Response::Recycle, true)];
    let mut written_down = mild(11, 2);
    written_down.done = vec![done(Response::Recycle, false)];
    let enforced = rehearse(&[recycled, written_down], &enforcing());
    let counts = (
        enforced.would.recycle,
        enforced.done.recycle,
        enforced.both.recycle,
    );
    assert_eq!(counts, (2, 1, 1));
    let told: Vec<bool> = enforced.steps.iter().map(|step| step.also_done).collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn numbers_that_windows_cannot_show_are_told_apart() {
    let in_force = Thresholds::default();
    let bars = Thresholds {
        origin: Bar {
            notable: 3.0,
            strong: 9.0,
        },
        minimum_history: 500,
        ..in_force
    };
    assert!(!Candidate::unrehearsed(&bars, &in_force));
    let bounds = Thresholds {
        run_floor: 10,
        ..in_force
    };
    assert!(Candidate::unrehearsed(&bounds, &in_force));
}

#[test]
fn a_long_recording_is_counted_whole_and_told_in_part() {
    // A token each, so far apart that no cap is met and nobody comes back from two recyclings.
    let windows: Vec<_> = (0..3_000).map(|n| mild(100 + n, n * 31)).collect();
    let enforced = rehearse(&windows, &enforcing());
    assert_eq!(enforced.would.recycle, 3_000);
    assert_eq!(enforced.steps.len(), STEPS);
    assert_eq!(enforced, rehearse(&windows, &enforcing()));
}

#[test]
fn a_recorded_window_is_one_line_that_is_read_back() {
    let mut window = theft(10, 1);
    window.report = Some(Box::default());
    let line = serde_json::to_string(&window).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(
        serde_json::from_str::<RecordedWindow>(&line).unwrap(),
        window
    );
}

/// Writes everything down and does nothing.
struct Patient;

impl Steps for Patient {
    fn step(&mut self, _: &crate::ladder::Question, _: Millis) -> Response {
        Response::Observe
    }
}

#[test]
fn steps_are_chosen_by_whoever_is_named_in_the_place_of_the_table() {
    let (candidate, mut patient) = (enforcing(), Patient);
    let mut rehearsing = Rehearsing::by(&candidate, &mut patient);
    for window in [mild(10, 1), theft(11, 2)] {
        rehearsing.take(&window);
    }
    assert_eq!(did(&rehearsing.end()), [(Response::Alert, None)]);
}
