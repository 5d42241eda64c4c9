//! Scenarios with a real broker and a real service behind the layer: that they happen, not how long anything takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Built beside the tests when the whole workspace is tested.
pub(super) fn lanyard() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_lanyard-loadtest")).with_file_name("lanyard");
    if beside.exists() {
        return Some(beside);
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let what = "`lanyard` is not built; run `cargo build --package lanyard`";
    assert!(!ci, "{what}");
    println!("\n*** {what}: scenarios were not tried ***\n");
    None
}

/// Two seconds of a scenario; what came of it.
fn run(lanyard: &Path, scenario: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.json");
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args([
            "run",
            scenario,
            "--seconds",
            "2",
            "--calls",
            "50",
            "--mints",
            "5",
        ])
        .args(["--pressure", "100", "--slow", "10", "--lanyard"])
        .arg(lanyard)
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{scenario}: {words}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Good calls at the service while the scenario happened: all of them answered as they should be.
fn assert_nobody_was_refused(told: &Value) {
    let gateway = &told["doors"][0];
    assert_eq!(gateway["door"], "gateway", "{told}");
    assert!(gateway["beside"]["answered"].as_u64() > Some(0), "{told}");
    assert_eq!(gateway["beside"]["refused"], 0, "{told}");
    assert_eq!(gateway["beside"]["broken"], 0, "{told}");
    assert!(gateway["highest_bytes"].as_u64() > Some(0), "{told}");
}

#[test]
fn good_callers_are_served_whatever_happens_beside_them() {
    let Some(lanyard) = lanyard() else {
        return;
    };
    for scenario in [
        "steady",
        "exchange-storm",
        "revocation-storm",
        "junk-flood",
        "cardinality-bomb",
        "slow-clients",
        "mixed-day",
    ] {
        let told = run(&lanyard, scenario);
        assert_nobody_was_refused(&told);
        assert_eq!(told["scenario"], scenario);
        let limited = ["junk-flood", "cardinality-bomb", "slow-clients"].contains(&scenario);
        assert_eq!(told["limits"]["p99_times"].is_f64(), limited, "{told}");
        assert_eq!(
            told["doors"][0]["p99_within"].is_boolean(),
            limited,
            "{told}"
        );
        for storm in told["happened"].as_array().unwrap() {
            let came =
                storm["as_expected"].as_u64().unwrap() + storm["otherwise"].as_u64().unwrap();
            assert!(came > 0, "{scenario}: {told}");
        }
    }
}

#[test]
fn keys_are_replaced_while_callers_call() {
    let Some(lanyard) = lanyard() else {
        return;
    };
    let told = run(&lanyard, "key-rotation");
    assert_nobody_was_refused(&told);
    assert!(told["rotations"].as_u64() > Some(0), "{told}");
    assert_eq!(told["doors"][1]["beside"]["refused"], 0, "{told}");
}

#[test]
fn a_broker_that_stands_still_stops_no_call() {
    let Some(lanyard) = lanyard() else {
        return;
    };
    let told = run(&lanyard, "feed-outage");
    assert_nobody_was_refused(&told);
    assert!(told["stood_still_s"].as_f64() > Some(1.0), "{told}");
}
