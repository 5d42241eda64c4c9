//! How policies came to a response, as people read it.

use serde_json::Value;

use super::super::{items, output, text_of};

/// Lines below the response, each with its own line break before it.
pub(super) fn lines(chosen: &Value) -> String {
    let named = |member: &str| {
        let items = items(chosen, member).iter();
        let names: Vec<&str> = items.filter_map(Value::as_str).collect();
        (!names.is_empty()).then(|| output::line(&names.join(", ")))
    };
    let by = named("policies").map_or_else(
        || "nothing else is permitted".to_owned(),
        |policies| format!("by {policies}"),
    );
    let word = |member: &str| output::line(text_of(chosen, member));
    let mut text = format!(
        "\n  asked: {}, {by} ({}, {}; policies {})",
        word("asked"),
        word("abuse"),
        word("rung"),
        word("bundle")
    );
    if let Some(policies) = named("in_share") {
        text.push_str(&format!("\n  canary: in share of {policies}"));
    }
    if let Some(policies) = named("not_in_share") {
        text.push_str(&format!("\n  canary: not in share of {policies}"));
    }
    if let Some(policies) = named("capped") {
        text.push_str(&format!("\n  cap of {policies} is met: one step milder"));
    }
    if chosen.get("full") == Some(&Value::Bool(true)) {
        text.push_str("\n  a cap per minute is met: milder still");
    }
    if let Some(faults) = named("faults") {
        text.push_str(&format!(
            "\n  policies failed, the built-in table answered: {faults}"
        ));
    }
    text
}
