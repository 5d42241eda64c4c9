//! The words of the log: what can have happened to a trust domain.
//!
//! Events are facts, never commands: a reader may replay them in order, at any time, and arrive at
//! the same state. A word, once written to a log, keeps its meaning for ever; new facts get new
//! words or new optional members.

mod secrets;

pub use lanyard_drift::ladder::{Abuse, Response, Rung};
use lanyard_drift::{OperationId, Thresholds, Verdict};
pub use lanyard_token::KeyUse;
use lanyard_token::{Algorithm, Audience, Claims, KeyId, NodeId, Rev, ScopeSet, TaskScope};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::UnixMillis;
pub use secrets::{Reference, SecretVersion, Version, VersionState};

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
    /// The end of a suspension.
    Resumed { node: NodeId, by: By },
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
    },

    /// Somebody was turned away: one sample stands for `count` of the same reason, network and minute.
    Refused(Box<Refusal>),
    /// The administrators' door was used: who, which route, with what answer.
    Administered { by: By, action: String, status: u16 },
}

/// How often the pager may ring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingGoal {
    /// On so many windows a day.
    AlarmsPerDay(f64),
    /// On this share of all windows.
    Share(f64),
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

/// A non-human identity and what it may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Unique in the trust domain.
    pub name: String,
    /// Who answers for it.
    pub owner: NodeId,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Free labels, sorted; kind and tags make the role whose peers it is compared with.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where its tokens may be good for. For a gateway: the audiences it serves.
    pub audiences: Vec<Audience>,
    /// What it may be allowed there.
    pub scopes: ScopeSet,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: u64,
    /// For a gateway: whether its word about hard rules stands alone, so that credentials may end by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sole_witness: bool,
}

/// What sort of thing an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Our own program.
    Service,
    /// Somebody else's program.
    Integration,
    /// An AI agent.
    Agent,
    /// A verifier: it reads the feed and reports.
    Gateway,
    /// A person's or pipeline's hand on the admin listener.
    Administrator,
}

impl Kind {
    /// As events and settings write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Integration => "integration",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Administrator => "administrator",
        }
    }
}

/// Another issuer's subject, letter for letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pinned {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Their `sub`.
    pub subject: String,
    /// Whether one token may be shown again while it lives: for platforms that hand out one for its whole life.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reusable: bool,
}

/// HMAC-SHA256 of an API key under the pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A token as the log remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// All its claims: `claims.jti` is its node, `claims.rev` what the decision had read.
    pub claims: Claims,
    /// What signed it.
    pub key: KeyId,
    /// First eight bytes of SHA-256 over the signing input, hex: what gateways report of first-seen
    /// tokens, so that a token nobody issued stands out.
    pub digest: TokenDigest,
    /// How it was asked for.
    pub grant: Grant,
    /// What was asked, and which policies permitted it. Tokens from before there were policies have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Box<Decided>>,
}

/// What was asked for, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The bundle, by its content.
    pub bundle: ContentHash,
    /// The permits that held, or the forbids, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The administrators who had approved it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// The request, as far as the token does not show it.
    pub asked: AskedFor,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedFor {
    /// `audience` and `resource`; none: the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<Audience>,
    /// `scope`; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeSet>,
    /// In seconds; absent: the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u64>,
    /// Whether less than everything was welcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// What showed who asks, as policies write it.
    #[serde(default)]
    pub proof: String,
    /// What another issuer's token said, when that was the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Box<Pinned>>,
    /// Where from: a /24 or /48, never a full address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What was last seen of its behaviour, as policies write it; absent: nothing strange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
}

/// An identity that proved who it is got no token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    /// Whose the token would have been.
    pub identity: NodeId,
    /// Who would have used it, when that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<NodeId>,
    /// The operator's reason, a fixed word.
    pub reason: String,
    /// How it was asked for.
    pub grant: Grant,
    /// What was asked, and the forbids that held.
    pub decided: Decided,
    /// What the token would have been for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskScope>,
    /// Policies that would have permitted it, had the token been bound as they demand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbound: Vec<String>,
    /// How many in this minute, the sample included.
    pub count: u64,
}

/// What a gateway saw an identity use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Who.
    pub identity: NodeId,
    /// Which gateway says so.
    pub gateway: NodeId,
    /// Where.
    pub audience: Audience,
    /// Which operations.
    pub operations: Vec<UsedOperation>,
}

/// An operation that was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedOperation {
    /// As task scopes name it.
    pub name: String,
    /// All that a token needs for it.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scopes: ScopeSet,
}

/// What administrators are asked to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// For whom.
    pub identity: NodeId,
    /// Where.
    pub audience: Audience,
    /// What.
    pub scopes: ScopeSet,
    /// Longest lifetime of one token, in seconds.
    pub lifetime: u64,
    /// Within which task; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskScope>,
    /// What for, in the words of whoever asked.
    pub reason: String,
    /// When it is over.
    pub until: UnixMillis,
}

/// How a token was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749 4.4.
    ClientCredentials,
    /// RFC 8693.
    TokenExchange,
    /// An administrator through the Unix socket, or the newcomer's broker.
    Local,
}

/// First eight bytes of SHA-256 over a token's signing input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 8]);

/// How policies came to a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The policies that were in force.
    pub bundle: ContentHash,
    /// What it looked like.
    pub abuse: Abuse,
    /// How far it had gone.
    pub rung: Rung,
    /// The step that they ask for; the ladder may have taken a milder one.
    pub asked: Response,
    /// The permits that ask for it, and the forbids that made it milder; none: nothing is permitted.
    pub policies: Vec<String>,
    /// Policies on trial that met this identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_share: Vec<String>,
    /// Policies on trial that did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_share: Vec<String>,
    /// Permits that ask for a milder step because their cap is met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capped: Vec<String>,
    /// Whether a cap of the ladder made it milder still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Policies that failed: the built-in table answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// SHA-256 over something that it names by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

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

/// A signing key, with its private half sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// RFC 7638 thumbprint.
    pub key: KeyId,
    /// What it signs.
    #[serde(rename = "use")]
    pub key_use: KeyUse,
    /// How.
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// PKCS#8, sealed under the root sealing key, base64url.
    pub sealed: String,
    /// The root's word for it: a compact JWS.
    pub delegation: String,
    /// Published from the record on, signs from here on.
    pub signs_from: UnixMillis,
    /// Signs no longer from here on.
    pub signs_until: UnixMillis,
    /// Believed until here.
    pub verifies_until: UnixMillis,
}

/// What the judge saw in one token's behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its own number, so that people and later events can point at it.
    pub id: NodeId,
    /// Whose.
    pub identity: NodeId,
    /// Which token.
    pub token: NodeId,
    /// The gateways whose reports stand behind it.
    pub gateways: Vec<NodeId>,
    /// Those of them without any one of whom it would not be malicious; absent: each of them, as far as
    /// anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_by: Option<Vec<NodeId>>,
    /// Whether it is about the identity as a whole: no single token stood out, the one named was heard last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Level, evidence, sentence.
    pub verdict: Verdict,
    /// What the operations in it are called, as far as the gateways behind it told: for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NamedOperation>,
    /// Set when it is about a token that this log never issued: the digest a gateway saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forged: Option<TokenDigest>,
    /// Set when the broker has seen that token itself and checked its signature: the key that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forged_by: Option<KeyId>,
}

impl Judgement {
    /// The gateways that each carry it.
    pub fn carried_by(&self) -> &[NodeId] {
        self.carried_by.as_deref().unwrap_or(&self.gateways)
    }

    /// One sentence a person understands, with the numbers.
    pub fn sentence(&self) -> String {
        match (self.forged, self.forged_by) {
            (Some(_), Some(key)) => format!(
                "malicious: token `{}` carries a good signature of key `{key}`, checked here, but this log \
                 never issued it",
                self.token
            ),
            (Some(_), None) => format!(
                "malicious: token `{}` has a valid signature, but this log never issued it",
                self.token
            ),
            (None, _) => self.verdict.sentence_with(|operation| {
                let named = self.names.iter().find(|named| named.operation == operation);
                named.map(|named| named.name.clone())
            }),
        }
    }
}

/// An operation and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedOperation {
    /// As evidence names it.
    pub operation: OperationId,
    /// `GET /orders/{id}`: plain text, at most 256 bytes.
    pub name: String,
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
                | Self::SecretVersionMoved {
                    state: VersionState::Retired,
                    ..
                }
        )
    }
}

mod algorithm_name {
    use lanyard_token::Algorithm;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        algorithm: &Algorithm,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(algorithm.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Algorithm, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Algorithm::from_name(&name).ok_or_else(|| D::Error::custom("expected `ES256` or `EdDSA`"))
    }
}

mod hex_bytes {
    use super::{ContentHash, KeyHash, TokenDigest};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    fn write<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        serializer.serialize_str(&text)
    }

    fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
        if text.len() != N * 2 {
            return None;
        }
        let mut bytes = [0; N];
        let mut digits = text.chars().map(|c| c.to_digit(16));
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(bytes)
    }

    macro_rules! as_hex {
        ($kind:ident) => {
            impl Serialize for $kind {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    write(&self.0, serializer)
                }
            }
            impl<'de> Deserialize<'de> for $kind {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                    read(&text)
                        .map($kind)
                        .ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
                }
            }
        };
    }
    as_hex!(KeyHash);
    as_hex!(TokenDigest);
    as_hex!(ContentHash);
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Thresholds as a log may have them: members that this release no longer knows are passed over,
/// those it knows since are the product's.
pub fn known_thresholds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Thresholds, D::Error> {
    let mut members = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
    let known = serde_json::to_value(Thresholds::default()).map_err(D::Error::custom)?;
    members.retain(|name, _| known.get(name).is_some());
    serde_json::from_value(serde_json::Value::Object(members)).map_err(D::Error::custom)
}

fn boxed_thresholds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Box<Thresholds>, D::Error> {
    known_thresholds(deserializer).map(Box::new)
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(..)")
    }
}
