//! Verdicts, what was done about them, and what an owner said.

use std::collections::{BTreeMap, HashMap};

use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::store::event::{By, Chosen, Judgement, Response};

/// How many are kept at hand; the log has them all. At the pace of one a minute, a week.
pub(super) const KEPT: usize = 10_000;

/// A verdict and its consequences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// Where the log has it.
    pub place: Rev,
    /// When it was written.
    pub at: UnixMillis,
    /// What the judge saw.
    pub judgement: Judgement,
    /// What was done, in order.
    #[serde(default)]
    pub responses: Vec<Taken>,
    /// What it paused, and until when at the latest.
    #[serde(default)]
    pub suspended: Vec<(NodeId, UnixMillis)>,
    /// Set when an owner said: this is fine.
    #[serde(default)]
    pub cleared: Option<Clearing>,
    /// When somebody was paged because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paged: Option<UnixMillis>,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which.
    pub response: Response,
    /// To what.
    pub node: Option<NodeId>,
    /// Whether it was carried out, or only written down.
    pub enforced: bool,
    /// What the table asks for instead, and the word of one gateway does not allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<Response>,
    /// How policies came to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Box<Chosen>>,
}

/// An owner's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub by: By,
    /// Why.
    pub reason: String,
}

impl VerdictRecord {
    pub(super) fn new(judgement: &Judgement, place: Rev, at: UnixMillis) -> Self {
        let judgement = judgement.clone();
        Self {
            place,
            at,
            judgement,
            responses: Vec::new(),
            suspended: Vec::new(),
            cleared: None,
            paged: None,
        }
    }
}

/// The newest [`KEPT`] of them.
#[derive(Default)]
pub(super) struct Verdicts {
    by_place: BTreeMap<Rev, VerdictRecord>,
    places: HashMap<NodeId, Rev>,
}

impl Verdicts {
    pub(super) fn get(&self, id: NodeId) -> Option<&VerdictRecord> {
        self.by_place.get(self.places.get(&id)?)
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut VerdictRecord> {
        self.by_place.get_mut(self.places.get(&id)?)
    }

    pub(super) fn newest(&self, identity: Option<NodeId>, limit: usize) -> Vec<VerdictRecord> {
        let wanted = |kept: &&VerdictRecord| {
            identity.is_none_or(|identity| kept.judgement.identity == identity)
        };
        self.by_place
            .values()
            .rev()
            .filter(wanted)
            .take(limit)
            .cloned()
            .collect()
    }

    /// Adds one and drops the oldest when there are too many: the ids of both.
    /// One that is known already stays as it is: two judges may say the same.
    pub(super) fn add(&mut self, record: VerdictRecord) -> (NodeId, Option<NodeId>) {
        let id = record.judgement.id;
        if self.places.contains_key(&id) {
            return (id, None);
        }
        self.places.insert(id, record.place);
        self.by_place.insert(record.place, record);
        if self.by_place.len() <= KEPT {
            return (id, None);
        }
        let dropped = self
            .by_place
            .pop_first()
            .map(|(_, oldest)| oldest.judgement.id);
        if let Some(dropped) = dropped {
            self.places.remove(&dropped);
        }
        (id, dropped)
    }
}
