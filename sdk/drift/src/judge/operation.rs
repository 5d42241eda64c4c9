//! What is called: the order of operations, operations never used, and calls that were refused.
//!
//! **Catches** another mind behind the credential (order, and within some tens of calls what a gateway's
//! fast detector found), scope creep and probing (operations
//! never used before), guessing (denied and missing answers).
//! **Misses** a thief who keeps to the owner's operations in the owner's order.
//! **Warms up** by counting how often something new is normal for this identity: the first new
//! operation after a thousand calls of old ones is a mild surprise, after fifty thousand a clear
//! one. **Recovers** when the operation is learned. A new operation that peers use too counts for
//! less, by the share of them: that is how a deployment looks. Fewer than [`STRONG_FROM`] new
//! operations are never strong evidence, however often they are called: that is how a deployment
//! looks on its first replica. Why not "any new operation is drift": people meet new operations
//! every day, and a baseline that has overflowed has forgotten some.

use super::Case;
use crate::block::CALLS;
use crate::evidence::{Evidence, Measure};
use crate::model::WINDOW;
use crate::takeover::Takeover;

/// New operations in one window from which they can be a witness.
const STRONG_FROM: usize = 3;

/// What is believed after the sequence model has seen the window. A witness only by a whole window: what
/// the model is worth was measured on hundreds of calls, and an agent's thirty after a release are as
/// strange as a thief's.
pub(super) fn order(case: &Case<'_>, takeover: Takeover) -> Option<Evidence> {
    let score = case.score()?;
    let usual = case.baseline.pulse.mean() * WINDOW / CALLS as f64;
    let bar = case.thresholds.order;
    let found = Evidence::weigh(Measure::OrderScore, (score, usual), takeover.belief(), bar)?;
    Some(if (case.report.calls() as f64) < WINDOW {
        found.at_most_notable()
    } else {
        found
    })
}

/// What the fast detector of a gateway said. Never a witness: it looks at the same calls as the belief, and it
/// is one gateway's word.
pub(super) fn sudden(case: &Case<'_>) -> Option<Evidence> {
    let (sum, bar) = (case.report.alarm()?, case.thresholds.sudden);
    Evidence::weigh(Measure::SuddenOrder, (sum, bar.notable), sum, bar)
        .map(Evidence::at_most_notable)
}

/// How far it has gone from its anchor for good. Never a witness: an owner with a new job goes as far.
pub(super) fn estranged(case: &Case<'_>, takeover: Takeover) -> Option<Evidence> {
    let score = takeover.estrangement();
    let bar = case.thresholds.estrangement;
    Evidence::weigh(Measure::Estrangement, (score, bar.notable), score, bar)
        .map(Evidence::at_most_notable)
}

/// Distinct operations never used before, against how many are normal (Poisson).
pub(super) fn never_used(case: &Case<'_>) -> Option<Evidence> {
    let known = &case.baseline.sequence;
    let mut distinct = 0usize;
    let mut surprising = 0.0;
    let mut busiest = None;
    for (operation, count) in case.report.operations() {
        if known.operation(operation).count == 0 {
            let share = case.peers.map_or(0.0, |peers| {
                f64::from(peers.users(operation)) / f64::from(peers.members().max(1))
            });
            distinct += 1;
            busiest = busiest.max(Some((count, operation)));
            surprising += 1.0 - share.clamp(0.0, 1.0);
        }
    }
    let novelty = &case.baseline.novelty;
    let usual = (f64::from(novelty.operations) + 0.5) / (novelty.calls as f64 + 1.0);
    let forgotten = known.forgotten();
    let expected = case.report.calls() as f64 * (usual + forgotten).min(1.0);
    if surprising <= expected {
        return None;
    }
    let weight = surprising * (surprising / expected).ln() - (surprising - expected);
    let found = Evidence::weigh(
        Measure::NewOperations,
        (distinct as f64, expected),
        weight,
        case.thresholds.operations,
    )?;
    let found = match busiest {
        Some((_, operation)) => found.on(operation),
        None => found,
    };
    Some(if distinct < STRONG_FROM {
        found.at_most_notable()
    } else {
        found
    })
}

/// Share of denied and missing answers. Absent where the gateway sees no answers.
pub(super) fn refused(case: &Case<'_>) -> Option<Evidence> {
    let (share, expected, weight) =
        case.own_or_peers(|usual| case.report.responses.probing_against(&usual.responses))?;
    Evidence::weigh(
        Measure::RefusedShare,
        (share, expected),
        weight,
        case.thresholds.refusals,
    )
}
