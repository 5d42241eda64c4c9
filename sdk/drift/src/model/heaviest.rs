//! Which calls of a window weighed most in its order score: what a person asks first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Model;
use crate::block::Block;
use crate::event::OperationId;
use crate::evidence::significant;

/// As many as a person reads, and as a log should hold of each verdict.
const NAMED: usize = 5;

/// A kind of call, and what all of them in the window added to its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// What was called right before, where that is known.
    pub after: Option<OperationId>,
    /// What was called.
    pub operation: OperationId,
    /// How often, in the blocks that were looked at.
    pub calls: u32,
    /// Log-likelihood ratio in nats, others against itself, of all of them.
    pub weight: f64,
}

impl<const O: usize, const T: usize> Model<'_, O, T> {
    /// What speaks most for somebody else, heaviest first; what speaks for itself is left out. The
    /// calls as they weigh one by one, before a block is held to what it may weigh.
    pub(crate) fn heaviest(&self, blocks: &[Block]) -> Vec<Contribution> {
        let mut kinds: BTreeMap<_, u32> = BTreeMap::new();
        for kind in blocks.iter().flat_map(Block::pairs) {
            *kinds.entry(kind).or_default() += 1;
        }
        let weighed = |((after, operation), calls): (_, u32)| Contribution {
            after,
            operation,
            calls,
            weight: significant(f64::from(calls) * self.ratio(after, operation)),
        };
        let mut found: Vec<_> = kinds.into_iter().map(weighed).collect();
        found.retain(|kind| kind.weight > 0.0);
        found.sort_by(|left, right| {
            let by_weight = right.weight.total_cmp(&left.weight);
            by_weight.then((left.after, left.operation).cmp(&(right.after, right.operation)))
        });
        found.truncate(NAMED);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bigrams::Adaptive;
    use crate::event::Millis;
    use crate::habits::Sequence;

    fn op(name: &str) -> OperationId {
        OperationId::of(name)
    }

    fn owner_of_a() -> Adaptive {
        let mut window = Sequence::new();
        window.operations.add(op("a"), &900);
        window.transitions.add((op("a"), op("a")), &890);
        let mut own = Adaptive::new();
        own.learn(&window);
        own
    }

    fn block(before: Option<&str>, calls: &[&str]) -> Block {
        let mut block = Block::after(before.map(op));
        for call in calls {
            block.push(op(call), Millis(0));
        }
        block
    }

    #[test]
    fn the_calls_that_others_make_come_first_and_the_own_ones_not_at_all() {
        let own = owner_of_a();
        let model = Model {
            own: &own,
            peers: None,
        };
        let blocks = [
            block(None, &["y", "a", "a", "a", "a"]),
            block(Some("a"), &["x", "a", "x", "a", "x"]),
        ];
        let found = model.heaviest(&blocks);
        let named: Vec<_> = found
            .iter()
            .map(|c| (c.after, c.operation, c.calls))
            .collect();
        assert_eq!(named[0], (Some(op("a")), op("x"), 3), "{found:?}");
        assert!(named.contains(&(None, op("y"), 1)), "{found:?}");
        assert!(!named.contains(&(Some(op("a")), op("a"), 3)), "{found:?}");
    }

    #[test]
    fn never_more_than_a_person_reads() {
        let own = owner_of_a();
        let model = Model {
            own: &own,
            peers: None,
        };
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(model.heaviest(&[block(None, &names)]).len(), NAMED);
    }
}
