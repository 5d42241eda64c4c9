//! `/v1/gateways`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use super::Rooms;
use super::answer::{Answer, Document, ok};
use crate::http::caller::Administrator;
use crate::issue::administration::{GatewayView, NewGateway};

#[derive(Serialize)]
struct Gateways {
    gateways: Vec<GatewayView>,
}

pub(super) async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(Gateways {
        gateways: rooms.issue.list_gateways(),
    })
}

/// The answer is the enrolment file, shown this once.
pub(super) async fn create(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(new): Document<NewGateway>,
) -> Answer {
    let enrolment = rooms.issue.add_gateway(new, by).await?.to_json();
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "application/json"),
    ];
    Ok((StatusCode::CREATED, headers, enrolment.as_str().to_owned()).into_response())
}
