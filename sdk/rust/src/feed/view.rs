//! What the request path sees of the feed: reads that never wait for the reader or for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use lanyard_token::{Dead, NodeId, Rev, TrustedKeys};

use super::death_watch::{DeathWatch, Watches};
use super::time::FeedTime;
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
    watermarks: papaya::HashMap<NodeId, Rev>,
    suspended: papaya::HashMap<NodeId, Rev>,
    keys: ArcSwap<TrustedKeys>,
    time: ArcSwapOption<FeedTime>,
    /// The latest time known without a heartbeat: from a snapshot or from the disk.
    known: AtomicU64,
    watches: Watches,
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

impl FeedView {
    /// Knows nothing, and so refuses everything until the reader has a verified snapshot.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: AtomicBool::new(false),
            generation: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            reached: AtomicU64::new(0),
            watermarks: papaya::HashMap::new(),
            suspended: papaya::HashMap::new(),
            keys: ArcSwap::from_pointee(TrustedKeys::default()),
            time: ArcSwapOption::empty(),
            known: AtomicU64::new(0),
            watches: Watches::default(),
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
        if rev.as_u64() < self.floor.load(Ordering::Acquire) {
            return Err(NotAlive::Dead(Dead::BelowFloor));
        }
        let watermarks = self.watermarks.pin();
        if nodes.iter().any(|node| watermarks.get(node).is_some_and(|watermark| *watermark > rev)) {
            return Err(NotAlive::Dead(Dead::Revoked));
        }
        if !self.suspended.is_empty() {
            let suspended = self.suspended.pin();
            if nodes.iter().any(|node| suspended.contains_key(node)) {
                return Err(NotAlive::Dead(Dead::Suspended));
            }
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
        match &*self.time.load() {
            Some(time) => time.now(now.boot),
            None => UnixMillis(now.wall.0.max(self.known.load(Ordering::Relaxed))),
        }
    }

    /// How old the newest heartbeat is; [`Duration::MAX`] when there has been none since the machine
    /// was booted.
    pub fn age(&self, boot: BootTime) -> Duration {
        self.time.load().as_ref().map_or(Duration::MAX, |time| time.age(boot))
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
        self.raise_watermark(node, rev);
        self.changed(std::iter::once(node));
    }

    pub(super) fn watches(&self) -> &Watches {
        &self.watches
    }

    pub(super) fn raise_watermark(&self, node: NodeId, rev: Rev) {
        self.watermarks.pin().update_or_insert(node, |known| (*known).max(rev), rev);
    }

    pub(super) fn suspend(&self, node: NodeId, rev: Rev) {
        self.suspended.pin().insert(node, rev);
    }

    pub(super) fn resume(&self, node: NodeId) {
        self.suspended.pin().remove(&node);
    }

    /// Lifts every suspension that `still` does not name.
    pub(super) fn keep_suspended(&self, still: impl Fn(NodeId) -> bool) {
        self.suspended.pin().retain(|node, _| still(*node));
    }

    /// Tokens below `floor` are dead from here on, so watermarks not above it are forgotten.
    pub(super) fn raise_floor(&self, floor: Rev) {
        if self.floor.fetch_max(floor.as_u64(), Ordering::AcqRel) < floor.as_u64() {
            self.watermarks.pin().retain(|_, watermark| *watermark > floor);
        }
    }

    pub(super) fn set_keys(&self, keys: TrustedKeys) {
        self.keys.store(Arc::new(keys));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn set_time(&self, time: FeedTime) {
        self.time.store(Some(Arc::new(time)));
    }

    pub(super) fn set_known_time(&self, at: UnixMillis) {
        self.known.fetch_max(at.0, Ordering::AcqRel);
    }

    pub(super) fn set_reached(&self, rev: Rev) {
        self.reached.fetch_max(rev.as_u64(), Ordering::AcqRel);
    }

    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// The change is complete for these nodes.
    pub(super) fn changed(&self, nodes: impl Iterator<Item = NodeId>) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches.wake(nodes);
    }

    /// The change is complete and may concern every node.
    pub(super) fn all_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.watches.wake_all();
    }
}
