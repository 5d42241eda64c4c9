//! How a secret is exchanged at a third party so that nothing ever breaks: what to do next, and what was
//! learned from an answer. No I/O, no clock, no secret bytes; the log keeps every [`Fact`].
//!
//! ```text
//! looking ─► creating ─► proving ─► publishing ─► overlapping ─► draining ─► confirming ─► revoking ─► burying ─► sweeping ─► done
//!              │  ▲                                                             │ the new one died, the old one works
//!    no answer ▼  │                                                             ▼
//!            probing ─► clearing (what nobody got to know)              the two change places
//! ```
//!
//! **What it promises.** The version in force works, as far as anybody who asks can know: a new one is proved
//! before it is published, and proved again right before the old one is ended: by the process that ends it, however long
//! another one ago was sure of it. The old one is ended only when
//! nobody has used it for a while. What was made there and nobody got to know is ended too; what was there
//! before is never touched, whoever made it. What came meanwhile is ended only when it may be ours: after an answer to a
//! create that was lost, or a no, or a new one that never worked. Else somebody else made it, and is told.
//!
//! **What an answer is worth.** "No" means that it did not happen. No answer, half an answer, nonsense and
//! "internal error" all mean that nobody knows: then it is looked at, never guessed. The intention is
//! durable before a call that changes something, so a process that dies in it knows that it may have happened.
//!
//! **What it misses.** A request that a third party carries out long after it failed to answer, later than the
//! last sweep: to the next rotation it is one of those that were there before. A use of the old credential that did not
//! pass through egress. After a lost create, a key that somebody made by hand meanwhile and that the vault does not have.
//! A third party that says "works" to everything is shown a credential that cannot be right: nothing is published before
//! that was refused.
//!
//! **Why not simpler.** Create, swap, delete in a row loses the only working key as soon as one answer is lost:
//! after a create without an answer some third parties hold two keys of which one is known to nobody, and take
//! no third.

mod apply;
mod learn;
mod next;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::store::event::RotationCause;
pub use crate::store::event::{
    Alarm, Call, Creation, Fact, Known, Reference, Rules, Unfit, Version,
};

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These are there.
    Found(BTreeSet<Reference>),
    /// It was made.
    Created(Reference),
    /// It works.
    Works,
    /// It was refused as a credential, by the third party itself.
    Dead,
    /// What cannot be right was refused.
    Discerned,
    /// What cannot be right works.
    LetsEverybodyIn,
    /// Each works, is dead, or did not say.
    Compared {
        new: Option<bool>,
        old: Option<bool>,
    },
    /// It is ended.
    Revoked,
    /// It did not happen.
    Refused(String),
    /// Nobody knows whether it happened.
    Unclear(String),
}

/// Where a rotation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What is there?
    Looking,
    /// The new one is to be made; `asked`: perhaps it was.
    Creating { asked: bool },
    /// An answer was lost at that time.
    Probing { since: UnixMillis },
    /// These go.
    Clearing { orphans: BTreeSet<Reference> },
    /// Does the new one work? Not since.
    Proving { since: UnixMillis },
    /// It does.
    Publishing,
    /// Both are good until everybody has the new one.
    Overlapping { until: UnixMillis },
    /// Until nobody uses the old one.
    Draining,
    /// Does the new one still work?
    Confirming,
    /// The old one is to be ended; `asked`: perhaps it was.
    Revoking { asked: bool },
    /// Is the old one dead? `said`: it was ended, they said.
    Burying { since: UnixMillis, said: bool },
    /// Is anything there that should not be?
    Sweeping,
    /// These should not.
    Tidying { orphans: BTreeSet<Reference> },
    /// It ended.
    Over(Outcome),
}

impl Step {
    /// As telemetry names it: one of a closed set.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Looking => "looking",
            Self::Creating { .. } => "creating",
            Self::Probing { .. } => "probing",
            Self::Clearing { .. } => "clearing",
            Self::Proving { .. } => "proving",
            Self::Publishing => "publishing",
            Self::Overlapping { .. } => "overlapping",
            Self::Draining => "draining",
            Self::Confirming => "confirming",
            Self::Revoking { .. } => "revoking",
            Self::Burying { .. } => "burying",
            Self::Sweeping => "sweeping",
            Self::Tidying { .. } => "tidying",
            Self::Over(_) => "over",
        }
    }
}

/// How a rotation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new one is in force, the old one dead.
    Rotated,
    /// The one from before is in force, the new one dead.
    Reverted,
    /// It was abandoned before anybody got the new one.
    Abandoned,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rotated, Self::Reverted, Self::Abandoned];

    /// As telemetry names it: one of a closed set.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Reverted => "reverted",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Ask; nothing changes by it.
    Ask(Call),
    /// Write [`Fact::Asked`], then call.
    Change(Call),
    /// Write it.
    Record(Fact),
    /// Nothing before then.
    Wait(UnixMillis),
    /// Nothing any more.
    Nothing,
}

/// What is known beside the facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// When the old version was used last, or its last lease ends: whichever is later.
    pub old_used: Option<UnixMillis>,
    /// When both versions were compared last.
    pub compared: Option<UnixMillis>,
    /// Somebody still uses the old one, or nobody says: it is not asked again before.
    pub asked_again: Option<UnixMillis>,
    /// The new one was found somewhere.
    pub new_leaked: bool,
    /// When this process saw the new one work last.
    pub new_worked: Option<UnixMillis>,
}

/// A rotation: its facts, folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    creation: Creation,
    version: Version,
    reference: Option<Reference>,
    old: Option<Known>,
    before: BTreeSet<Reference>,
    step: Step,
    /// When the last step was made.
    since: UnixMillis,
    alarm: Option<Alarm>,
    /// What somebody is to be told before anything else is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    untold: Option<Alarm>,
    published: bool,
    abandoned: bool,
    reverted: bool,
    /// The end of the old one was asked for, so that it may come at any time.
    ending: bool,
    /// What cannot be right was refused.
    #[serde(default)]
    discerning: bool,
    /// Something may have been made that is not known by name. One from before this was kept may have.
    #[serde(default = "may_be")]
    doubtful: bool,
    /// How often the one of this number was asked for in vain.
    #[serde(default)]
    in_vain: u32,
}

/// So often one is asked for by the same idempotency key; then what is there is looked at, and the next one has another
/// key. Some third parties answer a key for a day as they answered it first, and be it with an error.
const MOST_IN_VAIN: u32 = 3;

/// The least time for which a look at the new one counts, in milliseconds.
const LEAST_FRESH: u64 = 1_000;

const fn may_be() -> bool {
    true
}

/// Strangers that are named to somebody: enough to recognise where they come from.
const NAMED: usize = 10;

impl Rotation {
    /// Begins. `old` is what is in force, if anything is; `version` is the number that the new one will have.
    pub fn begin(creation: Creation, old: Option<Known>, version: Version, at: UnixMillis) -> Self {
        Self {
            creation,
            version,
            reference: None,
            old,
            before: BTreeSet::new(),
            step: Step::Looking,
            since: at,
            alarm: None,
            untold: None,
            published: false,
            abandoned: false,
            reverted: false,
            ending: false,
            discerning: false,
            doubtful: false,
            in_vain: 0,
        }
    }

    /// Whether what cannot be right was refused before it began.
    #[must_use]
    pub const fn discerning(mut self, discerning: bool) -> Self {
        self.discerning = discerning;
        self
    }

    /// Where it stands.
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// The version that it makes; after a reversal, the one from before.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whether it makes a version, or ends it.
    pub fn is_about(&self, version: Version) -> bool {
        let old = self.old.as_ref().map(|old| old.version);
        self.version == version || old == Some(version)
    }

    /// What was in force before; after a reversal, what it had made.
    pub const fn old(&self) -> Option<&Known> {
        self.old.as_ref()
    }

    /// What somebody has to look at, until it is over.
    pub const fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    /// Whether somebody was told something that says that it stands still, or why it will.
    pub const fn is_known_to_stand(&self) -> bool {
        !matches!(
            self.alarm,
            None | Some(Alarm::StillUsed | Alarm::Strangers { .. })
        )
    }

    /// Whether a fact brings it forward. What it may go round in circles with does not: whoever counts how long
    /// nothing moved would begin anew each time.
    pub fn gets_on_by(&self, fact: &Fact) -> bool {
        match fact {
            // Once its end was asked for, the old one is refused or lost again and again between two looks.
            Fact::Confirmed => !self.ending,
            Fact::Probed { .. } | Fact::Cleared { .. } => false,
            fact => fact.is_progress(),
        }
    }

    /// Until when who is logged in with the old one holds back its end: whoever keeps a session for ever must not keep
    /// the credential alive for ever, and somebody who should not have it holds back nothing.
    pub const fn sessions_hold_until(&self, rules: &Rules, cause: RotationCause) -> UnixMillis {
        let patience = match cause {
            RotationCause::Asked | RotationCause::Schedule => {
                rules.overlap.saturating_add(rules.quiet)
            }
            RotationCause::Leak | RotationCause::Drift | RotationCause::OwnerEnded => 0,
        };
        self.since.plus_millis(patience)
    }

    /// When the last step was made.
    pub const fn since(&self) -> UnixMillis {
        self.since
    }

    /// Since when it should have got on; `None` while time has to pass.
    pub const fn due_since(&self) -> Option<UnixMillis> {
        match self.step {
            Step::Overlapping { .. } | Step::Draining | Step::Over(_) => None,
            _ => Some(self.since),
        }
    }

    /// Whether a fact still means something here: between the look that brought it and now somebody may have written
    /// another one.
    pub fn takes(&self, fact: &Fact, rules: &Rules, at: UnixMillis) -> bool {
        let mut after = self.clone();
        after.apply(fact, rules, at);
        after != *self
    }

    /// Whether a call may still be asked for: between the look that wanted it and now it may have been undone.
    pub fn wants(&self, call: &Call) -> bool {
        match (call, &self.step) {
            (Call::Create(version), Step::Creating { .. } | Step::Probing { .. }) => {
                *version == self.version
            }
            (Call::Revoke(_), Step::Revoking { .. }) => !self.abandoned,
            (Call::Revoke(reference), Step::Clearing { orphans } | Step::Tidying { orphans }) => {
                orphans.contains(reference)
            }
            _ => false,
        }
    }

    /// Whether the new one was seen to work a moment ago.
    fn is_fresh(&self, rules: &Rules, worked: Option<UnixMillis>, now: UnixMillis) -> bool {
        worked.is_some_and(|worked| now.millis_since(worked) <= rules.watch.max(LEAST_FRESH))
    }

    /// Whether asking again in the same way would bring the same.
    const fn is_in_vain(&self) -> bool {
        matches!(self.creation, Creation::Repeatable) && self.in_vain >= MOST_IN_VAIN
    }

    /// Whether what the new one shall be is ours to say.
    pub const fn is_proposed(&self) -> bool {
        matches!(self.creation, Creation::Proposed(_))
    }

    /// How the new one comes about.
    pub const fn creation(&self) -> &Creation {
        &self.creation
    }

    /// Whether anybody may have got the new one.
    pub const fn is_published(&self) -> bool {
        self.published
    }

    /// Whether an administrator wants it undone.
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether the one from before is in force again.
    pub const fn is_reverted(&self) -> bool {
        self.reverted
    }

    /// How it ended.
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.step {
            Step::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether it can still be undone: not once the end of the old one may have begun.
    pub const fn can_be_abandoned(&self) -> bool {
        !self.abandoned
            && !self.reverted
            && !self.ending
            && !matches!(
                self.step,
                Step::Sweeping | Step::Tidying { .. } | Step::Over(_)
            )
    }

    /// What should be there at the third party, as far as this rotation goes. What was there before is nobody
    /// else's business, whoever made it.
    fn expected(&self) -> BTreeSet<Reference> {
        let mut expected = self.before.clone();
        if self.published {
            if let Some(old) = &self.old {
                expected.remove(&old.reference);
            }
            expected.extend(self.reference.clone());
        }
        expected
    }

    /// What is there and should not be.
    fn unexpected(&self, found: &BTreeSet<Reference>) -> BTreeSet<Reference> {
        found.difference(&self.expected()).cloned().collect()
    }

    /// Of what should not be there, what is ours to end, and what is somebody else's.
    fn ours_and_strangers(
        &self,
        found: &BTreeSet<Reference>,
    ) -> (BTreeSet<Reference>, BTreeSet<Reference>) {
        let old = self.old.as_ref().map(|old| &old.reference);
        let is_ours = |reference: &Reference| self.doubtful || Some(reference) == old;
        self.unexpected(found).into_iter().partition(is_ours)
    }
}
