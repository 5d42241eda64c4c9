//! What a gateway keeps about a token that passed the gate.
//!
//! Kept by number and digest, not by text: an ECDSA signature has a twin, so one token has two
//! texts, and whoever holds it could otherwise be counted as two.

mod table;
mod task;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_drift::{Bounds, Event, Outcome, Signal, TokenReport, Tracker};
use lanyard_token::{Claims, KeyId, NodeId, VerifiedToken};

use super::link::Link;
use super::route::{RouteTable, ScopeBits};
use crate::clock::{BootTime, UnixMillis};

pub(super) use self::table::Grants;
pub(super) use self::task::Task;

/// A token that passed the gate, resolved against one gateway's routes.
pub(super) struct Grant {
    pub(super) claims: Claims,
    pub(super) key: KeyId,
    pub(super) digest: [u8; 8],
    /// All nodes whose revocation ends it.
    pub(super) nodes: Box<[NodeId]>,
    /// First second at which it is expired, leeway included.
    pub(super) ends: u64,
    pub(super) scopes: ScopeBits,
    pub(super) task: Option<Task>,
    pub(super) link: Arc<Link>,
    /// Generation of the feed at which it was last found alive.
    generation: AtomicU64,
    last_call: AtomicU64,
    /// No longer in the table: whoever still finds it must go through the gate again.
    retired: AtomicBool,
    /// The broker has not been told of it yet.
    first_seen: AtomicBool,
    /// Narrowed to its baseline, as of the generation at which it was last found alive.
    narrowed: AtomicBool,
    /// Waits for an early report already.
    queued: AtomicBool,
    tracker: Mutex<Tracker>,
}

impl Grant {
    pub(super) fn new(
        verified: &VerifiedToken,
        nodes: Box<[NodeId]>,
        routes: &RouteTable,
        leeway: u64,
        generation: u64,
        (link, bounds): (&Arc<Link>, Bounds),
        time: UnixMillis,
    ) -> Self {
        let claims = verified.claims().clone();
        Self {
            key: *verified.key_id(),
            digest: verified.digest(),
            nodes,
            ends: claims.exp.saturating_add(leeway),
            scopes: routes.scope_bits(&claims.scope),
            task: claims
                .authorization_details
                .as_ref()
                .map(|task| Task::resolve(task, routes)),
            link: Arc::clone(link),
            generation: AtomicU64::new(generation),
            last_call: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            first_seen: AtomicBool::new(true),
            narrowed: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            tracker: Mutex::new(Tracker::new(link.drift_time(time), bounds)),
            claims,
        }
    }

    pub(super) fn checked_at(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// It was alive when asked after `generation` had been read.
    pub(super) fn check_held_at(&self, generation: u64) {
        self.generation.fetch_max(generation, Ordering::AcqRel);
    }

    pub(super) fn is_narrowed(&self) -> bool {
        self.narrowed.load(Ordering::Acquire)
    }

    pub(super) fn set_narrowed(&self, narrowed: bool) {
        self.narrowed.store(narrowed, Ordering::Release);
    }

    pub(super) fn called(&self, now: BootTime) {
        self.last_call.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(super) fn observe(self: &Arc<Self>, event: &Event, time: UnixMillis) -> Signal {
        let signal = self.tracker().observe(event, self.link.drift_time(time));
        self.heed(signal);
        signal
    }

    pub(super) fn settle(self: &Arc<Self>, outcome: &Outcome, time: UnixMillis) {
        let signal = self.tracker().settle(outcome, self.link.drift_time(time));
        self.heed(signal);
    }

    pub(super) fn set_bounds(&self, bounds: Bounds) {
        self.tracker().set_bounds(bounds);
    }

    /// What to tell the broker; `None` when there is nothing it does not know.
    pub(super) fn report(&self) -> Option<TokenReport> {
        self.queued.store(false, Ordering::Release);
        let report = self.tracker().report();
        if self.first_seen.swap(false, Ordering::AcqRel) {
            return Some(report.unwrap_or_default());
        }
        report
    }

    pub(super) fn is_first_seen(&self) -> bool {
        self.first_seen.load(Ordering::Acquire)
    }

    fn heed(self: &Arc<Self>, signal: Signal) {
        match signal {
            Signal::Quiet => {}
            Signal::ReportNow(_) | Signal::HardRule(_) => {
                if self.link.has_reporter() && !self.queued.swap(true, Ordering::AcqRel) {
                    self.link.report_early(self);
                }
            }
        }
    }

    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        // Counts may be off by one call after a panic, never unsound.
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
