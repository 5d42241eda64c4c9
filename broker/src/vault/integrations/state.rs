//! What is known of integrations from the log: what they are, who carries them, and which versions were used.

mod rows;
mod uses;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lanyard_token::NodeId;
use lanyard_token::integration::Integration;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::rows::Key;
pub(super) use self::uses::{UseKey, Uses};
use crate::clock::UnixMillis;
use crate::store::event::{
    Identity, KeptIntegration, Kind, SecretUse, Version, WrittenIntegration,
};
use crate::store::{DamagedRow, Event, Projection, Record, Row};

/// What a gateway's own tokens must allow for it to be given leases.
pub const EGRESS_SCOPE: &str = "lanyard:egress";

/// Rows of use that are kept of one secret: of versions long gone, what was used longest ago is forgotten.
const MOST_USES: usize = 1_024;
/// The projection of integrations.
pub struct IntegrationState {
    inner: RwLock<Inner>,
    /// Counts what may change a lease, for those who wait for that.
    changes: watch::Sender<u64>,
}

impl Default for IntegrationState {
    fn default() -> Self {
        Self {
            inner: RwLock::default(),
            changes: watch::channel(0).0,
        }
    }
}

struct Inner {
    /// Whether it has its rows, or was filled by a replay.
    filled: bool,
    owners: HashMap<NodeId, Owner>,
    gateways: HashMap<NodeId, Gateway>,
    kept: BTreeMap<NodeId, Kept>,
    /// Those that this release cannot read: nobody carries them.
    unread: BTreeMap<NodeId, Unread>,
    uses: BTreeMap<UseKey, Uses>,
    changed: BTreeSet<Key>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            filled: false,
            owners: HashMap::new(),
            gateways: HashMap::new(),
            kept: BTreeMap::new(),
            unread: BTreeMap::new(),
            uses: BTreeMap::new(),
            changed: BTreeSet::from([Key::Filled]),
        }
    }
}

/// Somebody who answers for integrations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) disabled: bool,
}

/// A gateway, as it was enrolled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Gateway {
    pub(super) grant: Identity,
    pub(super) disabled: bool,
}

impl Gateway {
    /// Whether it was registered for egress.
    pub(super) fn is_egress(&self) -> bool {
        self.grant.scopes.contains(EGRESS_SCOPE)
    }
}

/// An integration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) owner: NodeId,
    pub(super) gateways: Vec<NodeId>,
    pub(super) integration: Integration,
    pub(super) created_at: UnixMillis,
    pub(super) changed_at: UnixMillis,
}

/// An integration as it was written, readable or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unread {
    pub(super) owner: NodeId,
    pub(super) gateways: Vec<NodeId>,
    pub(super) integration: WrittenIntegration,
    pub(super) created_at: UnixMillis,
    pub(super) changed_at: UnixMillis,
}

impl Unread {
    /// What is wrong with it, in words.
    pub(super) fn why(&self) -> &str {
        self.integration.read().err().unwrap_or_default()
    }
}

/// An integration as a gateway carries it, with whoever answers for it at the same instant.
pub(super) struct Carried {
    pub(super) id: NodeId,
    pub(super) kept: Kept,
    pub(super) owner: Option<Owner>,
}

impl IntegrationState {
    /// Empty, before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When somebody last used a version, as gateways told.
    pub fn last_used(&self, secret: NodeId, version: Version) -> Option<UnixMillis> {
        let inner = self.read();
        let of_version = inner
            .uses_of(secret)
            .filter(|(key, _)| key.version == version);
        of_version.map(|(_, uses)| uses.last_at).max()
    }

    /// Counts what may change a lease.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// By name or number.
    pub(super) fn find(&self, text: &str) -> Option<NodeId> {
        let inner = self.read();
        let named = inner
            .kept
            .iter()
            .find(|(_, kept)| kept.integration.name().as_str() == text);
        let unread = || {
            let mut unread = inner.unread.iter();
            unread.find(|(_, unread)| unread.integration.name() == text)
        };
        let named = named.map(|(id, _)| *id);
        let named = named.or_else(|| unread().map(|(id, _)| *id));
        let by_number = || {
            let number = text.parse().ok()?;
            let is_there = inner.kept.contains_key(&number) || inner.unread.contains_key(&number);
            is_there.then_some(number)
        };
        named.or_else(by_number)
    }

    pub(super) fn get_unread(&self, id: NodeId) -> Option<Unread> {
        self.read().unread.get(&id).cloned()
    }

    pub(super) fn all_unread(&self) -> Vec<(NodeId, Unread)> {
        let inner = self.read();
        let unread = inner.unread.iter();
        unread.map(|(id, unread)| (*id, unread.clone())).collect()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<Kept> {
        self.read().kept.get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<(NodeId, Kept)> {
        let inner = self.read();
        inner
            .kept
            .iter()
            .map(|(id, kept)| (*id, kept.clone()))
            .collect()
    }

    /// Those of an owner, as they are written down.
    pub(super) fn written_of_owner(&self, owner: NodeId) -> Vec<(NodeId, Unread)> {
        let inner = self.read();
        let read = inner.kept.iter().map(|(id, kept)| {
            let written = Unread {
                owner: kept.owner,
                gateways: kept.gateways.clone(),
                integration: kept.integration.clone().into(),
                created_at: kept.created_at,
                changed_at: kept.changed_at,
            };
            (*id, written)
        });
        let unread = inner.unread.iter();
        let unread = unread.map(|(id, unread)| (*id, unread.clone()));
        read.chain(unread)
            .filter(|(_, written)| written.owner == owner)
            .collect()
    }

    /// Those that a gateway carries, by number, as they are at one instant.
    pub(super) fn carried_by(&self, gateway: NodeId) -> Vec<Carried> {
        let inner = self.read();
        let carried = inner
            .kept
            .iter()
            .filter(|(_, kept)| kept.gateways.contains(&gateway));
        carried
            .map(|(id, kept)| Carried {
                id: *id,
                kept: kept.clone(),
                owner: inner.owners.get(&kept.owner).cloned(),
            })
            .collect()
    }

    /// An owner, by name or number.
    pub(super) fn owner_called(&self, text: &str) -> Option<(NodeId, Owner)> {
        let inner = self.read();
        let named = inner.owners.iter().find(|(_, owner)| owner.name == text);
        let found = named.or_else(|| inner.owners.get_key_value(&text.parse().ok()?));
        found.map(|(id, owner)| (*id, owner.clone()))
    }

    pub(super) fn owner(&self, owner: NodeId) -> Option<Owner> {
        self.read().owners.get(&owner).cloned()
    }

    /// A gateway, by name or number.
    pub(super) fn gateway_called(&self, text: &str) -> Option<(NodeId, Gateway)> {
        let inner = self.read();
        let named = inner
            .gateways
            .iter()
            .find(|(_, gateway)| gateway.grant.name == text);
        let found = named.or_else(|| inner.gateways.get_key_value(&text.parse().ok()?));
        found.map(|(id, gateway)| (*id, gateway.clone()))
    }

    pub(super) fn gateway(&self, gateway: NodeId) -> Option<Gateway> {
        self.read().gateways.get(&gateway).cloned()
    }

    /// Calls that a start of a gateway has told of already.
    pub(super) fn told(&self, key: UseKey, boot: u64) -> u64 {
        self.read()
            .uses
            .get(&key)
            .map_or(0, |uses| uses.of_boot(boot))
    }

    pub(super) fn uses(&self, secret: NodeId) -> Vec<(UseKey, Uses)> {
        let inner = self.read();
        inner
            .uses_of(secret)
            .map(|(key, uses)| (*key, uses.clone()))
            .collect()
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
    fn uses_of(&self, secret: NodeId) -> impl Iterator<Item = (&UseKey, &Uses)> {
        let least = NodeId::from_u64(0);
        let first = UseKey {
            secret,
            version: Version(0),
            integration: least,
            gateway: least,
        };
        self.uses
            .range(first..)
            .take_while(move |(key, _)| key.secret == secret)
    }

    /// Takes an event; whether it may change a lease.
    fn take(&mut self, event: &Event, at: UnixMillis) -> bool {
        match event {
            Event::OwnerCreated { owner, name, .. } => {
                let (name, disabled) = (name.clone(), false);
                self.owners.insert(*owner, Owner { name, disabled });
                self.changed.insert(Key::Owner(*owner));
                false
            }
            Event::IdentityCreated {
                identity, grant, ..
            } if grant.kind == Kind::Gateway => {
                let (grant, disabled) = ((**grant).clone(), false);
                self.gateways.insert(*identity, Gateway { grant, disabled });
                self.changed.insert(Key::Gateway(*identity));
                false
            }
            Event::IdentityChanged {
                identity, grant, ..
            } => self.change_gateway(*identity, |gateway| gateway.grant = (**grant).clone()),
            Event::IdentityTransferred {
                identity, owner, ..
            } => self.change_gateway(*identity, |gateway| gateway.grant.owner = *owner),
            Event::Revoked { node, cause, .. } if cause.disables() => self.switch(*node, true),
            Event::Enabled { node, .. } => self.switch(*node, false),
            Event::IntegrationChanged(changed) => {
                self.keep(changed, at);
                true
            }
            Event::IntegrationRemoved { integration, .. } => {
                self.changed.insert(Key::Kept(*integration));
                self.unread.remove(integration);
                self.kept.remove(integration).is_some()
            }
            Event::SecretUsed(used) => {
                self.used(used);
                false
            }
            Event::SecretVersionMoved { .. }
            | Event::SecretTransferred { .. }
            | Event::PolicyActivated { .. } => true,
            _ => false,
        }
    }

    fn change_gateway(&mut self, identity: NodeId, change: impl FnOnce(&mut Gateway)) -> bool {
        let Some(gateway) = self.gateways.get_mut(&identity) else {
            return false;
        };
        change(gateway);
        self.changed.insert(Key::Gateway(identity));
        true
    }

    fn switch(&mut self, node: NodeId, disabled: bool) -> bool {
        if let Some(owner) = self.owners.get_mut(&node) {
            owner.disabled = disabled;
            self.changed.insert(Key::Owner(node));
            return true;
        }
        self.change_gateway(node, |gateway| gateway.disabled = disabled)
    }

    fn keep(&mut self, changed: &KeptIntegration, at: UnixMillis) {
        let before = self.kept.get(&changed.id).map(|kept| kept.created_at);
        let unread = self.unread.get(&changed.id);
        let before = before.or_else(|| unread.map(|unread| unread.created_at));
        let written = Unread {
            owner: changed.owner,
            gateways: changed.gateways.clone(),
            integration: changed.integration.clone(),
            created_at: before.unwrap_or(at),
            changed_at: at,
        };
        self.put(changed.id, written);
        self.changed.insert(Key::Kept(changed.id));
    }

    /// Takes what was written for what this release makes of it.
    fn put(&mut self, id: NodeId, written: Unread) {
        match written.integration.read() {
            Ok(integration) => {
                let kept = Kept {
                    owner: written.owner,
                    gateways: written.gateways.clone(),
                    integration: integration.clone(),
                    created_at: written.created_at,
                    changed_at: written.changed_at,
                };
                self.unread.remove(&id);
                self.kept.insert(id, kept);
            }
            Err(why) => {
                tracing::error!(
                    name: "lanyard.integration.unread",
                    { lanyard.integration = written.integration.name(), lanyard.reason = why },
                    "an integration in the log is none to this release: nobody can use it"
                );
                self.kept.remove(&id);
                self.unread.insert(id, written);
            }
        }
    }

    fn used(&mut self, used: &SecretUse) {
        let key = UseKey {
            secret: used.secret,
            version: used.version,
            integration: used.integration,
            gateway: used.gateway,
        };
        self.uses.entry(key).or_default().take(used);
        self.changed.insert(Key::Use(key));
        if self.uses_of(used.secret).count() > MOST_USES {
            let oldest = self
                .uses_of(used.secret)
                .min_by_key(|(_, uses)| uses.last_at);
            if let Some((oldest, _)) = oldest.map(|(key, uses)| (*key, uses.last_at)) {
                self.uses.remove(&oldest);
                self.changed.insert(Key::Use(oldest));
            }
        }
    }
}

impl Projection for IntegrationState {
    fn name(&self) -> &'static str {
        "integrations-v1"
    }

    fn apply(&self, record: &Record) {
        let mut matters = false;
        {
            let mut inner = self.write();
            for event in &record.events {
                matters |= inner.take(event, record.at);
            }
        }
        if matters {
            self.changes
                .send_modify(|count| *count = count.wrapping_add(1));
        }
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

#[cfg(test)]
mod tests;
