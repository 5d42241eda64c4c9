//! What the watch room knows from the log: who exists, which tokens were issued, what was judged
//! and what was done about it.
//!
//! The behaviour itself is not in here: habits and windows are not events (see
//! [`baseline`](super::baseline)).

mod frozen;
mod history;
mod issued;
mod keys;
mod orders;
mod rows;
mod subjects;
mod verdicts;

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lanyard_drift::desk::RoleId;
use lanyard_drift::ladder::{History, Recycled, Response};
use lanyard_token::{KeyId, NodeId, PublicKey, Rev};

pub use frozen::InForce;
pub(super) use issued::LATE_REPORTS;
pub use issued::{Issued, Lookup};
pub use orders::{Deployment, GoalSet, Role};
pub use subjects::{Registered, Subject};
pub use verdicts::{Clearing, Taken, VerdictRecord};

use crate::clock::UnixMillis;
use crate::store::block::Block;
use crate::store::event::{Cause, ContentHash, Kind, TokenDigest};
use crate::store::{DamagedRow, Event, Projection, Record, Row};
use crate::watch::opaque::{millis, place, subject};
use frozen::{Frozen, Rehearsed};
use history::Histories;
use issued::IssuedTokens;
use keys::SigningKeys;
use orders::Orders;
use rows::Key;
use subjects::Subjects;
use verdicts::Verdicts;

/// The watch room's projection of the log.
#[derive(Default)]
pub struct WatchState {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    subjects: Subjects,
    issued: IssuedTokens,
    verdicts: Verdicts,
    histories: Histories,
    frozen: Frozen,
    keys: SigningKeys,
    /// Of the newest record.
    epoch: u16,
    orders: Orders,
    /// The newest version of the saved baselines that the log was told of.
    baselines: u64,
    changed: HashSet<Key>,
}

impl WatchState {
    /// Empty, before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An identity or gateway.
    pub fn subject(&self, identity: NodeId) -> Option<Subject> {
        self.read().subjects.get(identity).cloned()
    }

    /// An identity, by its name or number.
    pub fn subject_called(&self, text: &str) -> Option<Subject> {
        let subjects = &self.read().subjects;
        let numbered = text
            .parse()
            .ok()
            .and_then(|identity| subjects.get(identity));
        subjects.named(text).or(numbered).cloned()
    }

    /// An identity as policies see it.
    pub fn registered(&self, identity: NodeId) -> Option<Registered> {
        let inner = self.read();
        let subject = inner.subjects.get(identity)?.clone();
        let owner = inner.subjects.owner(subject.owner);
        Some(Registered {
            owner: owner.unwrap_or_default().to_owned(),
            subject,
        })
    }

    /// How many tokens of an identity can be used now.
    pub fn living_tokens(&self, identity: NodeId) -> u64 {
        self.read().issued.living(identity)
    }

    /// What sort of thing an identity is.
    pub fn kind(&self, identity: NodeId) -> Option<Kind> {
        self.read()
            .subjects
            .get(identity)
            .map(|subject| subject.kind)
    }

    /// Those of these gateways whose word about hard rules stands alone.
    pub fn sole_witnesses(&self, gateways: &[NodeId]) -> Vec<NodeId> {
        let inner = self.read();
        let trusted = |gateway: &&NodeId| {
            let known = inner.subjects.get(**gateway);
            known.is_some_and(|known| known.sole_witness)
        };
        gateways.iter().filter(trusted).copied().collect()
    }

    /// All gateways whose word about hard rules stands alone.
    pub fn all_sole_witnesses(&self) -> Vec<NodeId> {
        self.read().subjects.sole_witnesses()
    }

    /// The role of an identity, as a number that all its members share.
    pub fn role(&self, identity: NodeId) -> RoleId {
        self.read().subjects.role(identity)
    }

    /// The thresholds that were frozen for a kind; `None`: the product's are in force.
    pub fn frozen(&self, kind: Kind) -> Option<InForce> {
        self.read().frozen.in_force(kind).cloned()
    }

    /// Whether this rehearsal was of this candidate, and not before `since`.
    pub fn is_rehearsed(
        &self,
        rehearsal: ContentHash,
        candidate: ContentHash,
        since: UnixMillis,
    ) -> bool {
        self.read().frozen.is_rehearsed(rehearsal, candidate, since)
    }

    /// The identities of the same role (kind and tags), at most `limit`, without `identity` itself.
    pub fn peers(&self, identity: NodeId, limit: usize) -> Vec<NodeId> {
        self.read().subjects.peers(identity, limit)
    }

    /// Whether a number is an identity's, or one that living tokens descend from: ending it would end others.
    pub fn stands_above_others(&self, node: NodeId) -> bool {
        let inner = self.read();
        inner.subjects.get(node).is_some() || inner.issued.stands_above(node)
    }

    /// What the log says about a token number that a gateway saw with this digest.
    pub fn token(&self, token: NodeId, digest: TokenDigest) -> Lookup {
        self.read().issued.look_up(token, digest)
    }

    /// A token that the log issued; `None` when it expired long since, or never was.
    pub fn issued(&self, token: NodeId) -> Option<Issued> {
        self.read().issued.get(token).cloned()
    }

    /// How many identities play this role.
    pub fn members(&self, role: &Role) -> usize {
        self.read().subjects.members(role.kind, &role.tags)
    }

    /// What is being deployed, by role; some may be over.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.read().orders.deployments().into_values().collect()
    }

    /// How often the pager may ring; `None`: as shipped.
    pub fn budget(&self) -> Option<GoalSet> {
        self.read().orders.budget().cloned()
    }

    /// Whether a token can still be used: issued, not expired, nothing above it ended.
    pub fn is_alive(&self, token: NodeId) -> bool {
        self.read().issued.is_alive(token)
    }

    /// What happened to an identity lately.
    pub fn history(&self, identity: NodeId) -> History {
        self.read()
            .histories
            .get(identity)
            .cloned()
            .unwrap_or_default()
    }

    /// One verdict with what was done about it.
    pub fn verdict(&self, id: NodeId) -> Option<VerdictRecord> {
        self.read().verdicts.get(id).cloned()
    }

    /// The newest verdicts first, at most `limit`, of one identity or of all.
    pub fn verdicts(&self, identity: Option<NodeId>, limit: usize) -> Vec<VerdictRecord> {
        self.read().verdicts.newest(identity, limit)
    }

    /// A key that signs access tokens, if it is believed at `now`.
    pub fn signing_key(&self, key: KeyId, now: UnixMillis) -> Option<PublicKey> {
        self.read().keys.public(key, now)
    }

    /// Forged tokens that carried a key's signature lately.
    pub(super) fn forgeries(&self, key: KeyId, now: UnixMillis) -> Vec<TokenDigest> {
        let since = UnixMillis(now.0.saturating_sub(super::golden::WITHIN));
        self.read().keys.forgeries(key, since)
    }

    /// The epoch the log is in.
    pub(super) fn epoch(&self) -> u16 {
        self.read().epoch
    }

    /// The newest version of the saved baselines that the log was told of; 0 before the first.
    pub fn saved_baselines(&self) -> u64 {
        self.read().baselines
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // A panic inside `apply` leaves at worst one record half applied; the next start replays it.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Projection for WatchState {
    fn name(&self) -> &'static str {
        "watch-v6"
    }

    fn apply(&self, record: &Record) {
        let mut inner = self.write();
        for (place, event) in record.entries() {
            inner.apply(event, place, record);
        }
        inner.epoch = record.rev.epoch();
        inner.forget(record.at);
    }

    fn changed_rows(&self) -> Vec<Row> {
        let mut inner = self.write();
        let changed = std::mem::take(&mut inner.changed);
        changed.into_iter().map(|key| inner.row(key)).collect()
    }

    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        self.write().load(key, value)
    }

    fn reset(&self) {
        *self.write() = Inner::default();
    }
}

impl Inner {
    fn apply(&mut self, event: &Event, place: Rev, record: &Record) {
        match event {
            Event::IdentityCreated {
                identity, grant, ..
            }
            | Event::IdentityChanged {
                identity, grant, ..
            } => {
                self.subjects.add(*identity, Subject::from(grant.as_ref()));
                self.changed.insert(Key::Subject(*identity));
            }
            Event::IdentityTransferred {
                identity, owner, ..
            } => {
                self.subjects.transfer(*identity, *owner);
                self.changed.insert(Key::Subject(*identity));
            }
            Event::OwnerCreated { owner, name, .. } => {
                self.subjects.add_owner(*owner, name.clone());
                self.changed.insert(Key::Owner(*owner));
            }
            Event::TokenIssued(token) => {
                let jti = token.claims.jti;
                self.issued.add(jti, Issued::new(token, place));
                self.changed.insert(Key::Issued(Block::of(jti)));
            }
            Event::Revoked { node, cause, .. } => {
                self.issued.end(*node, record.rev);
                self.changed.insert(Key::Ended(Block::of(*node)));
                if let Cause::Recycled(verdict) = cause {
                    self.recycled(*node, *verdict, record);
                }
            }
            Event::Suspended {
                node,
                until,
                cause: Cause::Drift(verdict),
                ..
            } => {
                self.on_verdict(*verdict, |kept| {
                    if !kept.suspended.contains(&(*node, *until)) {
                        kept.suspended.push((*node, *until));
                    }
                });
                if let Some(identity) = self
                    .verdicts
                    .get(*verdict)
                    .map(|kept| kept.judgement.identity)
                {
                    self.histories.suspended(identity, *node, *until);
                    self.changed.insert(Key::History(identity));
                }
            }
            Event::FloorRaised { floor } => {
                for node in self.issued.raise_floor(*floor) {
                    self.changed.insert(Key::Ended(Block::of(node)));
                }
            }
            Event::Judged(judgement) => {
                let (added, dropped) = self
                    .verdicts
                    .add(VerdictRecord::new(judgement, place, record.at));
                self.changed.extend(
                    [Key::Verdict(added)]
                        .into_iter()
                        .chain(dropped.map(Key::Verdict)),
                );
                // A lie about a token must not add to the history of whoever holds the genuine one.
                if let (Some(digest), Some(key)) = (judgement.forged, judgement.forged_by) {
                    self.keys.forged(key, digest, record.at);
                    self.changed.insert(Key::SigningKeys);
                }
                if judgement.forged.is_none() {
                    let issued = self.issued.get(judgement.token);
                    self.histories.judged(judgement, issued, record.at);
                    self.changed.insert(Key::History(judgement.identity));
                }
            }
            Event::Responded {
                verdict,
                identity,
                node,
                response,
                enforced,
                held_back,
                chosen,
            } => {
                let taken = Taken {
                    response: *response,
                    node: *node,
                    enforced: *enforced,
                    held_back: *held_back,
                    chosen: chosen.clone(),
                };
                self.on_verdict(*verdict, |kept| {
                    if !kept.responses.contains(&taken) {
                        kept.responses.push(taken);
                    }
                });
                let forged = self
                    .verdicts
                    .get(*verdict)
                    .is_some_and(|kept| kept.judgement.forged.is_some());
                if !forged {
                    match (response, node) {
                        (Response::Alert, _) => self.histories.alerted(*identity, record.at),
                        (Response::Narrow, Some(node)) if *enforced => {
                            self.histories.narrowed(*identity, *node, *verdict);
                        }
                        _ => {}
                    }
                    self.changed.insert(Key::History(*identity));
                }
            }
            Event::VerdictCleared {
                verdict,
                by,
                reason,
            } => {
                let clearing = Clearing {
                    at: record.at,
                    by: by.clone(),
                    reason: reason.clone(),
                };
                self.on_verdict(*verdict, |kept| kept.cleared = Some(clearing));
                if let Some(identity) = self
                    .verdicts
                    .get(*verdict)
                    .map(|kept| kept.judgement.identity)
                {
                    self.histories.cleared(identity, *verdict);
                    self.changed.insert(Key::History(identity));
                }
            }
            Event::SigningKeyAdded(key) => {
                self.keys.add(key);
                self.changed.insert(Key::SigningKeys);
            }
            Event::SigningKeyRemoved { key, .. } => {
                self.keys.remove(*key);
                self.changed.insert(Key::SigningKeys);
            }
            Event::Rehearsed {
                rehearsal,
                candidate,
                ..
            } => {
                self.frozen.rehearsed(Rehearsed {
                    rehearsal: *rehearsal,
                    candidate: *candidate,
                    at: record.at,
                });
                self.changed.insert(Key::Frozen);
            }
            Event::ThresholdsFrozen {
                kind,
                thresholds,
                rehearsal,
                by,
            } => {
                let frozen = InForce {
                    at: record.at,
                    by: by.clone(),
                    rehearsal: *rehearsal,
                    thresholds: **thresholds,
                };
                self.frozen.freeze(*kind, frozen);
                self.changed.insert(Key::Frozen);
            }
            Event::DeploymentAnnounced {
                kind,
                tags,
                until,
                by,
                reason,
            } => {
                self.orders.announce(Deployment {
                    role: Role {
                        kind: *kind,
                        tags: tags.clone(),
                    },
                    at: record.at,
                    until: *until,
                    by: by.clone(),
                    reason: reason.clone(),
                });
                self.changed.insert(Key::Orders);
            }
            Event::BudgetSet { goal, by } => {
                self.orders.set_budget(GoalSet {
                    goal: *goal,
                    at: record.at,
                    by: by.clone(),
                });
                self.changed.insert(Key::Orders);
            }
            Event::Paged { verdict, .. } => {
                self.on_verdict(*verdict, |kept| kept.paged = Some(record.at));
            }
            Event::BaselinesSaved { version } => {
                self.baselines = self.baselines.max(*version);
                self.changed.insert(Key::Baselines);
            }
            _ => {}
        }
    }

    fn recycled(&mut self, token: NodeId, verdict: NodeId, record: &Record) {
        let Some(issued) = self.issued.get(token) else {
            return;
        };
        let recycled = Recycled {
            token: subject(token),
            credential: subject(issued.credential()),
            at: millis(record.at),
            rev: place(record.rev),
            verdict: subject(verdict),
        };
        let identity = issued.identity();
        self.histories.recycled(identity, recycled);
        self.changed.insert(Key::History(identity));
    }

    fn on_verdict(&mut self, verdict: NodeId, change: impl FnOnce(&mut VerdictRecord)) {
        if let Some(kept) = self.verdicts.get_mut(verdict) {
            change(kept);
            self.changed.insert(Key::Verdict(verdict));
        }
    }

    /// Forgets by the log's own time, so that a replay forgets the same.
    fn forget(&mut self, now: UnixMillis) {
        for token in self.issued.forget(now) {
            self.changed.insert(Key::Issued(Block::of(token)));
        }
        if self.keys.forget(now) {
            self.changed.insert(Key::SigningKeys);
        }
        if self.orders.forget(now) {
            self.changed.insert(Key::Orders);
        }
    }
}

#[cfg(test)]
mod tests;
