//! `/v1/policy`: which policies are in force, and reading them again.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Document, ok};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::ReloadError;
use crate::policy::Bundle;
use crate::store::event::ContentHash;

/// The policies in force.
#[derive(Serialize)]
struct InForce {
    bundle: ContentHash,
    policies: usize,
    slices: usize,
    /// How many policies the largest slice has: more than these no decision about one scope finds in one place.
    largest_slice: usize,
}

impl InForce {
    fn of(bundle: &Bundle) -> Self {
        let (slices, largest_slice) = bundle.sliced();
        Self {
            bundle: bundle.hash(),
            policies: bundle.rules().len(),
            slices,
            largest_slice,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn show(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(InForce::of(&rooms.issue.policies()))
}

pub(super) async fn reload(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    let bundle = rooms.issue.reload_policies(by).await?;
    ok(InForce::of(&bundle))
}

/// What an administrator is told; the last good policies stay in force.
impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let words = error.to_string();
        match error {
            ReloadError::Broken(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_policy", words)
                    .because("policy")
            }
            ReloadError::Store(error) => error.into(),
            ReloadError::Ended => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
                    .because("policy")
            }
        }
    }
}
