//! Fetching a portrait by the names that the broker gave it.
//!
//! What comes is believed only if it hashes to the name that was asked for, and read only if it is of a
//! version that this build knows. Anything else is refused in words, and the portrait that was kept before
//! stays in force.

use std::sync::Arc;

use lanyard_drift::{Compact, Others};
use lanyard_token::NodeId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::Inner;
use super::super::portrait::{Name, Portrait};
use super::ask::{Told, ask};
use crate::client::ClientTokens;

/// A compact baseline is of fixed size, and shorter than this.
const MAX_BASELINE_BYTES: usize = 64 * 1024;
/// A role has at most 4,096 operations and 32,768 transitions, which are shorter than this.
const MAX_ROLE_BYTES: usize = 1024 * 1024;

/// What the broker calls the parts of a portrait.
#[derive(Debug, Deserialize)]
pub(super) struct Names {
    baseline: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    enforced: bool,
}

/// Why a written form is not believed.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("its name is none")]
    Name,
    #[error("what came is not what was asked for: its hash is {}", .0.as_str())]
    Hash(Name),
    #[error("it cannot be read")]
    Form(#[source] serde_json::Error),
    #[error("no room is left for its role")]
    Room,
}

impl Inner {
    /// Fetches what is new of a portrait. `false` when the broker did not answer.
    pub(super) async fn portray(
        &self,
        identity: NodeId,
        names: Option<Names>,
        tokens: &ClientTokens,
    ) -> bool {
        let Some(names) = names else {
            self.portraits.forget(identity);
            return true;
        };
        match self.fetch_portrait(identity, &names, tokens).await {
            Ok(answered) => answered,
            Err(refusal) => {
                tracing::error!(
                    name: "lanyard.baseline.refused",
                    {
                        lanyard.identity = %identity,
                        error = &refusal as &dyn std::error::Error
                    },
                    "a baseline is refused, the last good one stays"
                );
                true
            }
        }
    }

    async fn fetch_portrait(
        &self,
        identity: NodeId,
        names: &Names,
        tokens: &ClientTokens,
    ) -> Result<bool, Refusal> {
        let baseline = Name::parse(&names.baseline).ok_or(Refusal::Name)?;
        let role = match &names.role {
            Some(role) => Some(Name::parse(role).ok_or(Refusal::Name)?),
            None => None,
        };
        let known = (&baseline, role.as_ref(), names.enforced);
        if self.portraits.has(identity, known) {
            return Ok(true);
        }
        let path = format!("v1/baselines/{}", baseline.as_str());
        let Some(bytes) = fetch(&path, MAX_BASELINE_BYTES, tokens).await else {
            return Ok(false);
        };
        let own: Compact = believe(&baseline, &bytes)?;
        let others = match &role {
            None => None,
            Some(name) => match self.portraits.role(name) {
                Some(known) => Some(known),
                None => {
                    let path = format!("v1/roles/{}", name.as_str());
                    let Some(bytes) = fetch(&path, MAX_ROLE_BYTES, tokens).await else {
                        return Ok(false);
                    };
                    Some(Arc::new(believe::<Others>(name, &bytes)?))
                }
            },
        };
        let portrait = Portrait {
            baseline: own,
            others,
            enforced: names.enforced,
        };
        let kept = self.portraits.keep(identity, (baseline, role), portrait);
        kept.then_some(true).ok_or(Refusal::Room)
    }
}

async fn fetch(path: &str, most: usize, tokens: &ClientTokens) -> Option<bytes::Bytes> {
    match ask(path, None, most, tokens).await {
        Some(Told::Changed(bytes, _)) => Some(bytes),
        Some(Told::Same) | None => None,
    }
}

/// What stands behind a name, if it is that.
fn believe<T: DeserializeOwned>(name: &Name, bytes: &[u8]) -> Result<T, Refusal> {
    let found = Name::of(bytes);
    if found != *name {
        return Err(Refusal::Hash(found));
    }
    serde_json::from_slice(bytes).map_err(Refusal::Form)
}
