//! A third party, as a rotation needs it: find, create, verify, revoke. One file each.
//!
//! A driver says what happened and nothing else: "no" only when the third party itself said no, and
//! "nobody knows" for everything that may have happened. It never tries again by itself, keeps nothing,
//! and puts nothing of what was answered into a log.

use futures::future::BoxFuture;

use super::machine::{Answer, Creation, Reference};
use crate::vault::SecretValue;

/// What shows a third party who calls.
pub struct Credential<'a> {
    /// What it is called there: a role, a key's id.
    pub reference: &'a Reference,
    /// What only its holder knows.
    pub secret: &'a SecretValue,
}

/// A credential that shall be.
pub struct Order<'a> {
    /// The same for the same credential, however often it is asked for: at most 64 letters, digits and `-`.
    pub idempotency_key: &'a str,
    /// What it shall be, where we say so.
    pub proposed: Option<Credential<'a>>,
}

/// What came of an order.
pub struct Made {
    /// Whether it was made.
    pub answer: Answer,
    /// What it is, where the third party says so; with [`Answer::Created`] alone.
    pub secret: Option<SecretValue>,
}

impl From<Answer> for Made {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            secret: None,
        }
    }
}

/// Whether somebody uses a credential this very moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// Somebody does.
    Yes,
    /// Nobody does.
    No,
    /// This third party tells nobody: what gateways tell is all that is known.
    NotTold,
    /// It did not say.
    Unclear(String),
}

/// Why something cannot be rotated as it is set up. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsuitable {
    /// Name one of those that the driver knows.
    #[error("`{0}` is none of the credentials that this integration takes turns with")]
    Stranger(String),
    /// Correct what is set there.
    #[error("{0}")]
    Settings(String),
}

/// A third party.
pub trait Driver: Send + Sync {
    /// How it makes the credential that follows the one in force.
    fn creation(&self, in_force: Option<&Reference>) -> Result<Creation, Unsuitable>;

    /// Which credentials there are, of those that this integration may end.
    fn find<'a>(&'a self, manager: &'a Credential<'a>) -> BoxFuture<'a, Answer>;

    /// Makes one.
    fn create<'a>(&'a self, manager: &'a Credential<'a>, order: Order<'a>) -> BoxFuture<'a, Made>;

    /// Whether one works: [`Answer::Dead`] only when it was understood and refused.
    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer>;

    /// Ends one; one that is not there counts as ended.
    fn revoke<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer>;

    /// Whether somebody uses it, where the third party can tell.
    fn is_used<'a>(
        &'a self,
        _manager: &'a Credential<'a>,
        _reference: &'a Reference,
    ) -> BoxFuture<'a, InUse> {
        Box::pin(std::future::ready(InUse::NotTold))
    }
}
