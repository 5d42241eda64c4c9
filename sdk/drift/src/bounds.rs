//! The little of a baseline that a live token carries with it: enough to refuse a walk through
//! ids at once, and to know which news the broker should hear early.

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::event::OperationId;
use crate::known::KnownSet;
use crate::thresholds::Thresholds;

/// Operations with a bound of their own; all others share the floor.
const PLACES: usize = 16;

/// Bounds for one token, derived from a [`Baseline`] by [`Baseline::bounds`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Whether a history stands behind them.
    pub(crate) established: bool,
    /// Whether so little is known that every whole window of calls is worth an early report.
    pub(crate) learning: bool,
    own: [ObjectBound; PLACES],
    other: ObjectBound,
    /// Calls in a minute worth an early report.
    pub(crate) calls_per_minute: u64,
    /// Bytes in a minute worth an early report.
    pub(crate) bytes_per_minute: u64,
    pub(crate) operations: KnownSet<16>,
    pub(crate) sources: KnownSet<4>,
    pub(crate) clients: KnownSet<4>,
}

/// How far a token may go with the objects of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectBound {
    /// [`OperationId::OTHER`] with a run of 0 marks a free place.
    operation: OperationId,
    /// Calls in a run of neighbouring numbers.
    pub(crate) run: u32,
    /// Distinct objects in a minute.
    pub(crate) distinct: u32,
}

impl Bounds {
    /// Bounds for a token nothing is known about.
    #[must_use]
    pub fn cold(thresholds: &Thresholds) -> Self {
        Self {
            established: false,
            learning: true,
            own: [ObjectBound::default(); PLACES],
            other: ObjectBound {
                operation: OperationId::OTHER,
                run: thresholds.cold_run,
                distinct: thresholds.cold_distinct,
            },
            calls_per_minute: u64::MAX,
            bytes_per_minute: u64::MAX,
            operations: KnownSet::new(),
            sources: KnownSet::new(),
            clients: KnownSet::new(),
        }
    }

    /// Whether a history stands behind them.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.established
    }

    /// Whether the identity is known to use an operation. Never wrong about one that it uses; about
    /// one in some hundreds that it does not.
    #[must_use]
    pub fn knows(&self, operation: OperationId) -> bool {
        self.operations.may_contain(u64::from(operation.get()))
    }

    pub(crate) fn of(baseline: &Baseline, thresholds: &Thresholds) -> Self {
        let mut bounds = Self::cold(thresholds);
        for (operation, _) in baseline.sequence.operations() {
            bounds.operations.insert(u64::from(operation.get()));
        }
        for (source, _) in baseline.sources.entries() {
            bounds.sources.insert(*source);
        }
        for (client, _) in baseline.clients.entries() {
            bounds.clients.insert(*client);
        }
        bounds.established = baseline.calls() >= thresholds.established_calls;
        // The bounds close in before statistics may speak: learning goes on apace until both can.
        bounds.learning = !bounds.established || baseline.calls() < thresholds.minimum_history;
        let settled = |minutes: u32| bounds.established && minutes >= thresholds.settled_minutes;
        let distinct_floor = |minutes: u32| {
            if settled(minutes) {
                thresholds.distinct_floor
            } else {
                thresholds.cold_distinct
            }
        };
        let run_floor = if bounds.established {
            thresholds.run_floor
        } else {
            thresholds.cold_run
        };
        let other = ObjectBound {
            operation: OperationId::OTHER,
            run: run_floor,
            distinct: distinct_floor(baseline.call_rate.minutes()),
        };
        let mut own = [ObjectBound::default(); PLACES];
        for (place, (operation, habit)) in own.iter_mut().zip(baseline.objects.entries()) {
            let peak = u32::try_from(habit.distinct.peak()).unwrap_or(u32::MAX);
            let run = habit.longest_run.saturating_mul(thresholds.run_factor);
            let distinct = peak.saturating_mul(thresholds.distinct_factor);
            *place = ObjectBound {
                operation: *operation,
                run: run_floor.max(run),
                distinct: distinct_floor(habit.distinct.minutes()).max(distinct),
            };
        }
        bounds.own = own;
        bounds.other = other;
        if bounds.established {
            bounds.calls_per_minute = early(baseline.call_rate.peak());
            bounds.bytes_per_minute = early(baseline.byte_rate.peak());
        }
        bounds
    }

    /// The bound for an operation's objects.
    pub(crate) fn object(&self, operation: OperationId) -> ObjectBound {
        self.own
            .iter()
            .find(|bound| bound.operation == operation && bound.run > 0)
            .copied()
            .unwrap_or(self.other)
    }
}

/// Four times the busiest minute ever learned is news; nothing learned means no news.
fn early(peak: u64) -> u64 {
    if peak == 0 {
        u64::MAX
    } else {
        peak.saturating_mul(4)
    }
}
