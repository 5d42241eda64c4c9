//! One secret and its versions, as the projection keeps them.

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::crypto::DataKeyId;
use crate::store::event::{Reference, RotationCause, SecretVersion, Version, VersionState};
use crate::vault::lease::may_be_leased;
use crate::vault::place::data_key;
use crate::vault::view::Exposure;

/// A secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SecretRecord {
    pub(super) name: String,
    pub(super) owner: NodeId,
    pub(super) created_at: UnixMillis,
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
    /// Since when somebody may have a copy, and why. It stays with the version wherever that goes: one that comes into force
    /// again is as bad as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exposed: Option<Exposure>,
    /// Each move, in order.
    moves: Vec<(UnixMillis, VersionState)>,
}

impl VersionRecord {
    /// Somebody may have a copy. That it was found somewhere is worse than that somebody could have one.
    const fn expose(&mut self, exposure: Exposure) {
        match (self.state, &self.exposed) {
            (VersionState::Retired, _) => {}
            (
                _,
                Some(Exposure {
                    cause: RotationCause::Leak,
                    ..
                }),
            ) => {}
            _ => self.exposed = Some(exposure),
        }
    }

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
            versions: Vec::new(),
        }
    }

    /// Somebody may have a copy of whatever there is; what comes afterwards is new to them.
    pub(super) fn expose_all(&mut self, exposure: Exposure) {
        for (_, record) in &mut self.versions {
            record.expose(exposure);
        }
    }

    /// Somebody has a copy of a version; of one that is not there, nothing.
    pub(super) fn expose(&mut self, version: Version, exposure: Exposure) {
        let mut all = self.versions.iter_mut();
        if let Some((_, record)) = all.find(|(known, _)| *known == version) {
            record.expose(exposure);
        }
    }

    /// Since when what is in force should be exchanged, and why.
    pub(super) fn queued(&self) -> Option<Exposure> {
        self.find(may_be_leased)?.1.exposed
    }

    pub(super) fn add(&mut self, added: &SecretVersion, at: UnixMillis) {
        let version = VersionRecord {
            state: VersionState::Pending,
            added_at: at,
            reference: added.reference.clone(),
            data_key: data_key(&added.sealed),
            sealed: Some(added.sealed.clone()),
            exposed: None,
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
        let Some((_, record)) = self
            .versions
            .iter_mut()
            .find(|(known, _)| *known == version)
        else {
            return;
        };
        record.state = state;
        record.moves.push((at, state));
        if state == VersionState::Retired {
            record.sealed = None;
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
