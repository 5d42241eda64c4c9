//! A request, and what is to come out.

use std::collections::BTreeSet;

use lanyard_token::Scope;
use serde::{Deserialize, Serialize};

use super::Asking;

/// A request, and what is to come out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence; unique in its folder.
    pub name: String,
    /// What is asked.
    pub request: Asking,
    /// What is to come out.
    pub expect: Expectation,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A token.
    Allow,
    /// None.
    Deny,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not at this audience.
    Target,
    /// Not these scopes.
    Scope,
}

impl Reason {
    const fn word(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Scope => "scope",
        }
    }
}

/// What is to come out; what is left out is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Yes or no.
    pub decision: Verdict,
    /// What the token allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Scope>>,
    /// How long it lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// All policies that determined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<BTreeSet<String>>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Yes or no.
    pub decision: Verdict,
    /// What the token allows.
    #[serde(default)]
    pub scopes: BTreeSet<Scope>,
    /// How long it lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// All policies that determined it: permits of a token, forbids of a denial.
    #[serde(default)]
    pub policies: BTreeSet<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Expectation {
    /// What is otherwise than expected, a line for each member.
    pub fn differences(&self, got: &Outcome) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |member: &str, expected: Option<String>, got: String| {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                lines.push(format!("{member}: expected {expected}, got {got}"));
            }
        };
        compare(
            "decision",
            Some(verdict(self.decision).to_owned()),
            verdict(got.decision).to_owned(),
        );
        compare("scopes", self.scopes.as_ref().map(list), list(&got.scopes));
        compare(
            "lifetime",
            self.lifetime.map(|seconds| seconds.to_string()),
            got.lifetime
                .map_or_else(|| "none".to_owned(), |seconds| seconds.to_string()),
        );
        compare(
            "policies",
            self.policies.as_ref().map(list),
            list(&got.policies),
        );
        compare(
            "reason",
            self.reason.map(|reason| reason.word().to_owned()),
            got.reason
                .map_or_else(|| "none".to_owned(), |reason| reason.word().to_owned()),
        );
        lines
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    let items: Vec<_> = items.iter().map(T::to_string).collect();
    items.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            decision: Verdict::Allow,
            scopes: BTreeSet::from(["a:read".parse().unwrap()]),
            lifetime: Some(600),
            policies: BTreeSet::from(["one".to_owned()]),
            reason: None,
        }
    }

    #[test]
    fn what_is_left_out_is_not_compared() {
        let expect: Expectation = serde_json::from_str(r#"{"decision": "allow"}"#).unwrap();
        assert!(expect.differences(&outcome()).is_empty());
    }

    #[test]
    fn every_member_that_differs_has_a_line() {
        let expect: Expectation = serde_json::from_str(
            r#"{"decision": "deny", "scopes": [], "lifetime": 300, "policies": ["two"], "reason": "scope"}"#,
        )
        .unwrap();
        assert_eq!(
            expect.differences(&outcome()),
            [
                "decision: expected deny, got allow",
                "scopes: expected none, got a:read",
                "lifetime: expected 300, got 600",
                "policies: expected two, got one",
                "reason: expected scope, got none",
            ]
        );
    }
}
