//! Takes in what became certain.

use std::collections::BTreeSet;

use super::{Alarm, Call, Fact, Known, Outcome, Reference, Rotation, Rules, Step, Version};
use crate::clock::UnixMillis;

impl Rotation {
    /// Takes in a fact. One that does not belong to the step is none of its business: facts are written by
    /// [`Rotation::learn`] and [`Rotation::next`] of the very same state.
    pub fn apply(&mut self, fact: &Fact, rules: &Rules, at: UnixMillis) {
        match (fact, &self.step) {
            (Fact::Alarmed { alarm }, _) => {
                self.alarm = Some(alarm.clone());
                self.untold.take_if(|untold| untold == alarm);
            }
            (Fact::Recovered, _) => self.alarm = None,
            (Fact::Kept, _) => self.abandoned = false,
            (Fact::Discerned, _) => {
                self.discerning = true;
                let let_in = |alarm: &mut Alarm| *alarm == Alarm::LetsEverybodyIn;
                self.alarm.take_if(let_in);
            }
            // As if it had been published with these numbers: what has passed has passed.
            (Fact::Hurried { .. }, Step::Overlapping { until }) => {
                let until = (*until).min(self.since.plus_millis(rules.overlap));
                self.step = Step::Overlapping { until };
            }
            (Fact::Abandoned, _) => {
                self.abandoned = true;
                self.give_up_quietly(at);
            }

            // Neither brings the rotation forward: whoever waits for it still waits since the last step.
            (
                Fact::Asked {
                    call: Call::Create(_),
                },
                Step::Creating { .. } | Step::Probing { .. },
            ) => {
                self.step = Step::Creating { asked: true };
            }
            (
                Fact::Asked {
                    call: Call::Revoke(_),
                },
                Step::Revoking { .. },
            ) => {
                self.step = Step::Revoking { asked: true };
                self.ending = true;
            }
            (Fact::Lost { .. }, Step::Creating { .. }) => {
                self.doubtful = true;
                self.in_vain = self.in_vain.saturating_add(1);
                self.step = Step::Probing { since: at };
            }
            // A third party that says no after it did so is not unheard of.
            (Fact::Declined { .. }, Step::Creating { .. }) => {
                self.doubtful = true;
                self.in_vain = self.in_vain.saturating_add(1);
                self.step = Step::Creating { asked: false };
                self.give_up_quietly(at);
            }
            // However long it takes to get through: nothing is ended without a look at the new one before.
            (Fact::Declined { .. }, Step::Revoking { .. }) => self.step = Step::Confirming,

            (Fact::Looked { before }, Step::Looking) => {
                self.before.clone_from(before);
                self.go(Step::Creating { asked: false }, at);
            }
            (Fact::Created { reference }, Step::Creating { .. } | Step::Probing { .. }) => {
                self.reference = Some(reference.clone());
                self.go(Step::Proving { since: at }, at);
                self.give_up_quietly(at);
            }
            // It may go round in circles: somebody still waits since the last step.
            (Fact::Probed { orphans }, Step::Probing { .. } | Step::Creating { .. }) => {
                if self.is_in_vain() {
                    self.take_another_number();
                }
                self.clear(orphans.clone(), at);
            }
            (Fact::Probed { orphans }, Step::Sweeping) if !orphans.is_empty() => {
                let orphans = orphans.clone();
                self.step = Step::Tidying { orphans };
            }
            (Fact::Cleared { reference }, Step::Clearing { orphans }) => {
                let left = without(orphans, reference);
                self.clear(left, at);
            }
            (Fact::Cleared { reference }, Step::Tidying { orphans }) => {
                let left = without(orphans, reference);
                self.step = if left.is_empty() {
                    Step::Sweeping
                } else {
                    Step::Tidying { orphans: left }
                };
            }
            (Fact::Proved, Step::Proving { .. }) => {
                self.is_well();
                self.go(Step::Publishing, at);
            }
            (Fact::Disproved, Step::Proving { .. } | Step::Publishing) => {
                self.make_another(at);
                self.tell(Alarm::NeverWorked);
            }
            // Both are told of as errors in telemetry already.
            (Fact::Unfit { .. }, Step::Proving { .. } | Step::Publishing) => self.make_another(at),
            // It was never asked for.
            (Fact::Unfit { .. }, Step::Creating { .. }) => {
                self.take_another_number();
                self.clear(BTreeSet::new(), at);
            }
            (Fact::Published, Step::Publishing) => {
                self.published = true;
                let next = if self.old.is_some() {
                    Step::Overlapping {
                        until: at.plus_millis(rules.overlap),
                    }
                } else {
                    Step::Sweeping
                };
                self.go(next, at);
            }
            (Fact::Overlapped, Step::Overlapping { .. }) => self.go(Step::Draining, at),
            (Fact::Drained, Step::Draining) => self.go(Step::Confirming, at),
            // The end that was asked for before did not come about: this is no step that was not made already.
            (Fact::Confirmed, Step::Confirming) if self.ending => {
                self.step = Step::Revoking { asked: false };
            }
            (Fact::Confirmed, Step::Confirming) => self.go(Step::Revoking { asked: false }, at),
            (
                Fact::Reverted,
                Step::Overlapping { .. }
                | Step::Draining
                | Step::Confirming
                | Step::Revoking { asked: false },
            ) => self.change_places(rules, at),
            (Fact::Revoked, Step::Revoking { .. }) => self.go(
                Step::Burying {
                    since: at,
                    said: true,
                },
                at,
            ),
            (Fact::Lost { .. }, Step::Revoking { .. }) => {
                self.step = Step::Burying {
                    since: at,
                    said: false,
                };
            }
            (Fact::Undead, Step::Burying { said, .. }) => {
                if *said {
                    self.tell(Alarm::Undead);
                }
                self.step = Step::Confirming;
            }
            (Fact::Buried, Step::Burying { .. }) => {
                self.is_well();
                self.go(Step::Sweeping, at);
            }
            (Fact::Swept, Step::Sweeping) => {
                let outcome = if !self.published {
                    Outcome::Abandoned
                } else if self.reverted {
                    Outcome::Reverted
                } else {
                    Outcome::Rotated
                };
                // Nobody else says who they belong to when it is over.
                let is_of_strangers = |alarm: &mut Alarm| matches!(alarm, Alarm::Strangers { .. });
                let strangers = self.alarm.take_if(is_of_strangers);
                self.is_well();
                self.alarm = strangers;
                self.go(Step::Over(outcome), at);
            }
            _ => {}
        }
    }

    /// A step forward: it does not stand still any more. What else is wrong may be so still.
    fn go(&mut self, step: Step, at: UnixMillis) {
        self.step = step;
        self.since = at;
        let stood = |alarm: &mut Alarm| matches!(alarm, Alarm::Stuck { .. } | Alarm::BothDead);
        self.alarm.take_if(stood);
    }

    /// Nobody has to look any more.
    fn is_well(&mut self) {
        self.alarm = None;
        self.untold = None;
    }

    /// Somebody has to be told, once for as long as it is so.
    fn tell(&mut self, alarm: Alarm) {
        if self.alarm.as_ref() != Some(&alarm) {
            self.untold = Some(alarm);
        }
    }

    /// The new one is of no use: it goes, and then another one is made. What is ours to say goes as soon as something else
    /// is said: an end that was lost on the way could come after that.
    fn make_another(&mut self, at: UnixMillis) {
        let useless = self.reference.take().filter(|_| !self.is_proposed());
        self.doubtful = true;
        self.take_another_number();
        self.clear(useless.into_iter().collect(), at);
    }

    /// Another number is another idempotency key: the same one would bring the same answer.
    fn take_another_number(&mut self) {
        self.version = Version(self.version.0.saturating_add(1));
        self.in_vain = 0;
    }

    /// These go, and then it begins again, or ends.
    fn clear(&mut self, orphans: BTreeSet<Reference>, at: UnixMillis) {
        if orphans.is_empty() {
            self.step = Step::Creating { asked: false };
            self.give_up_quietly(at);
        } else {
            self.step = Step::Clearing { orphans };
        }
    }

    /// Abandoned before anybody got the new one: nobody notices. Where an answer is still open it is found
    /// out first; where both are good the two change places, see [`Rotation::learn`].
    fn give_up_quietly(&mut self, at: UnixMillis) {
        if !self.abandoned {
            return;
        }
        match self.step {
            Step::Looking => {
                self.is_well();
                self.go(Step::Over(Outcome::Abandoned), at);
            }
            Step::Creating { asked: false } => self.go(Step::Sweeping, at),
            Step::Proving { .. } | Step::Publishing => {
                let unwanted = self.reference.take();
                self.doubtful = true;
                self.clear(unwanted.into_iter().collect(), at);
            }
            _ => {}
        }
    }

    fn change_places(&mut self, rules: &Rules, at: UnixMillis) {
        let (Some(old), Some(reference)) = (self.old.take(), self.reference.take()) else {
            return;
        };
        self.old = Some(Known {
            version: self.version,
            reference,
        });
        self.version = old.version;
        self.reference = Some(old.reference);
        self.reverted = !self.reverted;
        self.abandoned = false;
        self.ending = false;
        self.is_well();
        self.go(
            Step::Overlapping {
                until: at.plus_millis(rules.overlap),
            },
            at,
        );
    }
}

fn without(orphans: &BTreeSet<Reference>, gone: &Reference) -> BTreeSet<Reference> {
    orphans
        .iter()
        .filter(|orphan| *orphan != gone)
        .cloned()
        .collect()
}
