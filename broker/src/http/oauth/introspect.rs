//! `POST /oauth/introspect` (RFC 7662): what a living token says; of everything else, that it is not
//! active and nothing more.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::form::Submitted;
use super::{Doors, client};
use crate::http::problem::Problem;

pub(super) async fn post(
    State(doors): State<Doors>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    client::require(&doors.issue, &submitted).await?;
    let proven = doors.issue.introspect(submitted.form.require("token")?);
    let body = match &proven {
        Some(proven) => active(proven.claims_json()),
        None => r#"{"active":false}"#.to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, body).into_response())
}

/// What a token says, with two members ahead that it does not have.
fn active(claims: &str) -> String {
    let members = claims.strip_prefix('{').unwrap_or(claims);
    format!(r#"{{"active":true,"token_type":"Bearer",{members}"#)
}
