//! The words of the log: what can have happened to a trust domain.
//!
//! Events are facts, never commands: a reader may replay them in order, at any time, and arrive at
//! the same state. A word, once written to a log, keeps its meaning for ever; new facts get new
//! words or new optional members.

mod approval;
mod digest;
mod drift;
mod identity;
mod integrations;
mod issued;
mod rotations;
mod secrets;
mod signing;

use lanyard_drift::Thresholds;
pub use lanyard_drift::ladder::{Abuse, Response, Rung};
pub use lanyard_token::KeyUse;
use lanyard_token::{KeyId, NodeId, Rev};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
pub use approval::ApprovalRequest;
pub use digest::{ContentHash, KeyHash, TokenDigest};
use drift::boxed_thresholds;
pub use drift::{Chosen, Judgement, NamedOperation, PagingGoal, known_thresholds};
pub use identity::{Identity, Kind, Pinned};
pub use integrations::{KeptIntegration, SecretUse, WrittenIntegration};
pub use issued::{AskedFor, Decided, Denial, Grant, IssuedToken, Used, UsedOperation};
pub use rotations::{
    Alarm, Call, Creation, Fact, Known, RotationBegun, RotationCause, RotationPlan, Rules, Unfit,
};
pub use secrets::{LeasedFor, Reference, SecretVersion, Version, VersionState};
pub use signing::SigningKey;

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A broker opened the log; the boot numbers every node it will name.
    Booted { boot: u32, version: String },
    /// A new epoch began because an older copy was accepted: everything after `kept` is lost, and
    /// every token of an earlier epoch is dead.
    EpochStarted {
        kept: Rev,
        lost: Option<Rev>,
        by: By,
    },

    /// Somebody who answers for identities.
    OwnerCreated {
        owner: NodeId,
        name: String,
        contact: Option<String>,
        by: By,
    },
    /// A non-human identity and what it may ask for.
    IdentityCreated {
        identity: NodeId,
        grant: Box<Identity>,
        by: By,
    },
    /// An API key; only its keyed hash is known (HMAC-SHA256 under the pepper, hex).
    KeyIssued {
        credential: NodeId,
        identity: NodeId,
        label: Option<String>,
        hash: KeyHash,
        expires_at: Option<UnixMillis>,
        by: By,
    },
    /// Whoever comes with this issuer's token about this subject is this identity: a credential that is
    /// no secret.
    IssuerTrusted {
        credential: NodeId,
        identity: NodeId,
        label: Option<String>,
        pinned: Box<Pinned>,
        expires_at: Option<UnixMillis>,
        by: By,
    },
    /// How to reach an owner has changed.
    OwnerChanged {
        owner: NodeId,
        contact: Option<String>,
        by: By,
    },
    /// Another owner answers for an identity from here on. Whatever it had obtained before ends in the
    /// same record.
    IdentityTransferred {
        identity: NodeId,
        owner: NodeId,
        by: By,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What an identity is and may ask for has changed; its name, owner and kind stay. Where it became
    /// less, whatever it had obtained before ends in the same record.
    IdentityChanged {
        identity: NodeId,
        grant: Box<Identity>,
        by: By,
    },
    /// An owner, identity or credential may be used again; tokens from before stay dead.
    Enabled {
        node: NodeId,
        by: By,
        reason: Option<String>,
    },

    /// Administrators are asked to approve what an identity may ask for within a time; `shown` is exactly
    /// what they are shown.
    ApprovalRequested {
        approval: NodeId,
        request: Box<ApprovalRequest>,
        shown: String,
        by: By,
        /// With which credential, when the identity asked itself; absent in logs from before that was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<NodeId>,
    },
    /// An administrator approved what has this hash: SHA-256 of exactly what was shown.
    ApprovalGiven {
        approval: NodeId,
        hash: ContentHash,
        by: By,
    },
    /// An administrator said no, or whoever asked took it back.
    ApprovalRefused {
        approval: NodeId,
        by: By,
        reason: String,
    },

    /// A token, durable before it is handed out.
    TokenIssued(Box<IssuedToken>),
    /// An identity that proved who it is got no token: one sample stands for `count` of the same reason
    /// and minute.
    Denied(Box<Denial>),
    /// A gateway saw an identity use what it was given, as it had not been seen to on that day.
    Used(Box<Used>),
    /// Decisions from here on are made with these policies.
    PolicyActivated {
        bundle: ContentHash,
        policies: u32,
        by: By,
    },
    /// A revocation: the watermark of `node` is this event's record. For owners, identities and
    /// credentials it also means: no new tokens until [`Event::Enabled`], unless it was [`Cause::Changed`].
    Revoked { node: NodeId, cause: Cause, by: By },
    /// Reversible; ends by itself at `until`.
    Suspended {
        node: NodeId,
        until: UnixMillis,
        cause: Cause,
        by: By,
    },
    /// The end of a suspension. With `until` of one alone that ends by then: whoever ends a pause of their own
    /// does not end a longer one that somebody else asked for.
    Resumed {
        node: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<UnixMillis>,
        by: By,
    },
    /// Tokens with a lower `rev` are dead: older watermarks can be forgotten.
    FloorRaised { floor: Rev },

    /// A signing key the root delegated to; the private half is sealed.
    SigningKeyAdded(Box<SigningKey>),
    /// No gateway believes this key any more, from this record on.
    SigningKeyRemoved { key: KeyId, reason: String, by: By },

    /// What the judge saw in one token's behaviour.
    Judged(Box<Judgement>),
    /// What was done about it (or, in observe mode, would have been).
    Responded {
        verdict: NodeId,
        identity: NodeId,
        node: Option<NodeId>,
        response: Response,
        enforced: bool,
        /// What the table asks for instead, and the word of one gateway does not allow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_back: Option<Response>,
        /// How policies came to it; absent where none was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<Box<Chosen>>,
    },
    /// An owner said: this is fine.
    VerdictCleared {
        verdict: NodeId,
        by: By,
        reason: String,
    },
    /// The baselines were saved beside the log in this version: an older copy of them is refused.
    BaselinesSaved { version: u64 },

    /// Thresholds for a kind of identity were tried on recorded windows; `rehearsal` names the trial,
    /// `candidate` kind and thresholds by their content.
    Rehearsed {
        rehearsal: ContentHash,
        kind: Kind,
        candidate: ContentHash,
        by: By,
    },
    /// Identities of a kind are judged by these thresholds from here on.
    ThresholdsFrozen {
        kind: Kind,
        #[serde(deserialize_with = "boxed_thresholds")]
        thresholds: Box<Thresholds>,
        rehearsal: ContentHash,
        by: By,
    },

    /// Members of a role are being deployed until then: what is new in their behaviour is learned and
    /// not held against them. Hard rules and amounts are judged as ever.
    DeploymentAnnounced {
        kind: Kind,
        #[serde(default)]
        tags: Vec<String>,
        until: UnixMillis,
        by: By,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How often the pager may ring from here on. What is enforced does not follow from it.
    BudgetSet { goal: PagingGoal, by: By },
    /// The budget let this verdict ring the pager; `reach` tells how far its window went, in multiples
    /// of the bar.
    Paged {
        identity: NodeId,
        verdict: NodeId,
        reach: f64,
    },

    /// A credential of a third party has a place here; names are paths.
    SecretCreated {
        secret: NodeId,
        name: String,
        owner: NodeId,
        by: By,
    },
    /// Another owner answers for a secret from here on.
    SecretTransferred {
        secret: NodeId,
        owner: NodeId,
        by: By,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A version of a secret, sealed; pending until a word moves it.
    SecretVersionAdded(Box<SecretVersion>),
    /// A version stands elsewhere from here on.
    SecretVersionMoved {
        secret: NodeId,
        version: Version,
        state: VersionState,
        by: By,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A version was handed out, for use until then.
    SecretLeased {
        secret: NodeId,
        version: Version,
        to: NodeId,
        until: UnixMillis,
        /// For what, and what permitted it; absent in logs from before that was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided: Option<Box<LeasedFor>>,
    },

    /// A version was found where it does not belong: it should be exchanged at the third party.
    SecretLeaked {
        secret: NodeId,
        version: Version,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found_at: Option<String>,
    },
    /// What egress may call at a third party from here on, with which secret.
    IntegrationChanged(Box<KeptIntegration>),
    /// Nothing of it may be called any more.
    IntegrationRemoved {
        integration: NodeId,
        by: By,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A gateway told how often it used a version.
    SecretUsed(Box<SecretUse>),
    /// How a secret is exchanged from here on.
    RotationPlanned { plan: Box<RotationPlan>, by: By },
    /// A secret is exchanged no more.
    RotationUnplanned { secret: NodeId, by: By },
    /// A secret should be exchanged: somebody may have a copy.
    RotationQueued {
        secret: NodeId,
        cause: RotationCause,
        by: By,
    },
    /// A secret is being exchanged.
    RotationBegun(Box<RotationBegun>),
    /// Something about it became certain.
    RotationStepped {
        rotation: NodeId,
        fact: Box<Fact>,
        by: By,
    },

    /// Somebody was turned away: one sample stands for `count` of the same reason, network and minute.
    Refused(Box<Refusal>),
    /// The administrators' door was used: who, which route, with what answer.
    Administered { by: By, action: String, status: u16 },
}

impl Event {
    /// Events the preallocated journal takes when the disk is full: everything that takes access
    /// away, nothing that gives it.
    pub const fn ends_access(&self) -> bool {
        matches!(
            self,
            Self::Revoked { .. }
                | Self::Suspended { .. }
                | Self::SigningKeyRemoved { .. }
                | Self::Responded { .. }
                | Self::IntegrationRemoved { .. }
                | Self::SecretVersionMoved {
                    state: VersionState::Retired,
                    ..
                }
        )
    }
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The broker itself.
    Broker,
    /// A process of this machine through the Unix socket.
    Socket { uid: u32 },
    /// An administrator's token.
    Administrator { identity: NodeId, token: NodeId },
    /// The identity itself.
    Identity(NodeId),
    /// The drift engine, because of this verdict.
    Verdict(NodeId),
}

/// Why something was ended or paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its holder or owner asked for it.
    Requested,
    /// An administrator, in words.
    Administrator(String),
    /// It left its baseline; the owner's client mints anew and loses milliseconds.
    Recycled(NodeId),
    /// It left its baseline, and recycling did not end it.
    Drift(NodeId),
    /// A signed token that this log never issued.
    NeverIssued,
    /// Another owner answers for it, or it may ask for less: what is valid is asked for again. Ends what
    /// there is and disables nothing; records of before have an `Enabled` beside it, which changes nothing.
    Changed,
    /// Nobody used it for as long as the operator allows.
    Unused,
    /// It was found where it does not belong.
    Leaked {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found_at: Option<String>,
    },
}

impl Cause {
    /// As telemetry names it: one of a closed set.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Administrator(_) => "administrator",
            Self::Recycled(_) => "recycled",
            Self::Drift(_) => "drift",
            Self::NeverIssued => "never_issued",
            Self::Changed => "changed",
            Self::Unused => "unused",
            Self::Leaked { .. } => "leaked",
        }
    }

    /// Whether what was ended gets nothing new until somebody enables it.
    pub const fn disables(&self) -> bool {
        !matches!(self, Self::Changed)
    }

    /// Whether a person chose how long: only such a suspension may end sooner than the one it
    /// replaces. Otherwise a verdict of minutes would let out whom somebody locked up for a day.
    pub const fn may_shorten(&self) -> bool {
        matches!(self, Self::Administrator(_))
    }
}

/// Somebody was turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The operator's reason, a fixed word.
    pub reason: String,
    /// Which door.
    pub route: String,
    /// Where from: a /24 or /48, never a full address.
    pub network: String,
    /// When it is known: an unauthenticated caller has none.
    pub identity: Option<NodeId>,
    /// How many in this minute, the sample included.
    pub count: u64,
}
