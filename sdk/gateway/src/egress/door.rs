//! One call: after the gateway has let it in, and before the third party sees it.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, request};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use lanyard_sdk::Verified;
use lanyard_sdk::gateway::canonical::CanonicalPath;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::Instrument;

use super::answer::Problem;
use super::bearer::Bearer;
use super::body::AnswerBody;
use super::caller_body::{Bounded, BrokenOff, bounded, of_the_body};
use super::headers::{clean_answer, clean_request};
use super::hold::Hold;
use super::inject::{Credential, Outgoing, Payload, inject};
use super::presented;
use super::scrub::Needles;
use super::searchable::is_searchable;
use super::shared::{Current, Shared};
use super::station::{Leased, Station};
use super::upstream::{Client, Unreachable};
use super::websocket;

/// How long a third party may take until the head of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a call waits for a lease when there is none: a question to the broker and its answer.
const LEASE_WITHIN: Duration = Duration::from_secs(2);
/// The longest answer that is handed on where the integration says nothing: everything that is handed on is searched.
const MOST_ANSWERED: u64 = 16 * 1024 * 1024;

/// The service behind the gateway's layer.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) shared: Arc<Shared>,
    pub(super) current: Arc<Current>,
}

impl tower::Service<Request<Body>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.handle(request).await) })
    }
}

/// A call that was let in.
pub(super) struct Call {
    pub(super) parts: request::Parts,
    body: Bounded,
    pub(super) verified: Verified,
    pub(super) station: Arc<Station>,
    pub(super) leased: Arc<Leased>,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// A call as the third party sees it.
pub(super) struct Prepared {
    pub(super) request: Request<()>,
    /// What is to be hidden in its answer.
    pub(super) needles: Arc<Needles>,
    /// The token in it, where a secret is not sent itself.
    pub(super) bearer: Option<Arc<Bearer>>,
}

impl Door {
    async fn handle(self, request: Request<Body>) -> Response {
        let began = Instant::now();
        let path = request.uri().path();
        let name = path.trim_start_matches('/').split('/').next();
        let Some(station) = self.current.stations.get(name.unwrap_or_default()).cloned() else {
            return Problem::Unknown.into_response();
        };
        // Only the layer makes one: without it nobody was let in.
        let Some(verified) = request.extensions().get::<Verified>().cloned() else {
            return Problem::Unknown.into_response();
        };
        let path = CanonicalPath::parse(path).ok();
        let routes = self.current.gateway.routes();
        let routed = path.and_then(|path| routes.operation(request.method(), path));
        let Some(operation) = routed.and_then(|routed| self.current.operations.get(routed)) else {
            return Problem::Unknown.into_response();
        };
        let span = tracing::info_span!(
            "lanyard.egress.call",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            lanyard.identity = %verified.identity(),
            lanyard.integration = station.name(),
            lanyard.operation = operation.name(),
            lanyard.secret.version = tracing::field::Empty,
            http.request.method = %request.method(),
            http.response.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
        );
        lanyard_telemetry::caller::join(&span, request.headers());
        let outcome = self
            .forward(request, verified, &station)
            .instrument(span.clone())
            .await;
        let meter = &self.shared.meter;
        match outcome {
            Ok(response) => {
                let status = response.status().as_u16();
                span.record("http.response.status_code", status);
                if response.status().is_server_error() {
                    span.record("otel.status_code", "ERROR");
                }
                meter.called(operation, status, began.elapsed());
                response
            }
            Err(problem) => {
                span.record("error.type", problem.code());
                span.record("http.response.status_code", problem.status().as_u16());
                span.record("otel.status_code", "ERROR");
                meter.refused(station.label(), problem.code());
                problem.into_response()
            }
        }
    }

    async fn forward(
        &self,
        request: Request<Body>,
        verified: Verified,
        station: &Arc<Station>,
    ) -> Result<Response, Problem> {
        let ended = verified.ended();
        tokio::select! {
            outcome = self.let_through(request, verified, station) => outcome,
            // Whatever it was waiting for.
            _ = ended => Err(Problem::TokenEnded),
        }
    }

    async fn let_through(
        &self,
        request: Request<Body>,
        verified: Verified,
        station: &Arc<Station>,
    ) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        presented::keep_back(&mut parts)?;
        let is_websocket = websocket::is_asked_for(&parts);
        if is_websocket && !station.integration().websocket() {
            return Err(Problem::WebSocket);
        }
        let now = self.current.gateway.now();
        let place = station
            .spend(verified.identity(), now.boot)
            .map_err(|over| Problem::Budget {
                limit: over.limit,
                retry_after: over.retry_after,
            })?;
        // Before anything is leased: how long it takes is the caller's to say.
        let body = bounded(
            &parts.headers,
            body,
            station.integration(),
            &self.shared.room,
        )
        .await?;
        let leased = self.leased(station).await?;
        tracing::Span::current().record("lanyard.secret.version", leased.held.version);
        let call = Call {
            parts,
            body,
            verified,
            station: Arc::clone(station),
            leased,
            place,
        };
        if is_websocket {
            websocket::open(self, call).await
        } else {
            self.send(call).await
        }
    }

    /// A lease that holds now, or within a moment.
    async fn leased(&self, station: &Arc<Station>) -> Result<Arc<Leased>, Problem> {
        if let Some(leased) = self.valid(station) {
            return Ok(leased);
        }
        let mut answers = self.shared.answers.subscribe();
        let asked = async {
            loop {
                answers.borrow_and_update();
                if let Some(leased) = self.valid(station) {
                    return Ok(leased);
                }
                if station.is_refused() || !self.shared.carries(station) {
                    return Err(Problem::NoLease);
                }
                self.shared.hurry.notify_one();
                if answers.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout(LEASE_WITHIN, asked)
            .await
            .unwrap_or(Err(Problem::NoLease))
    }

    fn valid(&self, station: &Arc<Station>) -> Option<Arc<Leased>> {
        let leased = station.leased.load_full()?;
        self.holds(station, &leased).then_some(leased)
    }

    async fn send(&self, call: Call) -> Result<Response, Problem> {
        let Call {
            mut parts,
            body,
            station,
            leased,
            place,
            ..
        } = call;
        let headers = std::mem::take(&mut parts.headers);
        let Prepared {
            request,
            needles,
            bearer,
        } = self
            .outgoing(&parts, headers, &station, &leased, body.whole.as_ref())
            .await?;
        let (head, ()) = request.into_parts();
        let request = Request::from_parts(head, body.body);
        let client = &leased.held.client;
        let answer = self
            .call_out(client, request, &station, &leased, bearer)
            .await?;
        let hold = Hold {
            door: self.clone(),
            station,
            leased,
        };
        self.answer(answer, hold, needles, place)
    }

    /// The head of the third party's answer. While a connection is waited for, the value that the call has in it can be
    /// taken back, and then the call is not made.
    pub(super) async fn call_out(
        &self,
        client: &Client,
        request: Request<Body>,
        station: &Station,
        leased: &Leased,
        bearer: Option<Arc<Bearer>>,
    ) -> Result<http::Response<Incoming>, Problem> {
        let held = &leased.held;
        held.used.count(self.broker_time());
        let answer = tokio::select! {
            answer = timeout(ANSWER_WITHIN, client.request(request)) => answer,
            () = self.taken_back(station, leased) => return Err(Problem::NoLease),
        };
        let answer = answer
            .map_err(|_| Problem::TooSlow)?
            .map_err(|error| failed(&error))?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(bearer) = bearer
        {
            held.forget_bearer(&bearer, self.current.gateway.now().boot);
        }
        Ok(answer)
    }

    /// The call as the third party sees it, and what is to be hidden in its answer.
    pub(super) async fn outgoing(
        &self,
        parts: &request::Parts,
        mut headers: HeaderMap,
        station: &Arc<Station>,
        leased: &Leased,
        payload: Option<&Bytes>,
    ) -> Result<Prepared, Problem> {
        let held = &leased.held;
        let injection = station.integration().injection();
        let upstream = station.integration().upstream();
        let below = parts
            .uri
            .path()
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(station.name()))
            .ok_or(Problem::Unknown)?;
        clean_request(&mut headers, injection);
        let mut outgoing = Outgoing {
            method: parts.method.clone(),
            upstream,
            path: format!("{}{below}", upstream.base()),
            query: parts.uri.query().map(str::to_owned),
            headers,
        };
        let bearer = self.bearer(station, leased).await?;
        // It held when it was looked up; a token may have been waited for since.
        if !self.holds(station, leased) {
            return Err(Problem::NoLease);
        }
        let credential = Credential {
            value: bearer
                .as_ref()
                .map_or(held.value.expose(), |bearer| bearer.token.expose()),
            reference: held.reference.as_deref(),
        };
        let payload = payload.map_or(Payload::Stream, |bytes| Payload::Known(bytes));
        let now = lanyard_sdk::UnixMillis(self.broker_time());
        let unusable = |error| {
            tracing::error!(
                name: "lanyard.egress.cannot_inject",
                { error = %error, lanyard.integration = station.name() },
                "a credential cannot be put into a call"
            );
            Problem::Unusable
        };
        inject(&mut outgoing, injection, credential, payload, now).map_err(unusable)?;
        let mut request = Request::new(());
        *request.uri_mut() = outgoing.uri().map_err(unusable)?;
        *request.method_mut() = outgoing.method;
        *request.headers_mut() = outgoing.headers;
        let needles = bearer
            .as_ref()
            .map_or(&held.needles, |bearer| &bearer.needles);
        Ok(Prepared {
            request,
            needles: Arc::clone(needles),
            bearer,
        })
    }

    pub(super) fn answer(
        &self,
        answer: Response<Incoming>,
        hold: Hold,
        needles: Arc<Needles>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Response, Problem> {
        let (mut head, body) = answer.into_parts();
        let station = &hold.station;
        let most = station.integration().budget().response_bytes;
        let most = most.unwrap_or(MOST_ANSWERED);
        // Nobody asked for another protocol, and only what is plain can be searched.
        let is_refused = head.status == StatusCode::SWITCHING_PROTOCOLS
            || (!body.is_end_stream() && !is_searchable(&head.headers))
            || body.size_hint().lower() > most;
        if is_refused {
            return Err(Problem::Answer);
        }
        let injection = station.integration().injection();
        let found = clean_answer(&mut head.headers, injection, &needles);
        self.shared.meter.scrubbed(found);
        head.extensions = http::Extensions::new();
        head.version = http::Version::default();
        let meter = Arc::clone(&self.shared.meter);
        let station = Arc::clone(station);
        let body = AnswerBody::new(body, station, needles, most, meter, place);
        Ok(Response::from_parts(head, Body::new(body.held_by(hold))))
    }

    /// The broker's time: what uses and signatures are dated with.
    pub(super) fn broker_time(&self) -> u64 {
        let gateway = &self.current.gateway;
        gateway.feed().now(gateway.now()).0
    }
}

/// What a caller is told of a call that failed; the operator is told where it did.
pub(super) fn failed(error: &(dyn Error + 'static)) -> Problem {
    if is_caused_by::<LengthLimitError>(error) || is_caused_by::<BrokenOff>(error) {
        return of_the_body(error);
    }
    let reason = match cause::<Unreachable>(error) {
        Some(Unreachable::Refused) => "address_refused",
        Some(Unreachable::Unresolved(_)) => "unresolved",
        Some(Unreachable::Connect(_)) => "connect",
        None => "http",
    };
    tracing::warn!(
        name: "lanyard.egress.unreachable",
        { lanyard.reason = reason },
        "a third party cannot be reached"
    );
    Problem::Unreachable
}

pub(super) fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    cause::<E>(error).is_some()
}

fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
