//! What a gateway decides, and what the caller is told of it.

use std::sync::Arc;

use lanyard_token::{Outside, Rejection};

use super::lease::Lease;

/// The answer of [`super::Gateway::check`].
#[must_use]
pub enum Decision {
    /// Refused: answer as [`Denial::outside`] says.
    Deny(Denial),
    /// Allowed, for as long as the lease holds.
    Allow(Lease),
}

/// A refusal: the reason for the operator, and what outsiders may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    rejection: Rejection,
    scopes: Option<Arc<str>>,
    retry_after: Option<u32>,
}

impl Denial {
    /// The reason, for logs and metrics. It never leaves the machine.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// What outsiders are told: status, error code, body text, seconds to wait.
    #[must_use]
    pub fn outside(&self) -> Outside {
        let outside = self.rejection.outside();
        Outside {
            retry_after: self.retry_after.or(outside.retry_after),
            ..outside
        }
    }

    /// The `WWW-Authenticate` value, with the scopes the route wants when that is what lacks
    /// (RFC 6750, section 3).
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let challenge = self.rejection.outside().challenge?;
        Some(match &self.scopes {
            // A scope has no quote and no backslash by its grammar.
            Some(scopes) => format!("{challenge}, scope=\"{scopes}\""),
            None => challenge.to_owned(),
        })
    }

    pub(super) const fn scope_missing(scopes: Arc<str>) -> Self {
        Self {
            rejection: Rejection::ScopeMissing,
            scopes: Some(scopes),
            retry_after: None,
        }
    }

    /// The feed has not reached the place the caller asked for; it is usually milliseconds away.
    pub(super) const fn not_caught_up() -> Self {
        Self {
            rejection: Rejection::Stale,
            scopes: None,
            retry_after: Some(1),
        }
    }
}

impl From<Rejection> for Denial {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            scopes: None,
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lacks_a_scope_learns_which() {
        let denial = Denial::scope_missing("orders:read orders:write".into());
        assert_eq!(denial.outside().status, 403);
        assert_eq!(
            denial.challenge().unwrap(),
            r#"Bearer error="insufficient_scope", scope="orders:read orders:write""#
        );
    }

    #[test]
    fn a_bad_token_never_learns_what_is_bad_about_it() {
        let told = |rejection: Rejection| {
            let denial = Denial::from(rejection);
            (denial.outside(), denial.challenge())
        };
        assert_eq!(told(Rejection::Signature), told(Rejection::Revoked));
        assert_eq!(told(Rejection::Signature), told(Rejection::UnknownKey));
        assert_eq!(told(Rejection::Signature), told(Rejection::Expired));
    }
}
