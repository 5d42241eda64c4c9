//! What may come between a broker and a third party: a proxy that passes calls on, and twists one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What becomes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    /// It arrives.
    Answered,
    /// It was done, and "internal error" arrives.
    ErrorAfter,
    /// It was done, and nothing arrives.
    Silence,
    /// It was not done, and nothing arrives.
    NeverArrives,
    /// It was done, and nonsense arrives.
    Garbage,
    /// Right before, the third party ends every credential of ours; then it answers.
    AllDead,
}

/// All of them.
pub(super) const TWISTS: [Twist; 6] = [
    Twist::Answered,
    Twist::ErrorAfter,
    Twist::Silence,
    Twist::NeverArrives,
    Twist::Garbage,
    Twist::AllDead,
];

/// When the broker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// Not at all.
    Never,
    /// The call was made and not yet passed on.
    Before,
    /// It was done, and the answer did not arrive.
    Between,
    /// The answer has just arrived.
    After,
}

/// All of them.
pub(super) const KILLS: [Kill; 4] = [Kill::Never, Kill::Before, Kill::Between, Kill::After];

/// What happens to one call: the `at`-th that passes, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) twist: Twist,
    pub(super) kill: Kill,
}

/// Between a broker and a third party.
pub(super) struct Proxy {
    pub(super) port: u16,
    pub(super) shared: Arc<Shared>,
}

/// What the test and the proxy know of each other.
pub(super) struct Shared {
    fault: Fault,
    seen: AtomicUsize,
    took_hold: AtomicBool,
    /// The broker is to be killed now.
    pub(super) kill: Notify,
    /// It was.
    pub(super) killed: Notify,
    /// Every credential is to be ended now.
    pub(super) end: Notify,
    /// Every one was.
    pub(super) ended: Notify,
}

impl Shared {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault,
            seen: AtomicUsize::new(0),
            took_hold: AtomicBool::new(false),
            kill: Notify::new(),
            killed: Notify::new(),
            end: Notify::new(),
            ended: Notify::new(),
        })
    }

    /// Whether it happened: the call was made, and came as far as to the place where it is twisted.
    pub(super) fn struck(&self) -> bool {
        self.took_hold.load(Ordering::SeqCst)
    }

    /// How many calls were made.
    pub(super) fn calls(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    fn takes_hold(&self) {
        self.took_hold.store(true, Ordering::SeqCst);
    }

    fn strikes(&self) -> Option<Fault> {
        let at = self.seen.fetch_add(1, Ordering::SeqCst);
        (at == self.fault.at).then_some(self.fault)
    }

    async fn end_all(&self) {
        self.end.notify_one();
        self.ended.notified().await;
    }

    async fn kill(&self) {
        self.kill.notify_one();
        self.killed.notified().await;
    }
}

impl Proxy {
    /// In front of an HTTP server; `client` follows no redirects.
    pub(super) async fn http(upstream: String, client: reqwest::Client, fault: Fault) -> Self {
        let shared = Shared::new(fault);
        let routes = Router::new()
            .fallback(pass)
            .with_state((shared.clone(), client, upstream));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { port, shared }
    }

    /// In front of a PostgreSQL: a call is a connection.
    pub(super) async fn postgres(upstream: u16, fault: Fault) -> Self {
        let shared = Shared::new(fault);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(at.clone(), stream, upstream));
            }
        });
        Self { port, shared }
    }
}

type Between = (Arc<Shared>, reqwest::Client, String);

async fn pass(State((shared, client, upstream)): State<Between>, request: Request) -> Response {
    let strike = shared.strikes();
    let (twist, kill) = strike.map_or((Twist::Answered, Kill::Never), |fault| {
        (fault.twist, fault.kill)
    });
    if strike.is_some() {
        shared.takes_hold();
    }
    if twist == Twist::AllDead {
        shared.end_all().await;
    }
    if kill == Kill::Before {
        shared.kill().await;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if twist == Twist::NeverArrives {
        return silence(&shared, kill).await;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut forward = client
        .request(parts.method, format!("{upstream}{path}"))
        .body(body);
    for (name, value) in &parts.headers {
        if name != "content-length" && name != "connection" {
            forward = forward.header(name, value);
        }
    }
    let answer = forward.send().await.unwrap();
    let status = answer.status();
    let bytes = answer.bytes().await.unwrap();
    if kill == Kill::Between {
        shared.kill().await;
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let response = match twist {
        Twist::Answered | Twist::AllDead => Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(bytes))
            .unwrap(),
        Twist::ErrorAfter => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Twist::Garbage => "\u{0}<garbage>".into_response(),
        Twist::Silence | Twist::NeverArrives => return silence(&shared, kill).await,
    };
    if kill == Kill::After {
        let shared = shared.clone();
        tokio::spawn(async move {
            // The answer is on its way: sometimes the broker has written what it means, sometimes not.
            tokio::time::sleep(Duration::from_millis(3)).await;
            shared.kill().await;
        });
    }
    response
}

/// No answer; whoever waits gives up. A broker that is to be killed after the answer is killed while it waits.
async fn silence(shared: &Shared, kill: Kill) -> Response {
    if kill == Kill::Never {
        tokio::time::sleep(Duration::from_secs(60)).await;
    } else {
        tokio::time::sleep(Duration::from_millis(200)).await;
        shared.kill().await;
    }
    StatusCode::BAD_GATEWAY.into_response()
}

/// How PostgreSQL begins to say that it refuses something.
const ERROR: u8 = b'E';

/// The statement of a connection is what comes after the login; a connection that only logs in is a call too.
async fn connection(shared: Arc<Shared>, client: TcpStream, upstream: u16) {
    let strike = shared.strikes();
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let Some(Fault { twist, kill, .. }) = strike else {
        let up = tokio::io::copy(&mut from_client, &mut to_server);
        let down = tokio::io::copy(&mut from_server, &mut to_client);
        end_together(up, down).await;
        return;
    };
    if twist == Twist::AllDead || kill == Kill::Before || twist == Twist::NeverArrives {
        shared.takes_hold();
    }
    if twist == Twist::AllDead {
        shared.end_all().await;
    }
    if kill == Kill::Before {
        shared.kill().await;
        return;
    }
    if twist == Twist::NeverArrives {
        let _ = silence(&shared, kill).await;
        return;
    }
    // Until the statement that changes something, or that only asks, was sent, or the login is refused; then the answer
    // is twisted.
    let mut buffer = vec![0; 64 * 1024];
    let mut answer = vec![0; 64 * 1024];
    let refused = loop {
        tokio::select! {
            read = from_client.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                if to_server.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
                if is_statement(&buffer[..length]) {
                    break None;
                }
            }
            read = from_server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if answer[0] == ERROR {
                    break Some(length);
                }
                if to_client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    };
    // The server has done it once it has answered.
    let length = match refused {
        Some(length) => length,
        None => match from_server.read(&mut answer).await {
            Ok(length @ 1..) => length,
            _ => return,
        },
    };
    shared.takes_hold();
    if kill == Kill::Between {
        shared.kill().await;
        return;
    }
    match twist {
        Twist::Answered | Twist::AllDead => {
            let _ = to_client.write_all(&answer[..length]).await;
            if kill == Kill::After {
                tokio::time::sleep(Duration::from_millis(3)).await;
                shared.kill().await;
                return;
            }
            let up = tokio::io::copy(&mut from_client, &mut to_server);
            let down = tokio::io::copy(&mut from_server, &mut to_client);
            end_together(up, down).await;
        }
        Twist::Garbage => {
            let _ = to_client.write_all(&[0xff; 512]).await;
            if kill == Kill::After {
                shared.kill().await;
            }
        }
        // A closed connection is all of an error that PostgreSQL's own words cannot be twisted into.
        Twist::ErrorAfter => {
            if kill == Kill::After {
                shared.kill().await;
            }
        }
        Twist::Silence | Twist::NeverArrives => {
            let _ = silence(&shared, kill).await;
        }
    }
}

/// Until one of the two is over: whoever was killed has closed its end, and the server has to notice, or it would
/// take the session for one that is still used.
async fn end_together(
    up: impl Future<Output = std::io::Result<u64>>,
    down: impl Future<Output = std::io::Result<u64>>,
) {
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

fn is_statement(sent: &[u8]) -> bool {
    let holds = |word: &[u8]| sent.windows(word.len()).any(|window| window == word);
    // `SELECT format(…)` only prepares the one that changes something.
    (holds(b"ALTER ROLE") && !holds(b"%I"))
        || holds(b"pg_roles")
        || holds(b"count(*)")
        || holds(b"SELECT 1")
}
