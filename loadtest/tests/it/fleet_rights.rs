//! A small fleet, tightened by the real command.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Built beside the tests when the whole workspace is tested.
fn lanyard() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_lanyard-loadtest")).with_file_name("lanyard");
    beside.exists().then_some(beside)
}

fn played(lanyard: &Path, releases: &str) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args([
            "fleet-rights",
            "--json",
            "--identities",
            "60",
            "--seeds",
            "1",
        ])
        .args(["--releases", releases, "--lanyard"])
        .arg(lanyard)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{words}");
    let mut told: Value = serde_json::from_slice(&run.stdout).unwrap();
    told["fleets"][0].take()
}

#[test]
fn a_fleet_loses_most_of_what_it_never_needs_and_every_refusal_is_of_something_that_was_taken() {
    let Some(lanyard) = lanyard() else {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let what = "`lanyard` is not built; run `cargo build --package lanyard`";
        assert!(!ci, "{what}");
        println!("\n*** {what}: no fleet was tightened ***\n");
        return;
    };
    let count = |fleet: &Value, path: &str| fleet.pointer(path).and_then(Value::as_u64).unwrap();
    let quiet = played(&lanyard, "0");
    assert!(
        2 * count(&quiet, "/removed") > count(&quiet, "/unused"),
        "{quiet}"
    );
    assert!(count(&quiet, "/calls/good") > 100_000, "{quiet}");
    assert_eq!(count(&quiet, "/unexplained"), 0, "{quiet}");
    // Where every role begins to use something new, that is what is refused: nothing is made to look well.
    let busy = played(&lanyard, "1");
    assert!(
        count(&busy, "/tokens/blocked") > count(&quiet, "/tokens/blocked"),
        "{busy}"
    );
    assert!(count(&busy, "/blocked_by/new release") > 0, "{busy}");
    assert_eq!(count(&busy, "/unexplained"), 0, "{busy}");
}
