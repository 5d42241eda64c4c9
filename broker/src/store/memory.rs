//! The log's twin without a disk: for tests and simulations, held to the same conformance suite.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_token::Rev;

use super::{Appended, Event, MAX_EVENTS, NodeNumbers, Projections, Record, Store, StoreError};
use crate::clock::{Clock, UnixMillis};

/// A log that lives as long as the process.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    projections: Projections,
    records: Mutex<Vec<Record>>,
    nodes: NodeNumbers,
}

impl MemoryStore {
    /// An empty log of epoch 1 whose first record says it was booted.
    pub fn new(clock: Arc<dyn Clock>, projections: Projections) -> Self {
        let store = Self {
            clock,
            projections,
            records: Mutex::new(Vec::new()),
            nodes: NodeNumbers::of_boot(1),
        };
        let booted = Event::Booted {
            boot: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // The answer is not needed: a memory append is done when it returns.
        drop(store.append(vec![booted]));
        store
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        // A panic while appending leaves whole records behind, so the data is still good.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, events: Vec<Event>) -> Result<Rev, StoreError> {
        if events.is_empty() || events.len() > MAX_EVENTS {
            return Err(StoreError::Size(events.len()));
        }
        let mut records = self.records();
        let (head, last_time) = records
            .last()
            .map_or((first_place(), UnixMillis(0)), |last| (last.rev, last.at));
        let rev = head
            .forward(events.len() as u64)
            .ok_or(StoreError::Stopped)?;
        let record = Record {
            rev,
            at: self.clock.now().max(last_time),
            events,
        };
        for projection in &self.projections {
            projection.apply(&record);
        }
        records.push(record);
        Ok(rev)
    }
}

/// Before the first event of epoch 1.
fn first_place() -> Rev {
    Rev::new(1, 0).unwrap_or(Rev::ZERO)
}

impl Store for MemoryStore {
    fn append(&self, events: Vec<Event>) -> Appended {
        let (answer, appended) = Appended::pending();
        let _ = answer.send(self.append_now(events));
        appended
    }

    fn head(&self) -> Rev {
        self.records().last().map_or(first_place(), |last| last.rev)
    }

    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        let records = self.records();
        let start = records.partition_point(|record| record.rev <= after);
        Ok(records.iter().skip(start).take(limit).cloned().collect())
    }

    fn nodes(&self) -> &NodeNumbers {
        &self.nodes
    }

    fn is_writable(&self) -> bool {
        true
    }
}
