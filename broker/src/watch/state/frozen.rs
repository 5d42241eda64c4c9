//! Thresholds in force per kind of identity, and the rehearsals that may change them.

use std::collections::{BTreeMap, VecDeque};

use lanyard_drift::Thresholds;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::store::event::{By, ContentHash, Kind, known_thresholds};

/// Rehearsals remembered: more than people make in a day.
const KEPT: usize = 256;

/// Thresholds that were frozen for a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub by: By,
    /// After which rehearsal.
    pub rehearsal: ContentHash,
    /// The numbers.
    #[serde(deserialize_with = "known_thresholds")]
    pub thresholds: Thresholds,
}

/// A candidate that was rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rehearsed {
    pub(super) rehearsal: ContentHash,
    pub(super) candidate: ContentHash,
    pub(super) at: UnixMillis,
}

/// All of them.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Frozen {
    in_force: BTreeMap<Kind, InForce>,
    /// Oldest first.
    rehearsals: VecDeque<Rehearsed>,
}

impl Frozen {
    pub(super) fn in_force(&self, kind: Kind) -> Option<&InForce> {
        self.in_force.get(&kind)
    }

    pub(super) fn freeze(&mut self, kind: Kind, frozen: InForce) {
        self.in_force.insert(kind, frozen);
    }

    pub(super) fn rehearsed(&mut self, rehearsed: Rehearsed) {
        if self.rehearsals.len() >= KEPT {
            self.rehearsals.pop_front();
        }
        self.rehearsals.push_back(rehearsed);
    }

    pub(super) fn is_rehearsed(
        &self,
        rehearsal: ContentHash,
        candidate: ContentHash,
        since: UnixMillis,
    ) -> bool {
        self.rehearsals.iter().any(|known| {
            known.rehearsal == rehearsal && known.candidate == candidate && known.at >= since
        })
    }
}
