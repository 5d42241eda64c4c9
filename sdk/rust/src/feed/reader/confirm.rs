//! Telling the broker where this reader stands, once it is on disk.

use std::sync::Arc;
use std::time::Duration;

use lanyard_token::Rev;
use tokio::sync::{Notify, watch};

use super::super::position::FeedPosition;
use super::super::state::Persisted;
use super::remote::{Remote, Standing};

/// How often it is told without being asked, so that the broker knows who is behind.
const UNASKED: Duration = Duration::from_secs(10);

/// Where the reader has come to in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) position: FeedPosition,
    pub(super) rev: Rev,
}

/// Answers the broker's question as often as it is asked; questions during an answer get one answer.
pub(super) async fn run(
    remote: Remote,
    asked: Arc<Notify>,
    mut reached: watch::Receiver<Option<Reached>>,
    mut persisted: watch::Receiver<Persisted>,
) {
    loop {
        // Asked or not makes no difference: both get the same true answer.
        let _ = tokio::time::timeout(UNASKED, asked.notified()).await;
        let Some(goal) = *reached.borrow_and_update() else {
            continue;
        };
        let on_disk = persisted.wait_for(|disk| {
            !disk.broken && (disk.epoch, disk.n) >= (goal.position.epoch, goal.position.n)
        });
        // A disk that does not get there confirms nothing; the next question finds out again.
        match tokio::time::timeout(UNASKED, on_disk).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return,
            Err(_) => continue,
        }
        let standing = Standing {
            instance: remote.instance.clone(),
            epoch: goal.position.epoch,
            n: goal.position.n,
            rev: goal.rev,
        };
        if let Err(setback) = remote.confirm(&standing).await {
            tracing::debug!(error = %setback, "the broker did not take the feed position");
        }
    }
}
