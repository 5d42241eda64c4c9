//! `/v1/drift/thresholds`: what each kind of identity is judged by, and how that is changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::http::problem::Problem;
use crate::policy::administration::Action::{DriftRead, DriftThresholds};
use crate::store::event::{ContentHash, Kind};
use crate::watch::Watch;
use crate::watch::frozen::{Candidate, CandidateError, FreezeError, KindThresholds};

pub(super) fn routes() -> Duties<Arc<Watch>> {
    Duties::new()
        .get("/v1/drift/thresholds", Duty::of(DriftRead), list)
        .post("/v1/drift/thresholds", Duty::of(DriftThresholds), freeze)
}

#[derive(Serialize)]
struct InForce {
    thresholds: Vec<KindThresholds>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Freeze {
    kind: Kind,
    thresholds: Map<String, Value>,
    rehearsal: ContentHash,
}

async fn list(_: Administrator, State(watch): State<Arc<Watch>>) -> Json<InForce> {
    Json(InForce {
        thresholds: watch.thresholds(),
    })
}

async fn freeze(
    Administrator(by): Administrator,
    State(watch): State<Arc<Watch>>,
    body: Result<Json<Freeze>, JsonRejection>,
) -> Result<Json<InForce>, Problem> {
    let Json(body) = body.map_err(|_| {
        Problem::invalid_request(
            "the body is JSON with a `kind`, `thresholds` and the id of their `rehearsal`",
        )
    })?;
    let candidate = Candidate::parse(body.kind, body.thresholds)?;
    watch.freeze(&candidate, body.rehearsal, by).await?;
    Ok(Json(InForce {
        thresholds: watch.thresholds(),
    }))
}

impl From<CandidateError> for Problem {
    fn from(error: CandidateError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<FreezeError> for Problem {
    fn from(error: FreezeError) -> Self {
        match error {
            FreezeError::NotRehearsed(_) => {
                Self::conflict(error.to_string()).because("not_rehearsed")
            }
            FreezeError::Store(error) => error.into(),
        }
    }
}
