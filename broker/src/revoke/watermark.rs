//! What has ended, as the log says it, and the frames that tell gateways.

mod rows;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lanyard_token::{Heartbeat, KeyId, Liveness, NodeId, Rev, Snapshot, Suspension};
use tokio::sync::watch;

use self::rows::{Changed, RowKey};
use super::frame::{Chain, Unsigned, narrowed};
use super::keyring::Keyring;
use super::ring::{Missing, Ring};
use crate::clock::UnixMillis;
use crate::crypto::SealingRoot;
use crate::store::block::Block;
use crate::store::{DamagedRow, Event, Projection, Record, Row};

/// The scope whose tokens read the feed: who has one is a gateway.
pub const FEED_SCOPE: &str = "lanyard:feed";

/// How far apart the marks are from which the floor is chosen: a twelfth of a minute is nothing
/// against a lifetime of an hour, and keeps them to a few hundred.
const MARK_EVERY_MILLIS: u64 = 5_000;
/// The most marks; past it every second one goes.
const MAX_MARKS: usize = 2_048;

/// The projection behind the revoke room.
pub struct RevokeState {
    root: Arc<SealingRoot>,
    inner: Mutex<Inner>,
    ticks: watch::Sender<Tick>,
}

/// Something for the readers of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Tick {
    /// Frames so far.
    pub(super) n: u64,
    /// The last heartbeat, and how many there were.
    pub(super) beat: Option<Bytes>,
    pub(super) beats: u64,
    /// How often readers were asked where they stand.
    pub(super) asked: u64,
}

/// Where the feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedHead {
    /// Which life of the log.
    pub epoch: u16,
    /// The last frame; 0: none yet.
    pub n: u64,
    /// The last record.
    pub rev: Rev,
    /// Tokens with a lower `rev` are dead.
    pub floor: Rev,
}

struct Inner {
    liveness: Liveness,
    removed: BTreeSet<KeyId>,
    keys: Keyring,
    chain: Chain,
    waiting: VecDeque<Unsigned>,
    ring: Ring,
    head: Rev,
    at: UnixMillis,
    beat_at: UnixMillis,
    marks: VecDeque<(UnixMillis, Rev)>,
    /// When each gateway was last given a token for the feed.
    gateways: BTreeMap<NodeId, UnixMillis>,
    changed: Changed,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            liveness: Liveness::default(),
            removed: BTreeSet::new(),
            keys: Keyring::default(),
            chain: Chain::start(0),
            waiting: VecDeque::new(),
            ring: Ring::after(0),
            head: Rev::ZERO,
            at: UnixMillis(0),
            beat_at: UnixMillis(0),
            marks: VecDeque::new(),
            gateways: BTreeMap::new(),
            changed: Changed::default(),
        }
    }
}

impl RevokeState {
    /// Empty, before the log is opened. `root` opens the feed keys.
    pub fn new(root: Arc<SealingRoot>) -> Self {
        Self {
            root,
            inner: Mutex::new(Inner::default()),
            ticks: watch::Sender::new(Tick::default()),
        }
    }

    /// Where the feed stands.
    pub fn head(&self) -> FeedHead {
        let inner = self.inner();
        FeedHead {
            epoch: inner.chain.epoch,
            n: inner.chain.n,
            rev: inner.head,
            floor: inner.liveness.floor(),
        }
    }

    /// Asks what has ended, with everything up to one record known.
    pub fn with_liveness<T>(&self, ask: impl FnOnce(&Liveness) -> T) -> T {
        ask(&self.inner().liveness)
    }

    /// Which gateways were given a token for the feed since then, and when last.
    pub(super) fn gateways_since(&self, since: UnixMillis) -> Vec<(NodeId, UnixMillis)> {
        let inner = self.inner();
        inner
            .gateways
            .iter()
            .filter(|(_, at)| **at >= since)
            .map(|(node, at)| (*node, *at))
            .collect()
    }

    /// The suspensions whose time is over.
    pub(super) fn suspensions_over(&self, now: UnixMillis) -> Vec<NodeId> {
        let inner = self.inner();
        inner
            .liveness
            .suspended()
            .filter(|(_, _, until)| *until <= now.0)
            .map(|(node, _, _)| node)
            .collect()
    }

    /// The newest record at or before `cutoff` that is above the floor.
    pub(super) fn floor_at(&self, cutoff: UnixMillis) -> Option<Rev> {
        let inner = self.inner();
        let (_, rev) = inner.marks.iter().rev().find(|(at, _)| *at <= cutoff)?;
        (*rev > inner.liveness.floor()).then_some(*rev)
    }

    /// One frame.
    pub(super) fn frame(&self, epoch: u16, n: u64) -> Result<Bytes, Missing> {
        let inner = self.inner();
        match epoch.cmp(&inner.chain.epoch) {
            std::cmp::Ordering::Less => Err(Missing::Past),
            std::cmp::Ordering::Greater => Err(Missing::Future),
            std::cmp::Ordering::Equal => inner.ring.get(n),
        }
    }

    /// The frames after one, and whether those are all.
    pub(super) fn frames_after(&self, epoch: u16, n: u64) -> Result<(Vec<Bytes>, bool), Missing> {
        let inner = self.inner();
        match epoch.cmp(&inner.chain.epoch) {
            std::cmp::Ordering::Less => Err(Missing::Past),
            std::cmp::Ordering::Greater => Err(Missing::Future),
            std::cmp::Ordering::Equal => inner.ring.after_number(n),
        }
    }

    /// Everything that holds now, signed; `None` while there is no feed key.
    pub(super) fn snapshot(&self, now: UnixMillis) -> Option<Bytes> {
        let (snapshot, signer) = {
            let inner = self.inner();
            (inner.snapshot(now), inner.keys.signer(now)?)
        };
        match snapshot.encode(signer.key(), |message| signer.sign(message)) {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(%error, "the snapshot cannot be encoded");
                None
            }
        }
    }

    /// Sends a heartbeat to every reader. It says what is true between two records: everything up to
    /// `head` is in the frames up to `n`.
    pub(super) fn beat(&self, now: UnixMillis) {
        let made = {
            let mut inner = self.inner();
            // Each later than the one before, whatever the clock does: readers refuse others as old.
            let at = now.max(inner.at).max(inner.beat_at.plus_millis(1));
            inner.beat_at = at;
            let heartbeat = Heartbeat {
                epoch: inner.chain.epoch,
                n: inner.chain.n,
                hash: inner.chain.hash,
                at_ms: at.0,
                head: inner.head,
                floor: inner.liveness.floor(),
            };
            let signer = if inner.waiting.is_empty() {
                inner.keys.signer(at)
            } else {
                None
            };
            signer.map(|signer| (heartbeat, signer))
        };
        let Some((heartbeat, signer)) = made else {
            return;
        };
        let bytes: Bytes = heartbeat
            .encode(signer.key(), |message| signer.sign(message))
            .into();
        self.ticks.send_modify(|tick| {
            tick.beat = Some(bytes);
            tick.beats += 1;
        });
    }

    /// Asks every reader to say where it stands.
    pub(super) fn ask(&self) {
        self.ticks.send_modify(|tick| tick.asked += 1);
    }

    /// Follows what happens.
    pub(super) fn ticks(&self) -> watch::Receiver<Tick> {
        self.ticks.subscribe()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic in the middle of a record would have stopped the store's one writer with it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, record: &Record, root: &SealingRoot) {
        if record.rev.epoch() != self.chain.epoch {
            self.chain = Chain::start(record.rev.epoch());
            self.ring = Ring::after(0);
            self.waiting.clear();
        }
        let record = &*self.settled(record);
        for event in &record.events {
            self.event(event, record, root);
        }
        self.head = record.rev;
        self.at = record.at;
        self.mark(record);
        self.waiting
            .extend(Unsigned::of(record, self.liveness.floor()));
        self.sign_waiting();
        self.changed.add(RowKey::Place);
    }

    /// The record as gateways must understand it: for them the last word on a node counts, so a
    /// suspension that may not shorten another is told with the other's end, and the end of one that is not the
    /// longest is not told.
    fn settled<'r>(&self, record: &'r Record) -> Cow<'r, Record> {
        let longer = |event: &Event| match event {
            Event::Suspended {
                node, until, cause, ..
            } if !cause.may_shorten() => self
                .liveness
                .suspended()
                .find(|(known, _, standing)| known == node && *standing > until.0)
                .map(|(_, _, standing)| UnixMillis(standing)),
            _ => None,
        };
        let outlasted = |event: &Event| match event {
            Event::Resumed {
                node,
                until: Some(until),
                ..
            } => self
                .liveness
                .suspended()
                .any(|(known, _, standing)| known == *node && standing > until.0),
            _ => false,
        };
        let mut settled = Cow::Borrowed(record);
        for (index, event) in record.events.iter().enumerate() {
            if let Some(standing) = longer(event)
                && let Some(Event::Suspended { until, .. }) = settled.to_mut().events.get_mut(index)
            {
                *until = standing;
            }
        }
        if record.events.iter().any(outlasted) {
            settled.to_mut().events.retain(|event| !outlasted(event));
        }
        settled
    }

    fn event(&mut self, event: &Event, record: &Record, root: &SealingRoot) {
        let rev = record.rev;
        match event {
            Event::Revoked { node, .. } => {
                self.liveness.apply_watermark(*node, rev);
                self.changed.add(RowKey::Watermarks(Block::of(*node)));
            }
            Event::Suspended { node, until, .. } => {
                self.liveness.suspend_until(*node, rev, until.0);
                self.changed.add(RowKey::Suspended(*node));
            }
            Event::Resumed { node, .. } => {
                self.liveness.resume(*node, rev);
                self.changed.add(RowKey::Suspended(*node));
            }
            Event::Responded { .. } => {
                if let Some(node) = narrowed(event) {
                    self.liveness.narrow(node, rev);
                    self.changed.add(RowKey::Narrowed(node));
                }
            }
            Event::FloorRaised { floor } => self.raise_floor(*floor),
            Event::SigningKeyAdded(key) => {
                if let Err(error) = self.keys.add(root, key) {
                    tracing::error!(%error, key = %key.key, "a feed key of the log cannot be opened");
                }
                self.changed.add(RowKey::Key(key.key));
            }
            Event::SigningKeyRemoved { key, .. } => {
                self.keys.remove(key);
                self.removed.insert(*key);
                self.changed.add(RowKey::Key(*key));
                self.changed.add(RowKey::Removed(*key));
            }
            Event::TokenIssued(token) if token.claims.scope.contains(FEED_SCOPE) => {
                let gateway = token.claims.lin.identity();
                self.gateways.insert(gateway, record.at);
                self.changed.add(RowKey::Gateway(gateway));
            }
            _ => {}
        }
    }

    fn raise_floor(&mut self, floor: Rev) {
        let forgotten = self
            .liveness
            .watermarks()
            .filter(|(_, rev)| *rev <= floor)
            .map(|(node, _)| RowKey::Watermarks(Block::of(node)))
            .chain(
                self.liveness
                    .suspended()
                    .filter(|(_, rev, _)| *rev <= floor)
                    .map(|(node, _, _)| RowKey::Suspended(node)),
            )
            .chain(
                self.liveness
                    .narrowed()
                    .filter(|(_, rev)| *rev <= floor)
                    .map(|(node, _)| RowKey::Narrowed(node)),
            );
        for row in forgotten {
            self.changed.add(row);
        }
        self.liveness.raise_floor(floor);
        while self.marks.front().is_some_and(|(_, rev)| *rev <= floor) {
            self.marks.pop_front();
        }
        self.changed.add(RowKey::Marks);
    }

    /// Remembers which record stood when: the newest always, the ones before it [`MARK_EVERY_MILLIS`]
    /// apart. Records that only raise the floor do not count: else an idle broker would raise it for
    /// ever because it had raised it.
    fn mark(&mut self, record: &Record) {
        let only_floor = record
            .events
            .iter()
            .all(|event| matches!(event, Event::FloorRaised { .. }));
        if only_floor {
            return;
        }
        self.changed.add(RowKey::Marks);
        let before_newest = self.marks.len().checked_sub(2);
        let near = before_newest
            .and_then(|place| self.marks.get(place))
            .is_some_and(|(at, _)| record.at.millis_since(*at) < MARK_EVERY_MILLIS);
        if near {
            self.marks.pop_back();
        }
        if self.marks.len() >= MAX_MARKS {
            let mut odd = false;
            self.marks.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.marks.push_back((record.at, record.rev));
    }

    fn sign_waiting(&mut self) {
        while let Some(unsigned) = self.waiting.front() {
            let Some(signer) = self.keys.signer(unsigned.at()) else {
                tracing::error!(
                    "there is no feed key: revocations do not reach gateways until one is added"
                );
                break;
            };
            if let Some((chain, bytes)) = self.chain.extend(unsigned, &signer) {
                self.chain = chain;
                self.ring.push(bytes.into());
            }
            self.waiting.pop_front();
        }
    }

    fn snapshot(&self, now: UnixMillis) -> Snapshot {
        Snapshot {
            epoch: self.chain.epoch,
            n: self.chain.n,
            hash: self.chain.hash,
            at_ms: now.max(self.at).0,
            head: self.head,
            floor: self.liveness.floor(),
            watermarks: self.liveness.watermarks().collect(),
            suspended: self
                .liveness
                .suspended()
                .map(|(node, rev, until_ms)| Suspension {
                    node,
                    rev,
                    until_ms,
                })
                .collect(),
            narrowed: self.liveness.narrowed().collect(),
            removed_keys: self.removed.iter().copied().collect(),
        }
    }
}

impl Projection for RevokeState {
    fn name(&self) -> &'static str {
        "revoke-v2"
    }

    fn apply(&self, record: &Record) {
        let n = {
            let mut inner = self.inner();
            inner.take(record, &self.root);
            inner.chain.n
        };
        self.ticks
            .send_if_modified(|tick| std::mem::replace(&mut tick.n, n) != n);
    }

    fn changed_rows(&self) -> Vec<Row> {
        self.inner().changed_rows()
    }

    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        self.inner().load_row(key, value, &self.root)
    }

    fn reset(&self) {
        *self.inner() = Inner::default();
    }
}
