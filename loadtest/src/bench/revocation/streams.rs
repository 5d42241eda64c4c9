//! Ten thousand open streams of a service behind the layer, and how soon those end whose tokens are revoked; the
//! others must not.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use lanyard_token::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::Findings;
use crate::bench::target::{Goal, Target};
use crate::broker::{Broker, token_id};
use crate::load::{Connection, Question, instants};
use crate::peers::Guarded;
use crate::server::{AUDIENCE, EVENTS, SCOPE};

const STREAMS: usize = 10_000;
/// Each token has so many of them.
const STREAMS_EACH: usize = 10;
/// An identity may ask for two hundred tokens at once.
const TOKENS_EACH: usize = 100;
/// What else a process has open.
const OTHER_FILES: u64 = 500;
/// A twentieth of the tokens a second, until half of them are gone.
const REVOKED_PER_SECOND: f64 = 50.0;
/// So many streams are opened at the same time.
const OPENING: usize = 64;
/// A gateway that has no room for another new token now says so; it is asked again after a moment, this often.
const TRIES: usize = 100;
const MOMENT: Duration = Duration::from_millis(100);
/// What has not ended by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream that came to its end, by the place of its token.
struct Ended {
    token: usize,
    at: Instant,
}

pub(super) async fn measure(
    broker: &Broker,
    owner: &str,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    let allowed = crate::server::raise_open_files();
    let room = usize::try_from(allowed.saturating_sub(OTHER_FILES)).unwrap_or(STREAMS);
    let count = STREAMS.min(room);
    findings.note(
        count < STREAMS,
        format!("{count} streams and not {STREAMS}: the system allows {allowed} open files"),
    );
    let server = Guarded::start(broker, owner, "bench-streams").await?;
    let tokens = tokens(broker, owner, count / STREAMS_EACH).await?;
    let (ended, mut heard) = mpsc::unbounded_channel();
    let mut streams = JoinSet::new();
    open(server.address(), &tokens, &mut streams, &ended).await?;
    drop(ended);

    let (dying, _) = tokens.split_at(tokens.len() / 2);
    let due = revoke(broker, dying).await?;
    tokio::time::sleep(PATIENCE).await;
    let (mut millis, mut wrongly) = (Vec::new(), 0_u64);
    while let Ok(Ended { token, at }) = heard.try_recv() {
        match due.get(token) {
            Some(due) => millis.push(at.duration_since(*due).as_secs_f64() * 1e3),
            None => wrongly += 1,
        }
    }
    streams.abort_all();
    let unended = (dying.len() * STREAMS_EACH).saturating_sub(millis.len());
    findings.note(
        true,
        format!(
            "streams: {} open, {} to be ended, {unended} of them not within {} s; {wrongly} ended whose token lives",
            tokens.len() * STREAMS_EACH,
            dying.len() * STREAMS_EACH,
            PATIENCE.as_secs()
        ),
    );
    if unended + usize::try_from(wrongly).unwrap_or(usize::MAX) > 0 {
        return Err("streams did not end with their tokens, or without".into());
    }
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (millis.len() as f64 * share) as usize;
        millis
            .get(place.min(millis.len().saturating_sub(1)))
            .copied()
    };
    let goal = Goal::AtMost(100.0);
    let id = "P12-streams-p99-ms";
    findings.add(Target::of(id, "ms", super::COMMAND, goal, at(0.99)));
    Ok(())
}

async fn tokens(
    broker: &Broker,
    owner: &str,
    count: usize,
) -> Result<Vec<(NodeId, String)>, Box<dyn Error>> {
    let mut tokens = Vec::with_capacity(count);
    for number in 0..count.div_ceil(TOKENS_EACH) {
        let name = format!("bench-streams-{number}");
        let member = broker.add_member(&name, owner, AUDIENCE, SCOPE).await?;
        for _ in 0..TOKENS_EACH.min(count - tokens.len()) {
            let token = broker.token(&member, &[]).await?;
            tokens.push((token_id(&token)?, token));
        }
    }
    Ok(tokens)
}

async fn open(
    to: SocketAddr,
    tokens: &[(NodeId, String)],
    streams: &mut JoinSet<()>,
    ended: &mpsc::UnboundedSender<Ended>,
) -> Result<(), Box<dyn Error>> {
    let all: Vec<(usize, Question)> = tokens
        .iter()
        .enumerate()
        .flat_map(|(place, (_, token))| {
            let bearer = format!("Bearer {token}");
            let question = Question::get("localhost", EVENTS, &[("authorization", &bearer)]);
            std::iter::repeat_n((place, question), STREAMS_EACH)
        })
        .collect();
    for portion in all.chunks(OPENING) {
        let opening = portion.iter().map(|(_, question)| begin(to, question));
        let opened = futures::future::join_all(opening).await;
        for ((token, _), stream) in portion.iter().zip(opened) {
            let (mut stream, token, ended) = (stream?, *token, ended.clone());
            streams.spawn(async move {
                let mut bytes = [0; 256];
                while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
                let at = Instant::now();
                // Whoever measures is gone when it has seen enough.
                let _ = ended.send(Ended { token, at });
            });
        }
    }
    Ok(())
}

/// Opens a stream; its head and its first event have come.
async fn begin(to: SocketAddr, question: &Question) -> Result<TcpStream, Box<dyn Error>> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(question.bytes()).await?;
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Err("a stream was closed before it began".into());
            }
        }
        if head.starts_with(b"HTTP/1.1 200") {
            return Ok(stream);
        }
        last = String::from_utf8_lossy(&head).into_owned();
        if !head.starts_with(b"HTTP/1.1 503") {
            break;
        }
        tokio::time::sleep(MOMENT).await;
    }
    Err(format!("a stream was refused: {last}").into())
}

/// Revokes these tokens at fixed instants; when each was due.
async fn revoke(
    broker: &Broker,
    tokens: &[(NodeId, String)],
) -> Result<Vec<Instant>, Box<dyn Error>> {
    let mut connection = Connection::open(broker.admin_address()?).await?;
    let begin = Instant::now() + Duration::from_millis(50);
    let pause = Duration::from_secs_f64(1.0 / REVOKED_PER_SECOND);
    let mut turns = instants(1, begin, pause, tokens.len())?;
    let mut turns = turns.pop().ok_or("nobody was given an instant")?;
    let mut all = Vec::with_capacity(tokens.len());
    for (node, _) in tokens {
        let Some(due) = turns.next().await else {
            break;
        };
        let question = broker.revocation(&[*node]);
        if connection.ask(&question).await? != question.expected() {
            return Err("the broker did not revoke".into());
        }
        all.push(due);
    }
    Ok(all)
}
