//! What is suspicious in a folder of policies, though it parses and fits its schema.
//!
//! It reads policies one by one. Whether each of its conditions matters, cases show: `lanyard policy test --strict`
//! asks for them.

mod administrators;
mod oidc;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::bundle::{Bundle, Effect, Rule};
use super::contradiction;
use super::expression;
pub use administrators::{Shut, administrators};

/// Something suspicious, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// `file` or `file:line`.
    pub place: String,
    /// What is wrong, and what to do.
    pub words: String,
}

impl Finding {
    fn file(path: &Path, words: impl Into<String>) -> Self {
        Self {
            place: path.display().to_string(),
            words: words.into(),
        }
    }

    fn rule(rule: &Rule, words: impl Into<String>) -> Self {
        Self {
            place: rule.place(),
            words: format!("`{}` {}", rule.id, words.into()),
        }
    }
}

/// All that is suspicious in policies, and in the folder they were read from, in the order of places.
pub fn lint(bundle: &Bundle, folder: Option<&Path>) -> Vec<Finding> {
    let mut findings: Vec<_> = bundle
        .remarks()
        .iter()
        .map(|remark| Finding {
            place: remark.place.clone(),
            words: remark.words.clone(),
        })
        .collect();
    for rule in bundle.rules() {
        let policy = expression::json(bundle, rule);
        findings.extend(annotated(rule));
        findings.extend(for_everybody(rule, policy));
        findings.extend(unknown_to_the_catalogue(rule, policy, bundle));
        findings.extend(oidc::findings(rule, policy));
    }
    if let Some(folder) = folder {
        findings.extend(grants(bundle, folder));
    }
    findings.sort();
    findings
}

/// Permits whose time is over, which may be meant: cases are tried at a time of their own and do not tell.
pub fn over(bundle: &Bundle, now: OffsetDateTime) -> Vec<Finding> {
    bundle
        .rules()
        .filter(|rule| rule.effect == Effect::Permit)
        .filter(|rule| contradiction::is_over(expression::json(bundle, rule), now))
        .map(|rule| Finding::rule(rule, "permits nothing any more: its time is over"))
        .collect()
}

fn annotated(rule: &Rule) -> Vec<Finding> {
    let missing =
        |name: &str, advice: &str| Finding::rule(rule, format!("has no `@{name}`: say {advice}"));
    let mut findings = Vec::new();
    if rule.owner.is_none() {
        findings.push(missing("owner", "whom to ask"));
    }
    if rule.why.is_none() {
        findings.push(missing("why", "why it is there, in a sentence"));
    }
    findings
}

/// A permit for everybody under no condition.
fn for_everybody(rule: &Rule, policy: &Value) -> Option<Finding> {
    let constrained = ["principal", "resource"].into_iter().any(|part| {
        let constraint = policy.get(part);
        constraint.is_some_and(|constraint| anchor(constraint).is_some())
    });
    let conditional = !conditions(policy).is_empty() || rule.respond.is_some();
    (rule.effect == Effect::Permit && !constrained && !conditional).then(|| {
        Finding::rule(
            rule,
            "permits everything to everybody: name an identity, a tag or an audience, or a condition",
        )
    })
}

/// A name that nobody else has is a misspelt one, more often than not.
fn unknown_to_the_catalogue(rule: &Rule, policy: &Value, bundle: &Bundle) -> Option<Finding> {
    let catalogue = bundle.catalogue();
    if catalogue.is_empty() {
        return None;
    }
    let (kind, id) = policy.get("resource").and_then(anchor)?;
    let known = match kind {
        "Lanyard::Audience" => catalogue.keys().any(|audience| audience.as_str() == id),
        "Lanyard::Scope" => id.rsplit_once('#').is_some_and(|(at, name)| {
            catalogue.iter().any(|(audience, scopes)| {
                audience.as_str() == at && scopes.iter().any(|scope| scope.as_str() == name)
            })
        }),
        _ => true,
    };
    (!known).then(|| {
        Finding::rule(
            rule,
            format!("is about `{id}`, which catalogue.json does not know"),
        )
    })
}

/// What belongs into the folder of a grant.
fn grants(bundle: &Bundle, folder: &Path) -> Vec<Finding> {
    // A folder, and whether it has a word about tokens and about responses.
    let mut folders: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for rule in bundle.rules() {
        let [tokens, responses] = folders.entry(&rule.grant).or_default();
        *tokens |= rule.respond.is_none();
        *responses |= rule.respond.is_some();
    }
    let missing = |path: PathBuf, advice: &str| {
        (!path.exists()).then(|| Finding::file(&path, format!("is missing: {advice}")))
    };
    folders
        .into_iter()
        .flat_map(|(grant, [tokens, responses])| {
            let inside = |name: &str| folder.join(grant).join(name);
            let cases = |wanted: bool, name: &str, advice: &str| {
                wanted.then(|| missing(inside(name), advice)).flatten()
            };
            [
                missing(
                    inside("README.md"),
                    "say whose grant it is, why, and what it does not allow",
                ),
                cases(tokens, "cases.json", "say what it gives and what it denies"),
                cases(responses, "responses.json", "say which step it leads to"),
            ]
        })
        .flatten()
        .collect()
}

/// The bodies of a policy's conditions, with whether they are `unless`.
fn conditions(policy: &Value) -> Vec<(bool, &Value)> {
    let conditions = policy.get("conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .filter_map(|condition| {
            let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
            Some((unless, condition.get("body")?))
        })
        .collect()
}

/// The one entity that a head's part is bound to, if it is: its type and id.
fn anchor(constraint: &Value) -> Option<(&str, &str)> {
    let entity = constraint
        .get("entity")
        .or_else(|| constraint.get("in")?.get("entity"))?;
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}
