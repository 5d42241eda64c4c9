//! Words that a verdict never has: a rung or a level that is misspelt is one that never comes.

use lanyard_drift::ladder::Rung;
use serde_json::Value;

use super::super::bundle::Rule;
use super::super::expression::{all, literals, path, sides};
use super::{Finding, conditions};

/// What `context.level` says.
const LEVELS: [&str; 2] = ["anomalous", "malicious"];

/// Everything about responses in one policy.
pub(super) fn findings(rule: &Rule, policy: &Value) -> Vec<Finding> {
    if rule.respond.is_none() {
        return Vec::new();
    }
    let bodies = conditions(policy);
    let expressions = bodies.iter().flat_map(|(_, body)| all(body));
    expressions
        .flat_map(|expression| {
            let compared = ["==", "!=", "contains"]
                .into_iter()
                .filter_map(|operator| sides(expression, operator));
            compared.flat_map(misspelt).collect::<Vec<_>>()
        })
        .map(|(path, word, known)| {
            let known = known.join(", ");
            Finding::rule(
                rule,
                format!("compares `{path}` with `{word}`, which it never is: {known}"),
            )
        })
        .collect()
}

/// The words that one side is compared with and never is.
fn misspelt((left, right): (&Value, &Value)) -> Vec<(&'static str, String, Vec<&'static str>)> {
    let rungs = Rung::ALL.map(Rung::word).to_vec();
    let mut found = Vec::new();
    for (variable, other) in [(left, right), (right, left)] {
        let (name, known) = match path(variable).as_deref() {
            Some("context.rung") => ("context.rung", rungs.clone()),
            Some("context.level") => ("context.level", LEVELS.to_vec()),
            _ => continue,
        };
        let words = literals(other).into_iter().flatten();
        let strange = words.filter(|word| !known.contains(word));
        found.extend(strange.map(|word| (name, word.to_owned(), known.clone())));
    }
    found
}
