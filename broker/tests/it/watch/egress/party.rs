//! A third party that answers everything, and remembers who asked for what.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};

/// A call as it arrived.
struct Seen {
    path: String,
    /// What it was authorised with.
    shown: String,
}

pub(super) struct Party {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Party {
    pub(super) async fn start() -> Self {
        let seen = Arc::default();
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, seen }
    }

    /// How many calls for such paths reached it so far.
    pub(super) fn calls(&self, is_of: impl Fn(&str) -> bool) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| is_of(&seen.path)).count()
    }

    /// Whether every call came with this.
    pub(super) fn is_always_shown(&self, credential: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.iter().all(|seen| seen.shown == credential)
    }
}

async fn answer(State(seen): State<Arc<Mutex<Vec<Seen>>>>, request: Request) -> &'static str {
    let shown = request.headers().get("authorization");
    let shown = shown.map_or("nothing", |shown| shown.to_str().unwrap());
    seen.lock().unwrap().push(Seen {
        path: request.uri().path().to_owned(),
        shown: shown.to_owned(),
    });
    // As long as a charge, so that bytes are a habit as well.
    const BODY: &str = r#"{"object": "charge", "amount": 4200, "currency": "eur", "paid": true}"#;
    BODY
}
