//! How secrets are exchanged at third parties: plans below `/v1/secrets`, and `/v1/rotations`.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Document, Part, created, ok};
use crate::http::caller::Administrator;
use crate::http::duties::{Duties, Duty};
use crate::http::problem::Problem;
use crate::policy::administration::Action::{SecretsRead, SecretsRotate, SecretsWrite};
use crate::store::event::RotationCause;
use crate::vault::rotate::machine::Outcome;
use crate::vault::rotate::{KeptWaiting, NewPlan, RotateError, RotationView, Written};

/// The routes of rotations. How a secret is exchanged is said by whoever may put one: a plan sends it somewhere.
/// Having it exchanged as planned takes less.
pub(super) fn routes() -> Duties<Rooms> {
    let (reads, writes) = (Duty::of(SecretsRead), Duty::of(SecretsWrite));
    let rotates = Duty::of(SecretsRotate);
    Duties::new()
        .get("/v1/secrets/{secret}/rotation", reads, plan)
        .post("/v1/secrets/{secret}/rotation", writes, set_plan)
        .post("/v1/secrets/{secret}/rotation/remove", writes, remove_plan)
        .post("/v1/secrets/{secret}/rotate", rotates, rotate)
        .get("/v1/rotations", reads, list)
        .get("/v1/rotations/{rotation}", reads, show)
        .post("/v1/rotations/{rotation}/retry", rotates, retry)
        .post("/v1/rotations/{rotation}/abort", rotates, abort)
}

#[derive(Serialize)]
struct Rotations {
    rotations: Vec<RotationView>,
    /// Secrets that are due, and what is in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<KeptWaiting>,
}

/// Nothing is said but the wish itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn plan(State(rooms): State<Rooms>, _: Administrator, Part(secret): Part) -> Answer {
    ok(rooms.rotations.show_plan(&secret)?)
}

async fn set_plan(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(written): Document<Written>,
) -> Answer {
    let new = NewPlan::read(written).map_err(RotateError::from)?;
    ok(rooms.rotations.plan(&secret, new, by).await?)
}

async fn remove_plan(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    rooms.rotations.unplan(&secret, by).await?;
    ok(rooms.vault.show(&secret)?)
}

async fn rotate(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(secret): Part,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    let begun = rooms.rotations.rotate(&secret, RotationCause::Asked, by);
    created(begun.await?)
}

async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Rotations {
        rotations: rooms.rotations.list(),
        waiting: rooms.rotations.waiting(),
    })
}

async fn show(State(rooms): State<Rooms>, _: Administrator, Part(rotation): Part) -> Answer {
    ok(rooms.rotations.show(&rotation)?)
}

async fn retry(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(rotation): Part,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    is_under_way(&rooms, &rotation)?;
    ok(rooms.rotations.retry(&rotation)?)
}

async fn abort(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(rotation): Part,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    is_under_way(&rooms, &rotation)?;
    ok(rooms.rotations.abort(&rotation, by).await?)
}

/// One that is over is neither tried again nor undone, and whoever asks for that believes that it is not.
fn is_under_way(rooms: &Rooms, rotation: &str) -> Result<(), Problem> {
    let view = rooms.rotations.show(rotation)?;
    let how = match view.outcome {
        None => return Ok(()),
        Some(Outcome::Rotated) => "the new credential is in force, the old one is dead",
        Some(Outcome::Reverted) => "the credential from before is in force, the new one is dead",
        Some(Outcome::Abandoned) => "it was undone before anybody got the new credential",
    };
    let words = format!("rotation {} is over: {how}", view.id);
    Err(Problem::conflict(words).because("rotation_over"))
}

/// What an administrator is told.
impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        let words = error.to_string();
        match error {
            RotateError::Unknown(_) => Self::not_found(words),
            RotateError::Unsuitable(_) => Self::invalid_request(words).because("rotation_plan"),
            RotateError::NoPlan { .. } => Self::conflict(words).because("no_rotation_plan"),
            RotateError::UnderWay { .. } | RotateError::PlanInUse { .. } => {
                Self::conflict(words).because("rotation_under_way")
            }
            RotateError::NoReference { .. } => Self::conflict(words).because("no_reference"),
            RotateError::Shared { .. } => Self::conflict(words).because("credential_shared"),
            RotateError::LetsEverybodyIn => Self::conflict(words).because("nothing_provable"),
            RotateError::BeingUndone(_) => Self::conflict(words).because("rotation_being_undone"),
            RotateError::TooLate(_) => Self::conflict(words).because("rotation_too_late"),
            RotateError::ManagerOfAnother { .. } => Self::conflict(words).because("other_owner"),
            RotateError::Outbound(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no connections to third parties can be made"
                );
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
                    .because("outbound")
            }
            RotateError::Unreadable { .. } => Self::conflict(words).because("rotation_plan"),
            RotateError::Vault(error) => error.into(),
        }
    }
}
