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
mod begin;
mod certificates;
pub mod drive;
pub mod driver;
mod due;
mod health;
pub mod http;
mod hurry;
mod journal;
pub mod machine;
mod patience;
mod plan;
pub mod postgres;
mod running;
mod shared;
pub mod state;
#[cfg(test)]
mod tests;
pub mod third_party;
mod told;
mod turns;
mod view;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use lanyard_token::NodeId;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::begin::Waiting;
use self::drive::{Halted, Journal, drive};
use self::driver::{Credential, Driver, Unsuitable};
use self::hurry::rules_for;
use self::journal::LogJournal;
use self::machine::{Alarm, Answer, Creation, Fact, Known};
use self::patience::{About, Patience};
use self::running::{Going, Running, tell_of_a_panic};
use self::state::RotationState;
use self::turns::Turns;
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
/// How often it is looked what is due when nothing happens, in milliseconds: as often as somebody is told what cannot begin.
const EACH_MINUTE: u64 = 60_000;

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
    /// Wait for it, or abort it.
    #[error(
        "`{secret}` is being exchanged by this plan (`lanyard rotation show {rotation}`): until that is over only `private`, \
         `ca_file`, `every_days` and the numbers of it change"
    )]
    PlanInUse { secret: String, rotation: NodeId },
    /// Put it again, with its name there.
    #[error(
        "version {version} of `{secret}` does not say what the third party calls it, so it can neither be shown there nor ended: put \
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
    /// Wait until it is over.
    #[error("rotation {0} is being undone already")]
    BeingUndone(NodeId),
    /// Correct the plan.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// Put the manager's value as a secret of the same owner, or transfer one of the two.
    #[error(
        "`{manager}` answers to another owner than `{secret}`, so it is not sent on its behalf"
    )]
    ManagerOfAnother { manager: String, secret: String },
    /// Keep it in one secret, or make another one there.
    #[error(
        "`{other}` is the same credential at the same third party (`{reference}`), and exchanging `{secret}` would end it: keep \
         it in one secret, or make roles or a key of its own for each"
    )]
    Shared {
        secret: String,
        other: String,
        reference: String,
    },
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
    running: Running,
    kept_waiting: Mutex<Waiting>,
    turns: Arc<Turns>,
    wake: Notify,
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
            running: Running::default(),
            kept_waiting: Mutex::default(),
            turns: Arc::default(),
            wake: Notify::new(),
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
        self.is_nobody_elses(&plan)?;
        let driver = self.driver(&plan, plan.rules.call)?;
        let (creation, old) = self.starting_point(id, &*driver)?;
        let discerning = self
            .looks_at_credentials(&*driver, &creation, old.as_ref())
            .await?;
        let _changing = self.vault.changing.lock().await;
        self.is_left_alone(id)?;
        // As it is now: somebody may have put another version meanwhile, planned otherwise, or given one of them away.
        if self.planned(id)? != plan {
            let why = "the plan was changed meanwhile: ask again";
            return Err(Unsuitable::Settings(why.to_owned()).into());
        }
        self.is_managed_by_its_own(&plan)?;
        self.is_nobody_elses(&plan)?;
        let (creation, old) = self.starting_point(id, &*driver)?;
        let rotation = self.vault.store.nodes().next();
        let begun = Event::RotationBegun(Box::new(RotationBegun {
            rotation,
            secret: id,
            cause,
            creation,
            old,
            version: self.vault.state.next_version(id),
            rules: rules_for(cause, plan.rules),
            discerning,
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
        if !journal.abandon().await? {
            let rotation = journal.rotation();
            let is_undone = rotation.is_abandoned() || rotation.is_reverted();
            return Err(match is_undone && rotation.outcome().is_none() {
                true => RotateError::BeingUndone(id),
                false => RotateError::TooLate(id),
            });
        }
        self.retry(rotation)
    }

    /// Does not wait any longer for the next try.
    pub fn retry(&self, rotation: &str) -> Result<RotationView, RotateError> {
        let view = self.show(rotation)?;
        self.running.begin_again(self.find(rotation)?);
        Ok(view)
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

    /// Carries on what was begun and begins what is due, until it is stopped. What a third party is asked holds up neither.
    pub async fn run(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        let (mut tasks, mut beginning, mut urgent) =
            (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let (mut looked, mut is_asked) = (UnixMillis(0), false);
        tokio::pin!(stopped);
        loop {
            for rotation in self.state.all_under_way() {
                if let Some(going) = self.running.begin(rotation) {
                    let this = Arc::clone(&self);
                    tasks.spawn(async move { this.carry_on(rotation, going).await });
                }
            }
            let now = self.vault.clock.now();
            // Whoever may have a copy does not wait until all that is due was asked for.
            if is_asked && urgent.is_empty() {
                is_asked = false;
                let this = Arc::clone(&self);
                urgent.spawn(async move { this.begin_what_is_urgent(now).await });
            }
            if now.millis_since(looked) >= EACH_MINUTE && beginning.is_empty() {
                looked = now;
                let this = Arc::clone(&self);
                beginning.spawn(async move { this.begin_what_is_due(now).await });
            }
            tokio::select! {
                () = &mut stopped => return,
                () = self.hurry() => {}
            }
            tokio::select! {
                () = &mut stopped => return,
                () = self.wake.notified() => {}
                () = self.vault.state.exposes() => is_asked = true,
                () = tokio::time::sleep(LOOK) => {}
                Some(ended) = tasks.join_next() => tell_of_a_panic(ended),
                Some(ended) = beginning.join_next() => tell_of_a_panic(ended),
                Some(ended) = urgent.join_next() => tell_of_a_panic(ended),
            }
        }
    }

    /// Until it is over, whatever comes in between.
    async fn carry_on(&self, rotation: NodeId, mut going: Going) {
        // What an earlier process could not do counts too.
        let left = self.state.rotation(rotation);
        let left_at = left.and_then(|under| under.rotation.due_since());
        let mut patience = Patience::since(left_at);
        loop {
            let tried = self.try_to_carry_on(rotation, &mut patience, &mut going);
            // Over what a third party sent, perhaps: it comes again, so it is paused for and told of like anything else.
            let tried = AssertUnwindSafe(tried).catch_unwind().await;
            let halted = match tried.unwrap_or(Err(Halted::BrokeOff)) {
                Ok(()) => return,
                Err(Halted::Again) => {
                    going.again.mark_unchanged();
                    continue;
                }
                Err(halted) => halted,
            };
            tracing::warn!(
                %rotation,
                error = &halted as &dyn std::error::Error,
                "a rotation does not get on"
            );
            let now = self.vault.clock.now();
            let pause = patience.wear(About::Steps, &halted.to_string(), now, now);
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
                _ = going.again.changed() => {}
            }
        }
    }

    async fn try_to_carry_on(
        &self,
        rotation: NodeId,
        patience: &mut Patience,
        going: &mut Going,
    ) -> Result<(), Halted> {
        let missing = |error: RotateError| Halted::Missing(error.to_string());
        let journal = self.journal(rotation, By::Broker).map_err(missing)?;
        let plan = self.planned(journal.begun.secret).map_err(missing)?;
        // With the numbers that it began with: it settles for longer than a call takes.
        let longest_call = journal.begun.rules.call;
        let driver = self.driver(&plan, longest_call).map_err(missing)?;
        loop {
            let _turn = tokio::select! {
                turn = self.turn(&journal) => turn?,
                Ok(()) = going.again.changed() => return Err(Halted::Again),
            };
            let clock = &*self.vault.clock;
            match drive(&journal, &*driver, clock, patience, &mut going.again).await {
                Err(Halted::GivesWay) => {}
                ended => return ended,
            }
        }
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
            turns: Arc::clone(&self.turns),
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

    /// Whoever lets in what cannot be right proves nothing by letting in what is. Says whether it was refused; what could not
    /// be asked now is asked before anything is published.
    async fn looks_at_credentials(
        &self,
        driver: &dyn Driver,
        creation: &Creation,
        old: Option<&Known>,
    ) -> Result<bool, RotateError> {
        let reference = match (old, creation) {
            (Some(old), _) => &old.reference,
            (None, Creation::Proposed(reference)) => reference,
            (None, _) => return Ok(false),
        };
        let wrong = journal::password()?;
        let credential = Credential {
            reference,
            secret: &wrong,
        };
        match driver.verify(&credential).await {
            Answer::Works => Err(RotateError::LetsEverybodyIn),
            answer => Ok(answer == Answer::Dead),
        }
    }

    fn find(&self, rotation: &str) -> Result<NodeId, RotateError> {
        let unknown = || RotateError::Unknown(rotation.chars().take(64).collect());
        rotation.parse().map_err(|_| unknown())
    }
}
