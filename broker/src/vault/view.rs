//! What may be shown of secrets: everything but the values.

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::state::USED_AROUND;
use super::usage::{Held, Span, UsedBy};
use crate::clock::UnixMillis;
use crate::crypto::DataKeyId;
use crate::store::event::{ContentHash, Reference, RotationCause, Version, VersionState};

/// A secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretView {
    /// Its number.
    pub id: NodeId,
    /// Its path.
    pub name: String,
    /// Who answers for it, by name.
    pub owner: String,
    /// Since when it is known.
    pub created_at: UnixMillis,
    /// The version in force.
    pub active: Option<Version>,
    /// Since when it should be exchanged at the third party, because somebody may have a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_queued: Option<UnixMillis>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_because: Option<RotationCause>,
    /// Whether somebody said how it is exchanged.
    pub planned: bool,
    /// All versions, the oldest first.
    pub versions: Vec<VersionView>,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionView {
    /// Its number.
    pub version: Version,
    /// Where it stands.
    pub state: VersionState,
    /// Since when there.
    pub since: UnixMillis,
    /// When it came.
    pub added_at: UnixMillis,
    /// What the third party calls it.
    pub reference: Option<Reference>,
    /// The data key it is sealed under.
    pub data_key: Option<DataKeyId>,
    /// Somebody may have a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Exposure>,
}

/// Somebody may have a copy of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Since when that is known.
    pub at: UnixMillis,
    /// Why.
    pub cause: RotationCause,
}

/// Who had a secret at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhoView {
    /// Its number.
    pub secret: NodeId,
    /// Its path.
    pub name: String,
    /// When.
    pub at: UnixMillis,
    /// The version that was in force.
    pub active: Option<Version>,
    /// Versions that were being drained.
    pub draining: Vec<Version>,
    /// Who had one.
    pub holders: Vec<Holder>,
    /// Who used one within a minute of then, as gateways told.
    pub users: Vec<User>,
}

/// A gateway used a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Which gateway.
    pub identity: NodeId,
    /// By name.
    pub gateway: String,
    /// Which version.
    pub version: Version,
    /// For which integration, by number or name.
    pub integration: String,
    /// The first use that was told of, of those that follow one another within two minutes.
    pub first: UnixMillis,
    /// And the last, or two minutes after the instant.
    pub last: UnixMillis,
}

impl User {
    /// Of what was told within two minutes of then: as much as the log is read for it.
    pub(super) fn of(span: &Span<UsedBy>, name: Option<&String>, at: UnixMillis) -> Self {
        let by = span.held;
        Self {
            identity: by.gateway,
            gateway: name.map_or_else(|| by.gateway.to_string(), Clone::clone),
            version: by.version,
            integration: by.integration.to_string(),
            first: span.from.plus_millis(USED_AROUND),
            last: UnixMillis(span.until.0.saturating_sub(USED_AROUND))
                .min(at.plus_millis(2 * USED_AROUND)),
        }
    }
}

/// Somebody had a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Who.
    pub identity: NodeId,
    /// By name.
    pub name: String,
    /// Which version.
    pub version: Version,
    /// Since when, without a break.
    pub from: UnixMillis,
    /// Until when at the latest.
    pub until: UnixMillis,
    /// For which integration, by number or name; absent: for none, or from before that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// The policies that permitted it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The bundle they are of, by its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<ContentHash>,
}

impl Holder {
    pub(super) fn of(held: Held, name: String, from: UnixMillis, until: UnixMillis) -> Self {
        let decided = held.decided.map(|decided| *decided);
        let (integration, bundle, policies) = match decided {
            Some(decided) => (
                Some(decided.integration.to_string()),
                Some(decided.bundle),
                decided.policies,
            ),
            None => (None, None, Vec::new()),
        };
        Self {
            identity: held.to,
            name,
            version: held.version,
            from,
            until,
            integration,
            policies,
            bundle,
        }
    }
}
