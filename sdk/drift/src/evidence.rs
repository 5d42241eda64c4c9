//! One measured difference between a window and the habits, with its numbers.

use serde::{Deserialize, Serialize};

use crate::event::OperationId;
use crate::thresholds::Bar;

/// What a verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Like itself, or too little to say.
    Benign,
    /// Unlike itself: worth a fresh token, never worth a revocation.
    Anomalous,
    /// Two independent families agree strongly, or a hard rule was broken.
    Malicious,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Which operations are used, and in which order.
    Operation,
    /// Object ids: runs and distinct objects.
    Enumeration,
    /// Bytes per minute.
    Volume,
    /// Calls per minute and the pauses between calls.
    Cadence,
    /// Source network and client.
    Origin,
    /// Where data goes.
    Destination,
    /// Denied and missing answers.
    Refusals,
    /// The task scope of the token.
    TaskScope,
}

impl Channel {
    /// The family of this channel's inputs.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            // A wrong operation is what gets denied: two looks at the same calls.
            Self::Operation | Self::Refusals => Family::Sequence,
            // More objects are more calls and more bytes.
            Self::Enumeration | Self::Volume | Self::Cadence => Family::Volume,
            Self::Origin => Family::Source,
            Self::Destination | Self::TaskScope => Family::Scope,
        }
    }
}

/// Channels of different families share no input, so their agreement means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// What is called.
    Sequence,
    /// From where.
    Source,
    /// How much.
    Volume,
    /// Where to, and whether the task allows it.
    Scope,
}

/// What exactly was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Log-likelihood ratio of the window, others against itself, per 100 calls.
    OrderScore,
    /// The same against the frozen anchor, as a slow average over windows.
    Estrangement,
    /// What a token's calls in a row added up to in a gateway's fast detector, in nats.
    SuddenOrder,
    /// Distinct operations never used before.
    NewOperations,
    /// Calls in the longest run of neighbouring object numbers.
    LongestRun,
    /// Distinct objects in the busiest minute.
    DistinctObjects,
    /// Bytes in the busiest minute.
    BytesPerMinute,
    /// Bytes of hours in which the identity moved more than its week explains.
    BytesOverHours,
    /// Distinct objects of hours in which the identity used more than its week explains.
    ObjectsOverHours,
    /// Bytes of days in which the identity moved more than such a day of other weeks explains.
    BytesOverDays,
    /// Distinct objects of days in which the identity used more than such a day of other weeks explains.
    ObjectsOverDays,
    /// Calls in the busiest minute.
    CallsPerMinute,
    /// Median pause between calls, in milliseconds.
    Pause,
    /// Calls from a network and a client never seen before.
    NewNetworkAndClient,
    /// Calls from a network never seen before, by a known or unseen client.
    NewNetwork,
    /// Calls by a client never seen before, from a known or unseen network.
    NewClient,
    /// Calls that came back to an origin of their token, with another one in between.
    InterleavedOrigins,
    /// Calls to destinations never seen before.
    NewDestinations,
    /// Share of answers that were denied or missing.
    RefusedShare,
    /// Calls outside the task scope.
    OutsideTask,
}

impl Measure {
    /// The channel that this belongs to.
    #[must_use]
    pub const fn channel(self) -> Channel {
        match self {
            Self::OrderScore | Self::Estrangement | Self::SuddenOrder | Self::NewOperations => {
                Channel::Operation
            }
            Self::LongestRun
            | Self::DistinctObjects
            | Self::ObjectsOverHours
            | Self::ObjectsOverDays => Channel::Enumeration,
            Self::BytesPerMinute | Self::BytesOverHours | Self::BytesOverDays => Channel::Volume,
            Self::CallsPerMinute | Self::Pause => Channel::Cadence,
            Self::NewNetworkAndClient
            | Self::NewNetwork
            | Self::NewClient
            | Self::InterleavedOrigins => Channel::Origin,
            Self::NewDestinations => Channel::Destination,
            Self::RefusedShare => Channel::Refusals,
            Self::OutsideTask => Channel::TaskScope,
        }
    }
}

/// How much a piece of evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Enough for an anomaly.
    Notable,
    /// One of two witnesses.
    Strong,
}

/// One measured difference, observed against expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured.
    pub measure: Measure,
    /// The operation it was measured on, where there is one; of several new ones the busiest.
    pub operation: Option<OperationId>,
    /// The measured amount, in the unit of the measure.
    pub observed: f64,
    /// The amount that the habits explain, in the same unit.
    pub expected: f64,
    /// Clipped log-likelihood ratio in nats.
    pub weight: f64,
    /// How much it counts.
    pub strength: Strength,
}

impl Evidence {
    /// Evidence if the weight reaches the bar. A weight that is no number never does.
    pub(crate) fn weigh(
        measure: Measure,
        (observed, expected): (f64, f64),
        weight: f64,
        bar: Bar,
    ) -> Option<Self> {
        let strength = if weight >= bar.strong {
            Strength::Strong
        } else if weight >= bar.notable {
            Strength::Notable
        } else {
            return None;
        };
        Some(Self {
            measure,
            operation: None,
            observed: significant(observed),
            expected: significant(expected),
            weight: significant(weight),
            strength,
        })
    }

    pub(crate) fn on(self, operation: OperationId) -> Self {
        Self {
            operation: Some(operation),
            ..self
        }
    }

    /// Never more than a hint: for channels that honest changes move as far as thieves do.
    pub(crate) fn at_most_notable(self) -> Self {
        Self {
            strength: Strength::Notable,
            ..self
        }
    }

    /// The channel that this belongs to.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        self.measure.channel()
    }

    /// The family that this belongs to.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.channel().family()
    }
}

/// Six significant digits: more is not known, and short decimals are read back as they were
/// written by every reader of the log.
pub(crate) fn significant(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}
