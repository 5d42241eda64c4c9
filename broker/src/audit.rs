//! The audit room: who was turned away, who administered, and the log as telemetry.

pub mod counters;
pub mod export;
pub mod refusals;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lanyard_token::NodeId;

use crate::clock::Clock;
use crate::store::event::By;
use crate::store::{Event, MAX_EVENTS, Store, StoreError};
pub use counters::Counters;
pub use export::Export;
use refusals::{Refusals, Turned};

/// Refusals are counted this long before they are written.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts refusals, writes them once a minute, and writes who administered.
pub struct Audit {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    refusals: Mutex<Refusals>,
}

impl Audit {
    /// Over this log.
    pub fn new(counters: Arc<Counters>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            counters,
            refusals: Mutex::default(),
        }
    }

    /// Somebody was turned away. Never waits: the first with its reason and route in this minute is
    /// told to telemetry as the sample, all others only count.
    pub fn refused(
        &self,
        reason: &'static str,
        route: &str,
        network: &str,
        identity: Option<NodeId>,
    ) {
        self.counters.refused(reason);
        let turned = Turned {
            reason,
            route: route.to_owned(),
            network: network.to_owned(),
            identity,
        };
        let first = self
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(&turned, self.clock.now());
        if !first {
            return;
        }
        let identity = identity.map(tracing::field::display);
        if route == "/oauth/token" {
            tracing::info!(
                name: "lanyard.token.refused",
                {
                    lanyard.decision = "refused", lanyard.reason = reason, lanyard.identity = identity,
                    http.route = route, client.network = network
                },
                "a token was refused"
            );
        } else {
            tracing::info!(
                name: "lanyard.request.refused",
                {
                    lanyard.decision = "refused", lanyard.reason = reason, lanyard.identity = identity,
                    http.route = route, client.network = network
                },
                "a request was refused"
            );
        }
    }

    /// The administrators' door was used. Resolves when that is durable.
    pub async fn administered(
        &self,
        by: By,
        action: String,
        status: u16,
    ) -> Result<(), StoreError> {
        self.store
            .append(vec![Event::Administered { by, action, status }])
            .await
            .map(drop)
    }

    /// Writes the counts of whole minutes that are over (`everything`: also of this one).
    pub async fn write_refusals(&self, everything: bool) -> Result<(), StoreError> {
        let refusals = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            refusals.take(if everything {
                None
            } else {
                Some(self.clock.now())
            })
        };
        for some in refusals.chunks(MAX_EVENTS) {
            let events = some
                .iter()
                .map(|refusal| Event::Refused(Box::new(refusal.clone())))
                .collect();
            self.store.append(events).await?;
        }
        Ok(())
    }

    /// Writes refusals once a minute, as long as it is polled.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(MINUTE).await;
            if let Err(error) = self.write_refusals(false).await {
                // Counters of refusals may be lost; revocations and tokens may not.
                tracing::warn!(%error, "refusals of the last minute could not be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, UnixMillis};
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_storm_of_refusals_becomes_one_event_with_its_count() {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_000_000)));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone(), Vec::new()));
        let audit = Audit::new(Arc::default(), store.clone(), clock.clone());
        for _ in 0..5_000 {
            audit.refused("bad_secret", "/oauth/token", "192.0.2.0/24", None);
        }
        let before = store.head();
        audit.write_refusals(false).await.unwrap();
        assert_eq!(store.head(), before, "the minute is not over");
        clock.advance_millis(60_000);
        audit.write_refusals(false).await.unwrap();
        let records = store.read(before, 10).unwrap();
        let [Event::Refused(refusal)] = records[0].events.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(
            (refusal.count, refusal.network.as_str()),
            (5_000, "192.0.2.0/24")
        );
    }
}
