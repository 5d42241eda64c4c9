//! Which calls of a window weighed most in its order score: what a person asks first.

use serde::{Deserialize, Serialize};

use super::Model;
use crate::event::OperationId;
use crate::evidence::significant;
use crate::habits::Sequence;

/// As many as a person reads, and as a log should hold of each verdict.
const NAMED: usize = 5;

/// A kind of call, and what all of them in the window added to its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// What was called right before, where that is known.
    pub after: Option<OperationId>,
    /// What was called.
    pub operation: OperationId,
    /// How often in the window.
    pub calls: u32,
    /// Log-likelihood ratio in nats, others against itself, of all of them.
    pub weight: f64,
}

impl Model<'_> {
    /// What speaks most for somebody else, heaviest first; what speaks for itself is left out. The
    /// same calls as in [`Model::order_score`], before that is scaled to a window of 100.
    pub(crate) fn heaviest(&self, window: &Sequence) -> Vec<Contribution> {
        let followed = window.transitions.entries().iter();
        let followed = followed.map(|((from, to), calls)| Contribution {
            after: Some(*from),
            operation: *to,
            calls: *calls,
            weight: significant(f64::from(*calls) * self.transition_ratio(*from, *to)),
        });
        let alone = window.operations.entries().iter();
        let alone = alone.map(|(operation, count)| {
            let calls = count.saturating_sub(reached(window, *operation));
            Contribution {
                after: None,
                operation: *operation,
                calls,
                weight: significant(f64::from(calls) * self.ratio(*operation)),
            }
        });
        let mut found: Vec<_> = followed.chain(alone).filter(|c| c.weight > 0.0).collect();
        found.sort_by(|left, right| {
            let by_weight = right.weight.total_cmp(&left.weight);
            by_weight.then((left.after, left.operation).cmp(&(right.after, right.operation)))
        });
        found.truncate(NAMED);
        found
    }
}

/// How many calls of an operation have a known predecessor.
fn reached(window: &Sequence, operation: OperationId) -> u32 {
    let to_it = window.transitions.entries().iter();
    to_it
        .filter(|((_, to), _)| *to == operation)
        .fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(name: &str) -> OperationId {
        OperationId::of(name)
    }

    #[test]
    fn the_calls_that_others_make_come_first_and_the_own_ones_not_at_all() {
        let mut own = Sequence::new();
        own.operations.add(op("a"), &1_000);
        own.transitions.add((op("a"), op("a")), &990);
        let mut window = Sequence::new();
        for (name, count) in [("a", 50), ("x", 40), ("y", 10)] {
            window.operations.add(op(name), &count);
        }
        window.transitions.add((op("a"), op("a")), &49);
        window.transitions.add((op("a"), op("x")), &40);
        let found = Model::new(&own, None).heaviest(&window);
        let named: Vec<_> = found
            .iter()
            .map(|c| (c.after, c.operation, c.calls))
            .collect();
        assert_eq!(
            named,
            [(Some(op("a")), op("x"), 40), (None, op("y"), 10)],
            "{found:?}"
        );
    }

    #[test]
    fn never_more_than_a_person_reads() {
        let mut window = Sequence::new();
        for n in 0..100 {
            window.operations.add(op(&n.to_string()), &1);
        }
        let mut own = Sequence::new();
        own.operations.add(op("a"), &1_000);
        assert_eq!(Model::new(&own, None).heaviest(&window).len(), NAMED);
    }
}
