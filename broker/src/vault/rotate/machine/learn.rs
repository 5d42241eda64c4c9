//! What an answer makes certain.

use std::collections::BTreeSet;

use super::{Alarm, Answer, Creation, Fact, NAMED, Rotation, Rules, Step};
use crate::clock::UnixMillis;

impl Rotation {
    /// What an answer makes certain; `None`: nothing new, ask again later.
    pub fn learn(&self, rules: &Rules, answer: &Answer, now: UnixMillis) -> Option<Fact> {
        match (&self.step, answer) {
            (Step::Looking, Answer::Found(found)) => Some(Fact::Looked {
                before: found.clone(),
            }),
            (Step::Sweeping, Answer::Found(found)) => {
                let (orphans, strangers) = self.ours_and_strangers(found);
                let is_told = matches!(self.alarm, Some(Alarm::Strangers { .. }));
                Some(if !orphans.is_empty() {
                    Fact::Probed { orphans }
                } else if !strangers.is_empty() && !is_told {
                    let references = strangers.into_iter().take(NAMED).collect();
                    let alarm = Alarm::Strangers { references };
                    Fact::Alarmed { alarm }
                } else {
                    Fact::Swept
                })
            }

            (Step::Creating { asked: true }, Answer::Created(reference)) => Some(Fact::Created {
                reference: reference.clone(),
            }),
            (
                Step::Creating { asked: true } | Step::Revoking { asked: true },
                Answer::Refused(why),
            ) => Some(Fact::Declined { why: why.clone() }),
            (
                Step::Creating { asked: true } | Step::Revoking { asked: true },
                Answer::Unclear(why),
            ) => Some(Fact::Lost { why: why.clone() }),
            (Step::Probing { .. }, Answer::Works) => match &self.creation {
                Creation::Proposed(reference) => Some(Fact::Created {
                    reference: reference.clone(),
                }),
                _ => None,
            },
            (Step::Probing { .. }, Answer::Dead) => Some(Fact::Probed {
                orphans: BTreeSet::new(),
            }),
            (Step::Probing { .. } | Step::Creating { asked: false }, Answer::Found(found)) => {
                Some(Fact::Probed {
                    orphans: self.unexpected(found),
                })
            }

            (Step::Clearing { orphans } | Step::Tidying { orphans }, Answer::Revoked) => {
                orphans.first().map(|orphan| Fact::Cleared {
                    reference: orphan.clone(),
                })
            }

            (Step::Proving { .. }, Answer::Works) => Some(Fact::Proved),
            (Step::Proving { since }, Answer::Dead) => {
                (now.millis_since(*since) >= rules.spread).then_some(Fact::Disproved)
            }

            (Step::Publishing, Answer::Dead) => {
                (now.millis_since(self.since) >= rules.spread).then_some(Fact::Disproved)
            }
            (Step::Publishing, Answer::Discerned) => Some(Fact::Discerned),
            (Step::Publishing, Answer::LetsEverybodyIn) => {
                let alarm = Alarm::LetsEverybodyIn;
                (self.alarm.as_ref() != Some(&alarm)).then_some(Fact::Alarmed { alarm })
            }

            (
                Step::Overlapping { .. }
                | Step::Draining
                | Step::Confirming
                | Step::Revoking { asked: false },
                Answer::Compared { new, old },
            ) => self.compared(*new, *old),

            (Step::Revoking { asked: true }, Answer::Revoked) => Some(Fact::Revoked),
            (Step::Burying { .. }, Answer::Dead) => Some(Fact::Buried),
            (Step::Burying { since, said }, Answer::Works) => {
                (!said || now.millis_since(*since) >= rules.spread).then_some(Fact::Undead)
            }
            _ => None,
        }
    }

    /// The new one is in force: what becomes of it is decided by whether it works, not by what was planned.
    fn compared(&self, new: Option<bool>, old: Option<bool>) -> Option<Fact> {
        match (new, old) {
            (Some(true), _) if self.alarm == Some(Alarm::BothDead) => Some(Fact::Recovered),
            (Some(true), Some(true)) if self.abandoned => Some(Fact::Reverted),
            (Some(true), Some(false)) if self.abandoned => Some(Fact::Kept),
            (Some(true), _) if self.step == Step::Confirming && !self.abandoned => {
                Some(Fact::Confirmed)
            }
            (Some(false), Some(true)) => Some(Fact::Reverted),
            (Some(false), Some(false)) if self.alarm != Some(Alarm::BothDead) => {
                Some(Fact::Alarmed {
                    alarm: Alarm::BothDead,
                })
            }
            _ => None,
        }
    }
}
