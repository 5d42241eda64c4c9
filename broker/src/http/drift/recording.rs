//! `/v1/drift/windows` and `/v1/drift/would`: what was recorded, and what other rules would have made
//! of it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;

use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::http::problem::Problem;
use crate::policy::administration::Action::{DriftRead, DriftTry};
use crate::watch::Watch;
use crate::watch::rehearsing::{Rehearsed, Would, WouldError};

pub(super) fn routes() -> Duties<Arc<Watch>> {
    Duties::new()
        .get("/v1/drift/windows", Duty::of(DriftRead), windows)
        .post("/v1/drift/would", Duty::of(DriftTry), would)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    days: u32,
}

/// One window a line, oldest first.
async fn windows(
    _: Administrator,
    State(watch): State<Arc<Watch>>,
    days: Result<Query<Days>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Days { days }) = days.map_err(|_| Problem::invalid_request("`days` is a number"))?;
    let lines = watch.recorded_lines(days)?;
    let lines = stream::unfold(lines, |mut lines| async {
        let chunk = lines.recv().await?;
        Some((chunk.map(Bytes::from), lines))
    });
    Ok((
        StatusCode::OK,
        [
            (CONTENT_TYPE, "application/x-ndjson"),
            (CACHE_CONTROL, "no-store"),
        ],
        Body::from_stream(lines),
    )
        .into_response())
}

async fn would(
    Administrator(by): Administrator,
    State(watch): State<Arc<Watch>>,
    body: Result<Json<Would>, JsonRejection>,
) -> Result<Json<Rehearsed>, Problem> {
    let Json(asked) = body.map_err(|_| {
        Problem::invalid_request(
            "the body is JSON with `days`, and maybe a `mode`, `thresholds` and their `kind`, and `responses`",
        )
    })?;
    Ok(Json(watch.would(asked, by).await?))
}

impl From<WouldError> for Problem {
    fn from(error: WouldError) -> Self {
        let description = error.to_string();
        match error {
            WouldError::Days | WouldError::KindAlone => Self::invalid_request(description),
            WouldError::Policies(_) | WouldError::NoResponses => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_policy",
                description,
            )
            .because("policy"),
            WouldError::Candidate(error) => error.into(),
            WouldError::NotRecorded => Self::conflict(description).because("not_recorded"),
            WouldError::Read(source) => {
                tracing::warn!(error = %source, "recorded windows cannot be read");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "server_error",
                    description,
                )
            }
            WouldError::Store(error) => error.into(),
        }
    }
}
