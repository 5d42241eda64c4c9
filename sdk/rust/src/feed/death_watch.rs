//! Waking those who wait for a token's end: open bodies, streams, leases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_token::{NodeId, Rev};
use tokio::sync::Notify;

use super::view::{FeedView, NotAlive};

/// Waits for the end of one token.
///
/// Made only for what stays open: a plain request is over before anything could wake it.
pub struct DeathWatch {
    view: Arc<FeedView>,
    rev: Rev,
    nodes: Box<[NodeId]>,
    wake: Arc<Notify>,
}

impl DeathWatch {
    pub(super) fn new(view: Arc<FeedView>, rev: Rev, nodes: &[NodeId]) -> Self {
        let wake = Arc::new(Notify::new());
        view.watches().add(nodes, &wake);
        Self {
            view,
            rev,
            nodes: nodes.into(),
            wake,
        }
    }

    /// Resolves when the token is dead, and says why. Can be dropped and asked again.
    pub async fn dead(&self) -> NotAlive {
        loop {
            // A wake between this check and the wait is kept: `notify_one` leaves a permit.
            if let Err(reason) = self.view.check(self.rev, &self.nodes) {
                return reason;
            }
            self.wake.notified().await;
        }
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        self.view.watches().remove(&self.nodes, &self.wake);
    }
}

/// Who waits for which node.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<NodeId, Vec<Arc<Notify>>>>);

impl Watches {
    /// Something happened to this node.
    pub(super) fn wake(&self, nodes: impl Iterator<Item = NodeId>) {
        let waiting = self.lock();
        if waiting.is_empty() {
            return;
        }
        for node in nodes {
            for wake in waiting.get(&node).into_iter().flatten() {
                wake.notify_one();
            }
        }
    }

    /// Something happened that may concern every node.
    pub(super) fn wake_all(&self) {
        for wake in self.lock().values().flatten() {
            wake.notify_one();
        }
    }

    fn add(&self, nodes: &[NodeId], wake: &Arc<Notify>) {
        let mut waiting = self.lock();
        for node in nodes {
            waiting.entry(*node).or_default().push(Arc::clone(wake));
        }
    }

    fn remove(&self, nodes: &[NodeId], wake: &Arc<Notify>) {
        let mut waiting = self.lock();
        for node in nodes {
            if let Some(those) = waiting.get_mut(node) {
                those.retain(|other| !Arc::ptr_eq(other, wake));
                if those.is_empty() {
                    waiting.remove(node);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Vec<Arc<Notify>>>> {
        // Each change is a single push or retain: a panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
