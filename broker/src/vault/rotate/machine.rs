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
//! before it is published, and proved again right before the old one is ended. The old one is ended only when
//! nobody has used it for a while. What was made there and nobody got to know is ended too; what was there
//! before is never touched, whoever made it.
//!
//! **What an answer is worth.** "No" means that it did not happen. No answer, half an answer, nonsense and
//! "internal error" all mean that nobody knows: then it is looked at, never guessed. The intention is
//! durable before a call that changes something, so a process that dies in it knows that it may have happened.
//!
//! **What it misses.** A request that a third party carries out long after it failed to answer, later than the
//! last sweep: the next rotation sees it as a stranger's and says so. A use of the old credential that did not
//! pass through egress. A third party that says "works" to everything: drivers show it a credential that cannot
//! be right before they begin.
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

/// What a third party calls a credential: an access key's id, a role's name. Not secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

/// The number of a version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

/// How a third party makes credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// We say what it shall be and where, such as the password of the other one of two roles: whether it
    /// holds can be tried.
    Proposed(Reference),
    /// It says what it is, once: an answer that is lost is lost.
    Returned,
    /// It says what it is, and says it again to whoever asks with the same idempotency key.
    Repeatable,
}

/// A call to the third party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Which credentials are there?
    Find,
    /// Make one. The same version is the same idempotency key.
    Create(Version),
    /// Does it work?
    Verify(Version),
    /// Does the new one work, and does the old one?
    Compare { new: Version, old: Version },
    /// End it. One that is not there counts as ended.
    Revoke(Reference),
}

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

/// What became certain; in this order these are the rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// What was there before anything was done.
    Looked { before: BTreeSet<Reference> },
    /// A call that changes something is about to be made.
    Asked { call: Call },
    /// The call did not happen.
    Declined { why: String },
    /// Nobody knows whether the call happened.
    Lost { why: String },
    /// The new credential is there, and its version is kept.
    Created { reference: Reference },
    /// These are there and nobody knows them; none: nothing was made.
    Probed { orphans: BTreeSet<Reference> },
    /// One of those is gone.
    Cleared { reference: Reference },
    /// The new one works.
    Proved,
    /// The new one never worked: it goes, and another is made.
    Disproved,
    /// From here on the new one is in force.
    Published,
    /// Everybody has had time to get the new one.
    Overlapped,
    /// Nobody has used the old one for long enough.
    Drained,
    /// The new one still works, right before the old one ends.
    Confirmed,
    /// The new one stopped working, or is not wanted, and the old one works: they change places.
    Reverted,
    /// It cannot be undone any more: the old one is dead.
    Kept,
    /// What was dead works again.
    Recovered,
    /// The old one was ended, it is said.
    Revoked,
    /// The old one still works: it is ended again.
    Undead,
    /// The old one does not work any more.
    Buried,
    /// Nothing is there that should not be.
    Swept,
    /// Somebody has to look.
    Alarmed { alarm: Alarm },
    /// An administrator wants it undone.
    Abandoned,
}

impl Fact {
    /// Whether a step was made by it: lost and declined calls, intentions and alarms are none.
    pub const fn is_progress(&self) -> bool {
        !matches!(
            self,
            Self::Asked { .. }
                | Self::Declined { .. }
                | Self::Lost { .. }
                | Self::Alarmed { .. }
                | Self::Disproved
                | Self::Undead
        )
    }
}

/// Why somebody has to look. Whatever it is, the rotation goes on trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alarm", rename_all = "snake_case")]
pub enum Alarm {
    /// No step was made for too long.
    Stuck { why: String },
    /// Neither the new credential nor the old one works. Nothing is ended.
    BothDead,
    /// What was made did not work.
    NeverWorked,
    /// The old one works although it was ended.
    Undead,
}

/// A version and what the third party calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Our number.
    pub version: Version,
    /// Their name.
    pub reference: Reference,
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

/// How a rotation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new one is in force, the old one dead.
    Rotated,
    /// The one from before is in force, the new one dead.
    Reverted,
    /// It was abandoned before anybody got the new one.
    Abandoned,
}

/// How long things may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// After a lost answer: how long until it is looked at what came of it. Longer than any call is waited for.
    pub settle: u64,
    /// How long a new credential, or the end of one, may need until the third party knows it everywhere.
    pub spread: u64,
    /// How long both stay good: longer than the longest lease.
    pub overlap: u64,
    /// How long nobody must have used the old one.
    pub quiet: u64,
    /// How often it is looked whether both still work, while both are good.
    pub watch: u64,
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
    published: bool,
    abandoned: bool,
    reverted: bool,
    /// The end of the old one was asked for, so that it may come at any time.
    ending: bool,
}

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
            published: false,
            abandoned: false,
            reverted: false,
            ending: false,
        }
    }

    /// Where it stands.
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// The version that it makes; after a reversal, the one from before.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What was in force before; after a reversal, what it had made.
    pub const fn old(&self) -> Option<&Known> {
        self.old.as_ref()
    }

    /// What somebody has to look at, until it moves again.
    pub const fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    /// When the last step was made.
    pub const fn since(&self) -> UnixMillis {
        self.since
    }

    /// Whether what the new one shall be is ours to say.
    pub const fn is_proposed(&self) -> bool {
        matches!(self.creation, Creation::Proposed(_))
    }

    /// Whether an administrator wants it undone.
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
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
            && !matches!(self.step, Step::Sweeping | Step::Tidying { .. } | Step::Over(_))
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
}
