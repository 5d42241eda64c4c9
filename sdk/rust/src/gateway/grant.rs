//! What a gateway keeps about a token that passed the gate.
//!
//! Kept by number and digest, not by text: an ECDSA signature has a twin, so one token has two
//! texts, and whoever holds it could otherwise be counted as two.

mod hold;
mod table;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lanyard_drift::{Accumulator, Event, Millis, Missed, Outcome, Signal, TokenReport};
use lanyard_token::{Claims, KeyId, NodeId, VerifiedToken};

use super::journal::{Note, What, Written};
use super::link::Link;
use super::route::{RouteTable, ScopeBits};
use crate::clock::BootTime;

pub(super) use self::hold::{Hold, Holds};
pub(super) use self::table::Grants;
pub(super) use self::task::Task;

/// A token that passed the gate, resolved against one gateway's routes.
pub(crate) struct Grant {
    pub(super) claims: Claims,
    pub(super) key: KeyId,
    pub(super) digest: [u8; 8],
    /// What the journal calls it.
    pub(super) serial: u64,
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
    /// The observer has a tracker for it, or has been asked for one.
    watched: AtomicBool,
    pub(super) accumulator: Accumulator,
}

impl Grant {
    pub(super) fn new(
        verified: &VerifiedToken,
        nodes: Box<[NodeId]>,
        routes: &RouteTable,
        leeway: u64,
        generation: u64,
        link: &Arc<Link>,
    ) -> Self {
        let claims = verified.claims().clone();
        Self {
            key: *verified.key_id(),
            digest: verified.digest(),
            serial: link.next_serial(),
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
            watched: AtomicBool::new(false),
            accumulator: Accumulator::default(),
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

    /// Written only when it says something new: callers of one token share this cache line.
    pub(super) fn called(&self, now: BootTime) {
        if self.last_call.load(Ordering::Relaxed) != now.0 {
            self.last_call.store(now.0, Ordering::Relaxed);
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Notes a call for the observer.
    pub(super) fn note_call(self: &Arc<Self>, event: &Event, at: Millis) {
        if !self.note(What::Call(*event), at) {
            self.accumulator.miss(Missed { calls: 1, bytes: 0 });
        }
    }

    /// Notes what came of a call.
    pub(super) fn note_outcome(self: &Arc<Self>, outcome: &Outcome, at: Millis) {
        let bytes = [outcome.request_bytes, outcome.response_bytes];
        if outcome.status.is_none() && bytes == [None, None] {
            return;
        }
        if !self.note(What::Outcome(*outcome), at) {
            let bytes = bytes.into_iter().flatten().fold(0, u64::saturating_add);
            self.accumulator.miss(Missed { calls: 0, bytes });
        }
    }

    /// The next note is to be announced: the observer gives the tracker away.
    pub(super) fn announce_again(&self) {
        self.watched.store(false, Ordering::Release);
    }

    /// The observer keeps the tracker after all.
    pub(super) fn is_watched(&self) {
        self.watched.store(true, Ordering::Release);
    }

    /// What to tell the broker, given what was seen; `None` when there is nothing it does not know.
    pub(super) fn report(&self, seen: Option<TokenReport>) -> Option<TokenReport> {
        self.queued.store(false, Ordering::Release);
        if self.first_seen.swap(false, Ordering::AcqRel) {
            return Some(seen.unwrap_or_default());
        }
        seen
    }

    pub(super) fn is_first_seen(&self) -> bool {
        self.first_seen.load(Ordering::Acquire)
    }

    /// Lines an early report up if a tracker wants one.
    pub(super) fn heed(self: &Arc<Self>, signal: Signal) {
        match signal {
            Signal::Quiet => {}
            Signal::ReportNow(_) | Signal::HardRule(_) => {
                if self.link.has_reporter() && !self.queued.swap(true, Ordering::AcqRel) {
                    self.link.report_early(self);
                }
            }
        }
    }

    /// Whether there was room, or nobody who observes.
    fn note(self: &Arc<Self>, what: What, at: Millis) -> bool {
        let Some(journal) = self.link.journal() else {
            return true;
        };
        if !self.watched.load(Ordering::Acquire) {
            self.announce();
        }
        let note = Note {
            serial: self.serial,
            at,
            what,
        };
        let written = journal.write(&note);
        if written == Written::HalfFull {
            self.link.bell.hurry();
        } else {
            self.link.bell.ring();
        }
        written != Written::Dropped
    }

    #[cold]
    fn announce(self: &Arc<Self>) {
        if !self.watched.swap(true, Ordering::AcqRel) {
            self.link.announce(self);
        }
    }
}
