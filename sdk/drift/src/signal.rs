//! What a tracker wants from its gateway after a call.

use serde::{Deserialize, Serialize};

use crate::event::{Event, OperationId, TaskFit};

/// The answer to one observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing to do; the next regular report is soon enough.
    Quiet,
    /// Worth telling the broker now instead of at the next regular report. Each reason is raised
    /// once between two reports, so a busy token cannot make a storm of them.
    ReportNow(Reason),
    /// A hard rule is broken: where enforcement is on the token ends, and the broker is told now.
    HardRule(HardRule),
}

/// Why a report should not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// An operation outside the identity's habits.
    NewOperation = 0,
    /// A source network and a client on one call, both outside the habits.
    NewOrigin = 1,
    /// Half of an enumeration bound is used up.
    Enumeration = 2,
    /// More calls in this minute than the habits explain.
    Cadence = 3,
    /// More bytes in this minute than the habits explain.
    Volume = 4,
    /// The identity has little history and a whole window of calls is ready to be learned.
    LearningWindow = 5,
    /// What the token calls, and in which order, is suddenly like somebody else: see [`crate::Cusum`].
    Sequence = 6,
}

impl Reason {
    /// This reason's place in a set of reasons.
    pub(crate) const fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A rule that needs no statistics and counts from an identity's first call.
///
/// Ordered by how much it says: when reports merge, the greatest is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum HardRule {
    /// The task's number of calls is used up.
    TaskCalls,
    /// More distinct objects of one operation in one minute than the bound.
    EnumerationDistinct {
        /// Estimated distinct objects in the minute.
        observed: u32,
        /// The bound that was in force.
        bound: u32,
        /// The operation, or [`OperationId::OTHER`] for several together.
        operation: OperationId,
    },
    /// A longer run of neighbouring object numbers on one operation than the bound.
    EnumerationRun {
        /// Calls in the run.
        observed: u32,
        /// The bound that was in force.
        bound: u32,
        /// The operation, or [`OperationId::OTHER`] for several together.
        operation: OperationId,
    },
    /// An operation that the token's task does not name.
    TaskOperation {
        /// The operation that was tried.
        operation: OperationId,
    },
    /// A destination that the token's task does not name.
    TaskDestination {
        /// The operation that was tried.
        operation: OperationId,
    },
}

impl HardRule {
    /// The rule that a call breaks by itself: it is outside its token's task.
    pub(crate) const fn outside_task(event: &Event) -> Option<Self> {
        let operation = event.operation;
        match event.task {
            Some(TaskFit::OutsideOperation) => Some(Self::TaskOperation { operation }),
            Some(TaskFit::OutsideDestination) => Some(Self::TaskDestination { operation }),
            Some(TaskFit::CallsSpent) => Some(Self::TaskCalls),
            Some(TaskFit::Inside) | None => None,
        }
    }

    /// Whether it is a bound of objects, which a token breaks by many calls.
    #[must_use]
    pub const fn is_enumeration(self) -> bool {
        matches!(
            self,
            Self::EnumerationDistinct { .. } | Self::EnumerationRun { .. }
        )
    }

    /// The operation on which it was broken; `None` when it is about the whole task.
    #[must_use]
    pub const fn operation(self) -> Option<OperationId> {
        match self {
            Self::TaskCalls => None,
            Self::EnumerationDistinct { operation, .. }
            | Self::EnumerationRun { operation, .. }
            | Self::TaskOperation { operation }
            | Self::TaskDestination { operation } => Some(operation),
        }
    }

    /// Whether breaking this rule proves abuse by itself. A spent number of calls is refused
    /// each time, but an agent that retries once too often is no thief.
    #[must_use]
    pub const fn proves_abuse(self) -> bool {
        !matches!(self, Self::TaskCalls)
    }
}
