//! What all tokens of a gateway share: the feed, the drift clock, and the ways to the observer and to
//! the reporter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanyard_drift::Millis;
use tokio::sync::Notify;

use super::grant::Grant;
use super::journal::Journal;
use super::observation::DriftClock;
use super::observer::Bell;
use crate::clock::{Clock, UnixMillis};
use crate::feed::FeedView;

/// Most tokens that wait for an early report. Beyond it they wait for the regular one.
const MAX_URGENT: usize = 4_096;

pub(super) struct Link {
    pub(super) view: Arc<FeedView>,
    pub(super) clock: Arc<dyn Clock>,
    drift_clock: Option<Arc<dyn DriftClock>>,
    /// `None` where nothing is observed.
    journal: Option<Journal>,
    pub(super) bell: Arc<Bell>,
    serials: AtomicU64,
    announced: Mutex<Vec<Arc<Grant>>>,
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
        journal: Option<Journal>,
    ) -> Self {
        Self {
            view,
            clock,
            drift_clock,
            journal,
            bell: Arc::default(),
            serials: AtomicU64::new(0),
            announced: Mutex::new(Vec::new()),
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

    /// A number that no other token of this gateway has.
    pub(super) fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Where calls are noted; `None` where nothing is observed.
    pub(super) const fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Notes that were lost so far.
    pub(super) fn notes_dropped(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::dropped)
    }

    /// This token is about to note its first call, or the first after it was silent for long.
    pub(super) fn announce(&self, grant: &Arc<Grant>) {
        lock(&self.announced).push(Arc::clone(grant));
    }

    /// The tokens that were announced since the last time.
    pub(super) fn take_announced(&self) -> Vec<Arc<Grant>> {
        std::mem::take(&mut *lock(&self.announced))
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
        let mut urgent = lock(&self.urgent);
        if urgent.len() < MAX_URGENT {
            urgent.push(Arc::clone(grant));
        }
        drop(urgent);
        self.wake.notify_one();
    }

    /// Waits until some token's report should not wait.
    pub(super) async fn urgent(&self) {
        loop {
            if !lock(&self.urgent).is_empty() {
                return;
            }
            self.wake.notified().await;
        }
    }

    /// The tokens whose report should not wait, each once.
    pub(super) fn take_urgent(&self) -> Vec<Arc<Grant>> {
        std::mem::take(&mut *lock(&self.urgent))
    }
}

fn lock(grants: &Mutex<Vec<Arc<Grant>>>) -> MutexGuard<'_, Vec<Arc<Grant>>> {
    // A panic elsewhere leaves the list whole.
    grants.lock().unwrap_or_else(PoisonError::into_inner)
}
