//! `/v1/unused`, `/v1/unused-rights` and `/v1/key-ages`: what nobody uses any more.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, ok};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::administration::{AskedRights, KeyAge, REPORTED_AFTER_DAYS, Unused, UnusedRight};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    days: Option<u64>,
    identity: Option<String>,
    owner: Option<String>,
    #[serde(default)]
    operations: bool,
}

#[derive(Serialize)]
struct Rights {
    days: u64,
    rights: Vec<UnusedRight>,
}

pub(super) async fn rights(
    State(rooms): State<Rooms>,
    _: Administrator,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer {
    let Query(which) = which.map_err(|_| {
        Problem::invalid_request(
            "`days` is a number, `operations` true or false, `identity` and `owner` are names",
        )
    })?;
    let asked = AskedRights {
        days: which.days.unwrap_or(REPORTED_AFTER_DAYS),
        identity: which.identity,
        owner: which.owner,
        operations: which.operations,
    };
    ok(Rights {
        days: asked.days,
        rights: rooms.issue.unused_rights(&asked),
    })
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
