//! Brokers killed while they mint: a real broker, a real gateway, real signals.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Built beside the tests when the whole workspace is tested.
fn lanyard() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_lanyard-loadtest")).with_file_name("lanyard");
    beside.exists().then_some(beside)
}

#[test]
fn a_broker_that_is_killed_while_it_mints_takes_none_of_its_tokens_for_a_forged_one() {
    let Some(lanyard) = lanyard() else {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let what = "`lanyard` is not built; run `cargo build --package lanyard`";
        assert!(!ci, "{what}");
        println!("\n*** {what}: killed brokers were not tested ***\n");
        return;
    };
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args(["golden", "--json", "--mints", "2000", "--life", "500"])
        .arg("--lanyard")
        .arg(lanyard)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{words}");
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(told["minted"].as_u64() >= Some(2_000), "{told}");
    assert!(told["kills"].as_u64() > Some(0), "{told}");
    assert_eq!(told["false_alarms"], 0, "{told}");
    assert_eq!(told["refused"], 0, "{told}");
    assert_eq!(told["reports_dropped"], 0, "{told}");
}
