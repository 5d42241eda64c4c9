//! A small simulation from end to end.

use std::process::Command;

use serde_json::Value;

/// What a run of some hours says.
fn simulated(seed: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sim.json");
    let output = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
        .args(["drift-sim", "--days", "1", "--calls", "30000"])
        .args(["--seed", seed, "--json"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("Forge"), "{table}");
    let mut found: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    // How fast it was is the only thing that a second run may tell otherwise.
    for speed in ["seconds", "calls_per_second"] {
        let speed = found.get_mut(speed).unwrap().take();
        assert!(speed.as_f64().unwrap() > 0.0);
    }
    found
}

#[test]
fn simulated_hours_tell_what_became_of_thieves_and_owners_and_the_same_seed_tells_it_again() {
    let first = simulated("1");
    let number = |path: &str| first.pointer(path).and_then(Value::as_f64).unwrap();
    assert_eq!(number("/attackers/forge/caught"), 1.0);
    assert_eq!(number("/attackers/forge/forged_in_time"), 1.0);
    assert_eq!(number("/attackers/frame_junk/unharmed"), 1.0);
    assert_eq!(number("/attackers/lie_unserved/unharmed"), 1.0);
    assert!(number("/benign/all/requests") > 10_000.0);
    assert!(number("/benign/all/recycles/at_most") > 0.0);
    assert_eq!(first, simulated("1"));
}
