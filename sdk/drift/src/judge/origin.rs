//! From where: source networks and clients never seen before.
//!
//! **Catches** a copied token used from somewhere else: a new network *and* a new client on the
//! same call. **Misses** a thief inside the owner's network with the owner's client library.
//! **Warms up** with the number of windows in which nothing new appeared: after twenty such windows
//! a new pair is a witness. **Recovers** when the origin is learned. One of the two alone is only a
//! hint, because pods are rescheduled and libraries upgraded all the time. An identity that roams
//! (its tables have overflowed) is never surprising. What the role knows is not new: replicas move between
//! the networks of their siblings and run their releases. Why not the address itself: it changes with
//! every pod; networks do not. Without sources and clients in history or window the channel is absent.

use super::Case;
use crate::baseline::Baseline;
use crate::evidence::{Evidence, Measure};
use crate::habits::ORIGINS;
use crate::role::Role;
use crate::table::Table;

/// One new thing weighs at most this much, so both are needed to be certain.
const MOST_WEIGHT: f64 = 6.0;

/// Calls from a new network and client together, else from either.
pub(super) fn origin(case: &Case<'_>) -> Option<Evidence> {
    let known = |usual: &&Baseline| usual.sources.len() > 0 || usual.clients.len() > 0;
    let usual = Some(case.baseline)
        .filter(known)
        .or_else(|| case.peers.map(Role::habits).filter(known))?;
    let seen = Seen::of(case, usual);
    let novelty = &usual.novelty;
    let source = rarity(novelty.with_new_source, novelty.windows, &usual.sources);
    let client = rarity(novelty.with_new_client, novelty.windows, &usual.clients);
    let bar = case.thresholds.origin;
    let calls = case.report.calls() as f64;
    let weigh = |measure, observed: u64, probability: f64, weight| {
        (observed > 0)
            .then(|| {
                let numbers = (observed as f64, calls * probability);
                Evidence::weigh(measure, numbers, weight, bar)
            })
            .flatten()
    };
    let both = weigh(
        Measure::NewNetworkAndClient,
        seen.both,
        source * client,
        weight(source) + weight(client),
    );
    both.or_else(|| {
        weigh(Measure::NewNetwork, seen.source, source, weight(source))
            .or_else(|| weigh(Measure::NewClient, seen.client, client, weight(client)))
            .map(Evidence::at_most_notable)
    })
}

/// Calls with something never seen before.
#[derive(Default)]
struct Seen {
    both: u64,
    source: u64,
    client: u64,
}

impl Seen {
    fn of(case: &Case<'_>, usual: &Baseline) -> Self {
        let mut seen = Self::default();
        for (origin, count) in case.report.origins.entries() {
            let count = u64::from(*count);
            // A history without sources cannot call a source new, and likewise for clients.
            let source = usual.sources.len() > 0
                && origin.source.is_some_and(|s| {
                    let role = case
                        .peers
                        .is_some_and(|peers| peers.habits().sources.get(s).is_some());
                    usual.sources.get(s).is_none() && !role
                });
            let client = usual.clients.len() > 0
                && origin.client.is_some_and(|c| {
                    let role = case
                        .peers
                        .is_some_and(|peers| peers.habits().clients.get(c).is_some());
                    usual.clients.get(c).is_none() && !role
                });
            seen.both += if source && client { count } else { 0 };
            seen.source += if source { count } else { 0 };
            seen.client += if client { count } else { 0 };
        }
        seen
    }
}

/// How likely something new is in a window, from the identity's own windows.
pub(super) fn rarity(new: u32, windows: u32, known: &Table<u64, u32, ORIGINS>) -> f64 {
    let often = (f64::from(new) + 0.5) / (f64::from(windows) + 1.0);
    let forgotten = known.overflow() as f64 / known.total().max(1) as f64;
    often.max(forgotten).min(1.0)
}

pub(super) fn weight(probability: f64) -> f64 {
    (-probability.ln()).clamp(0.0, MOST_WEIGHT)
}
