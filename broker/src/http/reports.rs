//! The gateways' door to the watch room: reports in, bounds out.

mod portraits;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use lanyard_token::NodeId;
use serde::Deserialize;

use super::begun::Begun;
use super::caller::{Caller, Door, Doorkeeper, admit};
use super::problem::Problem;
use crate::clock::Clock;
use crate::watch::intake::{MAX_REPORT_BYTES, MEDIA_TYPE, Receipt, Report, ReportError};
use crate::watch::{BoundsChanges, Watch, WatchError, Written};

/// What a gateway's token must allow.
const SCOPE: &str = "lanyard:report";

#[derive(Clone)]
struct Rooms {
    watch: Arc<Watch>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
    begun: Begun,
}

/// `POST /v1/reports`, `GET /v1/baselines`, `GET /v1/baselines/{identity}`, and by their names
/// `GET /v1/baselines/{hash}` and `GET /v1/roles/{hash}`, for the public listener.
pub fn routes(
    watch: Arc<Watch>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
    begun: Begun,
) -> Router {
    Router::new()
        .route(
            "/v1/reports",
            post(report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)),
        )
        .route("/v1/baselines", get(changes))
        .route("/v1/baselines/{which}", get(baseline))
        .route("/v1/roles/{hash}", get(portraits::role))
        .with_state(Rooms {
            watch,
            doorkeeper,
            clock,
            begun,
        })
}

async fn report(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Receipt>, Problem> {
    let gateway = rooms.admit(&headers)?;
    let read = reader(&headers).ok_or_else(|| {
        let description = format!("a report is `{MEDIA_TYPE}`, or `application/json`");
        Problem::invalid_request(description).because("content_type")
    })?;
    let body = body.map_err(|rejection| unreadable(rejection.status()))?;
    let report = read(&body).map_err(WatchError::from)?;
    // It is counted first and then acted on: a gateway that hung up in between would be told that it was counted.
    let watch = rooms.watch.clone();
    let reported = async move { watch.report(gateway.identity, report).await };
    Ok(Json(rooms.begun.end(reported).await?))
}

async fn baseline(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    which: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let gateway = rooms.admit(&headers)?;
    let Path(which) = which.map_err(|_| unknown())?;
    match portraits::named(&which) {
        Some(name) => portraits::by_name(&rooms, &gateway, &headers, (Written::Baseline, name)),
        None => bounds(&rooms, &gateway, &headers, &which),
    }
}

/// The same answer for one that does not exist and one that is none of this gateway's business.
fn unknown() -> Problem {
    Problem::not_found("no such identity among those this gateway serves")
}

fn bounds(
    rooms: &Rooms,
    gateway: &Caller,
    headers: &HeaderMap,
    identity: &str,
) -> Result<Response, Problem> {
    let identity: NodeId = identity.parse().map_err(|_| unknown())?;
    let bounds = rooms
        .watch
        .bounds(gateway.identity, identity)
        .map_err(WatchError::from)?;
    let bounds = bounds.ok_or_else(unknown)?;
    // Weak: equal bounds may come with other counts of calls, which no gateway acts on.
    let tag = format!("W/\"{}\"", bounds.tag);
    let same = knows(headers, &bounds.tag);
    let about = [(CACHE_CONTROL, "no-store".to_owned()), (ETAG, tag)];
    Ok(if same {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, Json(bounds)).into_response()
    })
}

/// Whether one of the tags in `If-None-Match` is this one (RFC 9110, section 13.1.2: compared weakly).
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let lists = lists.filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|known| known.trim().trim_start_matches("W/").trim_matches('"') == tag)
}

/// The place of an earlier answer, both or neither.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    run: Option<u64>,
    after: Option<u64>,
}

async fn changes(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<([(http::HeaderName, &'static str); 1], Json<BoundsChanges>), Problem> {
    let gateway = rooms.admit(&headers)?;
    let Query(since) =
        since.map_err(|_| Problem::invalid_request("`run` and `after` are numbers"))?;
    let changes = rooms
        .watch
        .changes(gateway.identity, since.run.zip(since.after))
        .map_err(WatchError::from)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(changes)))
}

impl Rooms {
    fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        admit(
            self.doorkeeper.as_ref(),
            headers,
            Door::Public,
            SCOPE,
            self.clock.now(),
        )
    }
}

/// Reads one form of reports.
type Read = fn(&[u8]) -> Result<Report, ReportError>;

/// How a report of this type is read: the compact form, or the JSON of gateways of the release before.
fn reader(headers: &HeaderMap) -> Option<Read> {
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = media_type.split(';').next()?.trim();
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if is(MEDIA_TYPE) {
        Some(Report::read)
    } else if is("application/json") {
        Some(Report::parse)
    } else {
        None
    }
}

fn unreadable(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(format!("a report has at most {MAX_REPORT_BYTES} bytes"));
    }
    Problem::invalid_request("the body could not be read")
}

fn too_large(description: String) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "invalid_request",
        description,
    )
    .because("report_too_large")
}

/// What a gateway is told.
impl From<WatchError> for Problem {
    fn from(error: WatchError) -> Self {
        let description = error.to_string();
        match error {
            WatchError::Store(error) => error.into(),
            WatchError::Report(ReportError::TooLong) => too_large(description),
            WatchError::Report(ReportError::NotAGateway(_)) => Self::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "only gateways report",
            )
            .because("not_a_gateway"),
            WatchError::Report(ReportError::Version(_)) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request",
                description,
            )
            .because("report_version"),
            WatchError::Report(ReportError::NamesMissing) => {
                Self::conflict(description).because("names_missing")
            }
            WatchError::Report(ReportError::Malformed(_)) => {
                Self::invalid_request(description).because("report_malformed")
            }
        }
    }
}
