//! What outsiders are told: the one shape of every error answer.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use lanyard_token::Rejection;
use serde::Serialize;

use super::wording;
use crate::store::StoreError;

/// An error answer, with a message for the caller and a reason for the operator.
///
/// The body is RFC 6749's: `{"error", "error_description"}`, on every route, so that one reader fits all.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// RFC 6749 5.2, RFC 6750 3.1, RFC 8693 2.2.2, or a word of ours in the same form.
    pub error: &'static str,
    /// For the caller: never says which check a forged thing nearly passed.
    pub description: String,
    /// For `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u64>,
    /// For the operator: the reason as a fixed word, counted and sampled in the audit log.
    pub reason: &'static str,
}

impl Problem {
    /// An answer whose operator's reason is the error word itself.
    pub fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status,
            error,
            description: description.into(),
            challenge: None,
            retry_after: None,
            reason: error,
        }
    }

    /// 400 `invalid_request`.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// 404 `not_found`.
    pub fn not_found(description: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", description)
    }

    /// 409 `conflict`.
    pub fn conflict(description: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", description)
    }

    /// The reason the operator reads.
    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// With a `WWW-Authenticate` challenge.
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// With a `Retry-After`, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A bearer token is missing (RFC 6750 3.1: no error code then).
    pub fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "a bearer token is needed",
        )
        .challenge("Bearer")
        .because("no_token")
    }
}

/// A token was refused at one of the broker's own doors.
impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let outside = rejection.outside();
        let status = StatusCode::from_u16(outside.status).unwrap_or(StatusCode::UNAUTHORIZED);
        Self {
            challenge: outside.challenge.map(str::to_owned),
            retry_after: outside.retry_after.map(u64::from),
            ..Self::new(status, outside.error, outside.description)
        }
        .because(rejection.reason())
    }
}

/// Nothing was written.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let reason = match error {
            StoreError::Full => "store_full",
            StoreError::Size(_) => "store_size",
            _ => "store_unavailable",
        };
        tracing::error!(reason, error = %error, "the store refused an append");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "try again later",
        )
        .retry_after(1)
        .because(reason)
    }
}

/// The operator's reason, carried beside the answer to the wrapper every route passes.
#[derive(Clone, Copy, Debug)]
pub struct OperatorReason(pub &'static str);

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            error: self.error,
            error_description: &wording::without_secrets(&self.description),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self
            .challenge
            .and_then(|text| HeaderValue::from_str(&text).ok())
        {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
            .extensions_mut()
            .insert(OperatorReason(self.reason));
        response
    }
}
