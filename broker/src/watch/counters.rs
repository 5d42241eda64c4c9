//! What the watch room counts, for whoever exports it.

use std::sync::atomic::{AtomicU64, Ordering};

use lanyard_drift::Level;

use super::intake::Receipt;
use crate::store::event::Response;

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries of reports that were counted.
    pub accepted: Counter,
    /// Entries that came a second time.
    pub duplicate: Counter,
    /// Entries a gateway had no business with.
    pub refused: Counter,
    /// Calls that matched no route of their gateway.
    pub shadow_calls: Counter,
    /// Anomalous verdicts.
    pub anomalous: Counter,
    /// Malicious verdicts.
    pub malicious: Counter,
    /// Tokens with a valid signature that the log never issued.
    pub never_issued: Counter,
    /// Signing keys that ended because of such tokens.
    pub keys_ended: Counter,
    /// Responses that were carried out, by rung: see [`Counters::response`].
    enforced: [Counter; 6],
    /// Responses that were only written down.
    observed: [Counter; 6],
    /// Responses that a cap per minute made milder.
    pub capped: Counter,
    /// Windows of behaviour that were learned.
    pub absorbed: Counter,
    /// Windows that were not, because something in them was not like the identity.
    pub withheld: Counter,
    /// Observations not kept because a table was full.
    pub crowded_out: Counter,
    /// Closed windows that were recorded for rehearsals.
    pub recorded: Counter,
    /// Closed windows that could not be.
    pub unrecorded: Counter,
    /// Windows that rang the pager.
    pub pages: Counter,
    /// Groups of events that wait for the store now.
    pub waiting: Counter,
}

/// A count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// Every rung of the ladder, as it is counted.
pub const RUNGS: [Response; 6] = [
    Response::Observe,
    Response::Alert,
    Response::Recycle,
    Response::Narrow,
    Response::Suspend,
    Response::Revoke,
];

impl Counters {
    /// How many responses of this rung were carried out, or only written down.
    pub fn response(&self, response: Response, enforced: bool) -> u64 {
        self.rung(response, enforced).map_or(0, Counter::get)
    }

    pub(super) fn responded(&self, response: Response, enforced: bool) {
        if let Some(counter) = self.rung(response, enforced) {
            counter.add(1);
        }
    }

    pub(super) fn judged(&self, level: Level) {
        match level {
            Level::Benign => {}
            Level::Anomalous => self.anomalous.add(1),
            Level::Malicious => self.malicious.add(1),
        }
    }

    pub(super) fn received(&self, receipt: &Receipt) {
        self.accepted.add(receipt.accepted);
        self.duplicate.add(receipt.duplicate);
        self.refused.add(receipt.refused);
    }

    fn rung(&self, response: Response, enforced: bool) -> Option<&Counter> {
        let at = RUNGS.iter().position(|rung| *rung == response)?;
        if enforced {
            self.enforced.get(at)
        } else {
            self.observed.get(at)
        }
    }
}
