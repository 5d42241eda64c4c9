//! What a check costs a whole service: the same answer behind Lanyard's layer, behind what people use instead, and
//! behind nothing.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::absent::present;
use super::curve::{Curve, Line};
use super::target::{Goal, Target};
use super::turns::{self, Case, Measured, Outcome, Turns, beside};
use crate::broker::{Broker, BrokerArgs};
use crate::load::{Question, closed, open, quantiles};
use crate::peers::{self, Auth, Envoy, Filter, Guarded, Missing, Peer};
use crate::server::{AUDIENCE, Kind, PATH, SCOPE};

const COMMAND: &str = "lanyard-loadtest bench gateway";

const HELLO: &str = "axum, nothing before the answer";
const JSONWEBTOKEN: &str = "axum + jsonwebtoken";
const SEEN_MAP: &str = "axum + map of seen tokens";
const LANYARD: &str = "axum + Lanyard's layer";
const ENVOY: &str = "Envoy, no filter";
const ENVOY_JWT: &str = "Envoy, jwt_authn";
const ENVOY_CACHE: &str = "Envoy, jwt_authn with jwt_cache";
const ENVOY_ASKS: &str = "Envoy, ext_authz to a no-op";
const NGINX: &str = "nginx, a file";
const NGINX_ASKS: &str = "nginx, auth_request to a no-op";

/// Starts everything, and lets it take turns.
pub(super) async fn measure(args: &BrokerArgs, turns: Turns) -> Result<Outcome, Box<dyn Error>> {
    let broker = Broker::open(args).await?;
    let owner = broker.add_owner("bench-gateway").await?;
    let member = broker
        .add_member("bench-gateway-caller", &owner, AUDIENCE, SCOPE)
        .await?;
    let token = broker
        .token(&member, &[("requested_lifetime", "3600")])
        .await?;
    let jwks = broker.jwks().await?;

    let issuer = ["--issuer", broker.issuer.as_str()];
    let hello = peers::home(Kind::Hello, [""; 0]).await?;
    let door = peers::home(Kind::Hello, [""; 0]).await?;
    let decoding = peers::home(Kind::Jsonwebtoken, issuer).await?;
    let remembering = peers::home(Kind::SeenMap, issuer).await?;
    let layer = Guarded::start(&broker, &owner, "bench-gateway").await?;

    let mut missing = Vec::new();
    let mut there = |name, peer: Result<Peer, Missing>| {
        let targets: &[&'static str] = match name {
            ENVOY | ENVOY_ASKS => &["P6-cpu-ext-authz"],
            _ => &[],
        };
        present(&mut missing, peer, &[name], targets)
    };
    let authn = |cache| Filter::JwtAuthn {
        issuer: &broker.issuer,
        jwks: &jwks,
        cache,
    };
    let envoy = there(ENVOY, Envoy::start(Filter::None).await);
    let envoy_jwt = there(ENVOY_JWT, Envoy::start(authn(false)).await);
    let envoy_cache = there(ENVOY_CACHE, Envoy::start(authn(true)).await);
    let envoy_asks = there(
        ENVOY_ASKS,
        Envoy::start(Filter::ExtAuthz(door.address)).await,
    );
    let nginx = there(NGINX, peers::nginx(Auth::None).await);
    let nginx_asks = there(NGINX_ASKS, peers::nginx(Auth::Request(door.address)).await);

    let questions: Arc<[Question]> = Arc::from([question(&token)]);
    let mut cases = vec![
        case(HELLO, &hello, None, &questions),
        case(JSONWEBTOKEN, &decoding, None, &questions),
        case(SEEN_MAP, &remembering, None, &questions),
        case(LANYARD, layer.peer(), None, &questions),
    ];
    let others = [
        (ENVOY, &envoy, None),
        (ENVOY_JWT, &envoy_jwt, None),
        (ENVOY_CACHE, &envoy_cache, None),
        (ENVOY_ASKS, &envoy_asks, Some(&door)),
        (NGINX, &nginx, None),
        (NGINX_ASKS, &nginx_asks, Some(&door)),
    ];
    for (name, peer, helper) in others {
        let case = peer
            .as_ref()
            .map(|peer| case(name, peer, helper, &questions));
        cases.extend(case);
    }
    let measured = turns::take(&cases, turns).await;
    drop(cases);
    let curves = vec![
        by_connections(&hello, &layer, &questions).await,
        waits(&hello, &layer, &questions).await,
    ];
    Ok(Outcome {
        targets: targets(&measured),
        measured,
        missing,
        curves,
    })
}

/// How many connections ask at once.
const CONNECTIONS: [usize; 6] = [1, 4, 16, 64, 128, 256];

/// Requests a second by number of connections, each for a second.
async fn by_connections(hello: &Peer, layer: &Guarded, questions: &Arc<[Question]>) -> Curve {
    let mut lines = Vec::new();
    for (name, to) in [(HELLO, hello.address), (LANYARD, layer.address())] {
        let mut points = Vec::new();
        for connections in CONNECTIONS {
            let lasting = Duration::from_secs(1);
            let answers = closed(to, Arc::clone(questions), connections, lasting).await;
            points.push((connections as f64, answers.per_second()));
        }
        lines.push(Line::new(name, points));
    }
    Curve::of(
        "gateway-connections",
        "Requests a second, by number of connections",
        ("connections", "requests/s"),
        lines,
    )
}

/// So many requests a second leave both servers idle most of the time.
const CALM_PER_SECOND: f64 = 2_000.0;

/// How waits are spread while requests are due at fixed instants.
async fn waits(hello: &Peer, layer: &Guarded, questions: &Arc<[Question]>) -> Curve {
    let mut lines = Vec::new();
    for (name, to) in [(HELLO, hello.address), (LANYARD, layer.address())] {
        let lasting = Duration::from_secs(5);
        let answers = open(to, Arc::clone(questions), 16, CALM_PER_SECOND, lasting).await;
        lines.push(Line::new(name, quantiles(&answers.waits)));
    }
    Curve::of(
        "gateway-waits",
        "Waits at two thousand requests a second",
        ("1 / (1 - share of requests)", "ms"),
        lines,
    )
}

fn question(token: &str) -> Question {
    let bearer = format!("Bearer {token}");
    Question::get("localhost", PATH, &[("authorization", bearer.as_str())])
}

/// A case whose processor time is the server's and, where it asks another, that one's too.
fn case<'p>(
    name: &'static str,
    peer: &'p Peer,
    helper: Option<&'p Peer>,
    questions: &Arc<[Question]>,
) -> Case<'p> {
    let processor = move || -> Option<Duration> {
        let helped = helper.map_or(Some(Duration::ZERO), Peer::processor_time);
        Some(peer.processor_time()? + helped?)
    };
    Case {
        name,
        address: peer.address,
        questions: Arc::clone(questions),
        processor: Box::new(processor),
    }
}

/// Differences to the same server without a check, since that is what the check costs. Where a round says that ours
/// costs nothing, its ratio is without bound and left out.
fn targets(all: &[Measured]) -> Vec<Target> {
    let rates =
        beside(all, LANYARD, HELLO).map(|(ours, bare)| 100.0 * ours.per_second / bare.per_second);
    let added: Vec<f64> = beside(all, LANYARD, HELLO)
        .map(|(ours, bare)| ours.processor_us - bare.processor_us)
        .collect();
    let decoding = beside(all, JSONWEBTOKEN, HELLO)
        .zip(&added)
        .map(|((theirs, bare), added)| (theirs.processor_us - bare.processor_us) / added.max(0.0));
    let asking = beside(all, ENVOY_ASKS, ENVOY)
        .zip(&added)
        .map(|((theirs, bare), added)| (theirs.processor_us - bare.processor_us) / added.max(0.0));
    let targets = [
        Target::of("P6-rps", "%", COMMAND, Goal::AtLeast(88.0), rates),
        Target::of("P6-cpu", "us", COMMAND, Goal::AtMost(1.2), added.clone()),
        Target::of(
            "P6-cpu-jsonwebtoken",
            "x",
            COMMAND,
            Goal::AtLeast(40.0),
            decoding,
        ),
        Target::of(
            "P6-cpu-ext-authz",
            "x",
            COMMAND,
            Goal::AtLeast(40.0),
            asking,
        ),
    ];
    targets.into_iter().flatten().collect()
}
