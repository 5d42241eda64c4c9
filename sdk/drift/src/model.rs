//! The sequence model: do these calls look like this identity, or rather like the others?
//!
//! A Pitman-Yor smoothed bigram model of the identity against one of its peers, with fixed constants
//! and nothing learned:
//!
//! * base `p0(c)`: share of the peer identities that ever used `c`, add-half smoothed;
//! * peers `q(c) = (peer count + 50 p0(c)) / (peer total + 50)`, divided by its sum over all known
//!   operations where that is above 1 (see [`Others`]);
//! * itself `p1(c) = (max(C[c]-d, 0) + (10 + d T) q(c)) / (N + 10)`, `d = 0.5`, `T` distinct;
//! * after `a`: `p2(c|a) = (max(B[a,c]-d, 0) + (1 + d T_a) p1(c)) / (C[a] + 1)`, and for the peers
//!   the same over their counts with strength 5, backing off to `q`;
//! * a call weighs `ln q2(c|a) - ln p2(c|a)`, clipped to +-6;
//! * a block of ten calls in a row weighs the sum of its calls, but at most +20: no single moment
//!   decides. An owner who tries something odd does so in bursts, a thief is odd all the time.
//!
//! **Catches** somebody else's mix and order of known operations, and operations that others use and
//! this one does not. **Misses** a thief who does what the owner does; that is for the other channels.
//! **Warms up** slowly and by itself: with no history `p1 = q` and every ratio is 0.
//! **Recovers** by learning and by ageing counts. Why not plain frequencies: an operation never seen
//! would be infinitely surprising. Why not three operations in a row: it fits better and needs four
//! times the memory. Why not learned weights over several such scores: docs/drift.md has the figures;
//! they did not earn their keep.
//!
//! Without peers the base is one in [`ASSUMED_OPERATIONS`] for every operation: "others" are then
//! somebody who might do anything.

mod heaviest;

use crate::bigrams::{Bigrams, Known, Place};
use crate::block::{Block, CALLS};
use crate::event::OperationId;
use crate::role::{DISCOUNT, Others, Used};
pub use heaviest::Contribution;

/// Calls in one window.
pub(crate) const WINDOW: f64 = 100.0;
/// No single call decides.
const CLIP: f64 = 6.0;
/// No single block decides: 2 nats a call.
pub(crate) const MOST_IN_BLOCK: f64 = 2.0 * CALLS as f64;
/// How many calls the peers' mix is worth beside the own one.
const STRENGTH: f64 = 10.0;
/// How many calls the single operation is worth behind another one. Less than for peers: a habit that
/// was seen twice is a habit.
const TRANSITION_STRENGTH: f64 = 1.0;
/// Operations of an imagined audience, when no peers are known: a mid-sized API.
const ASSUMED_OPERATIONS: f64 = 256.0;

/// An identity against its peers.
#[derive(Clone, Copy)]
pub(crate) struct Model<'a, const O: usize, const T: usize> {
    pub(crate) own: &'a Bigrams<O, T>,
    /// Itself left out.
    pub(crate) peers: Option<&'a Others>,
}

/// An operation as both sides know it.
#[derive(Clone, Copy)]
struct Seen {
    operation: OperationId,
    place: Option<Place>,
    known: Known,
    used: Used,
    /// `q(c)`
    others: f64,
    /// `p1(c)`
    own: f64,
}

impl<const O: usize, const T: usize> Model<'_, O, T> {
    /// Log-likelihood ratio of one call, others against itself: positive means "rather others". A call
    /// whose predecessor is unknown counts by itself.
    pub(crate) fn ratio(&self, before: Option<OperationId>, operation: OperationId) -> f64 {
        let before = before.map(|before| self.seen(before));
        self.odds(before.as_ref(), &self.seen(operation)).ln()
    }

    /// What a block weighs.
    pub(crate) fn block(&self, block: &Block) -> f64 {
        let mut before = block.before().map(|before| self.seen(before));
        let mut odds = 1.0;
        for call in block.each() {
            let call = self.seen(call);
            // Ten clipped ratios are far from what a number holds: one logarithm is enough.
            odds *= self.odds(before.as_ref(), &call);
            before = Some(call);
        }
        odds.ln()
            .min(MOST_IN_BLOCK * block.calls() as f64 / CALLS as f64)
    }

    /// What blocks weigh, per hundred calls; `None` without any.
    pub(crate) fn window(&self, blocks: &[Block]) -> Option<f64> {
        per_window(blocks, blocks.iter().map(|block| self.block(block)).sum())
    }

    fn seen(&self, operation: OperationId) -> Seen {
        let (used, others) =
            self.peers
                .map_or((Used::default(), 1.0 / ASSUMED_OPERATIONS), |role| {
                    let used = role.used(operation);
                    (used, role.single(used))
                });
        let place = self.own.place(operation);
        let known = place.map_or(Known::default(), |place| self.own.known(place));
        Seen {
            operation,
            place,
            known,
            used,
            others,
            own: self.single(known, others),
        }
    }

    /// The likelihood ratio of a call, clipped; a value that is no number says nothing.
    fn odds(&self, before: Option<&Seen>, call: &Seen) -> f64 {
        let odds = match before {
            None => call.others / call.own,
            Some(before) => {
                let pair = (before.operation, call.operation);
                let others = self.peers.map_or(call.others, |role| {
                    role.after(pair, before.used, call.others)
                });
                others / self.after(before, call)
            }
        };
        if odds.is_nan() {
            1.0
        } else {
            odds.clamp((-CLIP).exp(), CLIP.exp())
        }
    }

    /// `p2(c|a)`
    fn after(&self, before: &Seen, call: &Seen) -> f64 {
        let seen = before
            .place
            .zip(call.place)
            .map_or(0, |(from, to)| self.own.after(from).count(to));
        let seen = (f64::from(seen) - DISCOUNT).max(0.0);
        let given = TRANSITION_STRENGTH + DISCOUNT * f64::from(before.known.successors);
        (seen + given * call.own) / (f64::from(before.known.count) + TRANSITION_STRENGTH)
    }

    /// `p1(c)`
    fn single(&self, known: Known, others: f64) -> f64 {
        let seen = (f64::from(known.count) - DISCOUNT).max(0.0);
        let given = STRENGTH + DISCOUNT * f64::from(self.own.distinct());
        (seen + given * others) / (f64::from(self.own.total()) + STRENGTH)
    }
}

/// What blocks weigh together, per hundred calls; `None` without any.
pub(crate) fn per_window(blocks: &[Block], weight: f64) -> Option<f64> {
    let calls: usize = blocks.iter().map(Block::calls).sum();
    (calls > 0).then(|| weight * WINDOW / calls as f64)
}

#[cfg(test)]
mod tests;
