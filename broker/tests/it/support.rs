//! What several tests need.

/// Says aloud that something is missing. In CI that is a failure: a check that never runs is no check.
pub(crate) fn missing(what: &str, consequence: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{what} is missing: {consequence}");
    println!("\n*** {what} is missing: {consequence} ***\n");
}
