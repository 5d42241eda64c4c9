//! The watch room: what gateways report becomes verdicts, and verdicts become responses.
//!
//! ```text
//! report ─► intake (whose, once) ─► desk (windows, habits) ─► judge ─► respond ─► one append
//! ```
//! A verdict, what is done about it and what that means for access are one append: after a crash
//! there is all of it or nothing.

pub mod baseline;
mod brokers;
mod changes;
mod closed;
pub mod counters;
pub mod deploying;
pub mod explaining;
pub mod frozen;
mod golden;
pub mod intake;
mod judge;
mod learning;
mod names;
mod naming;
mod opaque;
mod outbox;
mod overriding;
pub mod paging;
mod portraits;
pub mod recorder;
pub mod rehearsing;
mod responding;
pub mod review;
mod roles;
pub mod series;
mod shadow;
mod shards;
pub mod state;
mod telling;
mod used;
pub mod waiting;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use lanyard_drift::desk::Limits;
use lanyard_drift::desk::{Bench, Desk};
pub use lanyard_drift::ladder::{Caps, Mode, Policy};
use lanyard_drift::{Bounds, Thresholds};
use lanyard_token::{NodeId, Rev};
use serde::Serialize;

use crate::clock::Clock;
use crate::store::event::Kind;
use crate::store::{Event, Store, StoreError};
use baseline::{BaselineError, BaselineStore};
use brokers::Brokers;
use closed::Kept;
use counters::Counters;
use golden::Proven;
use intake::{MAX_SHOWN, Receipt, Report, ReportError, ShownToken, Wanted};
use judge::{Judge, Ruling};
use opaque::millis;
use outbox::Outbox;
use portraits::Portraits;
pub use portraits::{PortraitNames, Written};
use recorder::Recorder;
use responding::Responding;
use roles::{ByKind, ROLE_MEMBERS, Roles};
use shards::{Shards, Shared};
use state::{Subject, WatchState};

/// How the watch room works.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WatchConfig {
    /// The table of responses and whether statistics act.
    pub policy: Policy,
    /// How much may be done per minute.
    pub caps: Caps,
    /// The engine's thresholds.
    pub thresholds: Thresholds,
    /// How much is kept at hand.
    pub limits: Limits,
}

/// The watch room.
pub struct Watch {
    state: Arc<WatchState>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: WatchConfig,
    shards: Shards,
    brokers: Brokers,
    proven: Shared<Proven>,
    counters: Counters,
    outbox: Outbox,
    learning: learning::Saver,
    kept: Shared<Kept>,
    portraits: Shared<Portraits>,
    used: Shared<used::Today>,
    recorder: OnceLock<Arc<Recorder>>,
    responding: Responding,
}

/// What can go wrong with a report, by what the gateway can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// See there.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Counted, but what it led to is not durable yet: it will be written as soon as that is possible.
    #[error("the log takes no events now")]
    Store(#[from] StoreError),
}

/// The bounds for trackers of an identity's tokens.
#[derive(Debug, Serialize)]
pub struct IdentityBounds {
    /// Whose.
    pub identity: NodeId,
    /// Names the habits by their content.
    pub hash: String,
    /// Own calls behind them.
    pub calls: u64,
    /// What a tracker needs.
    pub bounds: Bounds,
    /// What the fast detector needs; absent while too little is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portrait: Option<PortraitNames>,
    /// Names the bounds and what the fast detector needs by their content.
    #[serde(skip)]
    pub tag: String,
}

/// Whose bounds have changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct BoundsChanges {
    /// The boot in which the numbers count.
    pub run: u64,
    /// The number up to which this is all.
    pub at: u64,
    /// Whose, of those that the gateway serves.
    pub changed: Vec<NodeId>,
}

impl Watch {
    /// Opens the room on a log that has been replayed into `state`. Baselines that cannot be read are
    /// set aside, and everybody is new: the reason comes back, to be said aloud.
    pub fn open(
        state: Arc<WatchState>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        baselines: Box<dyn BaselineStore>,
        config: WatchConfig,
    ) -> (Arc<Self>, Option<BaselineError>) {
        let opened = learning::Saver::open(baselines, &state, config.limits);
        let (learning, shards, kept, refused) = opened;
        let (counters, outbox) = (Counters::default(), Outbox::default());
        let watch = Self {
            state,
            store,
            clock,
            config,
            shards,
            brokers: Brokers::default(),
            proven: Shared::default(),
            counters,
            outbox,
            learning,
            kept,
            portraits: Shared::default(),
            used: Shared::default(),
            recorder: OnceLock::new(),
            responding: Responding::default(),
        };
        watch.announce_known();
        (Arc::new(watch), refused)
    }

    /// Takes a report of a gateway.
    pub async fn report(&self, gateway: NodeId, report: Report) -> Result<Receipt, WatchError> {
        let served = self.gateway(gateway)?;
        let entries = report.entries.len() as u64;
        {
            let mut names = self.shards.names.lock();
            names.hear(gateway, &served, (&report.operations, &report.scopes));
            // Before it is counted: what comes again with its names is this same report.
            if report.named_before && !names.has_told(gateway, report.spoken_of()) {
                return Err(ReportError::NamesMissing.into());
            }
        }
        if !self
            .shards
            .seen
            .lock()
            .entry(gateway)
            .or_default()
            .count(report.epoch, report.seq)
        {
            let receipt = Receipt {
                duplicate: entries,
                rev: self.settled(),
                ..Receipt::default()
            };
            self.counters.received(&receipt);
            return Ok(receipt);
        }
        shadow::say(gateway, &report.shadow_routes, &self.counters);
        // That it was counted is to be saved too.
        self.shards.keep_changed();
        let (mut receipt, mut consequences) = self.judge_entries(gateway, &served, &report);
        self.counters.received(&receipt);
        consequences.extend(self.examine(gateway, &report.shown));
        let appended = self.append(consequences).await;
        self.take_closed().await;
        appended?;
        receipt.rev = self.settled();
        Ok(receipt)
    }

    /// The head of the log, if nothing waits to be written to it.
    fn settled(&self) -> Option<Rev> {
        (self.counters.waiting.get() == 0).then(|| self.store.head())
    }

    /// Bounds for the trackers of an identity's tokens: its own habits, or its role's while it is
    /// young. `None` when it does not exist or none of its tokens may come to this gateway.
    pub fn bounds(
        &self,
        gateway: NodeId,
        identity: NodeId,
    ) -> Result<Option<IdentityBounds>, ReportError> {
        let gateway = self.gateway(gateway)?;
        let subject = self.state.subject(identity);
        let Some(subject) = subject.filter(|subject| subject.is_served_by(&gateway)) else {
            return Ok(None);
        };
        let by_kind = ByKind::now(&self.state, self.config.thresholds);
        let thresholds = by_kind.of(Some(subject.kind));
        let peers = self.state.peers(identity, ROLE_MEMBERS);
        let own = self.shards.habits(subject.role(), identity);
        let young = own.calls() < thresholds.established_calls;
        let role = young.then(|| self.shards.role(subject.role(), &peers));
        let role = role.flatten();
        let calls = own.calls();
        let habits = match role {
            Some(mut role) => {
                role.merge(&own);
                role
            }
            None => own,
        };
        let (hash, bounds) = (baseline::content_hash(&habits), habits.bounds(thresholds));
        let portrait = self.name_portrait(identity);
        Ok(Some(IdentityBounds {
            identity,
            hash,
            calls,
            tag: baseline::content_hash(&(&bounds, &portrait)),
            bounds,
            portrait,
        }))
    }

    /// Whose bounds have changed since a change that the gateway was told of, by boot and number.
    /// Nothing, without one of this boot: there is nobody yet to compare with.
    pub fn changes(
        &self,
        gateway: NodeId,
        since: Option<(u64, u64)>,
    ) -> Result<BoundsChanges, ReportError> {
        let gateway = self.gateway(gateway)?;
        let run = u64::from(self.store.nodes().boot());
        let served = |identity| {
            let subject = self.state.subject(identity);
            subject.is_some_and(|subject| subject.is_served_by(&gateway))
        };
        let changes = self.shards.changes.lock();
        let (at, changed) = match since {
            Some((of, after)) if of == run => changes.after(after, served),
            _ => (changes.last(), Vec::new()),
        };
        Ok(BoundsChanges { run, at, changed })
    }

    /// Judges only identities that the rendezvous hash gives to `own` among the brokers `live`. A
    /// broker that is not told judges everybody.
    pub fn share_with(&self, own: u64, live: Vec<u64>) {
        self.brokers.set(own, live);
    }

    /// What the room counts.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the room knows from the log.
    pub const fn state(&self) -> &Arc<WatchState> {
        &self.state
    }

    /// Works until `stop`: closes windows of silent tokens, writes what could not be written, and
    /// saves baselines, the last time at the end.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => self.tick().await,
            }
        }
        self.flush().await;
        self.write_windows(true).await;
        self.save_baselines(true).await;
    }

    /// One turn of the background work.
    pub async fn tick(&self) {
        self.flush().await;
        let mut verdicts = Vec::new();
        for shard in self.shards.all() {
            let closed = self.judging(shard, |judge| judge.close_silent());
            verdicts.extend(closed.unwrap_or_default());
        }
        // What the log does not take now waits in the outbox for the next turn.
        let _ = self.append(verdicts).await;
        self.take_closed().await;
        self.write_windows(false).await;
        self.save_baselines(false).await;
    }

    fn judge_entries(
        &self,
        gateway: NodeId,
        served: &Subject,
        report: &Report,
    ) -> (Receipt, Vec<Vec<Event>>) {
        // Each shard is locked once for all that it is to hear.
        let mut by_shard = vec![Vec::new(); self.shards.all().len()];
        for entry in &report.entries {
            let shard = self.shards.of(self.state.role(entry.identity));
            if let Some(entries) = by_shard.get_mut(shard) {
                entries.push(entry);
            }
        }
        let (mut receipt, mut consequences) = (Receipt::default(), Vec::new());
        for (shard, entries) in by_shard.into_iter().enumerate() {
            if entries.is_empty() {
                continue;
            }
            let rulings = self.judging(shard, |judge| {
                let rulings = entries.iter();
                rulings
                    .map(|entry| judge.take(gateway, served, entry))
                    .collect::<Vec<_>>()
            });
            let rulings = rulings.unwrap_or_default();
            for (ruling, entry) in rulings.into_iter().zip(entries) {
                match ruling {
                    Ruling::Refused => receipt.refused += 1,
                    Ruling::Unknown => {
                        receipt.accepted += 1;
                        if receipt.wanted.len() < MAX_SHOWN {
                            receipt.wanted.push(Wanted {
                                token: entry.token,
                                digest: entry.digest,
                            });
                        }
                    }
                    Ruling::Counted(events) => {
                        receipt.accepted += 1;
                        consequences.push(events);
                        consequences.push(self.used(gateway, entry));
                    }
                }
            }
        }
        (receipt, consequences)
    }

    fn judging<T>(&self, shard: usize, work: impl FnOnce(&mut Judge<'_>) -> T) -> Option<T> {
        let (roles, now) = (self.roles(), self.clock.now());
        self.at_desk(shard, |desk, limits| {
            work(&mut Judge {
                state: &self.state,
                desk,
                shards: &self.shards,
                brokers: &self.brokers,
                bench: Bench {
                    register: &roles,
                    limits,
                    now: millis(now),
                },
                counters: &self.counters,
                now,
                policy: &self.config.policy,
                responding: &self.responding,
                caps: self.config.caps,
            })
        })
    }

    fn at_desk<T>(&self, shard: usize, work: impl FnOnce(&mut Desk, Limits) -> T) -> Option<T> {
        let roles = self.roles();
        self.shards
            .at(shard, (self.config.limits, &roles, &self.counters), work)
    }

    fn roles(&self) -> Roles<'_> {
        Roles {
            state: &self.state,
            thresholds: ByKind::now(&self.state, self.config.thresholds),
        }
    }

    /// Appends each group of events whole. Nothing is lost when the log refuses: see [`Outbox`].
    async fn append(&self, groups: Vec<Vec<Event>>) -> Result<(), StoreError> {
        self.outbox
            .append(groups, self.store.as_ref(), &self.counters)
            .await
    }

    async fn flush(&self) {
        // Said by the outbox itself when it fails again.
        let _ = self
            .outbox
            .append(Vec::new(), self.store.as_ref(), &self.counters)
            .await;
    }

    fn gateway(&self, gateway: NodeId) -> Result<Subject, ReportError> {
        let subject = self
            .state
            .subject(gateway)
            .filter(|subject| subject.kind == Kind::Gateway);
        subject.ok_or(ReportError::NotAGateway(gateway))
    }
}
