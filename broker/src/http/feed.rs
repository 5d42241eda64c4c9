//! The feed over HTTP: a stream, single frames, the snapshot, and readers' answers.
//!
//! Frames and snapshot carry their own signatures, so any cache may keep them. A token is asked for
//! all the same: who reads is who can be waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use lanyard_token::{NodeId, Rev};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use zeroize::Zeroizing;

use super::caller::{Caller, Door, Doorkeeper, admit, bearer};
use super::oauth::Confirmations;
use super::problem::Problem;
use crate::clock::{Clock, UnixMillis};
use crate::revoke::{FEED_SCOPE, NoStream, ReaderId, Revoke, Subscription};

/// How often the token behind an open stream is looked at again: a gateway that was disabled, or
/// whose token has expired, must not go on reading.
const ADMIT_AGAIN: Duration = Duration::from_secs(5);

const BINARY: &str = "application/octet-stream";
/// A frame never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// A snapshot is older every second, but signed and numbered: a reader refuses one from before its place.
const BRIEFLY: &str = "public, max-age=1";

#[derive(Clone)]
struct Feed {
    revoke: Arc<Revoke>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
}

/// `/v1/feed…`, for the public listener.
pub fn routes(
    revoke: Arc<Revoke>,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
) -> Router {
    Router::new()
        .route("/v1/feed", get(stream))
        .route("/v1/feed/snapshot", get(snapshot))
        .route("/v1/feed/position", post(position))
        .route("/v1/feed/{epoch}/{n}", get(frame))
        .with_state(Feed {
            revoke,
            doorkeeper,
            clock,
        })
}

#[derive(Deserialize)]
struct After {
    after: String,
    #[serde(default)]
    instance: String,
}

/// `GET /v1/feed?after=EPOCH.N&instance=NAME`: `u32 length | message`, without end.
async fn stream(
    State(feed): State<Feed>,
    headers: HeaderMap,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Response, Problem> {
    let caller = feed.admit(&headers)?;
    let Query(query) = query.map_err(|_| Problem::invalid_request("`after` must be EPOCH.N"))?;
    let (epoch, n) = parse_place(&query.after)?;
    let reader = reader(&caller, query.instance)?;
    let subscription = feed
        .revoke
        .subscribe(reader, epoch, n)
        .map_err(|error| feed.refuse(&caller, error))?;
    let token = Zeroizing::new(bearer(&headers)?.to_owned());
    let body = Body::from_stream(admitted(feed, token, subscription));
    Ok((
        StatusCode::OK,
        [(CONTENT_TYPE, BINARY), (CACHE_CONTROL, "no-store")],
        body,
    )
        .into_response())
}

/// The stream, for as long as its token lets its reader in.
fn admitted(
    feed: Feed,
    token: Zeroizing<String>,
    subscription: Subscription,
) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let mut again = interval_at(Instant::now() + ADMIT_AGAIN, ADMIT_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    futures::stream::unfold((feed, token, subscription, again), |mut state| async move {
        let (feed, token, subscription, again) = &mut state;
        loop {
            tokio::select! {
                chunk = subscription.next() => return chunk.map(|chunk| (Ok(chunk), state)),
                _ = again.tick() => {
                    feed.doorkeeper.admit(token, Door::Public, FEED_SCOPE, feed.clock.now()).ok()?;
                }
            }
        }
    })
}

/// `GET /v1/feed/{epoch}/{n}`.
async fn frame(
    State(feed): State<Feed>,
    headers: HeaderMap,
    place: Result<Path<(u16, u64)>, PathRejection>,
) -> Result<Response, Problem> {
    feed.admit(&headers)?;
    let Path((epoch, n)) = place.map_err(|_| Problem::invalid_request("a frame is EPOCH/N"))?;
    let bytes = feed.revoke.frame(epoch, n).map_err(|error| match error {
        NoStream::Gone => gone(),
        NoStream::Ahead => Problem::not_found("there is no such frame yet"),
    })?;
    Ok((
        StatusCode::OK,
        [(CONTENT_TYPE, BINARY), (CACHE_CONTROL, FOR_EVER)],
        bytes,
    )
        .into_response())
}

/// `GET /v1/feed/snapshot`.
async fn snapshot(State(feed): State<Feed>, headers: HeaderMap) -> Result<Response, Problem> {
    feed.admit(&headers)?;
    let bytes = feed.revoke.snapshot().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "there is no feed key yet",
        )
        .retry_after(1)
        .because("no_feed_key")
    })?;
    Ok((
        StatusCode::OK,
        [(CONTENT_TYPE, BINARY), (CACHE_CONTROL, BRIEFLY)],
        bytes,
    )
        .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    #[serde(default)]
    instance: String,
    epoch: u16,
    n: u64,
    rev: Rev,
}

/// `POST /v1/feed/position`: everything up to here is on this reader's disk.
async fn position(
    State(feed): State<Feed>,
    headers: HeaderMap,
    body: Result<Json<Position>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let caller = feed.admit(&headers)?;
    let Json(at) =
        body.map_err(|_| Problem::invalid_request("a position is {instance, epoch, n, rev}"))?;
    let reader = reader(&caller, at.instance)?;
    feed.revoke
        .stands(&reader, at.epoch, at.n, at.rev)
        .map_err(|error| feed.refuse(&caller, error))?;
    Ok(StatusCode::NO_CONTENT)
}

impl Feed {
    fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        admit(
            &*self.doorkeeper,
            headers,
            Door::Public,
            FEED_SCOPE,
            self.clock.now(),
        )
    }

    fn refuse(&self, caller: &Caller, error: NoStream) -> Problem {
        match error {
            NoStream::Gone => gone(),
            NoStream::Ahead => {
                let head = self.revoke.head();
                tracing::error!(
                    gateway = %caller.identity,
                    epoch = head.epoch,
                    n = head.n,
                    "a gateway knows more than this broker: the log was rolled back, or the gateway lies"
                );
                Problem::conflict("the reader is ahead of this broker").because("feed_rollback")
            }
        }
    }
}

impl Confirmations for Revoke {
    fn confirmed(
        &self,
        node: NodeId,
        rev: Rev,
        expires_at: Option<u64>,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = serde_json::Value> + Send + '_>> {
        Box::pin(async move {
            let expires_at = expires_at.map(UnixMillis::from_seconds);
            let receipt = Self::confirmed(self, node, rev, expires_at, timeout).await;
            // Names and numbers: writing them to memory cannot fail.
            serde_json::to_value(receipt).unwrap_or_default()
        })
    }
}

fn gone() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "gone",
        "these frames are gone: take the snapshot",
    )
    .because("feed_gone")
}

fn reader(caller: &Caller, instance: String) -> Result<ReaderId, Problem> {
    let plain = instance.len() <= 64
        && instance
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !plain {
        return Err(Problem::invalid_request(
            "`instance` is at most 64 letters, digits and `-`",
        ));
    }
    Ok(ReaderId {
        gateway: caller.identity,
        instance,
    })
}

fn parse_place(text: &str) -> Result<(u16, u64), Problem> {
    let place = || {
        let (epoch, n) = text.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(epoch) && digits(n)).then_some(())?;
        Some((epoch.parse().ok()?, n.parse().ok()?))
    };
    place().ok_or_else(|| Problem::invalid_request("`after` must be EPOCH.N"))
}
