//! Who stands at one of the broker's own doors, with one of its own tokens.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use lanyard_token::{NodeId, Rejection, ScopeSet};

use super::problem::Problem;
use crate::clock::UnixMillis;
use crate::store::event::By;

/// Which listener a token must be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Audience: the issuer. Gateways come in here.
    Public,
    /// Audience: the issuer + `/admin`.
    Admin,
}

/// A caller whose token passed the strict gate, is alive, and is good for this door.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose token.
    pub identity: NodeId,
    /// Which token.
    pub token: NodeId,
    /// What it allows.
    pub scopes: ScopeSet,
}

impl Caller {
    /// As the log names whoever administers.
    pub const fn by(&self) -> By {
        By::Administrator {
            identity: self.identity,
            token: self.token,
        }
    }
}

/// Whoever administers, as the log names them. Handlers of administration take it as an argument: the
/// door a request came through (the admin listener's token check, or the Unix socket's peer
/// credentials) has put it into the request, so one handler serves both doors.
#[derive(Clone, Debug)]
pub struct Administrator(pub By);

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Absent only when a route was mounted outside the door: then nobody gets in.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Problem::no_token)
    }
}

/// Lets callers in. The issue room is the one behind the real doors.
pub trait Doorkeeper: Send + Sync + 'static {
    /// Verifies, checks liveness, audience and scope.
    fn admit(
        &self,
        token: &str,
        door: Door,
        scope: &str,
        now: UnixMillis,
    ) -> Result<Caller, Rejection>;
}

/// Lets in the bearer of the request's one `Authorization: Bearer` header.
pub fn admit(
    doorkeeper: &dyn Doorkeeper,
    headers: &HeaderMap,
    door: Door,
    scope: &str,
    now: UnixMillis,
) -> Result<Caller, Problem> {
    let token = bearer(headers)?;
    doorkeeper
        .admit(token, door, scope, now)
        .map_err(|rejection| Problem::from(&rejection))
}

/// The token of the one `Authorization: Bearer` header. Two headers, or two tokens joined by a comma,
/// are refused: whoever reads the first and whoever reads the last would see different callers.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Problem::no_token());
    };
    if values.next().is_some() {
        return Err(Problem::invalid_request(
            "more than one Authorization header",
        ));
    }
    let text = value.to_str().map_err(|_| Problem::no_token())?;
    let Some((scheme, token)) = text.split_once(' ') else {
        return Err(Problem::no_token());
    };
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', ',']) {
        return Err(Problem::no_token());
    }
    Ok(token)
}
