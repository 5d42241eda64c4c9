//! Which rotations this process carries on, and how one of them is told not to wait.
//!
//! Each has a task. One that ends, be it by a panic over what a third party sent, is not carried on any more, so the next
//! look begins it again from its facts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_token::NodeId;
use tokio::sync::watch;
use tokio::task::JoinError;

use super::drive::Again;

/// By rotation, whom to tell.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<NodeId, watch::Sender<u64>>>>);

/// A rotation that is carried on, until this is dropped.
pub(super) struct Going {
    running: Running,
    rotation: NodeId,
    /// Changes when it shall begin again from its facts, by its plan as it is then.
    pub(super) again: Again,
}

impl Running {
    /// Takes on a rotation; `None`: it is carried on already.
    pub(super) fn begin(&self, rotation: NodeId) -> Option<Going> {
        let mut running = self.lock();
        if running.contains_key(&rotation) {
            return None;
        }
        let (tell, again) = watch::channel(0);
        running.insert(rotation, tell);
        Some(Going {
            running: self.clone(),
            rotation,
            again,
        })
    }

    /// Lets a rotation begin again at once, when it waits, or after the call that it is making.
    pub(super) fn begin_again(&self, rotation: NodeId) {
        if let Some(tell) = self.lock().get(&rotation) {
            tell.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, watch::Sender<u64>>> {
        // Each change is one line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.running.lock().remove(&self.rotation);
    }
}

/// Nobody waits for a task but the look that begins the next one.
pub(super) fn tell_of_a_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an exchange of a secret broke off and begins again"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_broke_off_is_begun_again_and_only_who_is_meant_is_told() {
        let running = Running::default();
        let (one, two) = (NodeId::from_u64(1), NodeId::from_u64(2));
        let (first, second) = (running.begin(one).unwrap(), running.begin(two).unwrap());
        assert!(running.begin(one).is_none());
        running.begin_again(one);
        assert!(first.again.has_changed().unwrap());
        assert!(!second.again.has_changed().unwrap());
        let broke_off = tokio::spawn(async move {
            let _going = first;
            panic!("by what a third party sent");
        });
        tell_of_a_panic(broke_off.await);
        assert!(running.begin(one).is_some());
    }
}
