//! Pauses that administrators ask for.
//!
//! To end a pause is a right of its own. A shorter pause in the place of a longer one would end it too, so
//! it is refused. Pauses are asked for one at a time: of two at once the second finds the first.
//!
//! A verdict's suspension that is on its way to the log at that moment is not seen.

use lanyard_token::{NodeId, Rev};

use super::Revoke;
use crate::clock::UnixMillis;
use crate::store::StoreError;
use crate::store::event::{By, Cause};

/// Why nothing was paused.
#[derive(Debug, thiserror::Error)]
pub enum NotPaused {
    /// Resume it first, or name a later end.
    #[error(
        "it is paused until {} (Unix seconds), longer than that: resume it first, or name a later end",
        .until.seconds()
    )]
    Longer { until: UnixMillis },
    /// Ask again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Revoke {
    /// Pauses a node and everything below it until `until`, unless it is paused for longer. `standing` says until
    /// when it is paused already; this room itself forgets pauses that no living token needs.
    pub async fn pause(
        &self,
        node: NodeId,
        until: UnixMillis,
        cause: Cause,
        by: By,
        standing: impl FnOnce() -> Option<UnixMillis> + Send,
    ) -> Result<Rev, NotPaused> {
        let _one_at_a_time = self.pausing.lock().await;
        if let Some(standing) = standing().filter(|standing| *standing > until) {
            return Err(NotPaused::Longer { until: standing });
        }
        Ok(self.suspend(&[node], until, cause, by).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::crypto::SealingRoot;
    use crate::revoke::RevokeState;
    use crate::store::memory::MemoryStore;
    use crate::store::{Appended, Event, NodeNumbers, Record, Store};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    /// A store that writes after whoever asked has gone on, as a disk does.
    struct Slow(Arc<MemoryStore>);

    impl Store for Slow {
        fn append(&self, events: Vec<Event>) -> Appended {
            let (answer, appended) = Appended::pending();
            let store = Arc::clone(&self.0);
            tokio::spawn(async move {
                let _ = answer.send(store.append(events).await);
            });
            appended
        }
        fn head(&self) -> Rev {
            self.0.head()
        }
        fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
            self.0.read(after, limit)
        }
        fn nodes(&self) -> &NodeNumbers {
            self.0.nodes()
        }
        fn is_writable(&self) -> bool {
            self.0.is_writable()
        }
    }

    struct World {
        clock: Arc<ManualClock>,
        state: Arc<RevokeState>,
        room: Revoke,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::at(NOW));
            let root = Arc::new(SealingRoot::from_bytes(&[7; 32]));
            let state = Arc::new(RevokeState::new(root));
            let store = MemoryStore::new(clock.clone(), vec![state.clone()]);
            let store = Arc::new(Slow(Arc::new(store)));
            let room = Revoke::new(state.clone(), store, clock.clone(), 3_600);
            Self { clock, state, room }
        }

        fn standing(&self) -> Option<UnixMillis> {
            self.state.with_liveness(|liveness| {
                let standing = liveness.suspended().next();
                standing.map(|(_, _, until)| UnixMillis(until))
            })
        }

        async fn pause(&self, millis: u64) -> Result<Rev, NotPaused> {
            let cause = Cause::Administrator("a look".to_owned());
            let until = NOW.plus_millis(millis);
            let node = NodeId::from_u64(2);
            let standing = || self.standing();
            self.room
                .pause(node, until, cause, By::Broker, standing)
                .await
        }
    }

    #[tokio::test]
    async fn of_two_pauses_at_once_the_shorter_does_not_replace_the_longer() {
        let world = World::new();
        let (longer, shorter) = tokio::join!(world.pause(80_000), world.pause(1_000));
        assert!(longer.is_ok());
        let words = shorter.unwrap_err().to_string();
        assert!(words.contains("until 1800000080 "), "{words}");
        assert_eq!(world.standing(), Some(NOW.plus_millis(80_000)));
        world.pause(80_000).await.unwrap();
        world.pause(90_000).await.unwrap();
        assert_eq!(world.standing(), Some(NOW.plus_millis(90_000)));
    }

    #[tokio::test]
    async fn a_pause_that_follows_one_whose_time_is_over_is_not_ended_with_it() {
        let world = World::new();
        world.pause(1_000).await.unwrap();
        world.clock.advance_millis(1_000);
        let (paused, ()) = tokio::join!(world.pause(80_000), world.room.resume_what_is_over());
        paused.unwrap();
        assert_eq!(world.standing(), Some(NOW.plus_millis(80_000)));
    }
}
