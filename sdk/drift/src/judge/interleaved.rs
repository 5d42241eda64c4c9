//! Two hands on one token: its calls take turns between origins.
//!
//! **Catches** a copied token used beside its owner from another network *or* by another client, even when
//! each of the two is well known: theft and replay within the owner's own networks, a sibling's machine
//! with the owner's token. **Misses** whoever has the owner's network and client: to every gateway that is
//! the owner, and only what is called, and how much, is left. Misses also a thief who waits until the owner
//! is done, which is a handover (new origins are another judge's), and turns taken between gateways that
//! each see one of the two.
//!
//! **Warms up** with the calls of known origin behind it: how often the identity itself comes back is
//! learned, and its role's rate stands beside it. Who comes back in one call of twenty, a partner behind a pool
//! of addresses or one with two uplinks, alternates by habit: then the channel is absent, since another exit in
//! the pool would change the rate as much as a second hand. So it is during the first ten calls of a history. **Recovers** as windows are
//! learned: a strange origin that lasts becomes habit (see the baseline). What a deployment brings is taken
//! out with its news: old and new replicas that share a token take turns too, for some minutes.
//!
//! Fewer than [`LEAST`] returns are a flaw of the way, and fewer than [`STRONG_FROM`] never a witness: an
//! uplink that fails goes to and fro, and its retries are a rush of calls, so one cause would speak in two
//! families. Why not the number of origins at once: a moved pod has two in the same window. Why not
//! changes of origin: those are returns and moves together, and moves are honest.

use super::Case;
use crate::baseline::Novelty;
use crate::evidence::{Evidence, Measure};
use crate::role::Role;

/// Returns below which nothing is said: to and fro, and to once more.
const LEAST: u64 = 3;
/// Returns in a call from which they are a habit that says nothing.
const HABITUAL: f64 = 0.05;
/// Returns from which they can be a witness: five times to and fro.
const STRONG_FROM: u64 = 10;

/// Calls that came back to an origin, against how many usually do (Poisson).
pub(super) fn interleaved(case: &Case<'_>) -> Option<Evidence> {
    let returns = u64::from(case.report.returns);
    if returns < LEAST {
        return None;
    }
    let peers = case.peers.map_or(0.0, |peers: &Role| {
        let usual = &peers.habits().novelty;
        usual.returns as f64 / (usual.located as f64 + 1.0)
    });
    let usual = own_rate(&case.baseline.novelty).max(peers);
    if usual >= HABITUAL {
        return None;
    }
    let (observed, expected) = (returns as f64, case.report.origins.total() as f64 * usual);
    if observed <= expected {
        return None;
    }
    let weight = observed * (observed / expected).ln() - (observed - expected);
    let numbers = (observed, expected);
    let bar = case.thresholds.origin;
    let found = Evidence::weigh(Measure::InterleavedOrigins, numbers, weight, bar)?;
    Some(if returns < STRONG_FROM {
        found.at_most_notable()
    } else {
        found
    })
}

/// Returns in a call; one more half than were seen, since none so far is not never.
fn own_rate(usual: &Novelty) -> f64 {
    (usual.returns as f64 + 0.5) / (usual.located as f64 + 1.0)
}
