//! Where to: destinations never seen before.
//!
//! **Catches** an agent that was talked into sending data somewhere else, and a service that starts
//! to call out to a stranger. **Misses** a stranger's account at a known destination. **Warms up**
//! with the number of windows in which no new destination appeared; **recovers** when it is learned.
//! Only a hint: a destination outside the task is a hard rule and far surer, but needs a task scope.
//! An identity whose destinations have overflowed (a webhook sender) is never surprising. Why the
//! history of the role counts too: an agent's next session goes where its siblings have been.

use super::Case;
use super::origin::{rarity, weight};
use crate::evidence::{Evidence, Measure};

/// Calls to destinations that neither the identity nor its peers have seen.
pub(super) fn never_seen(case: &Case<'_>) -> Option<Evidence> {
    let usual = case.baseline;
    if usual.destinations.len() == 0 {
        return None;
    }
    let mut calls = 0u64;
    for (destination, count) in case.report.destinations.entries() {
        let own = usual.destinations.get(*destination).is_some();
        let role = case
            .peers
            .is_some_and(|peers| peers.destinations.get(*destination).is_some());
        calls = calls.saturating_add(if own || role { 0 } else { u64::from(*count) });
    }
    if calls == 0 {
        return None;
    }
    let novelty = &usual.novelty;
    let probability = rarity(
        novelty.with_new_destination,
        novelty.destination_windows,
        &usual.destinations,
    );
    let expected = case.report.calls() as f64 * probability;
    Evidence::weigh(
        Measure::NewDestinations,
        (calls as f64, expected),
        weight(probability),
        case.thresholds.destination,
    )
    .map(Evidence::at_most_notable)
}
