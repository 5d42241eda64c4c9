//! Whether a report can have come about: its parts against its totals.
//!
//! **Catches** what no tracker counts: more calls in a table than calls were made, objects that nobody named,
//! a rule that was broken by no call. So a report that is damaged or made up carelessly is refused whole, and
//! not half believed. **Misses** a report that was made up with care: whether it is true nobody can see from
//! within it.

use super::TokenReport;
use crate::event::OperationId;
use crate::habits::Sequence;
use crate::signal::HardRule;
use crate::wire::Unreadable;

/// Of one token between two reports: a minute of a million calls a second.
const MOST_CALLS: u64 = 60_000_000;

impl TokenReport {
    /// Refuses counts that do not add up, in words.
    pub fn adds_up(&self) -> Result<(), Unreadable> {
        let calls = self.calls;
        let checks = [
            (calls <= MOST_CALLS, "more calls than a gateway can count"),
            (self.measured <= MOST_CALLS, "more outcomes than calls"),
            (
                self.sequence.operations.total() == calls,
                "operations that are not the calls",
            ),
            (self.counts_calls_of_something(), "a count of nothing"),
            (
                self.sequence.transitions.total() <= calls,
                "more transitions than calls",
            ),
            (
                self.blocks.calls() <= calls,
                "more calls in blocks than calls",
            ),
            (
                self.objects.total() <= calls,
                "more calls on objects than calls",
            ),
            (self.origins.total() <= calls, "more origins than calls"),
            (
                u64::from(self.returns) <= self.origins.total(),
                "more returns to origins than origins",
            ),
            (
                self.destinations.total() <= calls,
                "more destinations than calls",
            ),
            (self.pauses.count() <= calls, "more pauses than calls"),
            (
                self.task_violations <= calls,
                "more calls outside the task than calls",
            ),
            (
                self.bound_violations <= calls,
                "more calls past a bound than calls",
            ),
            (
                self.names_only_objects_of_calls(),
                "objects that nobody named",
            ),
            (
                self.rule_was_broken(),
                "calls that broke no rule that is told",
            ),
            (calls == 0 || self.first <= self.last, "calls at no time"),
            (
                self.measured > 0 || self.bytes_are_absent(),
                "bytes that were not counted",
            ),
            (
                self.call_rate.can_be() && self.byte_rate.can_be(),
                "minutes that do not add up",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Unreadable::Impossible(what)),
            None => Ok(()),
        }
    }

    fn counts_calls_of_something(&self) -> bool {
        let Sequence {
            operations,
            transitions,
        } = &self.sequence;
        let named = |operation: OperationId| operation != OperationId::OTHER;
        let mut operations = operations.entries().iter();
        let mut transitions = transitions.entries().iter();
        let mut origins = self.origins.entries().iter();
        let mut destinations = self.destinations.entries().iter();
        operations.all(|(operation, count)| named(*operation) && *count > 0)
            && transitions.all(|((from, to), count)| named(*from) && named(*to) && *count > 0)
            && origins.all(|(_, count)| *count > 0)
            && destinations.all(|(_, count)| *count > 0)
    }

    /// A call raises one register at most.
    fn names_only_objects_of_calls(&self) -> bool {
        self.objects.entries().iter().all(|(_, used)| {
            let raised = used.objects.raised() as u64;
            raised > 0 && raised <= u64::from(used.habit.calls) && used.habit.distinct.can_be()
        })
    }

    fn rule_was_broken(&self) -> bool {
        let broken = self.task_violations > 0 || self.bound_violations > 0;
        let beyond = match self.hard_rule {
            Some(
                HardRule::EnumerationDistinct {
                    observed, bound, ..
                }
                | HardRule::EnumerationRun {
                    observed, bound, ..
                },
            ) => observed > bound,
            _ => true,
        };
        // A rule without a call that broke it is a suspicion: of calls that were told of, or lost, before. What
        // the token did since may have been merged with it.
        (!broken || self.hard_rule.is_some()) && beyond
    }

    const fn bytes_are_absent(&self) -> bool {
        self.request_bytes == 0 && self.response_bytes == 0
    }
}
