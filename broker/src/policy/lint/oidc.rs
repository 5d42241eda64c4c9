//! Who may come with another issuer's token is written out letter for letter.
//!
//! A pipeline's subject carries what a stranger can choose (a branch, a pull request, a fork's name), so a pattern
//! lets in more than whoever wrote it had in mind. Issuer and subject are compared with `==`, or looked up in a set
//! of written-out words; nothing else counts.

use serde_json::Value;

use super::super::bundle::{Effect, Rule};
use super::super::expression::{all, conjuncts, literals, path, sides};
use super::{Finding, conditions};

/// What has to be pinned.
const PINNED: [&str; 2] = ["context.oidc.issuer", "context.oidc.subject"];

/// Everything about OIDC in one policy.
pub(super) fn findings(rule: &Rule, policy: &Value) -> Vec<Finding> {
    if rule.effect != Effect::Permit {
        return Vec::new();
    }
    let bodies = conditions(policy);
    let mut findings = Vec::new();
    for expression in bodies.iter().flat_map(|(_, body)| all(body)) {
        findings.extend(pattern(rule, expression));
    }
    let lets_in = bodies.iter().any(|(_, body)| asks_for_oidc(body));
    let required: Vec<&Value> = bodies
        .iter()
        .filter(|(unless, _)| !unless)
        .flat_map(|(_, body)| conjuncts(body))
        .collect();
    for pinned in PINNED {
        let is_pinned = required.iter().any(|part| pins(part, pinned));
        if lets_in && !is_pinned && findings.is_empty() {
            let words = format!("lets in whoever comes with OIDC: pin `{pinned}` with `==`");
            findings.push(Finding::rule(rule, words));
        }
    }
    findings
}

/// A pattern, or a star that is none, on what has to be written out.
fn pattern(rule: &Rule, expression: &Value) -> Option<Finding> {
    if let Some(like) = expression.get("like") {
        let of = like.get("left").and_then(path)?;
        return PINNED.contains(&of.as_str()).then(|| {
            let words = format!("takes a pattern for `{of}`: write it out, with `==`");
            Finding::rule(rule, words)
        });
    }
    let (of, words) = compared(expression)?;
    let starred = words.into_iter().find(|word| word.contains('*'))?;
    let words = format!(
        "compares `{of}` with `{starred}`, letter for letter: a `*` stands for itself; write it out"
    );
    Some(Finding::rule(rule, words))
}

/// `context.proof == "oidc"`, or whatever else looks into `context.oidc`.
fn asks_for_oidc(body: &Value) -> bool {
    all(body).into_iter().any(|expression| {
        let looks = path(expression).is_some_and(|path| path.starts_with("context.oidc"));
        let proof = sides(expression, "==").is_some_and(|(left, right)| {
            [(left, right), (right, left)]
                .into_iter()
                .any(|(of, word)| {
                    path(of).as_deref() == Some("context.proof")
                        && literals(word).is_some_and(|words| words.contains(&"oidc"))
                })
        });
        let listed = sides(expression, "contains").is_some_and(|(set, of)| {
            path(of).as_deref() == Some("context.proof")
                && literals(set).is_some_and(|words| words.contains(&"oidc"))
        });
        looks || proof || listed
    })
}

/// Whether this part of a condition allows written-out words only.
fn pins(part: &Value, pinned: &str) -> bool {
    compared(part).is_some_and(|(of, _)| of == pinned)
}

/// What is compared with which written-out words, if it is one of the pinned.
fn compared(expression: &Value) -> Option<(&'static str, Vec<&str>)> {
    let candidates = match sides(expression, "==") {
        Some((left, right)) => [(left, right), (right, left)],
        None => {
            let (set, of) = sides(expression, "contains")?;
            [(of, set), (of, set)]
        }
    };
    candidates.into_iter().find_map(|(of, words)| {
        let of = path(of)?;
        let pinned = PINNED.into_iter().find(|pinned| *pinned == of)?;
        Some((pinned, literals(words)?))
    })
}
