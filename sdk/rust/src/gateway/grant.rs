//! What a gateway keeps about a token that passed the gate: its text, and the little that a call asks of it.
//!
//! One allocation beside the text. Claims are not in it: whoever asks for them has them read from the text,
//! which the gate has found good. What many tokens share (the key's name, the routes) is shared.
//!
//! Told apart by what is signed, not by text: an ECDSA signature has a twin, so one token has two texts,
//! and whoever holds it could otherwise be counted as two.

mod hold;
mod nodes;
mod table;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use lanyard_drift::{Accumulator, Event, Millis, Missed, Outcome, Signal, TokenReport};
use lanyard_token::{Claims, KeptToken, KeyId, NodeId, Rev, VerifiedToken};

use super::journal::{Note, What, Written};
use super::link::Link;
use super::route::{RouteTable, ScopeBits};
use super::stripe;
use crate::clock::BootTime;

pub(super) use self::hold::{Count, Hold};
pub(super) use self::nodes::Nodes;
pub(super) use self::table::Grants;
pub(super) use self::task::Task;

/// Changes of thread after which a token is hot: it goes to and fro between threads. A multiple of it is
/// when it is looked at again.
const CHANGES: u16 = 1_024;

/// A token that passed the gate, resolved against one gateway's routes.
pub(crate) struct Grant {
    token: KeptToken,
    key: Arc<KeyId>,
    /// What the journal calls it.
    pub(super) serial: u64,
    rev: Rev,
    /// All nodes whose revocation ends it.
    pub(super) nodes: Nodes,
    /// First second at which it is expired, leeway included.
    pub(super) ends: u64,
    pub(super) scopes: ScopeBits,
    pub(super) task: Option<Box<Task>>,
    pub(super) link: Arc<Link>,
    /// Generation of the feed at which it was last found alive.
    generation: AtomicU64,
    pub(super) accumulator: Accumulator,
    /// Second since boot of its last call.
    last_call: AtomicU32,
    /// How often it was called by another thread than before, and by which it was called last.
    changes: AtomicU16,
    last_thread: AtomicU8,
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
}

impl Grant {
    pub(super) fn new(
        verified: &VerifiedToken<'_>,
        nodes: Nodes,
        key: Arc<KeyId>,
        routes: &RouteTable,
        leeway: u64,
        generation: u64,
        link: &Arc<Link>,
    ) -> Self {
        let claims = verified.claims();
        let task = claims.authorization_details.as_ref();
        Self {
            token: KeptToken::of(verified),
            key,
            serial: link.next_serial(),
            rev: claims.rev,
            nodes,
            ends: claims.exp.saturating_add(leeway),
            scopes: routes.scope_bits(&claims.scope),
            task: task.map(|task| Box::new(Task::resolve(task, routes))),
            link: Arc::clone(link),
            generation: AtomicU64::new(generation),
            accumulator: Accumulator::default(),
            last_call: AtomicU32::new(0),
            changes: AtomicU16::new(0),
            last_thread: AtomicU8::new(u8::MAX),
            retired: AtomicBool::new(false),
            first_seen: AtomicBool::new(true),
            narrowed: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        }
    }

    /// Its text, of which a twin may be about.
    pub(super) fn text(&self) -> &str {
        self.token.text()
    }

    pub(super) fn signing_input(&self) -> &str {
        self.token.signing_input()
    }

    /// As the broker knows it: with its number.
    pub(super) fn digest(&self) -> [u8; 8] {
        self.token.digest()
    }

    /// Everything it says. Reads the text the first time.
    pub(super) fn claims(&self) -> &Claims {
        self.token.claims()
    }

    /// Its own node.
    pub(super) const fn jti(&self) -> NodeId {
        self.nodes.token()
    }

    /// Whose it is.
    pub(super) const fn identity(&self) -> NodeId {
        self.nodes.identity()
    }

    pub(super) const fn rev(&self) -> Rev {
        self.rev
    }

    /// The key that signed it.
    pub(super) fn key(&self) -> &KeyId {
        &self.key
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
        let second = u32::try_from(now.0 / 1_000).unwrap_or(u32::MAX);
        if self.last_call.load(Ordering::Relaxed) != second {
            self.last_call.store(second, Ordering::Relaxed);
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Notes which thread found it; whether it is time to ask if that is hot. Written only on a change of
    /// thread, and two at once may count one change: that makes it hot one change later.
    pub(super) fn changed_threads_often(&self) -> bool {
        let own = u8::try_from(stripe::own(stripe::count())).unwrap_or(0);
        if self.last_thread.load(Ordering::Relaxed) == own {
            return false;
        }
        self.last_thread.store(own, Ordering::Relaxed);
        let changes = self.changes.load(Ordering::Relaxed).wrapping_add(1);
        self.changes.store(changes, Ordering::Relaxed);
        changes.is_multiple_of(CHANGES)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_kept_costs_four_cache_lines_beside_its_text() {
        // With the two counts of its `Arc`, which come before it.
        assert!(
            size_of::<Grant>() + 16 <= 256,
            "{} bytes",
            size_of::<Grant>()
        );
    }
}
