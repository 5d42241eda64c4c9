//! Exchanges secrets at third parties, so that nothing ever breaks.
//!
//! ```text
//! plan ─► rotation begins ─► machine: what next? ─► driver: find, create, verify, revoke ─► machine: what is certain?
//!              ▲                    ▲                                                          │
//!   asked, schedule, leak, owner    └────────────────── the log: every fact ◄──────────────────┘
//! ```
//! What was begun is carried on by whichever process is there, for ever.

pub mod aws_iam;
mod base;
pub mod drive;
pub mod driver;
mod due;
mod health;
pub mod http;
mod journal;
pub mod machine;
mod patience;
mod plan;
pub mod postgres;
pub mod state;
#[cfg(test)]
mod tests;
pub mod third_party;
mod told;
mod view;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanyard_token::NodeId;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::drive::{Halted, Journal, drive};
use self::driver::{Credential, Driver, Unsuitable};
use self::due::due;
use self::journal::LogJournal;
use self::machine::{Alarm, Answer, Creation, Fact, Known, Step};
use self::patience::{About, Patience};
use self::state::{RotationState, Under};
use self::third_party::ThirdParty;
use super::integrations::IntegrationState;
use super::{Vault, VaultError};
use crate::clock::UnixMillis;
use crate::outbound::Caller;
use crate::store::Event;
use crate::store::event::{By, RotationBegun, RotationCause};
pub use health::{MOST_AGES, VaultHealth};
pub use plan::{NewPlan, USUAL_RULES, Written};
pub use view::{KeptWaiting, PlanView, RotationView};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// Why nothing is exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// Say how: `lanyard secret plan`.
    #[error(
        "nobody said how `{secret}` is exchanged: `lanyard rotation plan {secret} --file PLAN.toml`"
    )]
    NoPlan { secret: String },
    /// Wait for it, or abort it.
    #[error("`{secret}` is being exchanged already: `lanyard rotation show {rotation}`")]
    UnderWay { secret: String, rotation: NodeId },
    /// Put it again, with its name there.
    #[error(
        "version {version} of `{secret}` does not say what the third party calls it, so it could not be ended: put \
         it again with --reference"
    )]
    NoReference { secret: String, version: u32 },
    /// Set the third party up so that it looks at credentials.
    #[error(
        "the third party lets in a credential that cannot be right: nothing could be proved there"
    )]
    LetsEverybodyIn,
    /// Look which there are.
    #[error("there is no rotation `{0}`")]
    Unknown(String),
    /// Begin another one when it is over.
    #[error("rotation {0} cannot be undone any more: the end of the old credential may have begun")]
    TooLate(NodeId),
    /// Correct the plan.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// Put the manager's value as a secret of the same owner, or transfer one of the two.
    #[error(
        "`{manager}` answers to another owner than `{secret}`, so it is not sent on its behalf"
    )]
    ManagerOfAnother { manager: String, secret: String },
    /// This machine lets nobody connect.
    #[error("no connections to third parties can be made")]
    Outbound(#[from] reqwest::Error),
    /// The plan in the log is one that this version does not know.
    #[error("the plan of `{secret}` cannot be read: plan it again")]
    Unreadable { secret: String },
    /// See there.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The part of the vault that exchanges. Cheap to share behind an `Arc`.
pub struct Rotations {
    vault: Arc<Vault>,
    state: Arc<RotationState>,
    /// Knows who used what.
    integrations: Arc<IntegrationState>,
    outside: Caller,
    running: Mutex<HashSet<NodeId>>,
    kept_waiting: Mutex<BTreeMap<NodeId, KeptWaiting>>,
    wake: Notify,
    /// Counts who was told to try again at once.
    again: tokio::sync::watch::Sender<u64>,
}

impl Rotations {
    /// Over a store that already feeds `state`. What `outside` reaches, every plan may reach.
    pub fn new(
        vault: Arc<Vault>,
        state: Arc<RotationState>,
        integrations: Arc<IntegrationState>,
        outside: Caller,
    ) -> Self {
        Self {
            vault,
            state,
            integrations,
            outside,
            running: Mutex::default(),
            kept_waiting: Mutex::default(),
            wake: Notify::new(),
            again: tokio::sync::watch::channel(0).0,
        }
    }

    /// What is known.
    pub const fn state(&self) -> &Arc<RotationState> {
        &self.state
    }

    /// Begins a rotation; it goes on by itself.
    pub async fn rotate(
        &self,
        secret: &str,
        cause: RotationCause,
        by: By,
    ) -> Result<RotationView, RotateError> {
        let id = self.vault.find(secret)?;
        let plan = self.planned(id)?;
        self.is_managed_by_its_own(&plan)?;
        let driver = self.driver(&plan, plan.rules.call)?;
        let (creation, old) = self.starting_point(id, &*driver)?;
        self.looks_at_credentials(&*driver, &creation, old.as_ref())
            .await?;
        let _changing = self.vault.changing.lock().await;
        self.is_left_alone(id)?;
        // As it is now: somebody may have put another version meanwhile, or planned otherwise.
        if self.planned(id)? != plan {
            let why = "the plan was changed meanwhile: ask again";
            return Err(Unsuitable::Settings(why.to_owned()).into());
        }
        let (creation, old) = self.starting_point(id, &*driver)?;
        let rotation = self.vault.store.nodes().next();
        let begun = Event::RotationBegun(Box::new(RotationBegun {
            rotation,
            secret: id,
            cause,
            creation,
            old,
            version: self.vault.state.next_version(id),
            rules: plan.rules,
            by,
        }));
        self.vault
            .store
            .append(vec![begun])
            .await
            .map_err(VaultError::from)?;
        self.wake.notify_one();
        self.show(&rotation.to_string())
    }

    fn is_left_alone(&self, secret: NodeId) -> Result<(), RotateError> {
        match self.state.under_way(secret) {
            None => Ok(()),
            Some(rotation) => Err(RotateError::UnderWay {
                secret: self.vault.state.name_of(secret),
                rotation,
            }),
        }
    }

    /// Undoes a rotation: before anybody got the new credential nobody notices; afterwards the two change places.
    pub async fn abort(&self, rotation: &str, by: By) -> Result<RotationView, RotateError> {
        let id = self.find(rotation)?;
        let journal = self.journal(id, by)?;
        if !journal.rotation().can_be_abandoned() {
            return Err(RotateError::TooLate(id));
        }
        journal
            .record(Fact::Abandoned, None)
            .await
            .map_err(|_| RotateError::Unknown(rotation.to_owned()))?;
        self.retry(rotation)
    }

    /// Does not wait any longer for the next try.
    pub fn retry(&self, rotation: &str) -> Result<RotationView, RotateError> {
        let view = self.show(rotation)?;
        self.begin_again();
        Ok(view)
    }

    /// Whatever is under way goes on from its facts, by its plan as it is now.
    fn begin_again(&self) {
        self.again
            .send_modify(|count| *count = count.wrapping_add(1));
        self.wake.notify_one();
    }

    /// All that is known, newest first.
    pub fn list(&self) -> Vec<RotationView> {
        let all = self.state.list().into_iter();
        all.map(|(id, under)| self.view(id, &under)).collect()
    }

    /// A rotation, by number.
    pub fn show(&self, rotation: &str) -> Result<RotationView, RotateError> {
        let id = self.find(rotation)?;
        let under = self.state.rotation(id);
        under
            .map(|under| self.view(id, &under))
            .ok_or_else(|| RotateError::Unknown(id.to_string()))
    }

    /// Carries on what was begun and begins what is due, until it is stopped.
    pub async fn run(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let mut looked = UnixMillis(0);
        tokio::pin!(stopped);
        loop {
            for rotation in self.state.all_under_way() {
                if self.running().insert(rotation) {
                    let this = Arc::clone(&self);
                    tasks.spawn(async move {
                        this.carry_on(rotation).await;
                        this.running().remove(&rotation);
                    });
                }
            }
            let now = self.vault.clock.now();
            if now.millis_since(looked) >= 60_000 {
                looked = now;
                self.begin_what_is_due(now).await;
            }
            tokio::select! {
                () = &mut stopped => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn begin_what_is_due(&self, now: UnixMillis) {
        let mut kept_waiting = BTreeMap::new();
        for plan in self.state.plans() {
            if self.state.under_way(plan.secret).is_some() {
                continue;
            }
            let Ok(view) = self.vault.shown(plan.secret) else {
                continue;
            };
            let Some(cause) = due(&plan, &view, now) else {
                continue;
            };
            if let Err(error) = self.rotate(&view.name, cause, By::Broker).await {
                tracing::error!(
                    secret = view.name, cause = cause.word(), %error,
                    "a secret is due and cannot be exchanged"
                );
                let since = self
                    .kept_waiting()
                    .get(&plan.secret)
                    .map(|known| known.since);
                let waiting = KeptWaiting {
                    secret: view.name,
                    cause,
                    since: since.unwrap_or(now),
                    why: error.to_string(),
                };
                kept_waiting.insert(plan.secret, waiting);
            }
        }
        self.keep_unplanned_waiting(&mut kept_waiting);
        *self.kept_waiting() = kept_waiting;
    }

    /// Somebody may have a copy, and nobody said how it is exchanged: only a person can do that.
    fn keep_unplanned_waiting(&self, kept_waiting: &mut BTreeMap<NodeId, KeptWaiting>) {
        let unplanned = self.vault.list().into_iter();
        for view in unplanned.filter(|view| !view.planned && view.active.is_some()) {
            let Some(since) = view.rotation_queued else {
                continue;
            };
            let cause = view.queued_because.unwrap_or(RotationCause::OwnerEnded);
            let why = RotateError::NoPlan {
                secret: view.name.clone(),
            };
            // Once is enough: a plan may never come, and the metric and the list say it until it is exchanged.
            if !self.kept_waiting().contains_key(&view.id) {
                tracing::error!(
                    secret = view.name, cause = cause.word(), error = %why,
                    "a secret should be exchanged, and nobody said how"
                );
            }
            let waiting = KeptWaiting {
                secret: view.name,
                cause,
                since,
                why: why.to_string(),
            };
            kept_waiting.insert(view.id, waiting);
        }
    }

    /// Secrets that are due and cannot be exchanged; they are tried every minute.
    pub fn waiting(&self) -> Vec<KeptWaiting> {
        self.kept_waiting().values().cloned().collect()
    }

    fn kept_waiting(&self) -> MutexGuard<'_, BTreeMap<NodeId, KeptWaiting>> {
        // It is replaced as a whole.
        self.kept_waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is over, whatever comes in between.
    async fn carry_on(&self, rotation: NodeId) {
        // What an earlier process could not do counts too.
        let left = self.state.rotation(rotation);
        let left_at = left.and_then(|under| under.rotation.due_since());
        let mut patience = Patience::since(left_at);
        let mut again = self.again.subscribe();
        loop {
            again.mark_unchanged();
            let halted = tokio::select! {
                ended = self.try_to_carry_on(rotation, &mut patience) => match ended {
                    Ok(()) => return,
                    Err(halted) => halted,
                },
                // Somebody cannot wait: from the facts, at once.
                _ = again.changed() => continue,
            };
            tracing::warn!(
                %rotation,
                error = &halted as &dyn std::error::Error,
                "a rotation does not get on"
            );
            let now = self.vault.clock.now();
            let pause = patience.wear(About::Steps, &halted.to_string(), now);
            if let Some(why) = patience.is_over(now)
                && let Ok(journal) = self.journal(rotation, By::Broker)
                && !journal.rotation().is_known_to_stand()
            {
                let alarm = Alarm::Stuck {
                    why: why.to_owned(),
                };
                // When the log takes nothing, the log itself alarms.
                let _ = journal.record(Fact::Alarmed { alarm }, None).await;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                _ = again.changed() => {}
            }
        }
    }

    async fn try_to_carry_on(
        &self,
        rotation: NodeId,
        patience: &mut Patience,
    ) -> Result<(), Halted> {
        // Somebody else's turn; whoever stands still there has told of it.
        while self.waits_for_another(rotation) {
            tokio::time::sleep(LOOK).await;
        }
        let missing = |error: RotateError| Halted::Missing(error.to_string());
        let journal = self.journal(rotation, By::Broker).map_err(missing)?;
        let plan = self.planned(journal.begun.secret).map_err(missing)?;
        // With the numbers that it began with: it settles for longer than a call takes.
        let longest_call = journal.begun.rules.call;
        let driver = self.driver(&plan, longest_call).map_err(missing)?;
        drive(&journal, &*driver, &*self.vault.clock, patience).await
    }

    /// Whether a rotation that began before goes on where the credentials of this one are listed: its end would be that of
    /// what this one made. Only the first look waits, since nothing was made before it.
    fn waits_for_another(&self, rotation: NodeId) -> bool {
        let listed_at = |under: &Under| {
            let plan = self.state.plan(under.secret)?;
            let third_party: ThirdParty = serde_json::from_value(plan.third_party).ok()?;
            Some(third_party.listed_at())
        };
        let Some(ours) = self.state.rotation(rotation) else {
            return false;
        };
        let Some(at) = listed_at(&ours) else {
            return false;
        };
        let mut before = self.state.all_under_way().into_iter();
        *ours.rotation.step() == Step::Looking
            && before.any(|other| {
                let under = (other < rotation).then(|| self.state.rotation(other));
                under
                    .flatten()
                    .is_some_and(|under| listed_at(&under).as_ref() == Some(&at))
            })
    }

    fn journal(&self, rotation: NodeId, by: By) -> Result<LogJournal, RotateError> {
        let begun = self
            .state
            .rotation(rotation)
            .ok_or_else(|| RotateError::Unknown(rotation.to_string()))?;
        let plan = self.planned(begun.secret)?;
        Ok(LogJournal {
            vault: Arc::clone(&self.vault),
            state: Arc::clone(&self.state),
            integrations: Arc::clone(&self.integrations),
            rotation,
            manager: plan.manager,
            begun,
            by,
        })
    }

    /// What is in force, and how what follows comes about.
    fn starting_point(
        &self,
        secret: NodeId,
        driver: &dyn Driver,
    ) -> Result<(Creation, Option<Known>), RotateError> {
        let old = match self.vault.state.kept(secret, None) {
            None => None,
            Some(active) => Some(Known {
                version: active.version,
                reference: active.reference.ok_or_else(|| RotateError::NoReference {
                    secret: active.name.clone(),
                    version: active.version.0,
                })?,
            }),
        };
        let creation = driver.creation(old.as_ref().map(|old| &old.reference))?;
        Ok((creation, old))
    }

    /// Whoever lets in what cannot be right proves nothing by letting in what is.
    async fn looks_at_credentials(
        &self,
        driver: &dyn Driver,
        creation: &Creation,
        old: Option<&Known>,
    ) -> Result<(), RotateError> {
        let reference = match (old, creation) {
            (Some(old), _) => &old.reference,
            (None, Creation::Proposed(reference)) => reference,
            (None, _) => return Ok(()),
        };
        let wrong = journal::password()?;
        let credential = Credential {
            reference,
            secret: &wrong,
        };
        match driver.verify(&credential).await {
            Answer::Works => Err(RotateError::LetsEverybodyIn),
            _ => Ok(()),
        }
    }

    fn find(&self, rotation: &str) -> Result<NodeId, RotateError> {
        let unknown = || RotateError::Unknown(rotation.chars().take(64).collect());
        rotation.parse().map_err(|_| unknown())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<NodeId>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
