//! `/v1/drift/deployments` and `/v1/drift/budget`: what operators say to the drift engine.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::http::problem::Problem;
use crate::policy::administration::Action::{DriftOrders, DriftRead};
use crate::store::event::PagingGoal;
use crate::watch::Watch;
use crate::watch::deploying::{DeploymentView, OrderError};
use crate::watch::paging::BudgetView;
use crate::watch::state::Role;

pub(super) fn routes() -> Duties<Arc<Watch>> {
    let (reads, orders) = (Duty::of(DriftRead), Duty::of(DriftOrders));
    Duties::new()
        .get("/v1/drift/deployments", reads, deployments)
        .post("/v1/drift/deployments", orders, deploy)
        .get("/v1/drift/budget", reads, budget)
        .post("/v1/drift/budget", orders, set_budget)
}

#[derive(Serialize)]
struct Deployments {
    deployments: Vec<DeploymentView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deploy {
    role: Option<Role>,
    /// Its name or number.
    identity: Option<String>,
    seconds: u64,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBudget {
    alarms_per_day: Option<f64>,
    share: Option<f64>,
}

async fn deployments(_: Administrator, State(watch): State<Arc<Watch>>) -> Json<Deployments> {
    Json(Deployments {
        deployments: watch.deployments(),
    })
}

async fn deploy(
    Administrator(by): Administrator,
    State(watch): State<Arc<Watch>>,
    body: Result<Json<Deploy>, JsonRejection>,
) -> Result<(StatusCode, Json<DeploymentView>), Problem> {
    let Json(body) = body.map_err(|_| {
        Problem::invalid_request(
            "the body is JSON with a `role` (`kind`, `tags`) or an `identity`, `seconds` and maybe a `reason`",
        )
    })?;
    let role = match (body.role, body.identity) {
        (Some(role), None) => role,
        (None, Some(identity)) => watch.role_of(&identity)?,
        _ => {
            return Err(Problem::invalid_request("say one of `role` and `identity`"));
        }
    };
    let opened = watch.deploy(role, body.seconds, body.reason, by).await?;
    Ok((StatusCode::CREATED, Json(opened)))
}

async fn budget(_: Administrator, State(watch): State<Arc<Watch>>) -> Json<BudgetView> {
    Json(watch.budget())
}

async fn set_budget(
    Administrator(by): Administrator,
    State(watch): State<Arc<Watch>>,
    body: Result<Json<SetBudget>, JsonRejection>,
) -> Result<Json<BudgetView>, Problem> {
    let what = "the body is JSON with `alarms_per_day` or a `share` of windows";
    let Json(body) = body.map_err(|_| Problem::invalid_request(what))?;
    let goal = match (body.alarms_per_day, body.share) {
        (Some(alarms), None) => PagingGoal::AlarmsPerDay(alarms),
        (None, Some(share)) => PagingGoal::Share(share),
        _ => return Err(Problem::invalid_request(what)),
    };
    Ok(Json(watch.set_budget(goal, by).await?))
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let description = error.to_string();
        match error {
            OrderError::Unknown => Self::not_found(description),
            OrderError::NobodyPlays => Self::conflict(description).because("nobody_plays"),
            OrderError::Length | OrderError::Reason | OrderError::Goal(_) => {
                Self::invalid_request(description)
            }
            OrderError::Store(error) => error.into(),
        }
    }
}
