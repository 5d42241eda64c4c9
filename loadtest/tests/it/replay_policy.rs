//! `lanyard-loadtest replay-policy` over exported windows.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use std::path::Path;
use std::process::{Command, Output};

use lanyard_drift::ladder::{Place, SubjectId};
use lanyard_drift::rehearsal::RecordedWindow;
use lanyard_drift::{
    Baseline, Bounds, Event, Millis, OperationId, Thresholds, TokenReport, Tracker, judge,
};
use serde_json::Value;

fn replay(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_lanyard-loadtest");
    let mut command = Command::new(program);
    command.arg("replay-policy").args(arguments);
    command.output().unwrap()
}

/// A hundred calls, a second apart, from one place.
fn calls(operations: &[&str], place: u64, start: u64) -> TokenReport {
    let mut tracker = Tracker::new(Millis(start), Bounds::cold(&Thresholds::default()));
    for n in 0..100 {
        let operation = operations[usize::try_from(n).unwrap() % operations.len()];
        let event = Event {
            source: Some(place),
            client: Some(place),
            ..Event::of(OperationId::of(operation))
        };
        let _ = tracker.observe(&event, Millis(start + n * 1_000));
    }
    tracker.report().unwrap()
}

/// Windows of a service that always does the same; the last three are somebody else's with its key.
fn windows() -> Vec<RecordedWindow> {
    let mut known = Box::new(Baseline::empty());
    let mut windows = Vec::new();
    for number in 0..23_u64 {
        let start = number * 120_000;
        let own = number < 20;
        let report = if own {
            calls(&["GET /a", "GET /b"], 1, start)
        } else {
            calls(&["GET /x", "GET /y", "PUT /z", "GET /w"], 2, start)
        };
        let at = Millis(start + 100_000);
        let findings = judge(&report, &known, None, &Thresholds::default().opened(), at);
        if own {
            let _ = known.absorb_cleared(&report);
        }
        windows.push(RecordedWindow {
            at,
            place: Place(number * 10 + 5),
            token: SubjectId(100 + number),
            path: vec![SubjectId(1), SubjectId(2), SubjectId(3)],
            issued_at: Place(number * 10),
            kind: "service".to_owned(),
            carried_by: None,
            gateways: vec![SubjectId(7), SubjectId(8)],
            level: findings.under(&Thresholds::default()).level,
            findings,
            done: Vec::new(),
            names: vec![(OperationId::of("GET /x"), "GET /x".to_owned())],
            report: None,
        });
    }
    windows
}

fn export(file: &Path) {
    let lines = windows().into_iter().map(|window| {
        let mut line = serde_json::to_string(&window).unwrap();
        line.push('\n');
        line
    });
    std::fs::write(file, lines.collect::<String>()).unwrap();
}

fn rehearsed(arguments: &[&str]) -> Value {
    let output = replay(arguments);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_export_is_rehearsed_and_other_thresholds_would_have_done_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("windows.jsonl");
    export(&file);
    let file = file.to_str().unwrap();
    let now = rehearsed(&["--windows", file, "--json"]);
    assert_eq!(now["rehearsal"]["windows"], 23);
    assert_eq!(now["rehearsal"]["levels"]["malicious"], 2, "{now}");
    // The third came under a credential that the candidate had suspended.
    assert_eq!(now["rehearsal"]["refused_calls"], 100);
    assert_eq!(now["rehearsal"]["would"]["recycle"], 1);
    let observed = rehearsed(&["--windows", file, "--json", "--observe"]);
    assert_eq!(observed["rehearsal"]["would"]["recycle"], 0);

    let patient = folder.path().join("patient.toml");
    let bars = ["order", "operations", "cadence", "origin"];
    let bars = bars.map(|bar| format!("{bar} = {{ notable = 1e6, strong = 1e7 }}\n"));
    std::fs::write(&patient, bars.concat()).unwrap();
    let patient = patient.to_str().unwrap();
    let other = rehearsed(&["--windows", file, "--json", "--thresholds", patient]);
    assert_eq!(other["rehearsal"]["levels"]["benign"], 23, "{other}");
    let of_agents = [
        "--windows",
        file,
        "--json",
        "--thresholds",
        patient,
        "--kind",
        "agent",
    ];
    assert_eq!(rehearsed(&of_agents), now, "they are not for services");

    let policy = folder.path().join("policy.toml");
    std::fs::write(
        &policy,
        "longest_suspension = 60000\n[caps]\nrecycles = 0\n",
    )
    .unwrap();
    let capped = rehearsed(&[
        "--windows",
        file,
        "--json",
        "--policy",
        policy.to_str().unwrap(),
    ]);
    assert_eq!(capped["rehearsal"]["would"]["recycle"], 0);
    assert!(capped["rehearsal"]["capped"].as_u64().unwrap() >= 1);
}

#[test]
fn the_table_names_what_when_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("windows.jsonl");
    export(&file);
    let output = replay(&["--windows", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("23 windows of 1 identities, 2300 calls, 1970-01-01T00:01:40Z to"),
        "{text}"
    );
    assert!(
        text.contains("recycle            1         0         0"),
        "{text}"
    );
    assert!(text.contains("of 0000000000000002"), "{text}");
}

#[test]
fn what_is_no_export_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("junk"), "{}\nnot json\n").unwrap();
    std::fs::write(at("wrong.toml"), "surprise = 1\n").unwrap();
    export(Path::new(&at("windows")));
    let (junk, windows, wrong, none) = (at("junk"), at("windows"), at("wrong.toml"), at("none"));
    for (arguments, word) in [
        (vec!["--windows", &junk], "no recorded windows"),
        (vec!["--windows", &none], "cannot read"),
        (
            vec!["--windows", &windows, "--thresholds", &wrong],
            "surprise",
        ),
        (vec!["--windows", &windows, "--policy", &wrong], "surprise"),
    ] {
        let output = replay(&arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}
