//! `POST /oauth/approvals` and `POST /oauth/approvals/{approval}`: a client asks administrators to approve what
//! it is going to ask for, and looks what became of it.
//!
//! The form is the token request's own, with what for (`reason`) and for how long (`seconds`): what is shown to
//! administrators is what the client will ask, read by the same code.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use lanyard_token::NodeId;
use serde::Serialize;

use super::answer::refused;
use super::form::Submitted;
use super::{Doors, client, token};
use crate::clock::UnixMillis;
use crate::http::problem::Problem;
use crate::issue::Client;
use crate::issue::administration::{ApprovalState, ApprovalView};
use crate::store::event::ContentHash;

/// What a client learns: not who the administrators are.
#[derive(Serialize)]
struct Body {
    id: NodeId,
    state: ApprovalState,
    until: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_because: Option<String>,
    shown: String,
    hash: ContentHash,
}

impl From<ApprovalView> for Body {
    fn from(view: ApprovalView) -> Self {
        Self {
            id: view.id,
            state: view.state,
            until: view.until,
            refused_because: view.refused_because,
            shown: view.shown,
            hash: view.hash,
        }
    }
}

pub(super) async fn request(
    State(doors): State<Doors>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    let client = asking(&doors, &submitted).await?;
    let form = &submitted.form;
    let wanted = token::request(form)?;
    let reason = form.require("reason")?.to_owned();
    let seconds = form.require("seconds")?.parse().map_err(|_| {
        Problem::invalid_request("`seconds` is a number of seconds").because("seconds")
    })?;
    let issue = doors.issue.clone();
    let asked = doors.begun.end(async move {
        let asked = issue.request_own_approval(&client, wanted, &reason, seconds);
        asked.await
    });
    let asked = asked.await?;
    Ok(answer(StatusCode::CREATED, asked))
}

pub(super) async fn show(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    let client = asking(&doors, &submitted).await?;
    let id = id
        .parse()
        .map_err(|_| Problem::invalid_request("an id is 16 lower-case hexadecimal digits"))?;
    Ok(answer(
        StatusCode::OK,
        doors.issue.show_own_approval(&client, id)?,
    ))
}

/// Whoever asks, if not too often: asking and looking count like asking for a token.
async fn asking(doors: &Doors, submitted: &Submitted) -> Result<Client, Problem> {
    let client = client::require(&doors.issue, submitted).await?;
    let counted = doors.issue.count_request(client.identity);
    counted.map_err(|why| refused(&why))?;
    Ok(client)
}

fn answer(status: StatusCode, view: ApprovalView) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (status, no_store, Json(Body::from(view))).into_response()
}
