//! One secret and its versions, as the projection keeps them.

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::crypto::DataKeyId;
use crate::store::event::{Reference, RotationCause, SecretVersion, Version, VersionState};
use crate::vault::place::data_key;

/// A secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SecretRecord {
    pub(super) name: String,
    pub(super) owner: NodeId,
    pub(super) created_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation_queued: Option<UnixMillis>,
    /// Why; an owner that ended, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued_because: Option<RotationCause>,
    /// Saved in rows of their own.
    #[serde(skip)]
    versions: Vec<(Version, VersionRecord)>,
}

/// A version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VersionRecord {
    pub(super) state: VersionState,
    pub(super) added_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<Reference>,
    /// The data key that it is sealed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data_key: Option<DataKeyId>,
    /// As the log has it, until it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<String>,
    /// Each move, in order.
    moves: Vec<(UnixMillis, VersionState)>,
}

impl VersionRecord {
    /// Since when it is where it is.
    pub(super) fn since(&self) -> UnixMillis {
        self.moves.last().map_or(self.added_at, |(at, _)| *at)
    }

    /// Where it was at an instant; `None`: it was not there yet.
    fn state_at(&self, at: UnixMillis) -> Option<VersionState> {
        let last = self.moves.iter().rev().find(|(moved, _)| *moved <= at);
        last.map(|(_, state)| *state)
            .or_else(|| (self.added_at <= at).then_some(VersionState::Pending))
    }
}

impl SecretRecord {
    pub(super) const fn new(name: String, owner: NodeId, created_at: UnixMillis) -> Self {
        Self {
            name,
            owner,
            created_at,
            rotation_queued: None,
            queued_because: None,
            versions: Vec::new(),
        }
    }

    /// Somebody may have a copy. Every time counts: a version that was put since the last time may be the one.
    pub(super) const fn queue(&mut self, cause: RotationCause, at: UnixMillis) {
        self.rotation_queued = Some(at);
        self.queued_because = Some(cause);
    }

    /// Since when it should be exchanged, and why.
    pub(super) fn queued(&self) -> Option<(UnixMillis, RotationCause)> {
        let cause = self.queued_because.unwrap_or(RotationCause::OwnerEnded);
        self.rotation_queued.map(|at| (at, cause))
    }

    pub(super) fn add(&mut self, added: &SecretVersion, at: UnixMillis) {
        let version = VersionRecord {
            state: VersionState::Pending,
            added_at: at,
            reference: added.reference.clone(),
            data_key: data_key(&added.sealed),
            sealed: Some(added.sealed.clone()),
            moves: Vec::new(),
        };
        self.put(added.version, version);
    }

    /// As it was saved.
    pub(super) fn put(&mut self, version: Version, record: VersionRecord) {
        match self
            .versions
            .binary_search_by_key(&version, |(known, _)| *known)
        {
            // A number is given once; a second time, nobody would know what it means.
            Ok(_) => {}
            Err(place) => self.versions.insert(place, (version, record)),
        }
    }

    pub(super) fn move_to(&mut self, version: Version, state: VersionState, at: UnixMillis) {
        let queued = self.rotation_queued;
        let Some((_, record)) = self
            .versions
            .iter_mut()
            .find(|(known, _)| *known == version)
        else {
            return;
        };
        record.state = state;
        record.moves.push((at, state));
        match state {
            VersionState::Retired => record.sealed = None,
            // Only what came afterwards is new to whoever may have kept a copy.
            VersionState::Active if queued.is_some_and(|queued| record.added_at >= queued) => {
                self.rotation_queued = None;
                self.queued_because = None;
            }
            _ => {}
        }
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = (Version, &VersionRecord)> {
        self.versions
            .iter()
            .map(|(version, record)| (*version, record))
    }

    pub(super) fn version(&self, wanted: Version) -> Option<&VersionRecord> {
        let mut all = self.versions();
        all.find(|(version, _)| *version == wanted)
            .map(|(_, record)| record)
    }

    /// The first version in such a state.
    pub(super) fn find(
        &self,
        state: impl Fn(VersionState) -> bool,
    ) -> Option<(Version, &VersionRecord)> {
        self.versions().find(|(_, record)| state(record.state))
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (Version, VersionState)> + Clone {
        self.versions
            .iter()
            .map(|(version, record)| (*version, record.state))
    }

    pub(super) fn in_state_at(
        &self,
        state: VersionState,
        at: UnixMillis,
    ) -> impl Iterator<Item = Version> {
        let was = move |record: &VersionRecord| record.state_at(at) == Some(state);
        self.versions()
            .filter(move |(_, record)| was(record))
            .map(|(version, _)| version)
    }

    pub(super) fn next_version(&self) -> Version {
        let last = self.versions.last().map_or(0, |(version, _)| version.0);
        Version(last.saturating_add(1))
    }
}
