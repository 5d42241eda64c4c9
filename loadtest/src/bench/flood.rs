//! Whether a flood of forgeries makes those wait who were seen before.
//!
//! A service behind the layer, over real sockets, with requests of a seen token that are due at fixed instants. In
//! each round first alone, then beside as many requests a second that are refused for nothing (junk), then beside as
//! many forgeries in good form, each of which costs a signature check if it gets one. The generators share the
//! machine with the service; what they take is in the second figure as in the third.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use lanyard_token::Algorithm;
use tokio::net::TcpListener;

use super::micro::COMMAND;
use super::seen::Subject;
use super::target::{Goal, Target};
use crate::load::{Answers, Question, open};

/// One round of each of the three.
const LASTING: Duration = Duration::from_secs(2);
/// Requests of the seen token a second, few enough that alone they wait for nothing.
const SEEN_PER_SECOND: f64 = 400.0;
const SEEN_CONNECTIONS: usize = 8;
/// Refused ones a second: as many signature checks would take a third of a processor.
const REFUSED_PER_SECOND: f64 = 6_000.0;
const REFUSED_CONNECTIONS: usize = 32;
/// Different forgeries, so that nothing could learn them by heart.
const FORGERIES: usize = 4_096;
/// Rounds at most: one takes seconds.
const MOST_ROUNDS: usize = 5;

/// The wait of one in a hundred beside forgeries over that alone, and over that beside junk.
pub(super) fn measure(rounds: usize) -> Result<Vec<Target>, Box<dyn Error>> {
    // On a thread that serves no runtime, since it makes two of its own.
    let measured = thread::scope(|scope| {
        let measuring = scope.spawn(|| floods(rounds).map_err(|error| error.to_string()));
        measuring.join()
    });
    Ok(measured.map_err(|_| "a thread ended by a panic")??)
}

fn floods(rounds: usize) -> Result<Vec<Target>, Box<dyn Error>> {
    let subject = Subject::new(Algorithm::Es256, 1)?;
    let seen: Arc<[Question]> = Arc::from([question(subject.text(), StatusCode::OK)]);
    let junk = Arc::from([question("junk", StatusCode::UNAUTHORIZED)]);
    let forgeries: Arc<[Question]> = forgeries(subject.text()).collect();
    let server = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let service = Router::new().route("/orders/{id}", get(async || "hello"));
    let service = service.layer(subject.layer());
    let listener = server.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    server.spawn(async move { axum::serve(listener, service).await });
    // Not on the service's threads: what it does with those is what is measured.
    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (mut over_alone, mut over_junk) = (Vec::new(), Vec::new());
    clients.block_on(async {
        beside(address, &seen, &forgeries).await;
        for _ in 0..rounds.min(MOST_ROUNDS) {
            let alone = asked(address, &seen).await.wait_at(0.99).as_secs_f64();
            let junk = beside(address, &seen, &junk).await;
            let flood = beside(address, &seen, &forgeries).await;
            over_alone.push(flood / alone);
            over_junk.push(flood / junk);
        }
    });
    server.shutdown_background();
    let targets = [
        Target::of("P5-flood", "x", COMMAND, Goal::AtMost(2.0), over_alone),
        Target::of("P5-flood-junk", "x", COMMAND, Goal::AtMost(2.0), over_junk),
    ];
    Ok(targets.into_iter().flatten().collect())
}

/// The wait of one in a hundred of the seen token's requests while others are refused.
async fn beside(address: SocketAddr, seen: &Arc<[Question]>, refused: &Arc<[Question]>) -> f64 {
    let refused = open(
        address,
        Arc::clone(refused),
        REFUSED_CONNECTIONS,
        REFUSED_PER_SECOND,
        LASTING,
    );
    let (answers, _) = tokio::join!(asked(address, seen), refused);
    answers.wait_at(0.99).as_secs_f64()
}

async fn asked(address: SocketAddr, seen: &Arc<[Question]>) -> Answers {
    open(
        address,
        Arc::clone(seen),
        SEEN_CONNECTIONS,
        SEEN_PER_SECOND,
        LASTING,
    )
    .await
}

fn question(token: &str, expected: StatusCode) -> Question {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    Question::get("localhost", "/orders/4711", &headers).expecting(expected)
}

/// The seen token with other signatures.
fn forgeries(token: &str) -> impl Iterator<Item = Question> {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let rest = signature.get(8..).unwrap_or_default();
    (0..FORGERIES).map(move |n| {
        let forged = format!("{signed}.{n:08x}{rest}");
        question(&forged, StatusCode::UNAUTHORIZED)
    })
}
