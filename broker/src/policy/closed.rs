//! What can only be one of a few words, or one of a few numbers.
//!
//! A word that is misspelt is one that never comes: a permit that waits for it gives nothing, and a forbid that waits
//! for it forbids nothing, which nobody notices. So a policy that compares such a member with a word that it never
//! is, is refused. So is a scope or an audience that nobody can ask for: with a letter that only looks like another, or
//! a `*`. What is missed: words that are put together while a policy is evaluated, and patterns.

use std::ops::RangeInclusive;

use lanyard_drift::ladder::Rung;
use lanyard_token::{Audience, Scope};
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
    let issuing = is_about_issuing(policy);
    all(policy).into_iter().find_map(|expression| {
        let compared = ["==", "!=", "contains"]
            .into_iter()
            .find_map(|operator| sides(expression, operator));
        match compared {
            Some((left, right)) => strange(left, right)
                .or_else(|| strange(right, left))
                .or_else(|| strange_scope(left, right, issuing))
                .or_else(|| strange_scope(right, left, issuing)),
            None => strange_entity(expression),
        }
    })
}

/// Whether its head says that it is about tokens and nothing else.
fn is_about_issuing(policy: &Value) -> bool {
    let action = policy.get("action");
    let is = |member, word| {
        let found = action.and_then(|action| action.pointer(member)?.as_str());
        found == Some(word)
    };
    is("/op", "==") && is("/entity/id", "issue")
}

/// The words that are written out on one side of a comparison.
fn written_out(side: &Value) -> impl Iterator<Item = &Value> {
    let members = match side.get("Set").and_then(Value::as_array) {
        Some(members) => members.iter().collect(),
        None => vec![side],
    };
    members.into_iter().filter_map(|member| member.get("Value"))
}

/// What `variable` is compared with and never is.
fn strange(variable: &Value, other: &Value) -> Option<Misspelt> {
    let about = path(variable)?;
    let mut written = written_out(other);
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

/// A scope that `variable` never is, or never has among its own.
fn strange_scope(variable: &Value, other: &Value, issuing: bool) -> Option<Misspelt> {
    let about = path(variable)?;
    let is_scope = match about.as_str() {
        // Other actions are about things that have other names.
        "resource.name" => issuing,
        "principal.scopes" | "context.actor.scopes" | "context.scopes" => true,
        _ => false,
    };
    if !is_scope {
        return None;
    }
    let mut written = written_out(other).filter_map(Value::as_str);
    written.find_map(|word| {
        let why = no_scope(word)?;
        Some(Misspelt {
            words: format!("compares `{about}` with `{word}`, which it never is: {why}"),
            written: word.to_owned(),
        })
    })
}

/// Why nobody can ask for this scope. The empty one is that of a token without scopes.
fn no_scope(name: &str) -> Option<String> {
    let parsed = (!name.is_empty()).then(|| name.parse::<Scope>());
    Some(parsed?.err()?.to_string())
}

/// An entity that there never is.
fn strange_entity(entity: &Value) -> Option<Misspelt> {
    let id = entity.get("id")?.as_str()?;
    let (what, why) = match entity.get("type")?.as_str()? {
        "Lanyard::Tag" => return strange_kind(id),
        "Lanyard::Audience" => ("audience", id.parse::<Audience>().err()?.to_string()),
        "Lanyard::Scope" => {
            let why = match id.rsplit_once('#') {
                Some((audience, name)) => {
                    let audience = audience.parse::<Audience>().err();
                    let audience = audience.map(|why| why.to_string());
                    audience.or_else(|| no_scope(name))?
                }
                None => "its name is `AUDIENCE#SCOPE`".to_owned(),
            };
            ("scope", why)
        }
        _ => return None,
    };
    Some(Misspelt {
        words: format!("is about {what} `{id}`, which there never is: {why}"),
        written: id.to_owned(),
    })
}

/// A label of a kind that there is not: nobody carries it.
fn strange_kind(label: &str) -> Option<Misspelt> {
    let kind = label.strip_prefix(KIND)?;
    let known = kinds();
    (!known.contains(&kind)).then(|| Misspelt {
        written: label.to_owned(),
        words: format!(
            "is about kind `{kind}`, which nobody is: {}",
            known.join(", ")
        ),
    })
}
