//! Words about behaviour, and what is done about it.

use lanyard_drift::ladder::{Abuse, Response, Rung};
use lanyard_drift::{OperationId, Thresholds, Verdict};
use lanyard_token::{KeyId, NodeId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ContentHash, TokenDigest};

/// How often the pager may ring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingGoal {
    /// On so many windows a day.
    AlarmsPerDay(f64),
    /// On this share of all windows.
    Share(f64),
}

/// What the judge saw in one token's behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its own number, so that people and later events can point at it.
    pub id: NodeId,
    /// Whose.
    pub identity: NodeId,
    /// Which token.
    pub token: NodeId,
    /// The gateways whose reports stand behind it.
    pub gateways: Vec<NodeId>,
    /// Those of them without any one of whom it would not be malicious; absent: each of them, as far as
    /// anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_by: Option<Vec<NodeId>>,
    /// Whether it is about the identity as a whole: no single token stood out, the one named was heard last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Level, evidence, sentence.
    pub verdict: Verdict,
    /// What the operations in it are called, as far as the gateways behind it told: for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NamedOperation>,
    /// Set when it is about a token that this log never issued: the digest a gateway saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forged: Option<TokenDigest>,
    /// Set when the broker has seen that token itself and checked its signature: the key that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forged_by: Option<KeyId>,
}

impl Judgement {
    /// The gateways that each carry it.
    pub fn carried_by(&self) -> &[NodeId] {
        self.carried_by.as_deref().unwrap_or(&self.gateways)
    }

    /// One sentence a person understands, with the numbers.
    pub fn sentence(&self) -> String {
        match (self.forged, self.forged_by) {
            (Some(_), Some(key)) => format!(
                "malicious: token `{}` carries a good signature of key `{key}`, checked here, but this log \
                 never issued it",
                self.token
            ),
            (Some(_), None) => format!(
                "malicious: token `{}` has a valid signature, but this log never issued it",
                self.token
            ),
            (None, _) => self.verdict.sentence_with(|operation| {
                let named = self.names.iter().find(|named| named.operation == operation);
                named.map(|named| named.name.clone())
            }),
        }
    }
}

/// An operation and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedOperation {
    /// As evidence names it.
    pub operation: OperationId,
    /// `GET /orders/{id}`: plain text, at most 256 bytes.
    pub name: String,
}

/// How policies came to a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The policies that were in force.
    pub bundle: ContentHash,
    /// What it looked like.
    pub abuse: Abuse,
    /// How far it had gone.
    pub rung: Rung,
    /// The step that they ask for; the ladder may have taken a milder one.
    pub asked: Response,
    /// The permits that ask for it, and the forbids that made it milder; none: nothing is permitted.
    pub policies: Vec<String>,
    /// Policies on trial that met this identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_share: Vec<String>,
    /// Policies on trial that did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_share: Vec<String>,
    /// Permits that ask for a milder step because their cap is met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capped: Vec<String>,
    /// Whether a cap of the ladder made it milder still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Policies that failed: the built-in table answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// Thresholds as a log may have them: members that this release no longer knows are passed over,
/// those it knows since are the product's.
pub fn known_thresholds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Thresholds, D::Error> {
    let mut members = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
    let known = serde_json::to_value(Thresholds::default()).map_err(D::Error::custom)?;
    members.retain(|name, _| known.get(name).is_some());
    serde_json::from_value(serde_json::Value::Object(members)).map_err(D::Error::custom)
}

pub(super) fn boxed_thresholds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<Thresholds>, D::Error> {
    known_thresholds(deserializer).map(Box::new)
}
