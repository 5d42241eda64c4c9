//! What may be shown of secrets: everything but the values.

use lanyard_token::NodeId;
use serde::Serialize;

use crate::clock::UnixMillis;
use crate::crypto::DataKeyId;
use crate::store::event::{Reference, RotationCause, Version, VersionState};

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
}
