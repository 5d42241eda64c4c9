//! `POST /oauth/revoke` (RFC 7009): 200 whether there was something to end or not.
//!
//! With `wait=all` the answer is a receipt: which gateways accept the token no more, which were not
//! reached, and when it is dead there too.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::form::Submitted;
use super::{Doors, WAIT, client};
use crate::http::problem::Problem;
use crate::issue::EndRefused;

pub(super) async fn post(
    State(doors): State<Doors>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    let client = client::require(&doors.issue, &submitted).await?;
    let token = submitted.form.require("token")?;
    let wait = match submitted.form.get("wait") {
        None => false,
        Some("all") => true,
        Some(_) => return Err(Problem::invalid_request("`wait` is all, or absent").because("wait")),
    };
    let ended = match doors
        .issue
        .end(&client, token, client::network(&submitted))
        .await
    {
        Ok(ended) => ended,
        // RFC 7009 section 2.1: refused, and the client is told.
        Err(EndRefused::NotYours) => {
            let words = "the token was issued to another client";
            return Err(
                Problem::new(StatusCode::BAD_REQUEST, "unauthorized_client", words)
                    .because("not_yours"),
            );
        }
        // RFC 7009 section 2.2.1: it still lives, ask again.
        Err(EndRefused::Store(error)) => return Err(error.into()),
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok(match ended {
        Some(ended) if wait => {
            let receipt = doors
                .confirmations
                .confirmed(ended.node, ended.rev, ended.expires_at, WAIT)
                .await;
            (no_store, Json(receipt)).into_response()
        }
        _ => (StatusCode::OK, no_store).into_response(),
    })
}
