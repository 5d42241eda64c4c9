//! Recorded traffic through the live loop: a real broker, a real gateway, real requests.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The recordings, which are not part of the repository.
fn recording(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LANYARD_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/drift"),
        PathBuf::from,
    );
    Some(folder.join("dev").join(file)).filter(|path| path.exists())
}

/// Built beside the tests when the whole workspace is tested.
fn lanyard() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_lanyard-loadtest")).with_file_name("lanyard");
    beside.exists().then_some(beside)
}

/// Says aloud that something is missing; in CI that is a failure.
fn missing(what: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{what}");
    println!("\n*** {what}: the replay was not tested ***\n");
}

#[test]
fn recorded_cloudtrail_goes_through_the_live_loop_and_no_credential_is_revoked() {
    let Some(recording) = recording("cloudtrail-invictus.csv.zst") else {
        return missing("the recordings are missing; LANYARD_DATA names their folder");
    };
    let Some(lanyard) = lanyard() else {
        return missing("`lanyard` is not built; run `cargo build --package lanyard`");
    };
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args(["replay", "--json", "--data"])
        .arg(recording)
        .arg("--lanyard")
        .arg(lanyard)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["requests"], 846);
    assert_eq!(report["reports_dropped"], 0);
    assert_eq!(
        report["credential_revocations"], 0,
        "the histories are too short for that"
    );
    assert!(
        report["verdicts"].as_u64().unwrap() > 0,
        "real attacks, and nothing was noticed: {report}"
    );
    // Statistics only watch here (observe mode), so every call is served, whoever made it.
    let served = |line: &Value| line["served"].as_u64().unwrap();
    let all: u64 = report["identities"]
        .as_array()
        .unwrap()
        .iter()
        .map(served)
        .sum();
    assert_eq!(all, 846, "{report}");
}

#[test]
fn a_recording_that_is_not_there_is_an_error_in_words() {
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args(["replay", "--data", "nowhere.csv.zst"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let words = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        words.contains("nowhere.csv.zst") && words.contains("LANYARD_DATA"),
        "{words}"
    );
}
