//! What all tokens of a gateway share: the feed, the drift clock, and the way to the reporter.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_drift::Millis;
use tokio::sync::Notify;

use super::grant::Grant;
use super::observation::DriftClock;
use crate::clock::{Clock, UnixMillis};
use crate::feed::FeedView;

/// Most tokens that wait for an early report. Beyond it they wait for the regular one.
const MAX_URGENT: usize = 4_096;

pub(super) struct Link {
    pub(super) view: Arc<FeedView>,
    pub(super) clock: Arc<dyn Clock>,
    drift_clock: Option<Arc<dyn DriftClock>>,
    /// Whether anybody takes reports. Otherwise none are lined up.
    reporter: AtomicBool,
    urgent: Mutex<Vec<Arc<Grant>>>,
    wake: Notify,
}

impl Link {
    pub(super) fn new(
        view: Arc<FeedView>,
        clock: Arc<dyn Clock>,
        drift_clock: Option<Arc<dyn DriftClock>>,
    ) -> Self {
        Self {
            view,
            clock,
            drift_clock,
            reporter: AtomicBool::new(false),
            urgent: Mutex::new(Vec::new()),
            wake: Notify::new(),
        }
    }

    /// What time the drift engine is told.
    pub(super) fn drift_time(&self, time: UnixMillis) -> Millis {
        self.drift_clock
            .as_ref()
            .map_or(Millis(time.0), |clock| clock.now())
    }

    /// Somebody takes reports from now on.
    pub(super) fn reporter_begins(&self) {
        self.reporter.store(true, Ordering::Release);
    }

    pub(super) fn has_reporter(&self) -> bool {
        self.reporter.load(Ordering::Acquire)
    }

    /// This token's report should not wait.
    pub(super) fn report_early(&self, grant: &Arc<Grant>) {
        let mut urgent = self.urgent_tokens();
        if urgent.len() < MAX_URGENT {
            urgent.push(Arc::clone(grant));
        }
        drop(urgent);
        self.wake.notify_one();
    }

    /// Waits until some token's report should not wait.
    pub(super) async fn urgent(&self) {
        loop {
            if !self.urgent_tokens().is_empty() {
                return;
            }
            self.wake.notified().await;
        }
    }

    /// The tokens whose report should not wait, each once.
    pub(super) fn take_urgent(&self) -> Vec<Arc<Grant>> {
        std::mem::take(&mut *self.urgent_tokens())
    }

    fn urgent_tokens(&self) -> MutexGuard<'_, Vec<Arc<Grant>>> {
        // A panic elsewhere leaves the list whole.
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
