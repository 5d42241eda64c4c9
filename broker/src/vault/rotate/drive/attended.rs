//! A call that takes long does not keep anybody from being told.
//!
//! Patience is asked between two tries, and a try may take a minute. So beside each call somebody looks at the clock.

use std::time::Duration;

use super::super::machine::{Alarm, Fact};
use super::super::patience::Patience;
use super::Journal;
use crate::clock::Clock;

/// What is told of a call that itself is the first to take long.
const NO_ANSWER: &str = "the third party has not answered yet";

/// Waits for a call to end, and tells somebody when that takes too long.
pub(super) async fn attended<T>(
    journal: &dyn Journal,
    patience: &Patience,
    clock: &dyn Clock,
    call: impl Future<Output = T>,
) -> T {
    let mut call = std::pin::pin!(call);
    let (left, why) = patience.left(clock.now());
    tokio::select! {
        biased;
        ended = &mut call => return ended,
        () = tokio::time::sleep(Duration::from_millis(left)) => {}
    }
    let told = async {
        if !journal.rotation().is_known_to_stand() {
            let why = why.unwrap_or(NO_ANSWER).to_owned();
            let alarm = Alarm::Stuck { why };
            // When the log takes nothing, the log itself alarms.
            let _ = journal.record(Fact::Alarmed { alarm }, None).await;
        }
    };
    // The call goes on while that is written: its answer must not be lost.
    futures::join!(call, told).0
}
