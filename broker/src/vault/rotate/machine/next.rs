//! What to do now.

use super::{Around, Call, Creation, Fact, Known, Rotation, Rules, Step, Todo, Unfit};
use crate::clock::UnixMillis;

impl Rotation {
    /// What to do now.
    pub fn next(&self, rules: &Rules, around: Around, now: UnixMillis) -> Todo {
        if let Some(alarm) = &self.untold {
            let alarm = alarm.clone();
            return Todo::Record(Fact::Alarmed { alarm });
        }
        match &self.step {
            Step::Looking | Step::Sweeping => Todo::Ask(Call::Find),
            Step::Creating { asked: false } if self.is_in_vain() => Todo::Ask(Call::Find),
            Step::Creating { asked: false } => Todo::Change(Call::Create(self.version)),
            Step::Creating { asked: true } | Step::Revoking { asked: true } => {
                Todo::Record(Fact::Lost {
                    why: "the broker stopped before the answer came".to_owned(),
                })
            }
            Step::Probing { since } => {
                let settled = since.plus_millis(rules.settle);
                match &self.creation {
                    _ if now < settled => Todo::Wait(settled),
                    Creation::Proposed(_) => Todo::Ask(Call::Verify(self.version)),
                    Creation::Returned => Todo::Ask(Call::Find),
                    Creation::Repeatable if self.is_in_vain() => Todo::Ask(Call::Find),
                    Creation::Repeatable => Todo::Change(Call::Create(self.version)),
                }
            }
            // It was taken for dead: before it goes, what is in force is looked at once more.
            Step::Tidying { orphans }
                if self.published
                    && self.old.as_ref().map(|old| &old.reference) == orphans.first()
                    && !self.is_fresh(rules, around.new_worked, now) =>
            {
                Todo::Ask(Call::Verify(self.version))
            }
            Step::Clearing { orphans } | Step::Tidying { orphans } => match orphans.first() {
                Some(orphan) => Todo::Change(Call::Revoke(orphan.clone())),
                None => Todo::Nothing,
            },
            // Whoever found it can use it already: it must not come into force.
            Step::Proving { .. } | Step::Publishing if around.new_leaked => {
                let why = Unfit::Leaked;
                Todo::Record(Fact::Unfit { why })
            }
            Step::Proving { .. } => Todo::Ask(Call::Verify(self.version)),
            Step::Publishing if !self.discerning => Todo::Ask(Call::VerifyWrong(self.version)),
            // That it was proved may be long ago.
            Step::Publishing if !self.is_fresh(rules, around.new_worked, now) => {
                Todo::Ask(Call::Verify(self.version))
            }
            Step::Publishing => Todo::Record(Fact::Published),
            // However short the overlap: before the new one is known everywhere its death proves nothing.
            Step::Overlapping { until } => {
                let known_everywhere = self.since.plus_millis(rules.spread);
                self.while_both_are_good(rules, around, known_everywhere.max(*until), now)
            }
            Step::Draining => {
                let quiet = around
                    .old_used
                    .map_or(self.since, |used| used.max(self.since))
                    .plus_millis(rules.quiet);
                let quiet = around.asked_again.map_or(quiet, |again| again.max(quiet));
                if now >= quiet && !self.abandoned {
                    return Todo::Record(Fact::Drained);
                }
                self.while_both_are_good(rules, around, quiet, now)
            }
            Step::Confirming => self.compare(),
            Step::Revoking { asked: false }
                if self.abandoned || !self.is_fresh(rules, around.new_worked, now) =>
            {
                self.compare()
            }
            Step::Revoking { asked: false } => {
                self.with_old(|old| Todo::Change(Call::Revoke(old.reference.clone())))
            }
            // An end that was lost on the way may still come: nobody may rely on the old one before it has.
            Step::Burying { since, said: false } if now < since.plus_millis(rules.settle) => {
                Todo::Wait(since.plus_millis(rules.settle))
            }
            Step::Burying { .. } => self.with_old(|old| Todo::Ask(Call::Verify(old.version))),
            Step::Over(_) => Todo::Nothing,
        }
    }

    /// Both are good: time passes, and now and then it is looked whether they still work. Whoever wants it
    /// undone need not wait.
    fn while_both_are_good(
        &self,
        rules: &Rules,
        around: Around,
        until: UnixMillis,
        now: UnixMillis,
    ) -> Todo {
        if self.abandoned {
            return self.compare();
        }
        if now >= until && matches!(self.step, Step::Overlapping { .. }) {
            return Todo::Record(Fact::Overlapped);
        }
        match around.compared {
            Some(compared) if now.millis_since(compared) < rules.watch => {
                Todo::Wait(until.min(compared.plus_millis(rules.watch)))
            }
            _ => self.compare(),
        }
    }

    fn compare(&self) -> Todo {
        self.with_old(|old| {
            Todo::Ask(Call::Compare {
                new: self.version,
                old: old.version,
            })
        })
    }

    /// Steps that come after publishing over an old one always have one.
    fn with_old(&self, todo: impl FnOnce(&Known) -> Todo) -> Todo {
        self.old.as_ref().map_or(Todo::Nothing, todo)
    }
}
