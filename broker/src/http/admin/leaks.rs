//! `/v1/leaks`: what an administrator found where it does not belong.

use axum::body::Bytes;
use axum::extract::State;

use super::Rooms;
use super::answer::{Answer, ok};
use crate::http::caller::Administrator;
use crate::http::leaks::read;

/// Unlike whoever reports without saying who they are, an administrator is told what came of it.
pub(super) async fn report(State(rooms): State<Rooms>, _: Administrator, body: Bytes) -> Answer {
    ok(rooms.finders.act(&read(body)?).await?)
}
