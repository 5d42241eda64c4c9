//! What honest callers suffered, per kind of identity.

use std::collections::BTreeMap;

use lanyard_drift::ladder::Response;
use serde::Serialize;

use super::office::Happening;
use super::statistics::upper_bound;
use crate::world::role::Kind;

/// What became of one honest request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It went through at once.
    Served,
    /// Its token had ended; it went through with a new one.
    Retried,
    /// It was refused, and nothing its client could do would have changed that.
    Failed,
}

/// Counts of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Account {
    pub(super) requests: u64,
    pub(super) retried: u64,
    pub(super) failed: u64,
    pub(super) recycles: u64,
    pub(super) narrowings: u64,
    pub(super) suspensions: u64,
    pub(super) revocations: u64,
    /// Alerts about tokens, at most one per identity and day.
    pub(super) alerts: u64,
    /// Alerts about an identity as a whole.
    pub(super) identity_alerts: u64,
}

/// Counts of all kinds, and what led to recycling.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) kinds: BTreeMap<Kind, Account>,
    /// Recycles by what weighed most.
    pub(super) reasons: BTreeMap<String, u64>,
}

/// Something that should not happen: how often it did, per million requests, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct PerMillion {
    pub(super) count: u64,
    pub(super) per_million: f64,
    /// The true rate is below this with 95 % confidence.
    pub(super) at_most: f64,
}

impl PerMillion {
    pub(super) fn of(count: u64, requests: u64) -> Self {
        let millions = requests.max(1) as f64 / 1e6;
        Self {
            count,
            per_million: count as f64 / millions,
            at_most: upper_bound(count) / millions,
        }
    }
}

impl Ledger {
    /// An honest request by an identity of this kind.
    pub(super) fn request(&mut self, kind: Kind, fate: Fate) {
        let account = self.kinds.entry(kind).or_default();
        account.requests += 1;
        account.retried += u64::from(fate == Fate::Retried);
        account.failed += u64::from(fate == Fate::Failed);
    }

    /// The office did something to an honest identity of this kind.
    pub(super) fn happened(&mut self, kind: Kind, happening: &Happening) {
        let account = self.kinds.entry(kind).or_default();
        if !happening.enforced {
            return;
        }
        match happening.response {
            Response::Alert if happening.whole => account.identity_alerts += 1,
            Response::Alert => account.alerts += 1,
            Response::Recycle => {
                account.recycles += 1;
                let reason = happening.measure.map(|measure| format!("{measure:?}"));
                *self.reasons.entry(reason.unwrap_or_default()).or_default() += 1;
            }
            Response::Suspend => account.suspensions += 1,
            Response::Revoke => account.revocations += 1,
            Response::Narrow => account.narrowings += 1,
            Response::Observe => {}
        }
    }

    /// Adds another world's.
    pub(super) fn merge(&mut self, other: &Self) {
        for (kind, theirs) in &other.kinds {
            self.kinds.entry(*kind).or_default().add(theirs);
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }

    /// All kinds together.
    pub(super) fn total(&self) -> Account {
        let mut total = Account::default();
        for account in self.kinds.values() {
            total.add(account);
        }
        total
    }
}

impl Account {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.retried += other.retried;
        self.failed += other.failed;
        self.recycles += other.recycles;
        self.narrowings += other.narrowings;
        self.suspensions += other.suspensions;
        self.revocations += other.revocations;
        self.alerts += other.alerts;
        self.identity_alerts += other.identity_alerts;
    }
}
