//! The verified caller, as handlers ask for it.

use std::future::Future;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use lanyard_drift::Outcome;
use lanyard_token::{Claims, NodeId, Rejection, Rev};

use super::decision::Denial;
use super::lease::{Ended, Lease};

/// The caller of this request, whose token passed everything. Only the layer can make one: on a
/// route without the layer this extractor refuses, so a forgotten layer is closed, not open.
#[derive(Clone)]
pub struct Verified(Lease);

impl Verified {
    pub(super) const fn new(lease: Lease) -> Self {
        Self(lease)
    }

    /// Everything the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.0.claims()
    }

    /// Whose token it is.
    #[must_use]
    pub fn identity(&self) -> NodeId {
        self.0.identity()
    }

    /// Which token it is.
    #[must_use]
    pub fn token(&self) -> NodeId {
        self.0.token()
    }

    /// Whether the token has this scope, for what depends on more than the route.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.claims().scope.contains(scope)
    }

    /// The place of the log that the decision knew.
    #[must_use]
    pub const fn decided_at(&self) -> Rev {
        self.0.decided_at()
    }

    /// Resolves when the token ends: for what stays open outside of the body, such as a WebSocket.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + 'static {
        self.0.ended()
    }

    /// Another stretch of what stays open outside of the body.
    pub fn observe(&self, outcome: &Outcome, now: crate::Now) {
        self.0.observe(outcome, now);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Verified {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Rejection::Missing.into())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Verified {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
