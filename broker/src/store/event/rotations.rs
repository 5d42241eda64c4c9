//! Words about the exchange of credentials at third parties: what is planned, what was begun, what became certain.

use std::collections::BTreeSet;

use lanyard_token::NodeId;
use lanyard_token::integration::Network;
use serde::{Deserialize, Serialize};

use super::{By, Reference, Version};

/// How a secret is exchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RotationPlan {
    /// Which secret.
    pub secret: NodeId,
    /// At which third party, and how; the vault reads it.
    pub third_party: serde_json::Value,
    /// The secret whose version in force may make and end credentials there.
    pub manager: NodeId,
    /// Private networks that the third party may be in; none: it is on the open internet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<Network>,
    /// How often, in days; none: when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_days: Option<u32>,
    /// How long its steps may take.
    pub rules: Rules,
}

/// Why a secret is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationCause {
    /// Somebody asked.
    Asked,
    /// It was time.
    Schedule,
    /// It was found where it should not be.
    Leak,
    /// Its use left the baseline.
    Drift,
    /// Whoever answered for it ended.
    OwnerEnded,
}

impl RotationCause {
    /// As telemetry names it: one of a closed set.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Schedule => "schedule",
            Self::Leak => "leak",
            Self::Drift => "drift",
            Self::OwnerEnded => "owner_ended",
        }
    }
}

/// A rotation begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationBegun {
    /// Its number.
    pub rotation: NodeId,
    /// Which secret.
    pub secret: NodeId,
    /// Why.
    pub cause: RotationCause,
    /// How the new credential comes about.
    pub creation: Creation,
    /// What is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Known>,
    /// What the new version is called.
    pub version: Version,
    /// How long its steps may take.
    pub rules: Rules,
    /// A credential that cannot be right was refused before it began; absent: that is still to be seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discerning: bool,
    /// Who began it.
    pub by: By,
}

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
    /// Does one that cannot be right work in its name?
    VerifyWrong(Version),
    /// Does the new one work, and does the old one?
    Compare { new: Version, old: Version },
    /// End it. One that is not there counts as ended.
    Revoke(Reference),
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
    /// The new one must not come into force, whether it works or not: it goes, and another is made.
    Unfit { why: Unfit },
    /// A credential that cannot be right was refused, so that letting one in means something.
    Discerned,
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
    /// Somebody may have a copy of what it ends or put in force: both are good for no longer than they have to be.
    Hurried { cause: RotationCause },
}

impl Fact {
    /// As telemetry names it: one of a closed set.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Looked { .. } => "looked",
            Self::Asked { .. } => "asked",
            Self::Declined { .. } => "declined",
            Self::Lost { .. } => "lost",
            Self::Created { .. } => "created",
            Self::Probed { .. } => "probed",
            Self::Cleared { .. } => "cleared",
            Self::Proved => "proved",
            Self::Disproved => "disproved",
            Self::Unfit { why } => why.word(),
            Self::Discerned => "discerned",
            Self::Published => "published",
            Self::Overlapped => "overlapped",
            Self::Drained => "drained",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Kept => "kept",
            Self::Recovered => "recovered",
            Self::Revoked => "revoked",
            Self::Undead => "undead",
            Self::Buried => "buried",
            Self::Swept => "swept",
            Self::Alarmed { .. } => "alarmed",
            Self::Abandoned => "abandoned",
            Self::Hurried { .. } => "hurried",
        }
    }

    /// Whether a step was made by it: lost and declined calls, intentions and alarms are none.
    pub const fn is_progress(&self) -> bool {
        !matches!(
            self,
            Self::Asked { .. }
                | Self::Declined { .. }
                | Self::Lost { .. }
                | Self::Alarmed { .. }
                | Self::Disproved
                | Self::Unfit { .. }
                | Self::Undead
                | Self::Hurried { .. }
        )
    }
}

/// Why a new credential is of no use to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// It was found somewhere before anybody got it.
    Leaked,
    /// It did not come back from disk as it was written.
    NotReadBack,
}

impl Unfit {
    /// As telemetry names it: one of a closed set.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::NotReadBack => "not_read_back",
        }
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
    /// Somebody was logged in with the old one when it was not waited for any longer: those sessions are closed.
    StillUsed,
    /// A credential that cannot be right is let in, so that nothing can be proved: the new one is not put in force.
    LetsEverybodyIn,
    /// These came while it went on, and are not ours: they are left alone. The first few of them.
    Strangers { references: BTreeSet<Reference> },
}

impl Alarm {
    /// As telemetry names it: one of a closed set.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Stuck { .. } => "stuck",
            Self::BothDead => "both_dead",
            Self::NeverWorked => "never_worked",
            Self::Undead => "undead",
            Self::StillUsed => "still_used",
            Self::LetsEverybodyIn => "lets_everybody_in",
            Self::Strangers { .. } => "strangers",
        }
    }
}

/// A version and what the third party calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Our number.
    pub version: Version,
    /// Their name.
    pub reference: Reference,
}

/// How long things may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How long a call may take from beginning to end. A third party that is slower has not answered.
    pub call: u64,
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
