//! Rejections: why a request is refused, and what outsiders are told about it.

use crate::{ClaimsFault, Dead, HeaderFault};

/// Why a request is not let through. A variant is a cause, for the audit log; what the caller is
/// told is [`outside`](Self::outside) alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no token. The caller obtains one.
    #[error("there is no token")]
    Missing,
    /// There is more than one token, or one where none belongs. The caller sends exactly one, in
    /// the `Authorization` header.
    #[error("the request carries its token in more than one way")]
    Ambiguous,
    /// Longer than [`MAX_TOKEN_BYTES`](crate::MAX_TOKEN_BYTES). No token of ours.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of canonical base64url with a 64-byte signature. No token of ours.
    #[error("the token is not a signed compact JWT")]
    Malformed,
    /// The header is not exactly ours. No token of ours.
    #[error("the token's header is refused")]
    Header(#[source] HeaderFault),
    /// No key of this name is trusted now. The gateway may be behind, or the key was removed.
    #[error("the token names a key that is not trusted")]
    UnknownKey,
    /// The signature is wrong. A forgery or a damaged token.
    #[error("the signature is wrong")]
    Signature,
    /// Correctly signed, but not exactly the claims of an access token.
    #[error("the token's claims are refused")]
    Claims(#[source] ClaimsFault),
    /// From another issuer.
    #[error("the token has another issuer")]
    Issuer,
    /// For another resource.
    #[error("the token has another audience")]
    Audience,
    /// It has ended. The caller obtains a new one.
    #[error("the token has expired")]
    Expired,
    /// It has not begun, or was issued in the future. A clock is wrong.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It would live longer than any token may.
    #[error("the token's lifetime is too long")]
    LifetimeTooLong,
    /// It is bound to a key its bearer did not prove to hold.
    #[error("the token is bound to a key that was not proven")]
    Binding,
    /// It, or something above it, was revoked. The caller obtains a new one, if it may.
    #[error("the token is revoked")]
    Revoked,
    /// Something above it is suspended. The caller waits, or asks its owner.
    #[error("the token is suspended")]
    Suspended,
    /// It is older than the floor. The caller obtains a new one.
    #[error("the token is below the floor")]
    BelowFloor,
    /// It lacks a scope the route requires. The caller exchanges for more, if it may.
    #[error("the token lacks a required scope")]
    ScopeMissing,
    /// The request is outside its task: operation, destination, number of calls or end.
    #[error("the request is outside the token's task")]
    OutsideTask,
    /// Its identity is narrowed to its baseline, and the request is outside of it.
    #[error("the request is outside the baseline its identity is narrowed to")]
    OutsideBaseline,
    /// The request's path is not canonical. The caller spells it plainly.
    #[error("the path is not canonical")]
    Path,
    /// No route of the gateway matches the request.
    #[error("no route matches the request")]
    NoRoute,
    /// The route is strict and the feed is too old. The caller tries again later.
    #[error("the feed is too old for a strict route")]
    Stale,
    /// The gateway has no keys or no snapshot yet, or has not reached the revision the caller asks
    /// for. The caller tries again later.
    #[error("the gateway is not ready")]
    NotReady,
    /// Too many tokens that were never seen wait for their signature check. The caller tries again later.
    #[error("too many new tokens at once")]
    Busy,
}

/// What outsiders are told: the same for every fault of a token, so that nobody learns which check
/// a forgery nearly passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside {
    /// The HTTP status.
    pub status: u16,
    /// The code (RFC 6750 section 3.1 where it has one).
    pub error: &'static str,
    /// The same in words.
    pub description: &'static str,
    /// The value of `WWW-Authenticate` (RFC 6750 section 3), where the status demands one.
    pub challenge: Option<&'static str>,
    /// The value of `Retry-After`, in seconds, where waiting helps.
    pub retry_after: Option<u32>,
}

impl Rejection {
    /// The cause as a fixed word, for counters and the audit log; never for the caller.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header(_) => "header",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims(_) => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::Binding => "binding",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::BelowFloor => "below_floor",
            Self::ScopeMissing => "scope_missing",
            Self::OutsideTask => "outside_task",
            Self::OutsideBaseline => "outside_baseline",
            Self::Path => "path",
            Self::NoRoute => "no_route",
            Self::Stale => "stale",
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
        }
    }

    /// What outsiders are told. The only place where this is decided.
    pub const fn outside(&self) -> Outside {
        match self {
            // Without credentials there is no error code to give (RFC 6750 section 3.1); the body
            // stays the same as for a bad token.
            Self::Missing => Outside {
                challenge: Some("Bearer"),
                ..INVALID_TOKEN
            },
            Self::TooLong
            | Self::Malformed
            | Self::Header(_)
            | Self::UnknownKey
            | Self::Signature
            | Self::Claims(_)
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::NotYetValid
            | Self::LifetimeTooLong
            | Self::Binding
            | Self::Revoked
            | Self::Suspended
            | Self::BelowFloor => INVALID_TOKEN,
            Self::ScopeMissing | Self::OutsideTask | Self::OutsideBaseline => Outside {
                status: 403,
                error: "insufficient_scope",
                description: "the token does not allow this request",
                challenge: Some(r#"Bearer error="insufficient_scope""#),
                retry_after: None,
            },
            Self::Ambiguous | Self::Path => Outside {
                status: 400,
                error: "invalid_request",
                description: "the request is malformed",
                challenge: None,
                retry_after: None,
            },
            Self::NoRoute => Outside {
                status: 403,
                error: "access_denied",
                description: "the request is not allowed",
                challenge: None,
                retry_after: None,
            },
            Self::Stale | Self::NotReady | Self::Busy => Outside {
                status: 503,
                error: "temporarily_unavailable",
                description: "the request cannot be decided now",
                challenge: None,
                retry_after: Some(RETRY_AFTER_SECONDS),
            },
        }
    }
}

impl From<Dead> for Rejection {
    fn from(dead: Dead) -> Self {
        match dead {
            Dead::BelowFloor => Self::BelowFloor,
            Dead::Revoked => Self::Revoked,
            Dead::Suspended => Self::Suspended,
        }
    }
}

/// Ten heartbeats: by then a feed that only hiccuped is fresh again.
const RETRY_AFTER_SECONDS: u32 = 5;

const INVALID_TOKEN: Outside = Outside {
    status: 401,
    error: "invalid_token",
    description: "the token is missing or not valid",
    challenge: Some(r#"Bearer error="invalid_token""#),
    retry_after: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_token_is_told_in_the_same_words() {
        for fault in [
            Rejection::TooLong,
            Rejection::Malformed,
            Rejection::Header(HeaderFault::Type),
            Rejection::Header(HeaderFault::UnknownMember),
            Rejection::UnknownKey,
            Rejection::Signature,
            Rejection::Claims(ClaimsFault::Shape),
            Rejection::Issuer,
            Rejection::Audience,
            Rejection::Expired,
            Rejection::NotYetValid,
            Rejection::LifetimeTooLong,
            Rejection::Binding,
            Rejection::Revoked,
            Rejection::Suspended,
            Rejection::BelowFloor,
        ] {
            assert_eq!(fault.outside(), INVALID_TOKEN, "{fault:?}");
        }
        assert_eq!(Rejection::ScopeMissing.outside().status, 403);
        assert_eq!(Rejection::OutsideTask.outside().error, "insufficient_scope");
        assert_eq!(Rejection::Missing.outside().challenge, Some("Bearer"));
        assert_eq!(Rejection::Stale.outside().retry_after, Some(5));
    }
}
