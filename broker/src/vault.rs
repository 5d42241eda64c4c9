//! The vault: credentials of third parties, sealed, each in numbered versions of which one is in force.
//!
//! ```text
//! put ─► sealed, durable, read back from disk and opened ─► pending ─► active ─► draining ─► retired
//!                                                                       │
//!                                                                       └─► leased, for a minute at most
//! ```
//! There is no way to read a value here: it comes in, and leaves in a [`Lease`] to whoever injects it.
//! Every step is an event, so who had which version is answerable for any instant.

mod error;
pub mod integrations;
mod leaks;
mod lease;
mod name;
mod place;
mod replay;
pub mod rotate;
mod state;
mod usage;
mod value;
mod versions;
mod view;

use std::sync::Arc;

use lanyard_token::{NodeId, Rev};
use zeroize::Zeroizing;

use crate::clock::{Clock, UnixMillis};
use crate::crypto::SealingRoot;
use crate::store::event::{By, LeasedFor, RotationCause, SecretVersion, Version, VersionState};
use crate::store::{Event, MAX_EVENTS, Store, StoreError};
pub use error::VaultError;
pub use lease::{LONGEST_LEASE_SECONDS, Lease, LeaseRefused};
use name::name_or_mark;
pub use name::{InvalidName, SecretName};
pub use state::VaultState;
pub use usage::{Held, Span};
pub use value::{HeaderSafe, InvalidValue, LONGEST_VALUE, SecretValue};
pub use versions::MoveRefused;
pub use view::{Exposure, Holder, SecretView, VersionView, WhoView};

use error::{LONGEST_REFERENCE, plain_reason, reference};
use place::Place;
use rotate::state::RotationState;
use versions::Wish;

/// The room. Cheap to share behind an `Arc`.
pub struct Vault {
    state: Arc<VaultState>,
    rotations: Arc<RotationState>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    seal: Arc<SealingRoot>,
    trust_domain: String,
    /// One change at a time, so that names stay unique and no version is numbered twice.
    changing: tokio::sync::Mutex<()>,
    /// For what somebody found somewhere.
    known: leaks::SharedKnown,
}

/// A value to keep.
pub struct NewVersion {
    /// Of which secret; one that is not there is created.
    pub name: String,
    /// Who answers for it, by name or number; needed for a new one.
    pub owner: Option<String>,
    /// The value.
    pub value: SecretValue,
    /// What the third party calls it.
    pub reference: Option<String>,
    /// Whether it is only kept, and not yet in force.
    pub pending: bool,
}

/// Versions that are sealed under one data key before a broker that starts makes a new one. Each has a key
/// of its own, from a salt of 32 bytes, so nothing would break far beyond; it bounds what hangs on one key.
pub const MOST_SEALS: u64 = 1 << 30;

impl Vault {
    /// Opens the room over a store that already feeds `state` and `rotations`.
    pub fn new(
        state: Arc<VaultState>,
        rotations: Arc<RotationState>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        seal: Arc<SealingRoot>,
        trust_domain: String,
    ) -> Self {
        Self {
            state,
            rotations,
            store,
            clock,
            seal,
            trust_domain,
            changing: tokio::sync::Mutex::default(),
            known: leaks::SharedKnown::default(),
        }
    }

    /// Keeps a value, in force at once unless it is to be pending. Answers after it was read back from
    /// disk and opened.
    pub async fn put(&self, new: NewVersion, by: By) -> Result<SecretView, VaultError> {
        let name = SecretName::parse(&new.name)?;
        let reference = new.reference.as_deref().map(reference).transpose()?;
        let _changing = self.changing.lock().await;
        let (secret, version, mut events) = self.place_for(&name, new.owner.as_deref(), &by)?;
        let sealed = self
            .place(secret, name.as_str(), version)
            .seal(&self.seal, new.value.expose())?;
        events.push(Event::SecretVersionAdded(Box::new(SecretVersion {
            secret,
            version,
            sealed,
            reference,
            by: by.clone(),
        })));
        let rev = self.store.append(events).await?;
        if !self
            .reads_back(rev, secret, &name, version, new.value)
            .await
        {
            // It is in the log, so it must not look as if it were good.
            let reason = Some("could not be read back".to_owned());
            let retired = [(version, VersionState::Retired)];
            self.write_moves(secret, &retired, By::Broker, reason)
                .await?;
            return Err(VaultError::NotReadBack);
        }
        if !new.pending {
            let moves = self.state.plan(secret, Wish::Activate(version))?;
            self.write_moves(secret, &moves, by, None).await?;
        }
        self.shown(secret)
    }

    /// Puts a version in force; the one that was is drained.
    pub async fn activate(
        &self,
        secret: &str,
        version: Version,
        by: By,
        reason: Option<&str>,
    ) -> Result<SecretView, VaultError> {
        self.change(secret, Wish::Activate(version), by, reason)
            .await
    }

    /// Takes a version, or all of them, out of use for good.
    pub async fn retire(
        &self,
        secret: &str,
        version: Option<Version>,
        by: By,
        reason: Option<&str>,
    ) -> Result<SecretView, VaultError> {
        let wish = version.map_or(Wish::RetireAll, Wish::Retire);
        self.change(secret, wish, by, reason).await
    }

    /// Another owner answers for it.
    pub async fn transfer(
        &self,
        secret: &str,
        owner: &str,
        by: By,
        reason: Option<&str>,
    ) -> Result<SecretView, VaultError> {
        let reason = reason.map(plain_reason).transpose()?;
        let _changing = self.changing.lock().await;
        let secret = self.find(secret)?;
        let owner = self.state.living_owner(owner)?;
        let event = Event::SecretTransferred {
            secret,
            owner,
            by,
            reason,
        };
        self.store.append(vec![event]).await?;
        self.shown(secret)
    }

    /// Everything of an owner goes to another one; says how many.
    pub async fn transfer_all(
        &self,
        from: NodeId,
        to: NodeId,
        by: &By,
        reason: Option<&str>,
    ) -> Result<usize, VaultError> {
        let reason = reason.map(plain_reason).transpose()?;
        let _changing = self.changing.lock().await;
        let secrets = self.state.of_owner(from);
        for some in secrets.chunks(MAX_EVENTS) {
            let transferred = |secret: &NodeId| Event::SecretTransferred {
                secret: *secret,
                owner: to,
                by: by.clone(),
                reason: reason.clone(),
            };
            self.store
                .append(some.iter().map(transferred).collect())
                .await?;
        }
        Ok(secrets.len())
    }

    /// Notes that a secret should be exchanged, because somebody may have a copy. One that has a plan is, within a
    /// minute.
    pub async fn queue(
        &self,
        secret: &str,
        cause: RotationCause,
        by: By,
    ) -> Result<SecretView, VaultError> {
        let secret = self.find(secret)?;
        let queued = Event::RotationQueued { secret, cause, by };
        self.store.append(vec![queued]).await?;
        self.shown(secret)
    }

    /// All secrets, by name. Never a value.
    pub fn list(&self) -> Vec<SecretView> {
        let mut all = self.state.list();
        for view in &mut all {
            view.planned = self.rotations.plan(view.id).is_some();
        }
        all
    }

    /// One secret, by name or number. Never its value.
    pub fn show(&self, secret: &str) -> Result<SecretView, VaultError> {
        self.shown(self.find(secret)?)
    }

    /// Who had which version at an instant, and which one was in force.
    pub async fn who(&self, secret: &str, at: UnixMillis) -> Result<WhoView, VaultError> {
        let secret = self.find(secret)?;
        if let Some(who) = self.state.who(secret, at) {
            return Ok(who);
        }
        // Too long ago to be kept in memory; the log has it.
        let store = Arc::clone(&self.store);
        let replayed = tokio::task::spawn_blocking(move || replay::who(&*store, secret, at)).await;
        replayed.map_err(|_| VaultError::Store(StoreError::Stopped))?
    }

    /// Hands out the version in force, for a minute at most; durable before it leaves.
    ///
    /// Whether `to` may have it is decided before: by the policies, at the door, and `decided` says how.
    pub async fn lease(
        &self,
        secret: &str,
        to: NodeId,
        seconds: u64,
        decided: Option<LeasedFor>,
    ) -> Result<Lease, VaultError> {
        let secret = self.find(secret)?;
        let offer = self.state.offer(secret)?;
        let until = lease::until(self.clock.now(), seconds);
        let version = offer.version;
        let leased = Event::SecretLeased {
            secret,
            version,
            to,
            until,
            decided: decided.map(Box::new),
        };
        self.store.append(vec![leased]).await?;
        // What was retired meanwhile stands in the log as handed out, and is not.
        self.state.still_out(secret, version)?;
        let place = self.place(secret, &offer.name, version);
        let value = place.open(&self.seal, &offer.sealed)?;
        Ok(Lease {
            secret,
            version,
            value,
            until,
        })
    }

    /// The secret and version that a value becomes, and what has to be written before it.
    fn place_for(
        &self,
        name: &SecretName,
        owner: Option<&str>,
        by: &By,
    ) -> Result<(NodeId, Version, Vec<Event>), VaultError> {
        if let Some(known) = self.state.by_name(name.as_str()) {
            if let Some(owner) = owner
                && self.state.owner(owner)? != known.owner
            {
                return Err(VaultError::OtherOwner {
                    name: name.as_str().to_owned(),
                    owner: self.state.owner_name(known.owner),
                });
            }
            self.is_left_alone(known.secret)?;
            return Ok((known.secret, known.next_version, Vec::new()));
        }
        let owner = owner.ok_or_else(|| VaultError::OwnerNeeded {
            name: name.as_str().to_owned(),
        })?;
        let owner = self.state.living_owner(owner)?;
        let secret = self.store.nodes().next();
        let created = Event::SecretCreated {
            secret,
            name: name.as_str().to_owned(),
            owner,
            by: by.clone(),
        };
        Ok((secret, Version(1), vec![created]))
    }

    async fn change(
        &self,
        secret: &str,
        wish: Wish,
        by: By,
        reason: Option<&str>,
    ) -> Result<SecretView, VaultError> {
        let reason = reason.map(plain_reason).transpose()?;
        let _changing = self.changing.lock().await;
        let secret = self.find(secret)?;
        if !self.is_beside_an_exchange(secret, wish) {
            self.is_left_alone(secret)?;
        }
        let moves = self.state.plan(secret, wish)?;
        self.is_no_known_leak(secret, wish)?;
        self.write_moves(secret, &moves, by, reason).await?;
        self.shown(secret)
    }

    /// While a secret is being exchanged its versions are the rotation's: nobody else may number or move them.
    fn is_left_alone(&self, secret: NodeId) -> Result<(), VaultError> {
        match self.rotations.under_way(secret) {
            None => Ok(()),
            Some(rotation) => Err(VaultError::BeingExchanged {
                name: self.state.name_of(secret),
                rotation,
            }),
        }
    }

    /// What is retired and is neither of the two that an exchange is about is none of its business.
    fn is_beside_an_exchange(&self, secret: NodeId, wish: Wish) -> bool {
        let Wish::Retire(version) = wish else {
            return false;
        };
        let under = self.rotations.under_way(secret);
        let under = under.and_then(|rotation| self.rotations.rotation(rotation));
        under.is_some_and(|under| !under.rotation.is_about(version))
    }

    /// What was found elsewhere before anybody used it need not come into force. One that was in force may again, since it
    /// may be all that works; it is to be exchanged as before.
    fn is_no_known_leak(&self, secret: NodeId, wish: Wish) -> Result<(), MoveRefused> {
        match wish {
            Wish::Activate(version)
                if self.state.state_of(secret, version) == Some(VersionState::Pending)
                    && self.state.exposed(secret, version) == Some(RotationCause::Leak) =>
            {
                Err(MoveRefused::Leaked(version))
            }
            _ => Ok(()),
        }
    }

    async fn write_moves(
        &self,
        secret: NodeId,
        moves: &[(Version, VersionState)],
        by: By,
        reason: Option<String>,
    ) -> Result<(), VaultError> {
        for some in moves.chunks(MAX_EVENTS) {
            let moved = some
                .iter()
                .map(|(version, state)| Event::SecretVersionMoved {
                    secret,
                    version: *version,
                    state: *state,
                    by: by.clone(),
                    reason: reason.clone(),
                });
            self.store.append(moved.collect()).await?;
        }
        Ok(())
    }

    /// Whether the record at `rev`, as it is on disk, opens to what was given.
    async fn reads_back(
        &self,
        rev: Rev,
        secret: NodeId,
        name: &SecretName,
        version: Version,
        given: SecretValue,
    ) -> bool {
        let (store, seal) = (Arc::clone(&self.store), Arc::clone(&self.seal));
        let place = self.place(secret, name.as_str(), version);
        let read = tokio::task::spawn_blocking(move || {
            let before = rev.as_u64().checked_sub(1).and_then(Rev::from_u64);
            let records = store.read(before.unwrap_or(Rev::ZERO), 1)?;
            let events = records.iter().flat_map(|record| &record.events);
            let sealed = events.filter_map(|event| match event {
                Event::SecretVersionAdded(added)
                    if (added.secret, added.version) == (secret, version) =>
                {
                    Some(&added.sealed)
                }
                _ => None,
            });
            let mut same = false;
            for sealed in sealed {
                same = place.open(&seal, sealed)?.is(&given);
            }
            Ok::<bool, VaultError>(same)
        });
        match read.await {
            Ok(Ok(same)) => same,
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a secret could not be read back"
                );
                false
            }
            Err(_) => false,
        }
    }

    fn place(&self, secret: NodeId, name: &str, version: Version) -> Place {
        Place {
            trust_domain: self.trust_domain.clone(),
            secret,
            name: name.to_owned(),
            version,
        }
    }

    fn find(&self, secret: &str) -> Result<NodeId, VaultError> {
        self.state.find(secret).ok_or_else(|| VaultError::NotFound {
            kind: "secret",
            name: name_or_mark(secret),
        })
    }

    fn shown(&self, secret: NodeId) -> Result<SecretView, VaultError> {
        let mut view = self.state.show(secret).ok_or(VaultError::NotFound {
            kind: "secret",
            name: secret.to_string(),
        })?;
        view.planned = self.rotations.plan(secret).is_some();
        Ok(view)
    }
}

/// A value out of a request; the text is wiped.
impl TryFrom<Zeroizing<String>> for SecretValue {
    type Error = InvalidValue;

    fn try_from(text: Zeroizing<String>) -> Result<Self, InvalidValue> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
