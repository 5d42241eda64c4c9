//! What the request path sees of the feed: reads that never wait for the reader or for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use lanyard_token::{Dead, Entry, Frame, Liveness, NodeId, Rejection, Rev, TrustedKeys};
use tokio::sync::Notify;

use super::death_watch::{DeathWatch, Watches};
use super::time::{FeedTime, ToldTime};
use super::watermarks::Watermarks;
use crate::clock::{BootTime, Now, UnixMillis};

/// The feed, as far as the reader has come.
///
/// Written by the reader alone; read by every request. A reader of the view may see a frame half
/// applied: each of its entries only ends tokens (or lifts one suspension), so a half frame is an
/// earlier moment for some nodes, and [`FeedView::generation`] moves once the whole frame is in.
pub struct FeedView {
    /// Whether a verified snapshot has ever been here. Without one every token is refused.
    begun: AtomicBool,
    generation: AtomicU64,
    floor: AtomicU64,
    reached: AtomicU64,
    watermarks: Watermarks,
    suspended: papaya::HashMap<NodeId, Rev>,
    narrowed: papaya::HashMap<NodeId, Rev>,
    /// Suspended here alone.
    held: papaya::HashMap<NodeId, ()>,
    keys: ArcSwap<TrustedKeys>,
    time: ToldTime,
    /// The latest time known without a heartbeat: from a snapshot or from the disk.
    known: AtomicU64,
    watches: Watches,
    keys_wanted: Notify,
}

/// Why the feed does not let a token through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAlive {
    /// No verified snapshot was ever seen, so nobody knows what has been revoked: refuse everything.
    #[error("nothing is known about revocations yet")]
    NoSnapshot,
    /// Revoked, suspended or below the floor.
    #[error("the token has ended")]
    Dead(#[source] Dead),
}

impl From<NotAlive> for Rejection {
    fn from(reason: NotAlive) -> Self {
        match reason {
            NotAlive::NoSnapshot => Self::NotReady,
            NotAlive::Dead(dead) => dead.into(),
        }
    }
}

impl FeedView {
    /// Knows nothing, and so refuses everything until the reader has a verified snapshot.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            reached: AtomicU64::new(0),
            watermarks: Watermarks::default(),
            suspended: papaya::HashMap::new(),
            narrowed: papaya::HashMap::new(),
            held: papaya::HashMap::new(),
            keys: ArcSwap::from_pointee(TrustedKeys::default()),
            time: ToldTime::default(),
            known: AtomicU64::new(0),
            watches: Watches::default(),
            keys_wanted: Notify::new(),
        })
    }

    /// Stands alone, without a feed: these keys, nothing revoked except by [`FeedView::end`], the
    /// wall clock's time. Only for what `dangerous().without_revocation()` allows.
    #[must_use]
    pub fn without_feed(keys: TrustedKeys) -> Arc<Self> {
        let view = Self::new();
        view.keys.store(Arc::new(keys));
        view.begun.store(true, Ordering::Release);
        view
    }

    /// Whether a token with this `rev` and these nodes (its own, its lineage's, its actors') lives.
    pub fn check(&self, rev: Rev, nodes: &[NodeId]) -> Result<(), NotAlive> {
        if !self.begun.load(Ordering::Acquire) {
            return Err(NotAlive::NoSnapshot);
        }
        if self.watermarks.any_above(rev, nodes) {
            return Err(NotAlive::Dead(Dead::Revoked));
        }
        if !self.suspended.is_empty() {
            let suspended = self.suspended.pin();
            if nodes.iter().any(|node| suspended.contains_key(node)) {
                return Err(NotAlive::Dead(Dead::Suspended));
            }
        }
        if !self.held.is_empty() {
            let held = self.held.pin();
            if nodes.iter().any(|node| held.contains_key(node)) {
                return Err(NotAlive::Dead(Dead::Suspended));
            }
        }
        // Last, because a rising floor forgets watermarks: whoever missed one for that reason sees
        // the floor that took its place.
        if rev.as_u64() < self.floor.load(Ordering::SeqCst) {
            return Err(NotAlive::Dead(Dead::BelowFloor));
        }
        Ok(())
    }

    /// Moves whenever an answer of [`FeedView::check`] or [`FeedView::keys`] may have changed. Whoever
    /// keeps an answer keeps the generation read *before* asking, and asks again when it has moved.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The keys that may sign tokens and feed messages.
    pub fn keys(&self) -> Arc<TrustedKeys> {
        self.keys.load_full()
    }

    /// The broker's time; before the first heartbeat the wall clock's, but never before the latest
    /// time the broker was heard to say.
    pub fn now(&self, now: Now) -> UnixMillis {
        match self.time.get() {
            Some(time) => time.now(now.boot),
            None => UnixMillis(now.wall.0.max(self.known.load(Ordering::Relaxed))),
        }
    }

    /// How old the newest heartbeat is; [`Duration::MAX`] when there has been none since the machine
    /// was booted.
    pub fn age(&self, boot: BootTime) -> Duration {
        self.time.get().map_or(Duration::MAX, |time| time.age(boot))
    }

    /// Everything up to this place of the log is known here.
    pub fn reached(&self) -> Rev {
        Rev::from_u64(self.reached.load(Ordering::Acquire)).unwrap_or(Rev::ZERO)
    }

    /// Whether a verified snapshot has ever been here.
    pub fn has_snapshot(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits for the end of a token. For what stays open: bodies, streams, leases.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, rev: Rev, nodes: &[NodeId]) -> DeathWatch {
        DeathWatch::new(Arc::clone(self), rev, nodes)
    }

    /// Ends everything of this node that is older than `rev`, here alone. It can only take access
    /// away; the next snapshot neither confirms nor lifts it.
    pub fn end(&self, node: NodeId, rev: Rev) {
        self.watermarks.raise(1, std::iter::once((node, rev)));
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches.wake(std::iter::once(node));
    }

    /// Suspends this node, here alone, until it is released. What the feed says of it is another matter.
    pub fn hold(&self, node: NodeId) {
        self.held.pin().insert(node, ());
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches.wake(std::iter::once(node));
    }

    /// Lifts [`FeedView::hold`].
    pub fn release(&self, node: NodeId) {
        self.held.pin().remove(&node);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Narrows what is at and under this node and older than `rev` to its baseline, here alone. It can
    /// only take access away; the next snapshot neither confirms nor lifts it.
    pub fn narrow(&self, node: NodeId, rev: Rev) {
        self.narrowed
            .pin()
            .update_or_insert(node, |known| (*known).max(rev), rev);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a token with this `rev` and these nodes is narrowed to its baseline.
    pub fn is_narrowed(&self, rev: Rev, nodes: &[NodeId]) -> bool {
        if self.narrowed.is_empty() {
            return false;
        }
        let narrowed = self.narrowed.pin();
        nodes
            .iter()
            .any(|node| narrowed.get(node).is_some_and(|since| *since > rev))
    }

    /// Somebody met a key nobody here knows: the reader asks the broker for the current ones, at most
    /// every ten seconds. Never waits.
    pub fn want_keys(&self) {
        self.keys_wanted.notify_one();
    }

    pub(super) async fn keys_are_wanted(&self) {
        self.keys_wanted.notified().await;
    }

    pub(super) const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Takes in a frame the replica has accepted.
    pub(super) fn publish_frame(&self, frame: &Frame) {
        let ended = frame.entries.iter().filter_map(|entry| match *entry {
            Entry::Watermark(node) => Some((node, frame.rev)),
            _ => None,
        });
        self.watermarks.raise(frame.entries.len(), ended);
        for entry in &frame.entries {
            match *entry {
                Entry::Watermark(_) => {}
                Entry::Suspend { node, .. } => {
                    self.suspended.pin().insert(node, frame.rev);
                }
                Entry::Resume(node) => {
                    self.suspended.pin().remove(&node);
                }
                Entry::Narrow(node) => {
                    self.narrowed.pin().insert(node, frame.rev);
                }
                Entry::RemoveKey(_) | Entry::Checkpoint(_) => {}
            }
        }
        self.publish_reached(frame.rev);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches
            .wake(frame.entries.iter().filter_map(|entry| match *entry {
                Entry::Watermark(node) | Entry::Suspend { node, .. } => Some(node),
                _ => None,
            }));
        self.publish_floor(frame.floor);
    }

    /// Takes in everything the replica knows: after a snapshot, or from the disk.
    pub(super) fn publish_state(&self, liveness: &Liveness, reached: Rev) {
        self.watermarks
            .raise(liveness.watermarks().count(), liveness.watermarks());
        self.publish_suspensions(liveness);
        for (node, rev) in liveness.narrowed() {
            self.narrowed.pin().insert(node, rev);
        }
        self.publish_floor(liveness.floor());
        self.publish_reached(reached);
        self.begun.store(true, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches.wake_all();
    }

    /// Takes in which suspensions hold. New ones come in before old ones go, so that no node is ever
    /// free in between.
    pub(super) fn publish_suspensions(&self, liveness: &Liveness) {
        let suspended = self.suspended.pin();
        for (node, rev, _) in liveness.suspended() {
            suspended.insert(node, rev);
        }
        suspended.retain(|node, _| liveness.is_suspended(*node));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Tokens below `floor` are dead from here on, so what is not above it concerns no living token.
    pub(super) fn publish_floor(&self, floor: Rev) {
        if self.floor.fetch_max(floor.as_u64(), Ordering::SeqCst) < floor.as_u64() {
            self.watermarks.forget(floor);
            self.narrowed.pin().retain(|_, since| *since > floor);
            self.suspended.pin().retain(|_, since| *since > floor);
            self.generation.fetch_add(1, Ordering::AcqRel);
            self.watches.wake_all();
        }
    }

    pub(super) fn publish_reached(&self, rev: Rev) {
        self.reached.fetch_max(rev.as_u64(), Ordering::AcqRel);
    }

    pub(super) fn publish_keys(&self, keys: TrustedKeys) {
        self.keys.store(Arc::new(keys));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn publish_time(&self, time: FeedTime) {
        self.time.set(time);
    }

    pub(super) fn publish_known_time(&self, at: UnixMillis) {
        self.known.fetch_max(at.0, Ordering::AcqRel);
    }
}
