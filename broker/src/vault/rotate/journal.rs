//! Where a rotation is kept: the log, and beside each fact what belongs to it, in one record.
//!
//! So no reader ever sees a new version in force whose publication is not known, or a key that was made and
//! whose value was lost by ourselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use lanyard_token::{NodeId, Rev};
use zeroize::Zeroizing;

use super::drive::{Halted, Journal, Opened};
use super::hurry::is_urgent;
use super::machine::{Call, Creation, Fact, Reference, Rotation, Rules, Unfit, Version};
use super::state::{RotationState, Under};
use super::third_party::touched_at;
use super::turns::Turns;
use crate::clock::UnixMillis;
use crate::crypto::CryptoError;
use crate::store::Event;
use crate::store::event::{By, RotationCause, RotationPlan, SecretVersion, VersionState};
use crate::vault::integrations::IntegrationState;
use crate::vault::versions::Wish;
use crate::vault::{SecretName, SecretValue, Vault, VaultError};

/// As long as a credential that nobody types: 238 bits.
const PASSWORD_LETTERS: usize = 40;

/// One rotation in the log.
pub(super) struct LogJournal {
    pub(super) vault: Arc<Vault>,
    pub(super) state: Arc<RotationState>,
    pub(super) integrations: Arc<IntegrationState>,
    pub(super) rotation: NodeId,
    /// As it was when this began: no plan names another one while a rotation goes on.
    pub(super) manager: NodeId,
    pub(super) begun: Under,
    pub(super) turns: Arc<Turns>,
    /// Who writes: the broker, or whoever abandons it.
    pub(super) by: By,
}

impl LogJournal {
    fn under(&self) -> Under {
        self.state
            .rotation(self.rotation)
            .unwrap_or_else(|| self.begun.clone())
    }

    fn open(&self, secret: NodeId, version: Option<Version>) -> Result<Opened, Halted> {
        let missing = |why: String| Halted::Missing(why);
        let kept = self
            .vault
            .state
            .kept(secret, version)
            .ok_or_else(|| missing(format!("secret {secret} has no such version to show")))?;
        let reference = kept.reference.ok_or_else(|| {
            missing(format!(
                "version {} of `{}` does not say what the third party calls it: put it again with --reference",
                kept.version, kept.name
            ))
        })?;
        let secret = self
            .vault
            .place(secret, &kept.name, kept.version)
            .open(&self.vault.seal, &kept.sealed)
            .map_err(|error| missing(error.to_string()))?;
        Ok(Opened { reference, secret })
    }

    /// Secrets that are certainly kept at another server. Names are alike at many places, and what is called the same there is
    /// another credential. Where a secret is kept that has no plan, or one that nobody can read, nobody knows.
    fn planned_elsewhere(&self) -> BTreeSet<NodeId> {
        let server = |plan: &RotationPlan| Some(touched_at(plan)?.0);
        let here = self.state.plan(self.begun.secret);
        let here = here.and_then(|plan| server(&plan));
        let is_elsewhere = |plan: &&RotationPlan| {
            let there = server(plan);
            here.is_some() && there.is_some() && there != here
        };
        let plans = self.state.plans();
        let elsewhere = plans.iter().filter(is_elsewhere);
        elsewhere.map(|plan| plan.secret).collect()
    }

    fn added(
        &self,
        name: &str,
        version: Version,
        reference: &Reference,
        value: &SecretValue,
    ) -> Result<Event, VaultError> {
        let secret = self.begun.secret;
        let sealed = self
            .vault
            .place(secret, name, version)
            .seal(&self.vault.seal, value.expose())?;
        Ok(Event::SecretVersionAdded(Box::new(SecretVersion {
            secret,
            version,
            sealed,
            reference: Some(reference.clone()),
            by: By::Broker,
        })))
    }

    fn moved(&self, moves: Vec<(Version, VersionState)>) -> impl Iterator<Item = Event> {
        moves
            .into_iter()
            .map(|(version, state)| Event::SecretVersionMoved {
                secret: self.begun.secret,
                version,
                state,
                by: By::Broker,
                reason: Some(format!("rotation {}", self.rotation)),
            })
    }

    /// Out of use for good, if it is there and is not already. What is in force never is.
    fn retired(&self, version: Version) -> Vec<(Version, VersionState)> {
        match self.vault.state.state_of(self.begun.secret, version) {
            None | Some(VersionState::Retired | VersionState::Active) => Vec::new(),
            Some(VersionState::Pending | VersionState::Draining) => {
                vec![(version, VersionState::Retired)]
            }
        }
    }

    /// An administrator wants it undone; whether it still can be.
    pub(super) async fn abandon(&self) -> Result<bool, VaultError> {
        let _changing = self.vault.changing.lock().await;
        // As it is now: the end of the old credential may have been asked for meanwhile.
        if !self.under().rotation.can_be_abandoned() {
            return Ok(false);
        }
        self.append(Vec::new(), Fact::Abandoned).await?;
        Ok(true)
    }

    async fn append(&self, mut events: Vec<Event>, fact: Fact) -> Result<Rev, VaultError> {
        events.push(Event::RotationStepped {
            rotation: self.rotation,
            fact: Box::new(fact),
            by: self.by.clone(),
        });
        Ok(self.vault.store.append(events).await?)
    }

    async fn write(&self, fact: Fact, made: Option<SecretValue>) -> Result<(), VaultError> {
        let vault = &self.vault;
        let _changing = vault.changing.lock().await;
        let secret = self.begun.secret;
        let Under {
            rotation, rules, ..
        } = self.under();
        // What has consequences must mean something: an administrator may have had it undone since it was decided.
        if has_consequences(&fact) && !rotation.takes(&fact, &rules, vault.clock.now()) {
            return Ok(());
        }
        if let Fact::Asked { call } = &fact
            && !rotation.wants(call)
        {
            return Ok(());
        }
        let name = vault.state.name_of(secret);
        let mut kept = None;
        let mut events: Vec<Event> = Vec::new();
        match &fact {
            Fact::Asked {
                call: Call::Create(version),
            } => {
                let known = vault.state.state_of(secret, *version).is_some();
                if let (Creation::Proposed(reference), false) = (rotation.creation(), known) {
                    let password = password()?;
                    events.push(self.added(&name, *version, reference, &password)?);
                    kept = Some((*version, password));
                }
            }
            Fact::Created { reference } => {
                if let Some(value) = made {
                    let version = rotation.version();
                    events.push(self.added(&name, version, reference, &value)?);
                    kept = Some((version, value));
                }
            }
            Fact::Published => {
                let moves = vault
                    .state
                    .plan(secret, Wish::Activate(rotation.version()))?;
                events.extend(self.moved(moves));
            }
            Fact::Reverted => {
                if let Some(old) = rotation.old() {
                    let moves = vault.state.plan(secret, Wish::Activate(old.version))?;
                    events.extend(self.moved(moves));
                }
            }
            Fact::Buried => {
                if let Some(old) = rotation.old() {
                    events.extend(self.moved(self.retired(old.version)));
                }
            }
            Fact::Disproved | Fact::Unfit { .. } => {
                events.extend(self.moved(self.retired(rotation.version())))
            }
            Fact::Swept if !rotation.is_published() => {
                events.extend(self.moved(self.retired(rotation.version())));
            }
            _ => {}
        }
        let rev = self.append(events, fact).await?;
        if let Some((version, value)) = kept {
            let name = SecretName::parse(&name)?;
            if !vault.reads_back(rev, secret, &name, version, value).await {
                // It works, and nobody would know it any more after a restart.
                let retired = self.moved(self.retired(version)).collect();
                let why = Unfit::NotReadBack;
                self.append(retired, Fact::Unfit { why }).await?;
                return Err(VaultError::NotReadBack);
            }
        }
        Ok(())
    }
}

/// Whether more hangs on a fact than what it says: versions that move, or what is ended next.
const fn has_consequences(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Probed { .. }
            | Fact::Published
            | Fact::Reverted
            | Fact::Buried
            | Fact::Disproved
            | Fact::Unfit { .. }
            | Fact::Swept
    )
}

impl Journal for LogJournal {
    fn rotation(&self) -> Rotation {
        self.under().rotation
    }

    fn rules(&self) -> Rules {
        self.under().rules
    }

    fn cause(&self) -> RotationCause {
        self.under().cause
    }

    fn kept_elsewhere(&self) -> BTreeSet<Reference> {
        let elsewhere = self.planned_elsewhere();
        self.vault
            .state
            .references_of_others(self.begun.secret, &elsewhere)
    }

    fn held_by_another(&self, version: Version) -> BoxFuture<'_, Result<Option<String>, Halted>> {
        Box::pin(async move {
            let secret = self.begun.secret;
            let opened = self.open(secret, Some(version))?;
            let same = self.vault.version_of(opened.secret.expose()).await;
            let same = same.map_err(|error| Halted::Missing(error.to_string()))?;
            let elsewhere = self.planned_elsewhere();
            let now = self.vault.clock.now();
            let state = &self.vault.state;
            let needs_it = |(other, version): &(NodeId, Version)| {
                let is_needed = match state.state_of(*other, *version) {
                    Some(VersionState::Active | VersionState::Pending) => true,
                    // It has another one in its place already, once nobody has a lease of it.
                    Some(VersionState::Draining) => state.last_use(*other, *version) > Some(now),
                    Some(VersionState::Retired) | None => false,
                };
                let called = state.kept(*other, Some(*version));
                let called = called.and_then(|kept| kept.reference);
                let is_another =
                    elsewhere.contains(other) && called.as_ref() != Some(&opened.reference);
                *other != secret && is_needed && !is_another
            };
            let other = same.into_iter().find(needs_it);
            Ok(other.map(|(other, _)| self.vault.state.name_of(other)))
        })
    }

    fn in_force(&self) -> Option<Reference> {
        self.vault.state.kept(self.begun.secret, None)?.reference
    }

    fn gives_way(&self) -> bool {
        !is_urgent(self.under().cause) && self.turns.is_pressed(self.rotation)
    }

    fn old_used(&self) -> Option<UnixMillis> {
        let (secret, old) = (self.begun.secret, self.under().rotation.old()?.version);
        let leased = self.vault.state.last_use(secret, old);
        leased.max(self.integrations.last_used(secret, old))
    }

    fn new_leaked(&self) -> bool {
        let version = self.under().rotation.version();
        let exposed = self.vault.state.exposed(self.begun.secret, version);
        exposed == Some(RotationCause::Leak)
    }

    fn record(&self, fact: Fact, made: Option<SecretValue>) -> BoxFuture<'_, Result<(), Halted>> {
        Box::pin(async move {
            self.write(fact, made)
                .await
                .map_err(|error| Halted::Log(Box::new(error)))
        })
    }

    fn manager(&self) -> Result<Opened, Halted> {
        self.open(self.manager, None)
    }

    fn version(&self, version: Version) -> Result<Opened, Halted> {
        self.open(self.begun.secret, Some(version))
    }

    fn idempotency_key(&self, version: Version) -> String {
        format!("lanyard-{}-{version}", self.rotation)
    }
}

/// A password that is as good as a key: letters and digits, each as likely as any other.
pub(super) fn password() -> Result<SecretValue, VaultError> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Zeroizing::new(String::with_capacity(PASSWORD_LETTERS));
    while text.len() < PASSWORD_LETTERS {
        let bytes = Zeroizing::new(crate::crypto::random::<64>()?);
        let letters = bytes
            .iter()
            // 248 is the largest multiple of 62 in a byte: beyond it some letters would come more often.
            .filter(|byte| **byte < 248)
            .filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
        for letter in letters.take(PASSWORD_LETTERS - text.len()) {
            text.push(char::from(*letter));
        }
    }
    SecretValue::parse(text).map_err(|_| CryptoError::Unusable("make a password").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_forty_letters_and_no_two_are_the_same() {
        let some: std::collections::HashSet<String> = (0..100)
            .map(|_| password().unwrap().expose().to_owned())
            .collect();
        assert_eq!(some.len(), 100);
        assert!(some.iter().all(|text| {
            text.len() == PASSWORD_LETTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }));
    }
}
