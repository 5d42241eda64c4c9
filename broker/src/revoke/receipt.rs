//! Who reads the feed, how far each has come, and receipts: a revocation that has arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanyard_token::{NodeId, Rev};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::UnixMillis;

/// The most readers that are told apart; beyond, the one not seen for longest is forgotten.
const MAX_READERS: usize = 4_096;
/// The most readers of one gateway, so that a single one cannot push the others out.
const MAX_INSTANCES: usize = 256;

/// One process that reads the feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReaderId {
    /// The gateway whose token it has.
    pub gateway: NodeId,
    /// Which of its processes, by its own choice.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
}

/// How far one reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Everything up to here is on its disk.
    pub rev: Rev,
    /// The last frame on its disk.
    pub n: u64,
    /// When it was last heard of.
    pub seen: UnixMillis,
    /// Streams it has open.
    pub streams: usize,
}

/// What became of a revocation within the time somebody waited for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// What was ended.
    pub node: NodeId,
    /// Where in the log.
    pub rev: Rev,
    /// Who has it on disk.
    pub confirmed: Vec<Confirmed>,
    /// Who has not said so.
    pub cut_off: Vec<CutOff>,
}

/// A gateway that will not accept the node again, also after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Who.
    #[serde(flatten)]
    pub reader: ReaderId,
    /// After how many milliseconds of waiting.
    pub ms: u64,
}

/// A gateway that may not know yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutOff {
    /// Who.
    #[serde(flatten)]
    pub reader: ReaderId,
    /// From this second on nothing below the node is alive there anyway.
    pub dead_by: u64,
}

/// The readers heard of.
pub(super) struct Readers {
    known: Mutex<BTreeMap<ReaderId, Standing>>,
    moved: watch::Sender<u64>,
}

/// An open stream; closed when dropped.
pub(super) struct OpenStream {
    readers: Arc<Readers>,
    reader: ReaderId,
}

impl Readers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            known: Mutex::default(),
            moved: watch::Sender::new(0),
        })
    }

    /// A reader opened a stream.
    pub(super) fn open(self: &Arc<Self>, reader: ReaderId, now: UnixMillis) -> OpenStream {
        self.change(&reader, now, |standing| standing.streams += 1);
        OpenStream {
            readers: Arc::clone(self),
            reader,
        }
    }

    /// A reader said how far it has come. It never goes back: what is on disk stays there.
    pub(super) fn stands(&self, reader: &ReaderId, n: u64, rev: Rev, now: UnixMillis) {
        self.change(reader, now, |standing| {
            if rev >= standing.rev {
                (standing.rev, standing.n) = (rev, n);
            }
        });
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// Open streams.
    pub(super) fn streams(&self) -> usize {
        self.lock().values().map(|standing| standing.streams).sum()
    }

    /// Everybody heard of since then, or connected now.
    pub(super) fn since(&self, since: UnixMillis) -> BTreeMap<ReaderId, Standing> {
        let known = self.lock();
        known
            .iter()
            .filter(|(_, standing)| standing.streams > 0 || standing.seen >= since)
            .map(|(reader, standing)| (reader.clone(), *standing))
            .collect()
    }

    /// Waits until `expected` have all come to `rev`, or until the time is over; who has, after how
    /// many milliseconds.
    pub(super) async fn reached(
        &self,
        expected: &BTreeSet<ReaderId>,
        rev: Rev,
        limit: Duration,
    ) -> Vec<Confirmed> {
        let began = Instant::now();
        let mut moved = self.moved.subscribe();
        let mut confirmed: Vec<Confirmed> = Vec::new();
        let mut missing = expected.clone();
        loop {
            moved.borrow_and_update();
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let there: Vec<ReaderId> = {
                let known = self.lock();
                let there = |reader: &&ReaderId| {
                    known
                        .get(*reader)
                        .is_some_and(|standing| standing.rev >= rev)
                };
                missing.iter().filter(there).cloned().collect()
            };
            for reader in there {
                missing.remove(&reader);
                confirmed.push(Confirmed { reader, ms });
            }
            if missing.is_empty()
                || !matches!(timeout_at(began + limit, moved.changed()).await, Ok(Ok(())))
            {
                return confirmed;
            }
        }
    }

    fn change(&self, reader: &ReaderId, now: UnixMillis, change: impl FnOnce(&mut Standing)) {
        let mut known = self.lock();
        if !known.contains_key(reader) {
            make_room(&mut known, reader.gateway);
        }
        let standing = known.entry(reader.clone()).or_insert(Standing {
            rev: Rev::ZERO,
            n: 0,
            seen: now,
            streams: 0,
        });
        standing.seen = standing.seen.max(now);
        change(standing);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReaderId, Standing>> {
        // Each change is one entry: a panic elsewhere leaves the map whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the reader not seen for longest, where there are too many: of this gateway, or of all.
fn make_room(known: &mut BTreeMap<ReaderId, Standing>, gateway: NodeId) {
    let own = known
        .keys()
        .filter(|reader| reader.gateway == gateway)
        .count();
    if own < MAX_INSTANCES && known.len() < MAX_READERS {
        return;
    }
    let oldest = known
        .iter()
        .filter(|(reader, _)| own < MAX_INSTANCES || reader.gateway == gateway)
        .min_by_key(|(_, standing)| (standing.streams > 0, standing.seen))
        .map(|(reader, _)| reader.clone());
    if let Some(oldest) = oldest {
        tracing::warn!(gateway = %oldest.gateway, "too many feed readers: the one not seen for longest is forgotten");
        known.remove(&oldest);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(standing) = self.readers.lock().get_mut(&self.reader) {
            standing.streams = standing.streams.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(gateway: u64, instance: &str) -> ReaderId {
        ReaderId {
            gateway: NodeId::from_u64(gateway),
            instance: instance.to_owned(),
        }
    }

    #[test]
    fn one_gateway_cannot_push_the_others_out() {
        let readers = Readers::new();
        readers.stands(&reader(1, "a"), 1, Rev::ZERO, UnixMillis(1));
        for instance in 0..2 * MAX_INSTANCES as u64 {
            readers.stands(
                &reader(2, &instance.to_string()),
                1,
                Rev::ZERO,
                UnixMillis(2 + instance),
            );
        }
        let known = readers.since(UnixMillis(0));
        assert!(known.contains_key(&reader(1, "a")));
        assert_eq!(known.len(), 1 + MAX_INSTANCES);
    }

    #[test]
    fn a_closed_stream_is_remembered_for_as_long_as_was_seen() {
        let readers = Readers::new();
        let stream = readers.open(reader(1, "a"), UnixMillis(10));
        assert_eq!(readers.streams(), 1);
        assert_eq!(readers.since(UnixMillis(99)).len(), 1, "connected");
        drop(stream);
        assert_eq!(readers.streams(), 0);
        assert_eq!(readers.since(UnixMillis(10)).len(), 1);
        assert_eq!(readers.since(UnixMillis(11)).len(), 0);
    }

    #[tokio::test]
    async fn waiting_ends_when_all_are_there_or_the_time_is_over() {
        let readers = Readers::new();
        let rev = Rev::new(1, 5).unwrap();
        let both = BTreeSet::from([reader(1, "a"), reader(2, "b")]);
        readers.stands(&reader(1, "a"), 1, rev, UnixMillis(1));
        let confirmed = readers.reached(&both, rev, Duration::from_millis(50)).await;
        assert_eq!(
            confirmed,
            [Confirmed {
                reader: reader(1, "a"),
                ms: 0
            }]
        );
        let later = Arc::clone(&readers);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            later.stands(&reader(2, "b"), 1, rev, UnixMillis(1));
        });
        assert_eq!(
            readers
                .reached(&both, rev, Duration::from_secs(20))
                .await
                .len(),
            2
        );
    }
}
