//! One call: after the gateway has let it in, and before the third party sees it.

mod prepare;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;
use lanyard_sdk::Verified;
use lanyard_sdk::gateway::canonical::CanonicalPath;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::Instrument;

use super::answer::Problem;
use super::bearer::Bearer;
use super::body::AnswerBody;
use super::caller_body::{Bounded, bounded};
use super::failure::failed;
use super::headers::clean_answer;
use super::hold::Hold;
use super::presented;
use super::scrub::Needles;
use super::searchable::is_searchable;
use super::shared::{Current, Shared};
use super::station::{Leased, Station};
use super::upstream::Client;
use super::websocket;

pub(super) use self::prepare::Prepared;

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
