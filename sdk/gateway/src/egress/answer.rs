//! What a caller is told when egress itself answers: in the form in which the gateway's and the broker's errors are, and
//! naming no secret, no address and nothing that a third party said.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// Why egress answers instead of the third party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Send the path alone.
    AbsoluteForm,
    /// Name one host, and frame the body in one way.
    Ambiguous,
    /// Leave the token out of path and query: a third party would see it.
    TokenInAddress,
    /// Open a connection for the host that is called.
    Misdirected,
    /// No such integration here any more.
    Unknown,
    /// The integration allows none.
    WebSocket,
    /// Come again.
    Budget {
        /// Which limit.
        limit: &'static str,
        /// When.
        retry_after: Duration,
    },
    /// Come with another token: this one ended while the call was waiting.
    TokenEnded,
    /// The broker gives no lease now.
    NoLease,
    /// An operator has to correct the secret or the integration.
    Unusable,
    /// The body is longer than the integration allows.
    TooLarge,
    /// The caller's body broke off, or is none.
    BrokenOff,
    /// Send the body faster: it has to be there before it is signed.
    BodyTooSlow,
    /// Come again: the bodies of other calls fill what is kept of them.
    NoRoom,
    /// The third party cannot be connected to, or must not be.
    Unreachable,
    /// It did not answer in time.
    TooSlow,
    /// Its answer is not handed on: encoded, or longer than the integration allows.
    Answer,
}

impl Problem {
    /// Its status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::AbsoluteForm | Self::Ambiguous | Self::TokenInAddress | Self::BrokenOff => {
                StatusCode::BAD_REQUEST
            }
            Self::TokenEnded => StatusCode::UNAUTHORIZED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::WebSocket => StatusCode::FORBIDDEN,
            Self::Budget { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoLease | Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unusable | Self::Unreachable | Self::Answer => StatusCode::BAD_GATEWAY,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// One word, for machines, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AbsoluteForm => "absolute_form",
            Self::Ambiguous => "ambiguous_request",
            Self::TokenInAddress => "token_in_address",
            Self::Misdirected => "misdirected",
            Self::Unknown => "unknown_integration",
            Self::WebSocket => "websocket_refused",
            Self::Budget { .. } => "budget_spent",
            Self::TokenEnded => "invalid_token",
            Self::NoLease => "no_lease",
            Self::Unusable => "credential_unusable",
            Self::TooLarge => "request_too_large",
            Self::BrokenOff => "request_broken_off",
            Self::BodyTooSlow => "request_too_slow",
            Self::NoRoom => "no_room",
            Self::Unreachable => "unreachable",
            Self::TooSlow => "too_slow",
            Self::Answer => "answer_refused",
        }
    }

    fn detail(self) -> String {
        match self {
            Self::AbsoluteForm => "send the path alone, not a whole URL".to_owned(),
            Self::Ambiguous => "name one host, and frame the body in one way".to_owned(),
            Self::TokenInAddress => "the token stands in the path or the query too".to_owned(),
            Self::Misdirected => "this connection was opened for another host".to_owned(),
            Self::Unknown => "no integration of this name is carried here".to_owned(),
            Self::WebSocket => "this integration allows no WebSocket".to_owned(),
            Self::Budget { limit, .. } => format!("the integration's `{limit}` is reached"),
            Self::TokenEnded => "the token ended while the call was waiting".to_owned(),
            Self::NoLease => "there is no credential for this integration now".to_owned(),
            Self::Unusable => "the credential cannot be put into this call".to_owned(),
            Self::TooLarge => "the body is longer than this integration allows".to_owned(),
            Self::BrokenOff => "the body broke off, or cannot be read".to_owned(),
            Self::BodyTooSlow => "the body did not come in time".to_owned(),
            Self::NoRoom => "too many bodies are being sent here at this moment".to_owned(),
            Self::Unreachable => "the third party cannot be reached".to_owned(),
            Self::TooSlow => "the third party did not answer in time".to_owned(),
            Self::Answer => "the third party's answer cannot be handed on".to_owned(),
        }
    }

    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Budget { retry_after, .. } => {
                Some(retry_after.as_millis().div_ceil(1_000).max(1) as u64)
            }
            Self::NoLease | Self::NoRoom => Some(1),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = Response::new(Body::empty());
        if self == Self::TokenEnded {
            // A head alone: the layer breaks off what follows it. RFC 6750, 3.1.
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        } else {
            let body =
                serde_json::json!({ "error": self.code(), "error_description": self.detail() });
            *response.body_mut() = Body::from(body.to_string());
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
        }
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
