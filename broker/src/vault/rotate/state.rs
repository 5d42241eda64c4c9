//! What the vault knows from the log about exchanges: plans, and rotations with every step they made.
//!
//! *What is forgotten:* rotations that are over, beyond the last [`MOST_OVER`] of a secret; the log keeps them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::hurry::rules_for;
use super::machine::{Fact, Outcome, Rotation};
use crate::clock::UnixMillis;
use crate::store::event::{By, Event, RotationBegun, RotationCause, RotationPlan, Rules};
use crate::store::{DamagedRow, Projection, Record, Row};

/// Rotations that are over and still shown, for each secret.
const MOST_OVER: usize = 20;

/// The projection. Cheap to ask.
#[derive(Default)]
pub struct RotationState {
    inner: RwLock<Inner>,
}

struct Inner {
    /// Whether the rows, or the log, were read from their beginning.
    filled: bool,
    plans: BTreeMap<NodeId, RotationPlan>,
    rotations: BTreeMap<NodeId, Under>,
    /// Of each secret, oldest first.
    over: HashMap<NodeId, VecDeque<NodeId>>,
    under_way: HashMap<NodeId, NodeId>,
    /// How many ended how, since the log began.
    ended: BTreeMap<Outcome, u64>,
    changed: BTreeSet<Key>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            filled: false,
            plans: BTreeMap::new(),
            rotations: BTreeMap::new(),
            over: HashMap::new(),
            under_way: HashMap::new(),
            ended: BTreeMap::new(),
            changed: BTreeSet::from([Key::Filled]),
        }
    }
}

/// A rotation and what belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Under {
    /// Which secret.
    pub secret: NodeId,
    /// Why: as it began, or a more urgent reason that came since.
    pub cause: RotationCause,
    /// Since when.
    pub begun: UnixMillis,
    /// Who began it.
    pub by: By,
    /// Its numbers.
    pub rules: Rules,
    /// As far as it is.
    pub rotation: Rotation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// That there are rows at all.
    Filled,
    Ended,
    Plan(NodeId),
    Rotation(NodeId),
}

impl RotationState {
    /// Empty, before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How a secret is exchanged.
    pub fn plan(&self, secret: NodeId) -> Option<RotationPlan> {
        self.read().plans.get(&secret).cloned()
    }

    /// All plans.
    pub fn plans(&self) -> Vec<RotationPlan> {
        self.read().plans.values().cloned().collect()
    }

    /// A rotation.
    pub fn rotation(&self, rotation: NodeId) -> Option<Under> {
        self.read().rotations.get(&rotation).cloned()
    }

    /// The rotation of a secret that is not over.
    pub fn under_way(&self, secret: NodeId) -> Option<NodeId> {
        self.read().under_way.get(&secret).copied()
    }

    /// Everything that is not over.
    pub fn all_under_way(&self) -> Vec<NodeId> {
        self.read().under_way.values().copied().collect()
    }

    /// All that is known, newest first.
    pub fn list(&self) -> Vec<(NodeId, Under)> {
        let inner = self.read();
        let all = inner.rotations.iter().rev();
        all.map(|(id, under)| (*id, under.clone())).collect()
    }

    /// How many ended how, since the log began.
    pub fn ended(&self) -> BTreeMap<Outcome, u64> {
        self.read().ended.clone()
    }

    /// How many are under way, and how many of them somebody has to look at.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.read();
        let alarmed = inner
            .under_way
            .values()
            .filter(|id| {
                let under = inner.rotations.get(id);
                under.is_some_and(|under| under.rotation.alarm().is_some())
            })
            .count();
        (inner.under_way.len(), alarmed)
    }

    /// When a secret's last rotation came to its end, if it was undone.
    pub fn undone(&self, secret: NodeId) -> Option<UnixMillis> {
        let inner = self.read();
        let last = inner.over.get(&secret)?.back()?;
        let last = &inner.rotations.get(last)?.rotation;
        let is_undone = matches!(last.outcome(), Some(Outcome::Reverted | Outcome::Abandoned));
        is_undone.then_some(last.since())
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, event: &Event, at: UnixMillis) {
        match event {
            Event::RotationPlanned { plan, .. } => {
                self.changed.insert(Key::Plan(plan.secret));
                self.plans.insert(plan.secret, (**plan).clone());
            }
            Event::RotationUnplanned { secret, .. } => {
                self.changed.insert(Key::Plan(*secret));
                self.plans.remove(secret);
            }
            Event::RotationBegun(begun) => self.begin(begun, at),
            Event::RotationStepped { rotation, fact, .. } => {
                let Some(under) = self.rotations.get_mut(rotation) else {
                    return;
                };
                if let Fact::Hurried { cause } = **fact {
                    under.cause = cause;
                    under.rules = rules_for(cause, under.rules);
                }
                under.rotation.apply(fact, &under.rules, at);
                self.changed.insert(Key::Rotation(*rotation));
                if let Some(outcome) = under.rotation.outcome() {
                    let secret = under.secret;
                    self.close(*rotation, secret, outcome);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, begun: &RotationBegun, at: UnixMillis) {
        // Two would number and move the same versions: the second never was.
        if self.under_way.contains_key(&begun.secret) {
            return;
        }
        let rotation =
            Rotation::begin(begun.creation.clone(), begun.old.clone(), begun.version, at)
                .discerning(begun.discerning);
        self.under_way.insert(begun.secret, begun.rotation);
        self.changed.insert(Key::Rotation(begun.rotation));
        self.rotations.insert(
            begun.rotation,
            Under {
                secret: begun.secret,
                cause: begun.cause,
                begun: at,
                by: begun.by.clone(),
                rules: begun.rules,
                rotation,
            },
        );
    }

    /// It is over; the oldest that is over is forgotten.
    fn close(&mut self, rotation: NodeId, secret: NodeId, outcome: Outcome) {
        // A fact that comes after the end, such as an alarm, ends neither it once more nor the one after it.
        if self.under_way.get(&secret) != Some(&rotation) {
            return;
        }
        self.under_way.remove(&secret);
        *self.ended.entry(outcome).or_default() += 1;
        self.changed.insert(Key::Ended);
        let over = self.over.entry(secret).or_default();
        over.push_back(rotation);
        while over.len() > MOST_OVER {
            if let Some(oldest) = over.pop_front() {
                self.rotations.remove(&oldest);
                self.changed.insert(Key::Rotation(oldest));
            }
        }
    }

    /// Rows come in the order of their keys, so rotations come in the order of their beginning.
    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        match Key::read(key).ok_or(DamagedRow)? {
            Key::Filled => self.filled = true,
            Key::Ended => self.ended = serde_json::from_slice(value).map_err(|_| DamagedRow)?,
            Key::Plan(secret) => {
                let plan = serde_json::from_slice(value).map_err(|_| DamagedRow)?;
                self.plans.insert(secret, plan);
            }
            Key::Rotation(id) => {
                let under: Under = serde_json::from_slice(value).map_err(|_| DamagedRow)?;
                if under.rotation.outcome().is_some() {
                    self.over.entry(under.secret).or_default().push_back(id);
                } else {
                    self.under_way.insert(under.secret, id);
                }
                self.rotations.insert(id, under);
            }
        }
        Ok(())
    }
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        let (letter, id) = match self {
            Self::Filled => return b"f".to_vec(),
            Self::Ended => return b"e".to_vec(),
            Self::Plan(id) => (b'p', id),
            Self::Rotation(id) => (b'r', id),
        };
        let mut bytes = vec![letter];
        bytes.extend_from_slice(&id.as_u64().to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"f" => return Some(Self::Filled),
            b"e" => return Some(Self::Ended),
            _ => {}
        }
        let (letter, id) = bytes.split_first()?;
        let id = NodeId::from_u64(u64::from_be_bytes(id.try_into().ok()?));
        match letter {
            b'p' => Some(Self::Plan(id)),
            b'r' => Some(Self::Rotation(id)),
            _ => None,
        }
    }
}

impl Projection for RotationState {
    fn name(&self) -> &'static str {
        "rotations-2"
    }

    fn apply(&self, record: &Record) {
        let mut inner = self.write();
        for event in &record.events {
            inner.take(event, record.at);
        }
    }

    fn changed_rows(&self) -> Vec<Row> {
        let mut inner = self.write();
        let changed = std::mem::take(&mut inner.changed);
        changed
            .into_iter()
            .map(|key| {
                let value = match key {
                    Key::Filled => Some(Ok(Vec::new())),
                    Key::Ended => Some(serde_json::to_vec(&inner.ended)),
                    Key::Plan(id) => inner.plans.get(&id).map(serde_json::to_vec),
                    Key::Rotation(id) => inner.rotations.get(&id).map(serde_json::to_vec),
                };
                Row {
                    key: key.bytes(),
                    value: value.and_then(Result::ok),
                }
            })
            .collect()
    }

    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        self.write().load(key, value)
    }

    fn is_filled(&self) -> bool {
        self.read().filled
    }

    fn reset(&self) {
        *self.write() = Inner::default();
    }
}
