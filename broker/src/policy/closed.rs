//! What can only be one of a few words, or one of a few numbers.
//!
//! A word that is misspelt is one that never comes: a permit that waits for it gives nothing, and a forbid that waits
//! for it forbids nothing, which nobody notices. So a policy that compares such a member with a word that it never
//! is, is refused. What is missed: words that are put together while a policy is evaluated, and patterns.

use std::ops::RangeInclusive;

use lanyard_drift::ladder::Rung;
use serde_json::Value;

use super::asked::{AskedBy, Binding, Proof, Risk};
use super::expression::{all, path, sides};
use crate::store::event::Kind;

/// Labels that say a kind begin so.
const KIND: &str = "kind:";
/// What `context.level` says.
const LEVELS: [&str; 2] = ["anomalous", "malicious"];
/// What `context.hour` says.
const HOURS: RangeInclusive<i64> = 0..=23;

/// The words that something can be, if they are few.
pub(super) fn words(about: &str) -> Option<Vec<&'static str>> {
    Some(match about {
        "context.proof" => [
            Proof::ApiKey,
            Proof::Oidc,
            Proof::Mtls,
            Proof::AccessToken,
            Proof::Socket,
        ]
        .map(Proof::word)
        .to_vec(),
        "context.grant" => [
            AskedBy::ClientCredentials,
            AskedBy::TokenExchange,
            AskedBy::Local,
        ]
        .map(AskedBy::word)
        .to_vec(),
        "context.binding" => [Binding::None, Binding::Dpop, Binding::Mtls]
            .map(Binding::word)
            .to_vec(),
        "context.risk" => [Risk::None, Risk::Anomalous, Risk::Malicious]
            .map(Risk::word)
            .to_vec(),
        "context.level" => LEVELS.to_vec(),
        "context.rung" => Rung::ALL.map(Rung::word).to_vec(),
        "principal.kind" | "context.actor.kind" | "resource.kind" => kinds(),
        _ => return None,
    })
}

fn kinds() -> Vec<&'static str> {
    [
        Kind::Service,
        Kind::Integration,
        Kind::Agent,
        Kind::Gateway,
        Kind::Administrator,
    ]
    .map(Kind::word)
    .to_vec()
}

/// The numbers that something can be, if they are few.
pub(super) fn range(about: &str) -> Option<RangeInclusive<i64>> {
    (about == "context.hour").then_some(HOURS)
}

/// What a policy compares with something it never is: the word, as it is written, and what is wrong with it.
pub(super) struct Misspelt {
    /// As it is written.
    pub(super) written: String,
    /// In words.
    pub(super) words: String,
}

/// The first word in a policy that never comes.
pub(super) fn misspelt(policy: &Value) -> Option<Misspelt> {
    all(policy).into_iter().find_map(|expression| {
        let compared = ["==", "!=", "contains"]
            .into_iter()
            .find_map(|operator| sides(expression, operator));
        match compared {
            Some((left, right)) => strange(left, right).or_else(|| strange(right, left)),
            None => strange_kind(expression),
        }
    })
}

/// What `variable` is compared with and never is.
fn strange(variable: &Value, other: &Value) -> Option<Misspelt> {
    let about = path(variable)?;
    let members = match other.get("Set").and_then(Value::as_array) {
        Some(members) => members.iter().collect(),
        None => vec![other],
    };
    let mut written = members.into_iter().filter_map(|member| member.get("Value"));
    let (word, known) = if let Some(range) = range(&about) {
        let mut numbers = written.filter_map(Value::as_i64);
        let number = numbers.find(|number| !range.contains(number))?;
        let known = format!("from {} to {}", range.start(), range.end());
        (number.to_string(), known)
    } else {
        let known = words(&about)?;
        let strange = written.find_map(|word| word.as_str().filter(|word| !known.contains(word)));
        (strange?.to_owned(), known.join(", "))
    };
    Some(Misspelt {
        words: format!("compares `{about}` with `{word}`, which it never is: {known}"),
        written: word,
    })
}

/// A label of a kind that there is not: nobody carries it.
fn strange_kind(entity: &Value) -> Option<Misspelt> {
    let is_label = entity.get("type")?.as_str()? == "Lanyard::Tag";
    let label = entity.get("id")?.as_str()?;
    let kind = label.strip_prefix(KIND).filter(|_| is_label)?;
    let known = kinds();
    (!known.contains(&kind)).then(|| Misspelt {
        written: label.to_owned(),
        words: format!(
            "is about kind `{kind}`, which nobody is: {}",
            known.join(", ")
        ),
    })
}
