//! Where to: operations that go where they never went.
//!
//! **Catches** an agent that was talked into sending something somewhere else, and a service that starts
//! to call out to a stranger, also when the destination is known from another operation: whose page the
//! agent reads is not whom it pays. **Misses** a stranger's account at a known destination, and whatever
//! only reads. **Warms up** with the windows in which nothing new appeared: from one window in seven
//! that brings something new downwards it speaks up; **recovers** when a pair has been learned twice. Only a hint: a
//! destination outside the task is a hard rule and far surer, but needs a task scope. An identity that is
//! for ever somewhere new (a webhook sender) is never surprising. Why not destinations by themselves: a
//! role that reads many pages would then pay to any of them. Why the history of the role counts too: an
//! agent's next session goes where its siblings have been. So what was new to it and not to them does not count
//! among the news that are usual for it either: an agent of a role that knows its places is surprising in a
//! strange one, however many of theirs it had still to see.

use super::Case;
use super::origin::weight;
use crate::evidence::{Evidence, Measure};

/// Calls that go where neither the identity nor its peers usually go.
pub(super) fn never_seen(case: &Case<'_>) -> Option<Evidence> {
    let usual = &case.baseline.destinations;
    if usual.is_empty() {
        return None;
    }
    let role = case.peers.map(|role| &role.habits().destinations);
    let of_role = |pair| role.is_some_and(|known| known.is_habit(pair));
    let calls = case
        .report
        .destinations
        .entries()
        .iter()
        .filter(|(pair, _)| !usual.is_habit(*pair) && !of_role(*pair))
        .fold(0u64, |calls, (_, count)| calls + u64::from(*count));
    if calls == 0 {
        return None;
    }
    // As likely as what is looked for: new to both.
    let probability = usual.rarity(role);
    let expected = case.report.calls() as f64 * probability;
    Evidence::weigh(
        Measure::NewDestinations,
        (calls as f64, expected),
        weight(probability),
        case.thresholds.destination,
    )
    .map(Evidence::at_most_notable)
}
