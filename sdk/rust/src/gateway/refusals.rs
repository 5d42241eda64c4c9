//! Refusals as operators see them: one line per reason and interval, with the count of all.
//!
//! A flood of junk must not become a flood of lines, and the tenth reason must not drown in the
//! first. So each reason is sampled by itself: the first refusal is told at once, the others are
//! counted until the interval is over.

use std::collections::HashMap;
use std::mem::Discriminant;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lanyard_token::Rejection;

use crate::clock::BootTime;

/// How long a reason stays quiet after it was told.
const INTERVAL: Duration = Duration::from_secs(10);

/// Refusals that were not told yet, by reason. As many places as there are reasons.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<Discriminant<Rejection>, Told>>);

struct Told {
    at: BootTime,
    since: u64,
}

impl Refusals {
    /// Counts one; how many it stands for when it is to be told.
    pub(super) fn count(&self, reason: &Rejection, now: BootTime) -> Option<u64> {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = reasons.get_mut(&std::mem::discriminant(reason)) else {
            reasons.insert(std::mem::discriminant(reason), Told { at: now, since: 0 });
            return Some(1);
        };
        told.since = told.since.saturating_add(1);
        if now.since(told.at) < INTERVAL {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_at_once_and_then_once_per_interval_with_its_count() {
        let refusals = Refusals::default();
        let count = |reason: &Rejection, millis| refusals.count(reason, BootTime(millis));
        assert_eq!(count(&Rejection::Expired, 0), Some(1));
        for millis in 1..100 {
            assert_eq!(count(&Rejection::Expired, millis), None);
        }
        assert_eq!(count(&Rejection::Revoked, 100), Some(1));
        assert_eq!(count(&Rejection::Expired, 10_000), Some(100));
        assert_eq!(count(&Rejection::Expired, 20_000), Some(1));
    }
}
