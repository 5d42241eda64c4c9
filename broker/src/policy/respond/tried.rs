//! A verdict as a case writes it, and what policies make of it: without a broker.

use std::collections::BTreeSet;

use lanyard_drift::ladder::{Abuse, Response, Rung};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::datetime;

use super::super::bundle::Bundle;
use super::super::rehearsal::Untried;
use super::super::trial::{Fixture, Fixtures};
use super::{Choice, Drift};

/// A verdict on an identity. What it leaves out is as it is when it is plain: two witnesses, two gateways, a long
/// history, no hard rule, a Monday morning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offence {
    /// Whose token: the name of an identity.
    pub identity: String,
    /// What it looks like.
    pub abuse: Abuse,
    /// `anomalous`, `first`, `again` or `then`.
    #[serde(with = "rung")]
    pub rung: Rung,
    /// Whether a hard rule was broken.
    #[serde(default)]
    pub hard_rule: bool,
    /// Families of channels that bear witness.
    #[serde(default = "two")]
    pub families: u64,
    /// Gateways whose reports stand behind it.
    #[serde(default = "two")]
    pub gateways: u64,
    /// Own calls behind the baseline.
    #[serde(default = "many")]
    pub own_calls: u64,
    /// Living tokens of the identity; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_live: Option<u64>,
    /// When.
    #[serde(default = "ordinary_time", with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// Policies whose cap is met.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub capped: BTreeSet<String>,
}

/// What is to come out; what is left out is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Which step is asked for.
    pub step: Response,
    /// All policies that determined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<BTreeSet<String>>,
    /// Policies with a canary that is not for this identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_share: Option<BTreeSet<String>>,
}

/// A verdict, and which step it is to lead to: an entry of `responses.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseCase {
    /// A sentence; unique in its folder.
    pub name: String,
    /// What happened.
    pub drift: Offence,
    /// What is to come out.
    pub expect: Expected,
}

/// What policies make of it.
pub fn try_on(bundle: &Bundle, fixtures: &Fixtures, offence: &Offence) -> Result<Choice, Untried> {
    let nobody = || Untried::Nobody(offence.identity.clone());
    let fixture = fixtures.get(&offence.identity).ok_or_else(nobody)?;
    let choice = bundle.step(&offence.on(fixture), &|rule| {
        offence.capped.contains(&rule.id)
    });
    match choice.faults.first() {
        Some(fault) => Err(Untried::Failed(fault.clone())),
        None => Ok(choice),
    }
}

impl Offence {
    /// Plain, by a member of this name.
    #[must_use]
    pub fn plain(identity: &str, abuse: Abuse, rung: Rung) -> Self {
        Self {
            identity: identity.to_owned(),
            abuse,
            rung,
            hard_rule: false,
            families: two(),
            gateways: two(),
            own_calls: many(),
            tokens_live: None,
            time: ordinary_time(),
            capped: BTreeSet::new(),
        }
    }

    /// As policies see it.
    pub(in super::super) fn on<'a>(&self, fixture: &'a Fixture) -> Drift<'a> {
        Drift {
            subject: fixture.party(),
            abuse: self.abuse,
            rung: self.rung,
            hard_rule: self.hard_rule,
            families: self.families,
            gateways: self.gateways,
            own_calls: self.own_calls,
            tokens_live: self.tokens_live,
            time: self.time,
        }
    }
}

impl Expected {
    /// What is otherwise than expected, a line for each member.
    #[must_use]
    pub fn differences(&self, got: &Choice) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |member: &str, expected: Option<String>, got: String| {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                lines.push(format!("{member}: expected {expected}, got {got}"));
            }
        };
        let step = self.step.word().to_owned();
        compare("step", Some(step), got.step.word().to_owned());
        let expected = self.policies.as_ref().map(list);
        compare("policies", expected, list(&got.policies));
        let expected = self.not_in_share.as_ref().map(list);
        compare("not_in_share", expected, list(&got.not_in_share));
        lines
    }
}

fn list(items: &BTreeSet<String>) -> String {
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    if items.is_empty() {
        return "none".to_owned();
    }
    items.join(" ")
}

/// As many as statistics need to revoke.
const fn two() -> u64 {
    2
}

/// A history that is long enough for everything.
const fn many() -> u64 {
    10_000
}

/// A Monday morning, as in other cases.
const fn ordinary_time() -> OffsetDateTime {
    datetime!(2026-01-05 10:00 UTC)
}

/// A rung by its word.
mod rung {
    use lanyard_drift::ladder::Rung;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(rung: &Rung, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(rung.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Rung, D::Error> {
        let word = String::deserialize(from)?;
        let known = Rung::ALL.into_iter().find(|rung| rung.word() == word);
        known.ok_or_else(|| {
            D::Error::custom(format!(
                "`{word}` is none of {}",
                Rung::ALL.map(Rung::word).join(", ")
            ))
        })
    }
}
