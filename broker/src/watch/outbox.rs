//! Consequences on their way into the log.
//!
//! A report is counted once, so what it led to must not be lost when the log refuses it: the gateway
//! would repeat the report and be told it was counted. Refused events wait here, oldest first, and go
//! before newer ones. What access hangs on does not wait for space: when the disk is full, the part
//! that ends access is appended alone, from the log's reserve, and the rest waits.
//!
//! It does not survive the process. Then windows are judged anew from what is reported next.

use std::collections::VecDeque;

use tokio::sync::Mutex;

use super::counters::Counters;
use super::telling;
use crate::store::{Event, Store, StoreError};

/// Groups that may wait; beyond, the newest are dropped, and that is said.
const WAITING: usize = 1_024;

/// What waits.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<VecDeque<Vec<Event>>>,
}

impl Outbox {
    /// Appends what waits and then these groups, each whole. What is refused waits.
    pub(super) async fn append(
        &self,
        groups: Vec<Vec<Event>>,
        store: &dyn Store,
        counters: &Counters,
    ) -> Result<(), StoreError> {
        let mut groups = groups
            .into_iter()
            .filter(|group| !group.is_empty())
            .peekable();
        let mut waiting = self.waiting.lock().await;
        if waiting.is_empty() && groups.peek().is_none() {
            return Ok(());
        }
        waiting.extend(groups);
        // All are queued before the first is awaited, so that the log writes them together; and in
        // their order, because nobody else queues meanwhile. Awaited without holding anybody up.
        let queued: Vec<_> = waiting
            .drain(..)
            .map(|group| (store.append(group.clone()), group))
            .collect();
        drop(waiting);
        let mut refused = Vec::new();
        let mut failure = None;
        for (appended, group) in queued {
            match appended.await {
                Ok(_) => telling::tell(&group),
                Err(StoreError::Full) => {
                    refused.extend(end_access_alone(group, store).await);
                    failure.get_or_insert(StoreError::Full);
                }
                Err(error) => {
                    refused.push(group);
                    failure = Some(error);
                }
            }
        }
        keep(&mut *self.waiting.lock().await, refused, counters);
        failure.map_or(Ok(()), Err)
    }
}

/// On a full disk: what ends access goes alone. The parts that wait on.
async fn end_access_alone(group: Vec<Event>, store: &dyn Store) -> Vec<Vec<Event>> {
    let (ending, rest): (Vec<Event>, Vec<Event>) = group.into_iter().partition(Event::ends_access);
    if !ending.is_empty() {
        if store.append(ending.clone()).await.is_err() {
            return vec![ending, rest];
        }
        telling::tell(&ending);
    }
    vec![rest]
}

/// Puts back what was refused, before what came later.
fn keep(waiting: &mut VecDeque<Vec<Event>>, refused: Vec<Vec<Event>>, counters: &Counters) {
    let refused = refused.into_iter().filter(|group| !group.is_empty());
    for group in refused.rev() {
        waiting.push_front(group);
    }
    let dropped = waiting.len().saturating_sub(WAITING);
    if dropped > 0 {
        // The newest go: what came first is nearer to the cause.
        waiting.truncate(WAITING);
        tracing::error!(
            dropped,
            "the log has refused too long: consequences of drift are dropped"
        );
    }
    counters.waiting.set(waiting.len() as u64);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use lanyard_token::{NodeId, Rev};

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::event::{By, Cause};
    use crate::store::memory::MemoryStore;
    use crate::store::{Appended, NodeNumbers, Record};

    /// A log on a disk that can be full: then it takes only what ends access.
    struct SmallDisk {
        full: AtomicBool,
        log: MemoryStore,
    }

    impl SmallDisk {
        fn new() -> Self {
            let log = MemoryStore::new(Arc::new(ManualClock::default()), Vec::new());
            Self {
                full: AtomicBool::new(true),
                log,
            }
        }

        /// What was written after the boot.
        fn written(&self) -> Vec<Event> {
            let records = self.log.read(Rev::ZERO, usize::MAX).unwrap();
            records
                .into_iter()
                .skip(1)
                .flat_map(|record| record.events)
                .collect()
        }
    }

    impl Store for SmallDisk {
        fn append(&self, events: Vec<Event>) -> Appended {
            if self.full.load(Ordering::SeqCst) && !events.iter().all(Event::ends_access) {
                let (answer, appended) = Appended::pending();
                answer.send(Err(StoreError::Full)).unwrap();
                return appended;
            }
            self.log.append(events)
        }
        fn head(&self) -> Rev {
            self.log.head()
        }
        fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
            self.log.read(after, limit)
        }
        fn nodes(&self) -> &NodeNumbers {
            self.log.nodes()
        }
        fn is_writable(&self) -> bool {
            !self.full.load(Ordering::SeqCst)
        }
    }

    fn cleared(n: u64) -> Event {
        Event::VerdictCleared {
            verdict: NodeId::from_u64(n),
            by: By::Broker,
            reason: String::new(),
        }
    }

    fn revoked(n: u64) -> Event {
        Event::Revoked {
            node: NodeId::from_u64(n),
            cause: Cause::NeverIssued,
            by: By::Broker,
        }
    }

    #[tokio::test]
    async fn on_a_full_disk_access_ends_at_once_and_the_rest_follows_when_there_is_space() {
        let (disk, outbox, counters) = (SmallDisk::new(), Outbox::default(), Counters::default());
        let groups = vec![vec![cleared(1), revoked(1)], vec![cleared(2), revoked(2)]];
        assert_eq!(
            outbox.append(groups, &disk, &counters).await,
            Err(StoreError::Full)
        );
        assert_eq!(disk.written(), [revoked(1), revoked(2)]);

        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(
            outbox
                .append(vec![vec![cleared(3)]], &disk, &counters)
                .await,
            Ok(())
        );
        assert_eq!(
            disk.written(),
            [revoked(1), revoked(2), cleared(1), cleared(2), cleared(3)]
        );
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (disk, outbox, counters) = (SmallDisk::new(), Outbox::default(), Counters::default());
        for n in 0..2_000 {
            let _ = outbox
                .append(vec![vec![cleared(n)]], &disk, &counters)
                .await;
        }
        assert_eq!(outbox.waiting.lock().await.len(), WAITING);
    }
}
