//! Taking access away, and telling every gateway.
//!
//! ```text
//! revoke, suspend, resume ──► log ──► watermarks ──► frame n (signed) ──► streams ──► gateways
//!                                         │                                              │
//!                                 floor, snapshot            receipt ◄── "n is on my disk"
//! ```
//! A revocation is durable before it is acknowledged, and on its way to the gateways before that.

mod feed;
mod frame;
mod keyring;
mod pause;
mod receipt;
mod ring;
mod watermark;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lanyard_token::{NodeId, Rev};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::{Clock, UnixMillis};
use crate::store::event::{By, Cause};
use crate::store::{Event, MAX_EVENTS, Store, StoreError};

pub use feed::{NoStream, Subscription};
pub use pause::NotPaused;
pub use receipt::{Confirmed, CutOff, ReaderId, Receipt, Standing};
pub use watermark::{FEED_SCOPE, FeedHead, RevokeState};

/// How often readers get a sign of life.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How often suspensions are looked at whose time may be over.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the floor is raised.
const FLOOR: Duration = Duration::from_secs(60);
/// How much older than the longest lifetime a record must be before it can be the floor: clocks of
/// gateways a little behind, and mint decisions that took a while.
const FLOOR_MARGIN_MILLIS: u64 = 65_000;
/// While somebody waits for a receipt, gateways are asked again this often: one may just have come back.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Revocations of one call that are told one by one: of a storm operators want to know that it blows.
const MOST_TOLD: usize = 64;

/// The revoke room.
pub struct Revoke {
    state: Arc<RevokeState>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    max_lifetime_millis: u64,
    readers: Arc<receipt::Readers>,
    /// What is checked before a pause is written, or ended because its time is over, still holds when it is.
    pausing: Mutex<()>,
}

impl Revoke {
    /// `max_lifetime` is the longest lifetime of any token, in seconds.
    pub fn new(
        state: Arc<RevokeState>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        max_lifetime: u64,
    ) -> Self {
        let max_lifetime_millis = max_lifetime.saturating_mul(1_000);
        let room = Self {
            state,
            store,
            clock,
            max_lifetime_millis,
            readers: receipt::Readers::new(),
            pausing: Mutex::default(),
        };
        // So that the first reader does not wait for the first heartbeat of the task.
        room.beat();
        room
    }

    /// Ends these nodes and everything below them. More than [`MAX_EVENTS`] take several records;
    /// the answer is the last one's `rev`, which is above the others'.
    pub async fn revoke(&self, nodes: &[NodeId], cause: Cause, by: By) -> Result<Rev, StoreError> {
        let revoked = |node| Event::Revoked {
            node,
            cause: cause.clone(),
            by: by.clone(),
        };
        let rev = self.append(nodes, revoked).await?;
        for node in nodes.iter().take(MOST_TOLD) {
            tracing::info!(
                name: "lanyard.revoked",
                { lanyard.node = %node, lanyard.reason = cause.word() },
                "revoked"
            );
        }
        if let Some(more) = nodes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            tracing::info!(
                name: "lanyard.revoked.more",
                { lanyard.nodes = more, lanyard.reason = cause.word() },
                "and more: the log has all of them"
            );
        }
        Ok(rev)
    }

    /// Pauses these nodes and everything below them until `until`.
    pub async fn suspend(
        &self,
        nodes: &[NodeId],
        until: UnixMillis,
        cause: Cause,
        by: By,
    ) -> Result<Rev, StoreError> {
        self.append(nodes, |node| Event::Suspended {
            node,
            until,
            cause: cause.clone(),
            by: by.clone(),
        })
        .await
    }

    /// Ends the suspension of these nodes.
    pub async fn resume(&self, nodes: &[NodeId], by: By) -> Result<Rev, StoreError> {
        self.append(nodes, |node| Event::Resumed {
            node,
            until: None,
            by: by.clone(),
        })
        .await
    }

    /// Waits until every gateway that could still accept the node has confirmed `rev`, at most
    /// `limit`. `expires_at` is when the node's last token ends, where the caller knows that;
    /// otherwise the longest lifetime counts.
    pub async fn confirmed(
        &self,
        node: NodeId,
        rev: Rev,
        expires_at: Option<UnixMillis>,
        limit: Duration,
    ) -> Receipt {
        let now = self.clock.now();
        // Heard of longer ago than a token can live: whatever such a gateway still accepts has expired.
        let since = UnixMillis(now.0.saturating_sub(self.max_lifetime_millis));
        let expected: BTreeSet<ReaderId> = self.readers.since(since).into_keys().collect();
        let ask = async {
            let mut again = interval(ASK_AGAIN);
            loop {
                again.tick().await;
                self.state.ask();
            }
        };
        let confirmed = tokio::select! {
            confirmed = self.readers.reached(&expected, rev, limit) => confirmed,
            () = ask => Vec::new(),
        };
        let dead_by = expires_at
            .unwrap_or(now.plus_millis(self.max_lifetime_millis))
            .seconds()
            .saturating_add(1);
        let mut cut_off: Vec<CutOff> = expected
            .iter()
            .filter(|reader| {
                confirmed
                    .iter()
                    .all(|confirmed| confirmed.reader != **reader)
            })
            .map(|reader| CutOff {
                reader: reader.clone(),
                dead_by,
            })
            .collect();
        cut_off.extend(self.unheard(now, &expected, dead_by));
        Receipt {
            node,
            rev,
            confirmed,
            cut_off,
        }
    }

    /// Gateways that the log gave a token for the feed not long ago, but which have not been heard of
    /// since this broker started.
    fn unheard(&self, now: UnixMillis, heard: &BTreeSet<ReaderId>, dead_by: u64) -> Vec<CutOff> {
        // A token lives as long as any, and whoever read the feed with it until its last moment may
        // accept others for as long again.
        let since = UnixMillis(now.0.saturating_sub(2 * self.max_lifetime_millis));
        self.state
            .gateways_since(since)
            .into_iter()
            .filter(|(gateway, _)| heard.iter().all(|reader| reader.gateway != *gateway))
            .map(|(gateway, _)| CutOff {
                reader: ReaderId {
                    gateway,
                    instance: String::new(),
                },
                dead_by,
            })
            .collect()
    }

    /// A reader's stream from after frame `n` of `epoch`.
    pub fn subscribe(
        &self,
        reader: ReaderId,
        epoch: u16,
        n: u64,
    ) -> Result<Subscription, NoStream> {
        let open = self.readers.open(reader, self.clock.now());
        Subscription::begin(Arc::clone(&self.state), epoch, n, open)
    }

    /// A reader says that everything up to `rev` is on its disk. More than there is means that our
    /// log was rolled back.
    pub fn stands(&self, reader: &ReaderId, epoch: u16, n: u64, rev: Rev) -> Result<(), NoStream> {
        let head = self.state.head();
        if (epoch, n) > (head.epoch, head.n) || rev > head.rev {
            return Err(NoStream::Ahead);
        }
        self.readers.stands(reader, n, rev, self.clock.now());
        Ok(())
    }

    /// One frame. `Gone`: too old; `Ahead`: not there yet.
    pub fn frame(&self, epoch: u16, n: u64) -> Result<Bytes, NoStream> {
        Ok(self.state.frame(epoch, n)?)
    }

    /// Everything that holds now, signed; `None` while there is no feed key.
    pub fn snapshot(&self) -> Option<Bytes> {
        self.state.snapshot(self.clock.now())
    }

    /// Where the feed stands.
    pub fn head(&self) -> FeedHead {
        self.state.head()
    }

    /// Streams open now.
    pub fn open_streams(&self) -> usize {
        self.readers.streams()
    }

    /// The readers heard of within the longest lifetime, and how far each has come.
    pub fn readers(&self) -> Vec<(ReaderId, Standing)> {
        let since = UnixMillis(self.clock.now().0.saturating_sub(self.max_lifetime_millis));
        self.readers.since(since).into_iter().collect()
    }

    /// The room's own work: heartbeats, suspensions whose time is over, the floor.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        let (mut beat, mut sweep, mut floor) =
            (interval(HEARTBEAT), interval(SWEEP), interval(FLOOR));
        for timer in [&mut beat, &mut sweep, &mut floor] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let beats = async {
            loop {
                beat.tick().await;
                self.beat();
            }
        };
        // Apart from the heartbeats, which must go on while the disk is slow.
        let upkeep = async {
            loop {
                tokio::select! {
                    _ = sweep.tick() => self.resume_what_is_over().await,
                    _ = floor.tick() => self.raise_floor().await,
                }
            }
        };
        tokio::select! {
            () = beats => {}
            () = upkeep => {}
            () = shutdown => {}
        }
    }

    /// Sends one heartbeat.
    pub fn beat(&self) {
        self.state.beat(self.clock.now());
    }

    /// Raises the floor as far as the longest lifetime allows.
    pub async fn raise_floor(&self) {
        let cutoff = self
            .clock
            .now()
            .0
            .saturating_sub(self.max_lifetime_millis + FLOOR_MARGIN_MILLIS);
        let Some(floor) = self.state.floor_at(UnixMillis(cutoff)) else {
            return;
        };
        if let Err(error) = self.store.append(vec![Event::FloorRaised { floor }]).await {
            tracing::warn!(%error, "the floor cannot be raised now");
        }
    }

    /// Ends the suspensions whose time is over, so that all rooms and gateways see the same end.
    pub async fn resume_what_is_over(&self) {
        // Else it ended the pause that follows the one whose time is over.
        let _one_at_a_time = self.pausing.lock().await;
        let now = self.clock.now();
        let over = self.state.suspensions_over(now);
        if over.is_empty() {
            return;
        }
        // Of longer ones the feed has forgotten those that no living token needs; other rooms have not.
        let ended = self.append(&over, |node| Event::Resumed {
            node,
            until: Some(now),
            by: By::Broker,
        });
        if let Err(error) = ended.await {
            tracing::warn!(%error, "suspensions cannot be ended now");
        }
    }

    async fn append(
        &self,
        nodes: &[NodeId],
        event: impl Fn(NodeId) -> Event,
    ) -> Result<Rev, StoreError> {
        let mut seen = BTreeSet::new();
        let nodes: Vec<NodeId> = nodes
            .iter()
            .copied()
            .filter(|node| seen.insert(*node))
            .collect();
        if nodes.is_empty() {
            return Err(StoreError::Size(0));
        }
        // All are queued before the first is awaited: the log takes them into as few writes as it can.
        let appended: Vec<_> = nodes
            .chunks(MAX_EVENTS)
            .map(|chunk| {
                self.store
                    .append(chunk.iter().copied().map(&event).collect())
            })
            .collect();
        let mut last = Rev::ZERO;
        for answer in appended {
            last = last.max(answer.await?);
        }
        Ok(last)
    }
}
