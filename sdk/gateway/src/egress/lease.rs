//! Leases: what egress asks the broker, and what it gets.

mod broker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use lanyard_sdk::Secret;
use lanyard_token::NodeId;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::broker::{BrokerLeases, Connecting};

/// What is asked. Asking again changes nothing: uses are counted since the start of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The hash of the integrations that are known; absent until there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Which run of egress counts: 16 hexadecimal digits.
    pub boot: String,
    /// What was used in this run.
    pub uses: Vec<Use>,
}

/// How often one version of a secret was used for one integration since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// The integration's name.
    pub integration: String,
    /// The secret's node.
    pub secret: NodeId,
    /// The version.
    pub version: u64,
    /// Calls.
    pub calls: u64,
    /// When the last one went out, in milliseconds since 1970 by the broker's clock.
    pub last_at: u64,
}

/// What the broker gives. It holds values, so it cannot be printed.
#[derive(Deserialize)]
pub struct Answer {
    /// What these integrations are called.
    pub hash: String,
    /// All integrations to carry; `None`: as known. Read one by one, so that one of a later form hinders no other.
    #[serde(default)]
    pub integrations: Option<Vec<serde_json::Value>>,
    /// What may be used.
    #[serde(default)]
    pub leases: Vec<GivenLease>,
    /// What may not.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// The broker's time, in milliseconds since 1970.
    pub now: u64,
}

/// One integration to carry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Carried {
    /// Its node: revoked with it, everything of it ends.
    pub id: NodeId,
    /// Whose it is.
    pub owner: String,
    /// What it is.
    pub integration: lanyard_token::integration::Integration,
}

/// A value for a while.
#[derive(Deserialize)]
pub struct GivenLease {
    /// For which integration.
    pub integration: String,
    /// Of which secret.
    pub secret: NodeId,
    /// Which version.
    pub version: u64,
    /// What the third party calls it.
    #[serde(default)]
    pub reference: Option<String>,
    /// The value.
    #[serde(deserialize_with = "secret")]
    pub value: Secret,
    /// Until when, by the broker's clock.
    pub until: u64,
}

/// An integration for which there is no lease.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refused {
    /// Which.
    pub integration: String,
    /// What to do about it.
    pub why: String,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// Nothing was given now; it is asked again.
#[derive(Debug, thiserror::Error)]
#[error("no leases: {0}")]
pub struct NoLeases(String);

impl NoLeases {
    /// With words that quote nothing of an answer.
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// The answer of a [`LeaseSource`].
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answer, NoLeases>> + Send + 'a>>;

/// Who gives leases: the broker.
pub trait LeaseSource: Send + Sync + 'static {
    /// Asks; with `wait` it may be answered later, once something has changed.
    fn ask<'a>(&'a self, question: &'a Question, wait: bool) -> Asking<'a>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_the_broker_reads() {
        let question = Question {
            known: None,
            boot: "00000000000000ff".to_owned(),
            uses: vec![Use {
                integration: "stripe".to_owned(),
                secret: NodeId::from_u64(7),
                version: 3,
                calls: 17,
                last_at: 1,
            }],
        };
        assert_eq!(
            serde_json::to_value(&question).unwrap(),
            serde_json::json!({
                "boot": "00000000000000ff",
                "uses": [{
                    "integration": "stripe", "secret": "0000000000000007",
                    "version": 3, "calls": 17, "last_at": 1,
                }],
            })
        );
    }

    #[test]
    fn an_answer_is_read_with_and_without_integrations() {
        let text = r#"{
            "hash": "ab", "integrations": null, "now": 1000, "refused": [{"integration": "x", "why": "no policy allows it"}],
            "leases": [{"integration": "stripe", "secret": "0000000000000007", "version": 3, "reference": null,
                        "value": "v", "until": 61000}]
        }"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert!(answer.integrations.is_none());
        assert_eq!(answer.leases[0].value.expose(), "v");
    }
}
