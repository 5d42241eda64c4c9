//! Ways to work: what a caller does next, and after which pause.
//!
//! One file per way. None of them knows of tokens, gateways or the engine; each sees its role's habits and
//! the time, and draws from its caller's own stream of chance.

mod batch;
mod partner;
mod requests;
mod session;

use lanyard_drift::{Millis, Object};

pub(super) use batch::{Export, Job};
pub(super) use partner::{Polling, Webhooks};
pub(crate) use requests::REQUESTS_PER_SECOND;
pub(super) use requests::Requests;
pub(super) use session::Sessions;

use super::catalogue::{Catalogue, OperationIndex};
use super::random::Random;
use super::role::{Habits, Task};

/// What a caller sees when it decides.
pub(super) struct Scene<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) habits: &'a Habits,
    /// How many times the usual work its role has now.
    pub(super) rush: f64,
    /// When its last call was.
    pub(super) now: Millis,
}

/// One call to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Act {
    pub(super) operation: OperationIndex,
    pub(super) object: Option<Object>,
    pub(super) destination: Option<u64>,
    /// How many times its usual size the answer has.
    pub(super) size: f64,
}

/// An act, and how long after the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) pause: u64,
    pub(super) act: Act,
    /// Whether it belongs to a new piece of work that needs a token of its own.
    pub(super) begins: bool,
}

/// A way to work.
pub(super) trait Work: Send {
    /// What comes next.
    fn next(&mut self, scene: &Scene<'_>, random: &mut Random) -> Planned;

    /// What the current piece of work is about, for whoever has tasks.
    fn task(&self) -> Option<&Task> {
        None
    }
}

impl Scene<'_> {
    /// A call of this operation on what it usually concerns.
    fn usual(&self, operation: OperationIndex, random: &mut Random) -> Act {
        let object = self
            .catalogue
            .get(operation)
            .and_then(|operation| operation.objects)
            .map(|resource| self.catalogue.usual_object(resource, self.now, random));
        Act {
            operation,
            object,
            destination: None,
            size: 1.0,
        }
    }

    /// The operations of a role with a single flow.
    fn program(&self) -> &[OperationIndex] {
        self.habits.flows.first().map_or(&[], |(_, flow)| flow)
    }

    /// The resource a program works on.
    fn resource(&self) -> usize {
        let operation = self.program().first().copied().unwrap_or_default();
        self.catalogue
            .get(operation)
            .map_or(0, |operation| operation.backend)
    }
}
