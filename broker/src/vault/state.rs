//! What the vault knows from the log: secrets, how their versions stand, and who had which.
//!
//! Values lie here as sealed as in the log; what is retired lies only there.

mod record;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lanyard_token::NodeId;
use tokio::sync::Notify;

use self::record::{SecretRecord, VersionRecord};
use self::rows::Key;
use super::VaultError;
use super::lease::{LeaseRefused, may_be_leased, may_be_out};
use super::name::name_or_mark;
use super::usage::{Held, MOST_SPANS, Span, Spans, UsedBy};
use super::versions::{self, MoveRefused, Wish};
use super::view::{Exposure, Holder, SecretView, User, VersionView, WhoView};
use crate::clock::UnixMillis;
use crate::crypto::DataKeyId;
use crate::store::event::{Cause, Reference, RotationCause, SecretUse, Version, VersionState};
use crate::store::{DamagedRow, Event, Projection, Record, Row};

/// Who is ended because it left its baseline may have copies of what it had within this time: an hour, in which a
/// thief is noticed or has long had what there is.
const LATELY: u64 = 60 * 60 * 1_000;

/// How far from an instant a use still counts for it, in milliseconds.
pub(super) const USED_AROUND: u64 = 60_000;

/// The vault's projection of the log.
#[derive(Default)]
pub struct VaultState {
    inner: RwLock<Inner>,
    /// Told when somebody may have a copy of something.
    exposing: Notify,
    /// Only this secret, and all of it; `None`: all secrets, as far as they are kept in memory.
    only: Option<NodeId>,
}

struct Inner {
    /// Whether it has its rows, or was filled by a replay.
    filled: bool,
    owners: HashMap<NodeId, Owner>,
    identities: HashMap<NodeId, String>,
    secrets: BTreeMap<NodeId, SecretRecord>,
    by_name: HashMap<String, NodeId>,
    spans: HashMap<NodeId, Spans>,
    uses: HashMap<NodeId, Spans<UsedBy>>,
    changed: BTreeSet<Key>,
    /// Versions that nobody has asked for by [`VaultState::take_unread`] yet.
    unread: BTreeSet<(NodeId, Version)>,
    /// Whether what was just taken in exposes something.
    exposes: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            filled: false,
            owners: HashMap::new(),
            identities: HashMap::new(),
            secrets: BTreeMap::new(),
            by_name: HashMap::new(),
            spans: HashMap::new(),
            uses: HashMap::new(),
            changed: BTreeSet::from([Key::Filled]),
            unread: BTreeSet::new(),
            exposes: false,
        }
    }
}

/// Somebody who answers for secrets.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Owner {
    name: String,
    disabled: bool,
}

/// A secret that is there.
pub(super) struct Known {
    pub(super) secret: NodeId,
    pub(super) owner: NodeId,
    pub(super) next_version: Version,
}

/// A version that is kept, sealed.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) reference: Option<Reference>,
    pub(super) sealed: String,
}

/// The version in force, sealed.
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) sealed: String,
}

impl VaultState {
    /// Empty, before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For one secret alone, without forgetting anything.
    pub(super) fn of_one(secret: NodeId) -> Self {
        Self {
            only: Some(secret),
            ..Self::default()
        }
    }

    pub(super) fn find(&self, text: &str) -> Option<NodeId> {
        let inner = self.read();
        let by_number = || {
            let number = text.parse().ok()?;
            inner.secrets.contains_key(&number).then_some(number)
        };
        inner.by_name.get(text).copied().or_else(by_number)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Known> {
        let inner = self.read();
        let secret = *inner.by_name.get(name)?;
        let record = inner.secrets.get(&secret)?;
        Some(Known {
            secret,
            owner: record.owner,
            next_version: record.next_version(),
        })
    }

    /// An owner, by name or number.
    pub(super) fn owner(&self, text: &str) -> Result<NodeId, VaultError> {
        let inner = self.read();
        let named = inner.owners.iter().find(|(_, owner)| owner.name == text);
        let by_number = || {
            let id = text.parse().ok();
            id.filter(|id| inner.owners.contains_key(id))
        };
        named
            .map(|(id, _)| *id)
            .or_else(by_number)
            .ok_or_else(|| VaultError::NotFound {
                kind: "owner",
                name: name_or_mark(text),
            })
    }

    /// An owner that may be given something.
    pub(super) fn living_owner(&self, text: &str) -> Result<NodeId, VaultError> {
        let id = self.owner(text)?;
        let disabled = |owner: &Owner| owner.disabled;
        if self.read().owners.get(&id).is_some_and(disabled) {
            return Err(VaultError::OwnerDisabled {
                owner: text.to_owned(),
            });
        }
        Ok(id)
    }

    pub(super) fn owner_name(&self, owner: NodeId) -> String {
        self.read().owner_name(owner)
    }

    /// Who answers for a secret.
    pub(super) fn owner_of(&self, secret: NodeId) -> Option<NodeId> {
        Some(self.read().secrets.get(&secret)?.owner)
    }

    /// The secrets that an owner answers for.
    pub(super) fn of_owner(&self, owner: NodeId) -> Vec<NodeId> {
        self.read().of_owner(owner).collect()
    }

    pub(super) fn list(&self) -> Vec<SecretView> {
        let inner = self.read();
        let mut all: Vec<_> = inner
            .secrets
            .iter()
            .map(|(id, record)| inner.view(*id, record))
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    pub(super) fn show(&self, secret: NodeId) -> Option<SecretView> {
        let inner = self.read();
        let record = inner.secrets.get(&secret)?;
        Some(inner.view(secret, record))
    }

    /// The moves that a wish about a secret's versions comes to.
    pub(super) fn plan(
        &self,
        secret: NodeId,
        wish: Wish,
    ) -> Result<Vec<(Version, VersionState)>, MoveRefused> {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        let known = record.into_iter().flat_map(SecretRecord::states);
        versions::plan(known, wish)
    }

    /// The version that may be handed out.
    pub(super) fn offer(&self, secret: NodeId) -> Result<Offer, LeaseRefused> {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        let offered = record.and_then(|record| {
            let (version, active) = record.find(may_be_leased)?;
            Some(Offer {
                name: record.name.clone(),
                version,
                sealed: active.sealed.clone()?,
            })
        });
        offered.ok_or(LeaseRefused::NoneInForce)
    }

    /// Whether there are versions that came since it was asked last.
    pub(super) fn has_unread(&self) -> bool {
        !self.read().unread.is_empty()
    }

    /// The versions that came since it was asked last, retired or not: each is told once.
    pub(super) fn take_unread(&self) -> BTreeSet<(NodeId, Version)> {
        std::mem::take(&mut self.write().unread)
    }

    /// Whether a version is there and not retired.
    pub(super) fn is_kept(&self, secret: NodeId, version: Version) -> bool {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        let known = record.and_then(|record| record.version(version));
        known.is_some_and(|known| known.state != VersionState::Retired)
    }

    /// What third parties call the versions of other secrets that are not retired, but for those secrets, and for what a version
    /// of this one was ever called: that is its own.
    pub(super) fn references_of_others(
        &self,
        secret: NodeId,
        but: &BTreeSet<NodeId>,
    ) -> BTreeSet<Reference> {
        let inner = self.read();
        let others = inner
            .secrets
            .iter()
            .filter(|(other, _)| **other != secret && !but.contains(other));
        let mut references: BTreeSet<Reference> = others
            .flat_map(|(_, record)| record.versions())
            .filter(|(_, known)| known.state != VersionState::Retired)
            .filter_map(|(_, known)| known.reference.clone())
            .collect();
        for (_, known) in inner
            .secrets
            .get(&secret)
            .into_iter()
            .flat_map(|own| own.versions())
        {
            if let Some(reference) = &known.reference {
                references.remove(reference);
            }
        }
        references
    }

    /// Why somebody may have a copy of a version.
    pub(super) fn exposed(&self, secret: NodeId, version: Version) -> Option<RotationCause> {
        let inner = self.read();
        let known = inner.secrets.get(&secret)?.version(version)?;
        Some(known.exposed?.cause)
    }

    /// A version that is not retired, sealed; `None`: the one in force.
    pub(super) fn kept(&self, secret: NodeId, version: Option<Version>) -> Option<Kept> {
        let inner = self.read();
        let record = inner.secrets.get(&secret)?;
        let (version, known) = match version {
            Some(version) => (version, record.version(version)?),
            None => record.find(may_be_leased)?,
        };
        Some(Kept {
            name: record.name.clone(),
            version,
            reference: known.reference.clone(),
            sealed: known.sealed.clone()?,
        })
    }

    pub(super) fn state_of(&self, secret: NodeId, version: Version) -> Option<VersionState> {
        let inner = self.read();
        let record = inner.secrets.get(&secret)?;
        Some(record.version(version)?.state)
    }

    pub(super) fn name_of(&self, secret: NodeId) -> String {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        record.map_or_else(|| secret.to_string(), |record| record.name.clone())
    }

    pub(super) fn next_version(&self, secret: NodeId) -> Version {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        record.map_or(Version(1), SecretRecord::next_version)
    }

    /// Until when somebody may use a version, at the latest.
    pub(super) fn last_use(&self, secret: NodeId, version: Version) -> Option<UnixMillis> {
        self.read().spans.get(&secret)?.last_until(version)
    }

    /// Until when a holder may use a version; `None`: it never had it, or long ago.
    pub(super) fn had_until(
        &self,
        secret: NodeId,
        version: Version,
        holder: NodeId,
    ) -> Option<UnixMillis> {
        self.read().spans.get(&secret)?.until(holder, version)
    }

    /// Whether a version that was just handed out may be.
    pub(super) fn still_out(&self, secret: NodeId, version: Version) -> Result<(), LeaseRefused> {
        let inner = self.read();
        let record = inner.secrets.get(&secret);
        let state = record
            .and_then(|record| record.version(version))
            .map(|version| version.state);
        match state {
            Some(state) if may_be_out(state) => Ok(()),
            _ => Err(LeaseRefused::RetiredMeanwhile(version)),
        }
    }

    /// Who had a secret at an instant; `None`: that is not kept in memory any more, or never was.
    pub(super) fn who(&self, secret: NodeId, at: UnixMillis) -> Option<WhoView> {
        let inner = self.read();
        let record = inner.secrets.get(&secret)?;
        let had = inner.spans.get(&secret).map(|spans| spans.at(at));
        let mut holders: Vec<_> = had
            .unwrap_or_else(|| Some(Vec::new()))?
            .into_iter()
            .map(
                |Span {
                     held, from, until, ..
                 }| {
                    let name = inner.identities.get(&held.to).cloned();
                    Holder::of(held, name.unwrap_or_default(), from, until)
                },
            )
            .collect();
        holders.sort_by_key(|holder| (holder.version, holder.identity, holder.from));
        let used = inner.uses.get(&secret).map(|spans| spans.at(at));
        let mut users: Vec<_> = used
            .unwrap_or_else(|| Some(Vec::new()))?
            .into_iter()
            .map(|span| User::of(&span, inner.identities.get(&span.held.gateway), at))
            .collect();
        users.sort_by_key(|user| (user.version, user.identity, user.first));
        Some(WhoView {
            secret,
            name: record.name.clone(),
            at,
            active: record.in_state_at(VersionState::Active, at).next(),
            draining: record.in_state_at(VersionState::Draining, at).collect(),
            holders,
            users,
        })
    }

    /// How many versions were ever sealed under a data key.
    pub fn sealed_under(&self, data_key: DataKeyId) -> u64 {
        let inner = self.read();
        let versions = inner.secrets.values().flat_map(SecretRecord::versions);
        let under = versions.filter(|(_, version)| version.data_key == Some(data_key));
        under.count() as u64
    }

    /// Takes a record, as [`Projection::apply`] does.
    pub(super) fn take(&self, record: &Record) {
        let mut inner = self.write();
        for event in &record.events {
            inner.take(event, record.at, self.only);
        }
        let exposes = std::mem::take(&mut inner.exposes);
        drop(inner);
        if exposes {
            self.exposing.notify_one();
        }
    }

    /// Waits until somebody may have a copy of something, or did since it was waited for last.
    pub(super) async fn exposes(&self) {
        self.exposing.notified().await;
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // A panic while applying stops the store; what is read here is whole.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, event: &Event, at: UnixMillis, only: Option<NodeId>) {
        let wanted = |secret: &NodeId| only.is_none_or(|only| only == *secret);
        match event {
            Event::OwnerCreated { owner, name, .. } => {
                let (name, disabled) = (name.clone(), false);
                self.owners.insert(*owner, Owner { name, disabled });
                self.changed.insert(Key::Owner(*owner));
            }
            Event::IdentityCreated {
                identity, grant, ..
            } => {
                self.identities.insert(*identity, grant.name.clone());
                self.changed.insert(Key::Identity(*identity));
            }
            Event::Revoked { node, cause, .. } => self.ended(*node, cause, at),
            Event::Enabled { node, .. } => {
                if let Some(owner) = self.owners.get_mut(node) {
                    owner.disabled = false;
                    self.changed.insert(Key::Owner(*node));
                }
            }
            Event::SecretCreated {
                secret,
                name,
                owner,
                ..
            } if wanted(secret) => {
                self.by_name.insert(name.clone(), *secret);
                let record = SecretRecord::new(name.clone(), *owner, at);
                self.secrets.insert(*secret, record);
                self.changed.insert(Key::Secret(*secret));
            }
            Event::SecretTransferred { secret, owner, .. } => {
                if let Some(record) = self.secrets.get_mut(secret) {
                    record.owner = *owner;
                    self.changed.insert(Key::Secret(*secret));
                }
            }
            Event::SecretVersionAdded(added) => {
                if let Some(record) = self.secrets.get_mut(&added.secret) {
                    record.add(added, at);
                    self.unread.insert((added.secret, added.version));
                    self.changed
                        .insert(Key::Version(added.secret, added.version));
                }
            }
            Event::SecretVersionMoved {
                secret,
                version,
                state,
                ..
            } => {
                if let Some(record) = self.secrets.get_mut(secret) {
                    record.move_to(*version, *state, at);
                    self.changed.insert(Key::Secret(*secret));
                    self.changed.insert(Key::Version(*secret, *version));
                }
            }
            Event::SecretLeaked {
                secret, version, ..
            } => {
                let (at, cause) = (at, RotationCause::Leak);
                self.exposes = true;
                if let Some(record) = self.secrets.get_mut(secret) {
                    record.expose(*version, Exposure { at, cause });
                    self.changed.insert(Key::Version(*secret, *version));
                }
            }
            Event::RotationQueued { secret, cause, .. } => self.expose(*secret, *cause, at),
            Event::SecretUsed(used) if self.secrets.contains_key(&used.secret) => {
                self.used(used, only);
            }
            Event::SecretLeased {
                secret,
                version,
                to,
                until,
                decided,
            } if self.secrets.contains_key(secret) => {
                let spans = self.spans.entry(*secret);
                let spans = spans.or_insert_with(|| Spans::keeping(most_spans(only)));
                let held = Held {
                    to: *to,
                    version: *version,
                    decided: decided.clone(),
                };
                let taken = spans.take(held, at, *until);
                self.changed.insert(Key::Span(*secret, taken.changed));
                if let Some(forgotten) = taken.forgotten {
                    self.changed.insert(Key::Span(*secret, forgotten));
                    self.changed.insert(Key::Forgotten(*secret));
                }
            }
            _ => {}
        }
    }

    /// A use counts for a while before and after it.
    fn used(&mut self, used: &SecretUse, only: Option<NodeId>) {
        let by = UsedBy {
            gateway: used.gateway,
            version: used.version,
            integration: used.integration,
        };
        let spans = self.uses.entry(used.secret);
        let spans = spans.or_insert_with(|| Spans::keeping(most_spans(only)));
        let since = UnixMillis(used.last_at.0.saturating_sub(USED_AROUND));
        let taken = spans.take(by, since, used.last_at.plus_millis(USED_AROUND));
        self.changed.insert(Key::Use(used.secret, taken.changed));
        if let Some(forgotten) = taken.forgotten {
            self.changed.insert(Key::Use(used.secret, forgotten));
            self.changed.insert(Key::UseForgotten(used.secret));
        }
    }

    /// An owner that ended may have kept copies of what it answers for, and who is ended because it left its baseline
    /// of what it had lately.
    fn ended(&mut self, node: NodeId, cause: &Cause, at: UnixMillis) {
        if let Some(owner) = self.owners.get_mut(&node) {
            owner.disabled = true;
            self.changed.insert(Key::Owner(node));
            let owned: Vec<_> = self.of_owner(node).collect();
            for secret in owned {
                self.expose(secret, RotationCause::OwnerEnded, at);
            }
        }
        if matches!(cause, Cause::Drift(_)) {
            let had = |(secret, spans): (&NodeId, &Spans)| {
                let since = UnixMillis(at.0.saturating_sub(LATELY));
                spans.had_since(node, since).then_some(*secret)
            };
            let held: Vec<_> = self.spans.iter().filter_map(had).collect();
            for secret in held {
                self.expose(secret, RotationCause::Drift, at);
            }
        }
    }

    fn expose(&mut self, secret: NodeId, cause: RotationCause, at: UnixMillis) {
        self.exposes = true;
        if let Some(record) = self.secrets.get_mut(&secret) {
            record.expose_all(Exposure { at, cause });
            let versions = record.versions();
            let changed = versions.map(|(version, _)| Key::Version(secret, version));
            self.changed.extend(changed);
        }
    }

    fn of_owner(&self, owner: NodeId) -> impl Iterator<Item = NodeId> {
        let owned =
            move |(id, record): (&NodeId, &SecretRecord)| (record.owner == owner).then_some(*id);
        self.secrets.iter().filter_map(owned)
    }

    fn owner_name(&self, owner: NodeId) -> String {
        let known = self.owners.get(&owner);
        known.map_or_else(|| owner.to_string(), |owner| owner.name.clone())
    }

    fn view(&self, id: NodeId, record: &SecretRecord) -> SecretView {
        let shown = |(version, known): (Version, &VersionRecord)| VersionView {
            version,
            state: known.state,
            since: known.since(),
            added_at: known.added_at,
            reference: known.reference.clone(),
            data_key: known.data_key,
            exposed: known.exposed,
        };
        SecretView {
            id,
            name: record.name.clone(),
            owner: self.owner_name(record.owner),
            created_at: record.created_at,
            active: record.find(may_be_leased).map(|(version, _)| version),
            rotation_queued: record.queued().map(|exposed| exposed.at),
            queued_because: record.queued().map(|exposed| exposed.cause),
            planned: false,
            versions: record.versions().map(shown).collect(),
        }
    }
}

/// Of one secret alone nothing is forgotten.
fn most_spans(only: Option<NodeId>) -> usize {
    only.map_or(MOST_SPANS, |_| usize::MAX)
}

impl Projection for VaultState {
    fn name(&self) -> &'static str {
        "vault-v3"
    }

    fn apply(&self, record: &Record) {
        self.take(record);
    }

    fn changed_rows(&self) -> Vec<Row> {
        self.write().changed_rows()
    }

    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        self.write().load_row(key, value)
    }

    fn is_filled(&self) -> bool {
        self.read().filled
    }

    fn reset(&self) {
        *self.write() = Inner::default();
    }
}
