//! Enforcement thresholds, frozen per kind of identity.
//!
//! They are not learned and not adapted: an attacker who raises many alarms must not raise the bar
//! for everyone, and an operator who reads "6 nats" today must be able to rely on it tomorrow. They
//! change only through the administrators' door, and only to what a rehearsal over recorded windows
//! has been shown for: the candidate's content and its kind must be the rehearsed ones, and the
//! rehearsal not older than [`REHEARSAL_HOLDS`]. Every change is an event with who and why.

use std::fmt::Write as _;

use lanyard_drift::Thresholds;
use ring::digest;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Watch;
use super::state::InForce;
use crate::clock::UnixMillis;
use crate::store::event::{By, ContentHash, Kind};
use crate::store::{Event, StoreError};

/// How long a rehearsal speaks for its candidate, in milliseconds: a day has seen every hour once,
/// and what was true of last week's windows need not be true of next week's.
pub const REHEARSAL_HOLDS: u64 = 86_400_000;

/// The largest number a threshold may be: beyond, it would be "never" in disguise.
const LARGEST: f64 = 1e9;

/// Thresholds that somebody proposes for a kind of identity, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    kind: Kind,
    thresholds: Thresholds,
    hash: ContentHash,
}

/// Why thresholds are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// Gateways and administrators are not judged.
    #[error("thresholds are for `service`, `integration` or `agent`")]
    Kind,
    /// Say what is meant.
    #[error("not thresholds: {0}")]
    Malformed(String),
    /// A bar or a number that makes no sense.
    #[error("threshold `{0}` is out of range")]
    Range(String),
}

/// Why thresholds were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// Rehearse exactly these first.
    #[error(
        "no rehearsal `{0}` of exactly these thresholds for this kind within the last 24 hours"
    )]
    NotRehearsed(ContentHash),
    /// Ask again later.
    #[error("the log takes no events now")]
    Store(#[from] StoreError),
}

/// What a kind of identity is judged by.
#[derive(Debug, Serialize)]
pub struct KindThresholds {
    /// Which kind.
    pub kind: Kind,
    /// Names them by their content.
    pub hash: ContentHash,
    /// Who froze them, when, after which rehearsal; absent for those of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<InForce>,
    /// The numbers.
    pub thresholds: Thresholds,
}

/// The kinds of identities that are judged.
pub const JUDGED: [Kind; 3] = [Kind::Service, Kind::Integration, Kind::Agent];

impl Candidate {
    /// Reads proposed thresholds: members that are left out take the product's number, unknown ones
    /// are errors.
    pub fn parse(kind: Kind, proposed: Map<String, Value>) -> Result<Self, CandidateError> {
        let value = Value::Object(proposed);
        if let Some(wrong) = out_of_range(&value, "") {
            return Err(CandidateError::Range(wrong));
        }
        let thresholds = serde_json::from_value(value)
            .map_err(|error| CandidateError::Malformed(error.to_string()))?;
        Self::new(kind, thresholds)
    }

    /// Thresholds as they are.
    pub fn new(kind: Kind, thresholds: Thresholds) -> Result<Self, CandidateError> {
        if !JUDGED.contains(&kind) {
            return Err(CandidateError::Kind);
        }
        Ok(Self {
            kind,
            thresholds,
            hash: content_hash(kind, &thresholds),
        })
    }

    /// For which kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The numbers.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Names kind and numbers by their content.
    pub const fn hash(&self) -> ContentHash {
        self.hash
    }
}

impl Watch {
    /// What each kind of identity is judged by.
    pub fn thresholds(&self) -> Vec<KindThresholds> {
        let by_kind = JUDGED.map(|kind| {
            let frozen = self.state.frozen(kind);
            let thresholds = frozen
                .as_ref()
                .map_or(self.config.thresholds, |frozen| frozen.thresholds);
            KindThresholds {
                kind,
                hash: content_hash(kind, &thresholds),
                frozen,
                thresholds,
            }
        });
        by_kind.into()
    }

    /// Takes note that a candidate was rehearsed: what allows it to be frozen.
    pub async fn note_rehearsal(
        &self,
        candidate: &Candidate,
        rehearsal: ContentHash,
        by: By,
    ) -> Result<(), StoreError> {
        let event = Event::Rehearsed {
            rehearsal,
            kind: candidate.kind,
            candidate: candidate.hash,
            by,
        };
        self.store.append(vec![event]).await.map(drop)
    }

    /// Judges a kind of identity by these from now on.
    pub async fn freeze(
        &self,
        candidate: &Candidate,
        rehearsal: ContentHash,
        by: By,
    ) -> Result<(), FreezeError> {
        let rehearsed = self
            .state
            .is_rehearsed(rehearsal, candidate.hash, self.since());
        if !rehearsed {
            return Err(FreezeError::NotRehearsed(rehearsal));
        }
        let event = Event::ThresholdsFrozen {
            kind: candidate.kind,
            thresholds: Box::new(candidate.thresholds),
            rehearsal,
            by,
        };
        self.store.append(vec![event]).await?;
        Ok(())
    }

    /// From when on rehearsals still hold.
    fn since(&self) -> UnixMillis {
        UnixMillis(self.clock.now().0.saturating_sub(REHEARSAL_HOLDS))
    }
}

/// SHA-256 over the kind and the numbers in their canonical order.
fn content_hash(kind: Kind, thresholds: &Thresholds) -> ContentHash {
    let bytes = serde_json::to_vec(&(kind, thresholds)).unwrap_or_default();
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, &bytes);
    hash.copy_from_slice(digest.as_ref());
    ContentHash(hash)
}

/// The first number that makes no sense: negative, absurdly large, or a bar that is strong before it
/// is notable.
fn out_of_range(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Number(number) => {
            let sensible = number
                .as_f64()
                .is_some_and(|number| (0.0..=LARGEST).contains(&number));
            (!sensible).then(|| path.to_owned())
        }
        Value::Object(members) => {
            let bar = |name| members.get(name).and_then(Value::as_f64);
            if let (Some(notable), Some(strong)) = (bar("notable"), bar("strong"))
                && (notable <= 0.0 || strong < notable)
            {
                return Some(path.to_owned());
            }
            members.iter().find_map(|(name, member)| {
                let mut below = path.to_owned();
                if !below.is_empty() {
                    below.push('.');
                }
                // Writing to a String does not fail.
                let _ = write!(below, "{name}");
                out_of_range(member, &below)
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(kind: Kind, proposed: Value) -> Result<Candidate, String> {
        let Value::Object(proposed) = proposed else {
            panic!("not an object")
        };
        Candidate::parse(kind, proposed).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_the_products_and_the_content_names_the_candidate() {
        let same = parse(Kind::Agent, json!({})).unwrap();
        assert_eq!(*same.thresholds(), Thresholds::default());
        let spelled = parse(Kind::Agent, json!({"minimum_history": 1_000})).unwrap();
        assert_eq!(same.hash(), spelled.hash());
        let other_kind = parse(Kind::Service, json!({})).unwrap();
        assert_ne!(same.hash(), other_kind.hash());
        let other = parse(Kind::Agent, json!({"minimum_history": 999})).unwrap();
        assert_ne!(same.hash(), other.hash());
    }

    #[test]
    fn thresholds_that_make_no_sense_are_refused_by_name() {
        for (proposed, word) in [
            (json!({"order": {"notable": 9.0, "strong": 3.0}}), "`order`"),
            (json!({"order": {"notable": 0.0, "strong": 3.0}}), "`order`"),
            (
                json!({"order": {"notable": -1.0, "strong": 3.0}}),
                "`order`",
            ),
            (
                json!({"estrangement": {"notable": -5.0, "strong": 9.0}}),
                "`estrangement`",
            ),
            (
                json!({"estrangement": {"notable": 1e300, "strong": 1e300}}),
                "`estrangement.notable`",
            ),
            (json!({"surprise": 1}), "surprise"),
            (json!({"order": "high"}), "not thresholds"),
        ] {
            let error = parse(Kind::Service, proposed.clone()).unwrap_err();
            assert!(error.contains(word), "{proposed}: {error}");
        }
        let gateway = parse(Kind::Gateway, json!({})).unwrap_err();
        assert!(gateway.contains("`service`"), "{gateway}");
    }
}
