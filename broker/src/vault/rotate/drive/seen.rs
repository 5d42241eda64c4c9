//! What one process saw of two credentials while both are good. It dies with the process: whoever goes on looks anew.
//!
//! **What it catches:** an end that is due since long ago, by a look of another process; a "dead" that only says that a
//! server has not heard of the new credential yet. **What it misses:** a new one that dies is noticed by a second look,
//! [`SECOND_LOOK`] later, and while it may not be known everywhere (`spread`) only after that. **Why not one look:** the two
//! would change places, after a leak too, because one of many servers was late.

use super::super::machine::{Answer, Around, Call, Rotation, Rules, Step, Version};
use crate::clock::UnixMillis;

/// A new credential has to be dead for so long until the one before takes its place again, in milliseconds.
const SECOND_LOOK: u64 = 2_000;

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// When both were compared last.
    pub(super) compared: Option<UnixMillis>,
    /// When somebody was logged in with the old one last.
    pub(super) used: Option<UnixMillis>,
    /// Before then it is not asked again whether somebody is.
    pub(super) asked_again: Option<UnixMillis>,
    worked: Option<(Version, UnixMillis)>,
    died: Option<(Version, UnixMillis)>,
}

impl Seen {
    /// For the machine.
    pub(super) fn around(
        &self,
        rotation: &Rotation,
        now: UnixMillis,
        held_until: UnixMillis,
    ) -> Around {
        let is_of_now = |(version, _): &(Version, UnixMillis)| *version == rotation.version();
        let is_held = now < held_until;
        Around {
            old_used: self.used.filter(|_| is_held),
            compared: self.compared,
            asked_again: self.asked_again.filter(|_| is_held),
            new_worked: self.worked.filter(is_of_now).map(|(_, at)| at),
            new_leaked: false,
        }
    }

    /// Takes in an answer, and says what it is worth.
    pub(super) fn take(
        &mut self,
        call: &Call,
        answer: Answer,
        rotation: &Rotation,
        rules: &Rules,
        now: UnixMillis,
    ) -> Answer {
        match (call, answer) {
            (Call::Verify(version), Answer::Works) => {
                self.worked = Some((*version, now));
                Answer::Works
            }
            (Call::Compare { new, .. }, Answer::Compared { new: said, old }) => {
                let said = match said {
                    Some(true) => {
                        (self.worked, self.died) = (Some((*new, now)), None);
                        said
                    }
                    // Two that are dead are told of at once, and nothing is done about them.
                    Some(false) if old == Some(true) => {
                        self.worked = None;
                        self.is_dead(*new, rotation, rules, now).then_some(false)
                    }
                    _ => {
                        self.worked = None;
                        said
                    }
                };
                Answer::Compared { new: said, old }
            }
            (_, answer) => answer,
        }
    }

    /// Whether the new one has been dead for long enough. Until then it is looked at again soon.
    fn is_dead(
        &mut self,
        new: Version,
        rotation: &Rotation,
        rules: &Rules,
        now: UnixMillis,
    ) -> bool {
        let died = self.died.filter(|(version, _)| *version == new);
        let (_, since) = *self.died.insert(died.unwrap_or((new, now)));
        // It stands there since it was put in force.
        let may_be_unknown = matches!(rotation.step(), Step::Overlapping { .. })
            && now < rotation.since().plus_millis(rules.spread);
        let is_dead = now >= since.plus_millis(SECOND_LOOK.min(rules.watch)) && !may_be_unknown;
        if !is_dead {
            self.compared = None;
        }
        is_dead
    }
}
