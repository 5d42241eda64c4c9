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
use crate::store::{Event, Store, StoreError};

/// Groups that may wait; beyond, the oldest is dropped, and said.
const WAITING: usize = 1_024;

/// What waits.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<VecDeque<Vec<Event>>>,
}

impl Outbox {
    /// Appends what waits and then these groups, each whole. At the first refusal the rest waits.
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
        // Held while appending, so that groups keep their order. Free when there is nothing to say.
        let mut waiting = self.waiting.lock().await;
        if waiting.is_empty() && groups.peek().is_none() {
            return Ok(());
        }
        waiting.extend(groups);
        while let Some(group) = waiting.pop_front() {
            match store.append(group.clone()).await {
                Ok(_) => {}
                Err(StoreError::Full) => {
                    let (ending, rest) = group.into_iter().partition(Event::ends_access);
                    let (ending, rest): (Vec<Event>, Vec<Event>) = (ending, rest);
                    let ended = if ending.is_empty() {
                        Ok(())
                    } else {
                        end(ending, store).await
                    };
                    keep(&mut waiting, rest, counters);
                    ended?;
                    return Err(StoreError::Full);
                }
                Err(error) => {
                    keep(&mut waiting, group, counters);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

async fn end(ending: Vec<Event>, store: &dyn Store) -> Result<(), StoreError> {
    store.append(ending).await.map(|_| ())
}

fn keep(waiting: &mut VecDeque<Vec<Event>>, group: Vec<Event>, counters: &Counters) {
    waiting.push_front(group);
    while waiting.len() > WAITING {
        waiting.pop_back();
        tracing::error!(
            waiting = WAITING,
            "the log has refused too long: a consequence of drift is dropped"
        );
    }
    counters.waiting.add(1);
}
