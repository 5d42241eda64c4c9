//! Whose bounds have changed, so that gateways need not ask about everybody.
//!
//! Numbered from the start of the process: gateways are told the boot's number along, and ask anew
//! about those they know when it is another one.

use std::collections::{BTreeMap, HashMap};

use lanyard_drift::Bounds;
use lanyard_token::NodeId;

/// Changes in one answer. Whoever is further behind asks again.
const MOST: usize = 256;

/// The latest change of each identity.
#[derive(Default)]
pub(super) struct Changes {
    last: u64,
    order: BTreeMap<u64, NodeId>,
    /// As many as there are habits.
    of: HashMap<NodeId, (u64, Bounds)>,
}

impl Changes {
    /// These are the bounds after something was learned. Most learning changes none.
    pub(super) fn note(&mut self, identity: NodeId, bounds: Bounds) {
        if let Some((number, before)) = self.of.get(&identity) {
            if *before == bounds {
                return;
            }
            self.order.remove(number);
        }
        self.last += 1;
        self.order.insert(self.last, identity);
        self.of.insert(identity, (self.last, bounds));
    }

    /// The number of the last change.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// What changed after `after`, of those that are `mine`, and up to which number that is all.
    pub(super) fn after(&self, after: u64, mine: impl Fn(NodeId) -> bool) -> (u64, Vec<NodeId>) {
        let mut changed = Vec::new();
        let mut later = self.order.range(after.saturating_add(1)..);
        for (number, identity) in &mut later {
            if mine(*identity) {
                changed.push(*identity);
            }
            if changed.len() >= MOST {
                return (*number, changed);
            }
        }
        (self.last, changed)
    }
}

#[cfg(test)]
mod tests {
    use lanyard_drift::Thresholds;

    use super::*;

    fn bounds(cold_run: u32) -> Bounds {
        Bounds::cold(&Thresholds {
            cold_run,
            ..Thresholds::default()
        })
    }

    fn node(n: u64) -> NodeId {
        NodeId::from_u64(n)
    }

    #[test]
    fn only_bounds_that_differ_are_news_and_each_identity_is_named_once() {
        let mut changes = Changes::default();
        for run in [1, 1, 2, 2, 3] {
            changes.note(node(1), bounds(run));
        }
        changes.note(node(2), bounds(1));
        assert_eq!(changes.after(0, |_| true), (4, vec![node(1), node(2)]));
        assert_eq!(changes.after(3, |_| true), (4, vec![node(2)]));
        assert_eq!(changes.after(0, |n| n == node(2)), (4, vec![node(2)]));
        assert_eq!(changes.after(u64::MAX, |_| true), (4, vec![]));
    }

    #[test]
    fn many_changes_take_many_answers_and_none_is_left_out() {
        let mut changes = Changes::default();
        for n in 0..600 {
            changes.note(node(n), bounds(1));
        }
        let (mut at, mut told) = (0, 0);
        while at < changes.last() {
            let (next, changed) = changes.after(at, |_| true);
            assert!(next > at && changed.len() <= MOST);
            told += changed.len();
            at = next;
        }
        assert_eq!(told, 600);
    }
}
