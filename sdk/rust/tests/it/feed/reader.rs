//! The reader against a server that tells the feed over real HTTP.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use lanyard_sdk::feed::{FeedConfig, FeedFailure, FeedView, StaticToken, run};
use lanyard_sdk::{BootTime, Clock, Now, SystemClock, UnixMillis};
use lanyard_token::{Entry, KeyUse, Rev};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::teller::{Key, Teller, node};

/// What the server tells.
struct Script {
    root: Key,
    key: Key,
    teller: Mutex<Teller>,
    /// Frames by number, from 1.
    frames: Mutex<Vec<Bytes>>,
    /// What the stream sends, in order; a reader gets all of it and what is added.
    stream: watch::Sender<Vec<Bytes>>,
    delegations: Mutex<Vec<String>>,
    /// How often somebody asked for the keys.
    keys_asked: AtomicU64,
    positions: Mutex<Vec<serde_json::Value>>,
}

impl Script {
    async fn serve() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (root, key) = (Key::new(), Key::new());
        let now = SystemClock.now().wall;
        let delegation = root.delegate(
            &issuer,
            &key.public,
            KeyUse::Feed,
            now.seconds(),
            now.seconds() + 30 * 86_400,
        );
        let script = Arc::new(Self {
            root,
            key,
            teller: Mutex::new(Teller::new(1, now.0)),
            frames: Mutex::default(),
            stream: watch::Sender::new(vec![]),
            delegations: Mutex::new(vec![delegation]),
            keys_asked: AtomicU64::new(0),
            positions: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v1/keys", get(keys))
            .route("/v1/feed", get(stream))
            .route("/v1/feed/snapshot", get(snapshot))
            .route("/v1/feed/position", post(position))
            .route("/v1/feed/{epoch}/{n}", get(frame))
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (script, issuer)
    }

    /// Makes a frame that can be fetched, without telling anybody.
    fn whisper(&self, number: u64) -> Bytes {
        let bytes = self.teller.lock().unwrap().revoke(&self.key, node(number));
        self.frames.lock().unwrap().push(bytes.clone());
        bytes
    }

    fn say(&self, message: Bytes) {
        self.stream.send_modify(|stream| stream.push(message));
    }

    fn beat(&self) {
        let bytes = self.teller.lock().unwrap().heartbeat(&self.key);
        self.say(bytes);
    }
}

async fn keys(State(script): State<Arc<Script>>) -> impl IntoResponse {
    script.keys_asked.fetch_add(1, Ordering::SeqCst);
    axum::Json(serde_json::json!({ "delegations": *script.delegations.lock().unwrap() }))
}

async fn stream(State(script): State<Arc<Script>>) -> impl IntoResponse {
    let receiver = script.stream.subscribe();
    Body::from_stream(futures::stream::unfold(
        (receiver, 0),
        |(mut receiver, sent)| async move {
            loop {
                let next = receiver.borrow_and_update().get(sent).cloned();
                if let Some(message) = next {
                    let mut bytes = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
                    bytes.extend_from_slice(&message);
                    return Some((
                        Ok::<_, std::convert::Infallible>(bytes),
                        (receiver, sent + 1),
                    ));
                }
                receiver.changed().await.ok()?;
            }
        },
    ))
}

async fn snapshot(State(script): State<Arc<Script>>) -> impl IntoResponse {
    script.teller.lock().unwrap().snapshot(&script.key)
}

async fn frame(
    State(script): State<Arc<Script>>,
    UrlPath((_, n)): UrlPath<(u16, usize)>,
) -> impl IntoResponse {
    let frame = script.frames.lock().unwrap().get(n - 1).cloned();
    frame.ok_or(StatusCode::NOT_FOUND)
}

async fn position(
    State(script): State<Arc<Script>>,
    axum::Json(position): axum::Json<serde_json::Value>,
) -> impl IntoResponse {
    script.positions.lock().unwrap().push(position);
    StatusCode::NO_CONTENT
}

/// A running reader.
struct Running {
    view: Arc<FeedView>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), FeedFailure>>,
}

fn config(script: &Script, issuer: &str, folder: &Path, clock: Arc<dyn Clock>) -> FeedConfig {
    FeedConfig {
        issuer: issuer.to_owned(),
        feed_url: None,
        root: script.root.root(),
        state_dir: folder.to_owned(),
        http: plain_http(),
        clock,
    }
}

/// Loopback needs no TLS roots, but the client wants a configuration all the same.
fn plain_http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}

fn start(config: FeedConfig) -> Running {
    let view = FeedView::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let (seen, tokens) = (Arc::clone(&view), Arc::new(StaticToken::new("token")));
    let task = tokio::spawn(async move {
        run(config, tokens, seen, async {
            let _ = stopped.await;
        })
        .await
    });
    Running { view, stop, task }
}

impl Running {
    async fn stop(self) -> Arc<FeedView> {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
        self.view
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited twenty seconds until {what}");
}

fn old() -> Rev {
    Rev::new(1, 0).unwrap()
}

#[tokio::test]
async fn ten_thousand_invented_keys_do_not_send_anybody_to_the_broker() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    let asked = script.keys_asked.load(Ordering::SeqCst);
    assert!(asked > 0, "without keys there is no snapshot");
    for _ in 0..100 {
        for _ in 0..100 {
            reader.view.want_keys();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Ten seconds must pass between two questions, whoever wants to know.
    assert_eq!(script.keys_asked.load(Ordering::SeqCst), asked);
    reader.stop().await;
}

#[tokio::test]
async fn a_gap_is_fetched_and_what_it_held_takes_effect() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    for number in 1..=5 {
        script.whisper(number);
    }
    script.beat();
    until("the fifth is dead", || {
        reader.view.check(old(), &[node(5)]).is_err()
    })
    .await;
    for number in 1..=5 {
        assert!(
            reader.view.check(old(), &[node(number)]).is_err(),
            "{number}"
        );
    }
    assert!(reader.view.check(old(), &[node(6)]).is_ok());
    reader.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_from_its_folder_while_the_broker_is_down() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    for number in 1..=3 {
        script.say(script.whisper(number));
    }
    script.beat();
    until("the third is dead", || {
        reader.view.check(old(), &[node(3)]).is_err()
    })
    .await;
    let reached = reader.stop().await.reached();

    let mut elsewhere = config(&script, &issuer, folder.path(), Arc::new(SystemClock));
    elsewhere.feed_url = Some("http://127.0.0.1:9".to_owned());
    let reader = start(elsewhere);
    until("the state is back", || reader.view.has_snapshot()).await;
    for number in 1..=3 {
        assert!(
            reader.view.check(old(), &[node(number)]).is_err(),
            "{number}"
        );
    }
    assert!(reader.view.reached() >= Rev::from_u64(reached.as_u64() - 1).unwrap());
    assert!(
        reader.view.age(SystemClock.now().boot) < Duration::from_secs(60),
        "the same boot knows the age"
    );
    reader.stop().await;
}

#[tokio::test]
async fn an_older_snapshot_after_a_restart_is_refused() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    script.say(script.whisper(1));
    until("the first is dead", || {
        reader.view.check(old(), &[node(1)]).is_err()
    })
    .await;
    reader.stop().await;
    // The broker comes back from an old copy: it has never heard of frame 1.
    let at_ms = script.teller.lock().unwrap().at_ms + 60_000;
    *script.teller.lock().unwrap() = Teller::new(1, at_ms);
    script.stream.send_replace(vec![]);
    script.beat();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("the state is back", || reader.view.has_snapshot()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(reader.view.check(old(), &[node(1)]).is_err(), "still dead");
    reader.stop().await;
}

#[tokio::test]
async fn a_damaged_folder_denies_everything_until_it_is_fetched_anew() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    script.say(script.whisper(1));
    script.say(script.whisper(2));
    until("the second is dead", || {
        reader.view.check(old(), &[node(2)]).is_err()
    })
    .await;
    reader.stop().await;
    for file in ["snapshot", "frames", "keys"] {
        let path = folder.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut alone = config(&script, &issuer, folder.path(), Arc::new(SystemClock));
        alone.issuer = issuer.clone();
        alone.feed_url = Some("http://127.0.0.1:9".to_owned());
        let reader = start(alone);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(
            !reader.view.has_snapshot(),
            "`{file}` is damaged: nothing is believed"
        );
        assert!(reader.view.check(Rev::new(1, 99).unwrap(), &[]).is_err());
        reader.stop().await;

        let reader = start(config(
            &script,
            &issuer,
            folder.path(),
            Arc::new(SystemClock),
        ));
        until("it is fetched anew", || reader.view.has_snapshot()).await;
        assert!(reader.view.check(old(), &[node(2)]).is_err());
        script.say(script.whisper(10));
        until("a frame is on disk again", || {
            std::fs::read(folder.path().join("frames")).is_ok_and(|f| !f.is_empty())
        })
        .await;
        reader.stop().await;
    }
}

#[tokio::test]
async fn frames_cut_short_by_a_crash_are_fetched_again() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    script.say(script.whisper(1));
    script.say(script.whisper(2));
    until("the second is dead", || {
        reader.view.check(old(), &[node(2)]).is_err()
    })
    .await;
    reader.stop().await;
    let path = folder.path().join("frames");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    for expected in [1, 2] {
        let reader = start(config(
            &script,
            &issuer,
            folder.path(),
            Arc::new(SystemClock),
        ));
        until("the second is dead again", || {
            reader.view.check(old(), &[node(2)]).is_err()
        })
        .await;
        assert!(
            reader.view.check(old(), &[node(1)]).is_err(),
            "start {expected}"
        );
        reader.stop().await;
    }
}

#[tokio::test]
async fn a_fork_is_kept_on_disk_and_not_believed() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    let mut twin = script.teller.lock().unwrap().clone();
    script.say(script.whisper(1));
    script.say(twin.revoke(&script.key, node(2)));
    let evidence = folder.path().join("evidence");
    until("both frames are kept", || {
        std::fs::read_dir(&evidence).is_ok_and(|files| files.count() == 2)
    })
    .await;
    assert!(reader.view.check(old(), &[node(1)]).is_err());
    assert!(
        reader.view.check(old(), &[node(2)]).is_ok(),
        "the other story is not taken"
    );
    reader.stop().await;
}

#[tokio::test]
async fn a_removed_key_signs_neither_tokens_nor_frames_any_more() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let mint = Key::new();
    let now = SystemClock.now().wall.seconds();
    let delegation = script
        .root
        .delegate(&issuer, &mint.public, KeyUse::Mint, now, now + 86_400);
    script.delegations.lock().unwrap().push(delegation);
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("the key is there", || reader.view.keys().mint().len() == 1).await;
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    let generation = reader.view.generation();
    let frame = script.teller.lock().unwrap().frame(
        &script.key,
        vec![Entry::RemoveKey(mint.public.thumbprint())],
    );
    script.frames.lock().unwrap().push(frame.clone());
    script.say(frame);
    until("the key is gone", || reader.view.keys().mint().is_empty()).await;
    assert!(reader.view.generation() > generation);
    reader.stop().await;
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("the state is back", || reader.view.has_snapshot()).await;
    assert!(
        reader.view.keys().mint().is_empty(),
        "also after a restart, though the delegation is still shown"
    );
    reader.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_a_tokens_end_is_woken() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    let watch = reader.view.subscribe(old(), &[node(70), node(71)]);
    let other = reader.view.subscribe(old(), &[node(72)]);
    script.say(script.whisper(71));
    tokio::time::timeout(Duration::from_secs(20), watch.dead())
        .await
        .expect("woken");
    assert!(
        tokio::time::timeout(Duration::from_millis(50), other.dead())
            .await
            .is_err(),
        "others sleep on"
    );
    reader.stop().await;
}

/// A wall clock that is wrong by this much.
struct WrongWall(i64, AtomicU64);

impl Clock for WrongWall {
    fn now(&self) -> Now {
        let now = SystemClock.now();
        self.1.fetch_add(1, Ordering::Relaxed);
        Now {
            boot: now.boot,
            wall: UnixMillis(now.wall.0.saturating_add_signed(self.0)),
        }
    }
}

#[tokio::test]
async fn a_wall_clock_a_day_off_changes_nothing() {
    for hours in [-24, -1, 1, 24] {
        let (script, issuer) = Script::serve().await;
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(WrongWall(hours * 3_600_000, AtomicU64::new(0)));
        let reader = start(config(&script, &issuer, folder.path(), clock.clone()));
        until("there is a snapshot", || reader.view.has_snapshot()).await;
        script.beat();
        let age = || reader.view.age(clock.now().boot);
        until("a heartbeat came", || age() < Duration::from_secs(5)).await;
        let told = script.teller.lock().unwrap().at_ms;
        let now = reader.view.now(clock.now()).0;
        assert!(
            now >= told && now < told + 60_000,
            "{hours} hours off: {now} is not {told}"
        );
        assert_eq!(reader.view.keys().feed().len(), 1);
        reader.stop().await;
    }
}

#[tokio::test]
async fn before_any_heartbeat_the_feed_is_infinitely_old() {
    let view = FeedView::new();
    assert_eq!(view.age(BootTime(u64::MAX)), Duration::MAX);
    assert!(
        view.check(Rev::new(9, 9).unwrap(), &[]).is_err(),
        "and everything is refused"
    );
}

#[tokio::test]
async fn two_readers_cannot_share_a_folder() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let first = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || first.view.has_snapshot()).await;
    let second = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    assert!(matches!(
        second.task.await.unwrap(),
        Err(FeedFailure::InUse { .. })
    ));
    first.stop().await;
}

#[tokio::test]
async fn a_position_is_confirmed_once_it_is_on_disk() {
    let (script, issuer) = Script::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let reader = start(config(
        &script,
        &issuer,
        folder.path(),
        Arc::new(SystemClock),
    ));
    until("there is a snapshot", || reader.view.has_snapshot()).await;
    script.say(script.whisper(1));
    script.say(Bytes::from_static(b"LYF1\x80"));
    until("the position is told", || {
        script
            .positions
            .lock()
            .unwrap()
            .iter()
            .any(|position| position["n"] == 1 && position["epoch"] == 1)
    })
    .await;
    let frames = std::fs::read(folder.path().join("frames")).unwrap();
    assert!(!frames.is_empty(), "what is confirmed is on disk");
    reader.stop().await;
}
