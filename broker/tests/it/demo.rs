//! `lanyard demo` keeps its promises, with the product's own defaults.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_thief_is_cut_off_and_nobody_else_notices() {
    let run = Command::new(env!("CARGO_BIN_EXE_lanyard"))
        .args(["demo", "--json", "--calls", "1000"])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let told = String::from_utf8(run.stdout).unwrap();
    assert_eq!(told.lines().count(), 1, "one line of JSON: {told}");
    let measured: Value = serde_json::from_str(&told).unwrap();
    let number = |member: &str| {
        measured[member]
            .as_u64()
            .unwrap_or_else(|| panic!("`{member}` in {told}"))
    };
    assert!(number("benign_requests") >= 3_000, "{told}");
    assert_eq!(number("benign_refused"), 0, "{told}");
    assert_eq!(number("owner_requests_failed"), 0, "{told}");
    assert_eq!(number("siblings_refused"), 0, "{told}");
    let thief = number("thief_requests_allowed");
    assert!(
        (1..200).contains(&thief),
        "the thief got {thief} answers: {told}"
    );
    assert!(
        measured["verdict"]
            .as_str()
            .is_some_and(|words| words.len() > 20),
        "{told}"
    );
    number("ready_ms");
    number("first_token_ms");
    number("verdict_to_refusal_ms");
}
