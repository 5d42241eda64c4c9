//! How much and how fast: bytes and calls in the busiest minute, pauses between calls.
//!
//! **Catches** a copy of the data, a scraper, a script in place of a job. **Misses** theft at the
//! owner's own pace. **Warms up** with ten whole minutes of the identity, or else of its role;
//! **recovers** as busy minutes are learned. Amounts are per token: ten replicas with a token each
//! are not ten times as fast. Pauses are a hint and never a witness: a slower upstream changes them
//! as much as a thief does. All of it is one family, because more calls are more bytes.
//! Why logarithms: see the rate module.

use super::Case;
use crate::evidence::{Evidence, Measure};
use crate::rate::{Rate, Surprise};
use crate::thresholds::Bar;

/// Bytes in the busiest minute. Absent where the gateway counts no bytes.
pub(super) fn bytes(case: &Case<'_>) -> Option<Evidence> {
    case.report.bytes()?;
    let seen = &case.report.byte_rate;
    let surprise = against(case, seen, |usual| &usual.byte_rate)?;
    weigh(
        Measure::BytesPerMinute,
        seen,
        surprise,
        case.thresholds.volume,
    )
}

/// Calls in the busiest minute.
pub(super) fn calls(case: &Case<'_>) -> Option<Evidence> {
    let seen = &case.report.call_rate;
    let surprise = against(case, seen, |usual| &usual.call_rate)?;
    weigh(
        Measure::CallsPerMinute,
        seen,
        surprise,
        case.thresholds.cadence,
    )
}

/// Pauses between calls.
pub(super) fn pauses(case: &Case<'_>) -> Option<Evidence> {
    let seen = &case.report.pauses;
    let (distance, usual) = case
        .own_or_peers(|usual| Some((seen.distance_from(&usual.pauses)?, usual.pauses.median()?)))?;
    let medians = (seen.median()?, usual);
    Evidence::weigh(Measure::Pause, medians, distance, case.thresholds.cadence)
        .map(Evidence::at_most_notable)
}

fn against(
    case: &Case<'_>,
    seen: &Rate,
    rate: impl Fn(&crate::Baseline) -> &Rate,
) -> Option<Surprise> {
    // The current minute is not over, and counts as one more chance.
    let minutes = seen.minutes().saturating_add(1);
    let least = case.thresholds.minimum_minutes;
    case.own_or_peers(|usual| rate(usual).surprise(seen.peak(), minutes, least))
}

fn weigh(measure: Measure, seen: &Rate, surprise: Surprise, bar: Bar) -> Option<Evidence> {
    let numbers = (seen.peak() as f64, surprise.expected);
    Evidence::weigh(measure, numbers, surprise.weight, bar)
}
