//! The sequence model: do these calls look like this identity, or rather like the others?
//!
//! A Pitman-Yor smoothed bigram model of the identity against one of its peers, with fixed constants
//! and nothing learned:
//!
//! * base `p0(c)`: share of the peer identities that ever used `c`, add-half smoothed;
//! * peers `q(c) = (peer count + 50 p0(c)) / (peer total + 50)`, divided by its sum over all known
//!   operations where that is above 1: shares of identities add up to more than one, and undivided a
//!   twin of its peers would look like them rather than like itself;
//! * itself `p1(c) = (max(C[c]-d, 0) + (10 + d T) q(c)) / (N + 10)`, `d = 0.5`, `T` distinct;
//! * after `a`: `p2(c|a) = (max(B[a,c]-d, 0) + (5 + d T_a) p1(c)) / (B[a,.] + 5)`, and for the peers
//!   the same over their counts, backing off to `q`;
//! * a call weighs `ln q2(c|a) - ln p2(c|a)`, clipped to +-6; a window is its sum over 100 calls.
//!
//! **Catches** somebody else's mix and order of known operations (85 % of masquerades in the
//! Schonlau data at 2.5 % false alarms), and operations that others use and this one does not.
//! **Misses** a thief who does what the owner does; that is for the other channels.
//! **Warms up** slowly and by itself: with no history `p1 = q` and every ratio is 0.
//! **Recovers** by ageing counts. Why not plain frequencies: an operation never seen would be
//! infinitely surprising. Why not learned weights: they gained 2 % of the cost for much machinery.
//!
//! Without peers the base is one in [`ASSUMED_OPERATIONS`] for every operation: "others" are then
//! somebody who might do anything.

mod heaviest;

use crate::event::OperationId;
use crate::habits::Sequence;
pub use heaviest::Contribution;

/// The longest sum: calls in one window.
pub(crate) const WINDOW: f64 = 100.0;
/// No single call decides.
const CLIP: f64 = 6.0;
const DISCOUNT: f64 = 0.5;
const STRENGTH: f64 = 10.0;
const TRANSITION_STRENGTH: f64 = 5.0;
const PEER_STRENGTH: f64 = 50.0;
/// Operations of an imagined audience, when no peers are known: a mid-sized API.
const ASSUMED_OPERATIONS: f64 = 256.0;

/// The peers of an identity, itself left out.
#[derive(Clone, Copy)]
pub(crate) struct Peers<'a> {
    pub(crate) sequence: &'a Sequence,
    /// How many identities they are.
    pub(crate) identities: u32,
    /// How many of them ever used an operation.
    pub(crate) users: &'a dyn Fn(OperationId) -> u32,
}

/// An identity against its peers.
pub(crate) struct Model<'a> {
    own: &'a Sequence,
    own_total: f64,
    peers: Option<Peers<'a>>,
    peer_total: f64,
    /// What `q` is divided by.
    peer_mass: f64,
}

impl<'a> Model<'a> {
    pub(crate) fn new(own: &'a Sequence, peers: Option<Peers<'a>>) -> Self {
        let mut model = Self {
            own,
            own_total: own.operations.total() as f64,
            peers,
            peer_total: peers.map_or(0.0, |peers| peers.sequence.operations.total() as f64),
            peer_mass: 1.0,
        };
        if let Some(peers) = peers {
            let known = peers.sequence.operations.entries().iter();
            let only_own = own.operations.entries().iter();
            let only_own = only_own.filter(|(c, _)| peers.sequence.operations.get(*c).is_none());
            let mass: f64 = known
                .chain(only_own)
                .map(|(c, _)| model.peer_single(*c))
                .sum();
            model.peer_mass = mass.max(1.0);
        }
        model
    }

    /// Log-likelihood ratio of a window, others against itself: positive means "rather others".
    /// Windows of more than 100 calls are scaled down to 100. A call whose predecessor is unknown
    /// counts by itself.
    pub(crate) fn order_score(&self, window: &Sequence) -> f64 {
        let mut score = 0.0;
        let mut calls = 0.0;
        let mut followed = 0.0;
        for ((from, to), count) in window.transitions.entries() {
            score += f64::from(*count) * self.transition_ratio(*from, *to);
            followed += f64::from(*count);
        }
        for (operation, count) in window.operations.entries() {
            let reached: u32 = window
                .transitions
                .entries()
                .iter()
                .filter(|((_, to), _)| to == operation)
                .fold(0, |sum, (_, count)| sum.saturating_add(*count));
            let alone = f64::from(count.saturating_sub(reached));
            score += alone * self.ratio(*operation);
            calls += alone;
        }
        to_window(score, calls + followed)
    }

    /// The same over single operations: what decides whether a window may be learned.
    pub(crate) fn mix_score(&self, window: &Sequence) -> f64 {
        let mut score = 0.0;
        let mut calls = 0.0;
        for (operation, count) in window.operations.entries() {
            score += f64::from(*count) * self.ratio(*operation);
            calls += f64::from(*count);
        }
        to_window(score, calls)
    }

    fn ratio(&self, c: OperationId) -> f64 {
        clip(self.peer_single(c).ln() - self.own_single(c).ln())
    }

    fn transition_ratio(&self, a: OperationId, c: OperationId) -> f64 {
        let peers = match self.peers {
            Some(peers) => after(peers.sequence, a, c, self.peer_single(c)),
            None => self.peer_single(c),
        };
        clip(peers.ln() - after(self.own, a, c, self.own_single(c)).ln())
    }

    /// `q(c)`
    fn peer_single(&self, c: OperationId) -> f64 {
        let base = match self.peers {
            Some(peers) => {
                (f64::from((peers.users)(c)) + 0.5) / (f64::from(peers.identities) + 1.0)
            }
            None => 1.0 / ASSUMED_OPERATIONS,
        };
        let count = self.peers.map_or(0.0, |peers| count(peers.sequence, c));
        (count + PEER_STRENGTH * base) / (self.peer_total + PEER_STRENGTH) / self.peer_mass
    }

    /// `p1(c)`
    fn own_single(&self, c: OperationId) -> f64 {
        let distinct = self.own.operations.len() as f64;
        let seen = (count(self.own, c) - DISCOUNT).max(0.0);
        (seen + (STRENGTH + DISCOUNT * distinct) * self.peer_single(c))
            / (self.own_total + STRENGTH)
    }
}

/// `p2(c|a)` with `single` to back off to.
fn after(sequence: &Sequence, a: OperationId, c: OperationId, single: f64) -> f64 {
    let (distinct, total) = sequence.fan_out(a);
    let seen = (f64::from(sequence.transition(a, c)) - DISCOUNT).max(0.0);
    (seen + (TRANSITION_STRENGTH + DISCOUNT * distinct as f64) * single)
        / (total as f64 + TRANSITION_STRENGTH)
}

fn count(sequence: &Sequence, c: OperationId) -> f64 {
    f64::from(sequence.operations.get(c).copied().unwrap_or(0))
}

/// Clipped; a value that is no number says nothing.
fn clip(ratio: f64) -> f64 {
    if ratio.is_nan() {
        0.0
    } else {
        ratio.clamp(-CLIP, CLIP)
    }
}

fn to_window(score: f64, calls: f64) -> f64 {
    if calls > WINDOW {
        score * WINDOW / calls
    } else {
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(name: &str) -> OperationId {
        OperationId::of(name)
    }

    fn counts(operations: &[(&str, u32)], transitions: &[(&str, &str, u32)]) -> Sequence {
        let mut sequence = Sequence::new();
        for (name, count) in operations {
            sequence.operations.add(op(name), count);
        }
        for (from, to, count) in transitions {
            sequence.transitions.add((op(from), op(to)), count);
        }
        sequence
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} against {right}");
    }

    /// By hand: the identity called a 6 times and b 4 times, a→a 3, a→b 3, b→a 2;
    /// three peers called a 20, b 10, c 70 times, c→c 60; all use a and c, one uses b.
    #[test]
    fn the_formula_agrees_with_a_calculation_by_hand() {
        let own = counts(
            &[("a", 6), ("b", 4)],
            &[("a", "a", 3), ("a", "b", 3), ("b", "a", 2)],
        );
        let peers = counts(&[("a", 20), ("b", 10), ("c", 70)], &[("c", "c", 60)]);
        let users = |c: OperationId| if c == op("b") { 1 } else { 3 };
        let model = Model::new(
            &own,
            Some(Peers {
                sequence: &peers,
                identities: 3,
                users: &users,
            }),
        );
        // p0: a 3.5/4 = 0.875, b 1.5/4 = 0.375, c 0.875.
        // Undivided: a 63.75/150, b 28.75/150, c 113.75/150, together 206.25/150.
        let q_a: f64 = 63.75 / 206.25;
        let q_b: f64 = 28.75 / 206.25;
        let q_c: f64 = 113.75 / 206.25;
        close(model.peer_single(op("a")), q_a);
        close(model.peer_single(op("b")), 0.139_393_939_393_939_4);
        // N = 10, T = 2: strength + d T = 11.
        let p1_a = (5.5 + 11.0 * q_a) / 20.0;
        let p1_b = (3.5 + 11.0 * q_b) / 20.0;
        let p1_c = 11.0 * q_c / 20.0;
        close(model.own_single(op("a")), 0.445);
        close(model.own_single(op("c")), p1_c);
        // From a: 2 distinct, 6 in all; strength + d T_a = 6.
        let p2_ab = (2.5 + 6.0 * p1_b) / 11.0;
        // The peers never went anywhere from a: (0 + 5 q) / 5 = q.
        close(model.transition_ratio(op("a"), op("b")), (q_b / p2_ab).ln());
        // From c the identity knows nothing: p2 = p1. The peers: (59.5 + 5.5 q_c) / 65.
        let q2_cc = (59.5 + 5.5 * q_c) / 65.0;
        close(
            model.transition_ratio(op("c"), op("c")),
            (q2_cc / p1_c).ln(),
        );

        // The window a b c c: a first, then a→b, b→c, c→c.
        let window = counts(
            &[("a", 1), ("b", 1), ("c", 2)],
            &[("a", "b", 1), ("b", "c", 1), ("c", "c", 1)],
        );
        // From b: 1 distinct, 2 in all; strength + d T_b = 5.5.
        let p2_bc = 5.5 * p1_c / 7.0;
        let by_hand =
            (q_a / p1_a).ln() + (q_b / p2_ab).ln() + (q_c / p2_bc).ln() + (q2_cc / p1_c).ln();
        close(model.order_score(&window), by_hand);
        let mix = (q_a / p1_a).ln() + (q_b / p1_b).ln() + 2.0 * (q_c / p1_c).ln();
        close(model.mix_score(&window), mix);
    }

    #[test]
    fn twins_with_many_operations_are_told_apart_neither_by_mix_nor_by_order() {
        let names: Vec<String> = (0..40).map(|n| format!("op {n}")).collect();
        let ring = |from: usize| names.iter().cycle().skip(from).take(40);
        let operations: Vec<_> = names.iter().map(|name| (name.as_str(), 25)).collect();
        let transitions: Vec<_> = (0..5)
            .flat_map(|step| ring(0).zip(ring(step)))
            .map(|(from, to)| (from.as_str(), to.as_str(), 5))
            .collect();
        let (own, twin) = (
            counts(&operations, &transitions),
            counts(&operations, &transitions),
        );
        let peers = Peers {
            sequence: &twin,
            identities: 1,
            users: &|_| 1,
        };
        let model = Model::new(&own, Some(peers));
        assert!(
            model.mix_score(&own).abs() < 1.0,
            "{}",
            model.mix_score(&own)
        );
        assert!(
            model.order_score(&own).abs() < 1.0,
            "{}",
            model.order_score(&own)
        );
    }

    #[test]
    fn without_history_nothing_is_told_apart() {
        let own = Sequence::new();
        let model = Model::new(&own, None);
        let window = counts(&[("a", 50), ("b", 50)], &[("a", "b", 50), ("b", "a", 49)]);
        close(model.order_score(&window), 0.0);
    }

    #[test]
    fn a_single_call_is_clipped_and_a_long_window_is_scaled_to_a_hundred_calls() {
        let own = counts(&[("a", 1_000_000)], &[("a", "a", 1_000_000)]);
        let model = Model::new(&own, None);
        let window = counts(&[("z", 5_000)], &[("z", "z", 4_999)]);
        close(model.order_score(&window), 600.0);
    }
}
