//! How administration reads and answers: strict JSON in, uncached JSON out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use lanyard_token::NodeId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::http::problem::Problem;
use crate::http::wording;
use crate::issue::LocalError;
use crate::issue::administration::AdminError;
use crate::issue::keys::KeyError;

/// What a handler answers.
pub(super) type Answer = Result<Response, Problem>;

/// 200 with a document.
pub(super) fn ok(document: impl Serialize) -> Answer {
    answer(StatusCode::OK, document)
}

/// 201 with what was made.
pub(super) fn created(document: impl Serialize) -> Answer {
    answer(StatusCode::CREATED, document)
}

fn answer(status: StatusCode, document: impl Serialize) -> Answer {
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(document)).into_response())
}

/// A JSON document whose members are all known. No body is an empty document.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let json = is_json(request.headers());
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                let words = match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => "the body is too long",
                    _ => "the body cannot be read",
                };
                Problem::new(rejection.status(), "invalid_request", words).because("body")
            })?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        if !json && !body.is_empty() {
            // Also what keeps a form on a foreign page from administering: it cannot send this type.
            return Err(
                Problem::invalid_request("the body is `application/json`").because("content_type")
            );
        }
        if text.trim_ascii_start().first() != Some(&b'{') {
            // A list would be read as the members in their order, without their names.
            return Err(Problem::invalid_request("the body is a JSON object").because("body"));
        }
        let document = serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| Problem::invalid_request(wording::of_json(&error)));
        if let Ok(mut body) = body.try_into_mut() {
            // There may have been a secret in it.
            body.zeroize();
        }
        document
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type
        .and_then(|text| text.split(';').next())
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
}

/// Why, in the administrator's words; it ends up in the log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Because {
    pub(super) reason: Option<String>,
}

/// Something was ended or begun again.
#[derive(Serialize)]
pub(super) struct Changed {
    pub(super) node: NodeId,
    pub(super) rev: lanyard_token::Rev,
}

/// The one variable part of a path.
pub(super) struct Part(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(text) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid_request("a path is UTF-8").because("path"))?;
        Ok(Self(text))
    }
}

/// A node in a path.
pub(super) fn node(Part(text): &Part) -> Result<NodeId, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid_request("an id is 16 lower-case hexadecimal digits"))
}

/// What an administrator is told.
impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        let words = error.to_string();
        match error {
            AdminError::NotFound { .. } => Self::not_found(words),
            AdminError::Taken { .. } => Self::conflict(words).because("name_taken"),
            AdminError::OwnerDisabled { .. } => Self::conflict(words).because("owner_disabled"),
            AdminError::OwnedAlready { .. } => Self::conflict(words).because("owned_already"),
            AdminError::Approval(why) => Self::conflict(words).because(why.reason()),
            AdminError::Invalid(_) => Self::invalid_request(words),
            AdminError::Store(error) => error.into(),
            _ => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "administration failed"
                );
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
            }
        }
    }
}

/// What somebody on this machine is told.
impl From<LocalError> for Problem {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Identity(error) => error.into(),
            LocalError::Refused(refused) => {
                let words =
                    "the identity `local-administrator` gets no tokens now: is it disabled?";
                Self::conflict(words).because(refused.reason())
            }
        }
    }
}

/// What an administrator is told about signing keys.
impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let words = error.to_string();
        match error {
            KeyError::Unknown(_) => Self::not_found(words),
            KeyError::Store(error) => error.into(),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
                .because("signing_key"),
        }
    }
}
