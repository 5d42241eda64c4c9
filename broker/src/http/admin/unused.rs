//! `/v1/unused` and `/v1/key-ages`: what nobody uses any more.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, ok};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::administration::{KeyAge, REPORTED_AFTER_DAYS, Unused};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    days: Option<u64>,
}

#[derive(Serialize)]
struct Identities {
    days: u64,
    identities: Vec<Unused>,
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<KeyAge>,
}

pub(super) async fn identities(
    State(rooms): State<Rooms>,
    _: Administrator,
    since: Result<Query<Since>, QueryRejection>,
) -> Answer {
    let Query(since) = since.map_err(|_| Problem::invalid_request("`days` is a number"))?;
    let days = since.days.unwrap_or(REPORTED_AFTER_DAYS);
    ok(Identities {
        days,
        identities: rooms.issue.unused(days),
    })
}

pub(super) async fn key_ages(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Keys {
        keys: rooms.issue.key_ages(),
    })
}
