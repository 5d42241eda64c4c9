//! Verdicts on the administrators' door. The door itself stands in front of these routes and says
//! who comes in (see [`Administrator`]).

mod orders;
mod recording;
mod thresholds;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use http::StatusCode;
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::caller::Administrator;
use super::duties::{About, Duties, Duty};
use super::problem::Problem;
use crate::policy::administration::Action::{DriftClear, DriftRead};
use crate::watch::Watch;
use crate::watch::deploying::DeploymentView;
use crate::watch::explaining::Explanation;
use crate::watch::review::{ClearError, Cleared, IdentityView, VerdictView};

/// The most verdicts in one answer.
const MAX_LIMIT: usize = 1_000;

/// `/v1/drift/…`, for the admin listener and the Unix socket.
pub fn routes(watch: Arc<Watch>) -> Duties {
    let reads = Duty::of(DriftRead);
    Duties::new()
        .get("/v1/drift/verdicts", reads, verdicts)
        .get("/v1/drift/verdicts/{id}", reads, verdict)
        .post("/v1/drift/verdicts/{id}/clear", Duty::of(DriftClear), clear)
        .get("/v1/drift/verdicts/{id}/explanation", reads, explanation)
        .get(
            "/v1/drift/identities/{id}",
            Duty::on(DriftRead, About::Node),
            identity,
        )
        .merge(orders::routes())
        .merge(recording::routes())
        .merge(thresholds::routes())
        .with_state(watch)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    identity: Option<NodeId>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Verdicts {
    verdicts: Vec<VerdictView>,
    /// What is being deployed: whoever looks for a verdict may find here why there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deployments: Vec<DeploymentView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clear {
    reason: String,
}

async fn verdicts(
    _: Administrator,
    State(watch): State<Arc<Watch>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Verdicts>, Problem> {
    let Query(filter) =
        filter.map_err(|_| Problem::invalid_request("`identity` is an id, `limit` a number"))?;
    let limit = filter.limit.unwrap_or(100);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(Problem::invalid_request(format!(
            "`limit` is 1 to {MAX_LIMIT}"
        )));
    }
    Ok(Json(Verdicts {
        verdicts: watch.verdicts(filter.identity, limit),
        deployments: watch.deployments(),
    }))
}

async fn verdict(
    _: Administrator,
    State(watch): State<Arc<Watch>>,
    id: Result<Path<NodeId>, PathRejection>,
) -> Result<Json<VerdictView>, Problem> {
    let id = node(id)?;
    watch
        .verdict(id)
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no verdict `{id}`")))
}

async fn explanation(
    _: Administrator,
    State(watch): State<Arc<Watch>>,
    id: Result<Path<NodeId>, PathRejection>,
) -> Result<Json<Explanation>, Problem> {
    let id = node(id)?;
    watch
        .explain(id)
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no verdict `{id}`")))
}

async fn clear(
    Administrator(by): Administrator,
    State(watch): State<Arc<Watch>>,
    id: Result<Path<NodeId>, PathRejection>,
    body: Result<Json<Clear>, JsonRejection>,
) -> Result<Json<Cleared>, Problem> {
    let id = node(id)?;
    let Json(body) =
        body.map_err(|_| Problem::invalid_request("the body is JSON with a `reason`"))?;
    Ok(Json(watch.clear(id, by, &body.reason).await?))
}

async fn identity(
    _: Administrator,
    State(watch): State<Arc<Watch>>,
    id: Result<Path<NodeId>, PathRejection>,
) -> Result<Json<IdentityView>, Problem> {
    let id = node(id)?;
    watch
        .identity(id)
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no identity `{id}`")))
}

fn node(id: Result<Path<NodeId>, PathRejection>) -> Result<NodeId, Problem> {
    id.map(|Path(id)| id)
        .map_err(|_| Problem::invalid_request("an id is 16 lower-case hexadecimal digits"))
}

/// What an administrator is told.
impl From<ClearError> for Problem {
    fn from(error: ClearError) -> Self {
        let description = error.to_string();
        match error {
            ClearError::Unknown(_) => Self::not_found(description),
            ClearError::AlreadyCleared(_) => Self::conflict(description).because("already_cleared"),
            ClearError::NeverIssued(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", description).because("never_issued")
            }
            ClearError::NotYours { .. } => {
                Self::new(StatusCode::FORBIDDEN, "access_denied", description)
                    .because("not_overrider")
            }
            ClearError::Reason => Self::invalid_request(description),
            ClearError::Store(error) => error.into(),
        }
    }
}
