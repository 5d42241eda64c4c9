//! `POST /oauth/introspect` (RFC 7662): what a living token says; of everything else, that it is not
//! active and nothing more.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use lanyard_token::Claims;
use serde::Serialize;

use super::form::Submitted;
use super::{Doors, client};
use crate::http::problem::Problem;

pub(super) async fn post(
    State(doors): State<Doors>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    client::require(&doors.issue, &submitted).await?;
    let claims = doors.issue.introspect(submitted.form.require("token")?);
    let active = claims.is_some();
    let body = Body {
        active,
        token_type: active.then_some("Bearer"),
        claims,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

#[derive(Serialize)]
struct Body {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(flatten)]
    claims: Option<Claims>,
}
