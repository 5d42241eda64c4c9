//! The reporter against a real server that plays the broker.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use lanyard_drift::{
    Absorption, Baseline, Event, Millis, Object, OperationId, Thresholds, Tracker,
};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, Claims, Delegation, KeyUse, RootKey, ScopeSet};
use serde_json::Value;

mod portrait;

use super::*;
use crate::Secret;
use crate::client::Client;
use crate::clock::{BootTime, Clock, Now, UnixMillis};
use crate::gateway::{Decision, DriftMode, Request, Route};

const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://orders.example";
const NOW: u64 = 1_800_000_000;

#[derive(Default)]
struct Broker {
    reports: Mutex<Vec<Vec<u8>>>,
    answers: Mutex<VecDeque<StatusCode>>,
    bounds: Mutex<Option<Value>>,
    /// What the answer about an identity names, and what can be fetched by name.
    portrait: Mutex<Option<Value>>,
    written: Mutex<HashMap<String, Vec<u8>>>,
    changed: Mutex<Vec<Value>>,
    /// How often a gateway had the bounds already.
    unchanged: AtomicU64,
    /// What the next receipt says.
    receipt: Mutex<Option<Value>>,
    /// The first report is never answered.
    hold_first: std::sync::atomic::AtomicBool,
}

impl Broker {
    fn reports(&self) -> Vec<Value> {
        self.reports
            .lock()
            .unwrap()
            .iter()
            .map(|body| told(body))
            .collect()
    }
}

/// A parcel in words: what is said beside the counts, and each entry.
fn told(body: &[u8]) -> Value {
    let parcel = lanyard_drift::parcel::Parcel::read(body).unwrap();
    let words: Option<Value> = serde_json::from_slice(parcel.words).ok();
    let mut told = words.unwrap_or_else(|| serde_json::json!({}));
    let entry = |entry: &lanyard_drift::parcel::Entry| {
        serde_json::json!({
            "token": NodeId::from_u64(entry.token.0),
            "identity": NodeId::from_u64(entry.identity.0),
            "digest": hex(entry.digest),
            "report": entry.report,
        })
    };
    let entries: Vec<Value> = parcel.entries.iter().map(entry).collect();
    told["epoch"] = parcel.run.into();
    told["seq"] = parcel.number.into();
    told["entries"] = entries.into();
    told
}

async fn report(State(broker): State<Arc<Broker>>, body: axum::body::Bytes) -> Response {
    broker.reports.lock().unwrap().push(body.to_vec());
    if broker.hold_first.swap(false, Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    if let Some(receipt) = broker.receipt.lock().unwrap().take() {
        return Json(receipt).into_response();
    }
    let answer = broker.answers.lock().unwrap().pop_front();
    answer.unwrap_or(StatusCode::OK).into_response()
}

async fn changes(State(broker): State<Arc<Broker>>) -> Json<Value> {
    let changed = std::mem::take(&mut *broker.changed.lock().unwrap());
    Json(serde_json::json!({ "run": 1, "at": 1, "changed": changed }))
}

async fn bounds(
    State(broker): State<Arc<Broker>>,
    Path(which): Path<String>,
    headers: http::HeaderMap,
) -> Response {
    if which.len() == 64 {
        return written(State(broker), Path(which)).await;
    }
    let Some(bounds) = broker.bounds.lock().unwrap().clone() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let portrait = broker.portrait.lock().unwrap().clone();
    let told = format!("{bounds}{portrait:?}");
    let tag = lanyard_drift::stable_hash(told.as_bytes());
    let tag = format!("W/\"{tag:016x}\"");
    if headers
        .get("if-none-match")
        .is_some_and(|known| *known == *tag)
    {
        broker.unchanged.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::NOT_MODIFIED, [("etag", tag)]).into_response();
    }
    let mut answer = serde_json::json!({ "hash": "h", "calls": 1, "bounds": bounds });
    if let Some(portrait) = portrait {
        answer["portrait"] = portrait;
    }
    ([("etag", tag)], Json(answer)).into_response()
}

async fn written(State(broker): State<Arc<Broker>>, Path(name): Path<String>) -> Response {
    let written = broker.written.lock().unwrap().get(&name).cloned();
    written.map_or(StatusCode::NOT_FOUND.into_response(), |bytes| {
        bytes.into_response()
    })
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Now {
        at(0)
    }
}

fn at(millis: u64) -> Now {
    Now {
        boot: BootTime(1_000 + millis),
        wall: UnixMillis(NOW * 1_000 + millis),
    }
}

struct World {
    broker: Arc<Broker>,
    issuer: TestIssuer,
    gateway: Gateway,
}

async fn world() -> (World, Reporter) {
    world_with(false).await
}

/// With a feed that nothing is heard of, or with none at all.
async fn world_with(silent_feed: bool) -> (World, Reporter) {
    let broker = Arc::new(Broker::default());
    let token = || async {
        Json(serde_json::json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 300 }))
    };
    let router = Router::new()
        .route("/oauth/token", post(token))
        .route("/v1/reports", post(report))
        .route("/v1/baselines", get(changes))
        .route("/v1/baselines/{which}", get(bounds))
        .route("/v1/roles/{name}", get(written))
        .with_state(Arc::clone(&broker));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let issuer = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
    let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
    let input =
        Delegation::signing_input(ISSUER, &issuer.key, KeyUse::Mint, NOW - 10, NOW + 86_400);
    let pinned = RootKey::from_raw(root.key.raw()).unwrap();
    let delegation = Delegation::verify(&root.signed(input), &pinned, ISSUER, NOW).unwrap();
    let routes = [
        Route::new(Method::GET, "/orders/{id}").object("id"),
        Route::new(Method::GET, "/export"),
    ];
    let audience = AUDIENCE.parse().unwrap();
    let keys = std::iter::once(&delegation).collect();
    let gateway = if silent_feed {
        let view = crate::feed::FeedView::without_feed(keys);
        Gateway::builder().shared_feed(ISSUER, audience, view)
    } else {
        let dangerous = Gateway::builder().dangerous();
        dangerous.without_revocation(ISSUER, audience, keys)
    };
    let gateway = gateway
        .routes(routes)
        .unwrap()
        .drift(DriftMode::Enforce)
        .clock(Arc::new(FixedClock))
        .build();
    let client = Client::builder(url)
        .client_credentials("gateway", Secret::new("k"))
        .build()
        .unwrap();
    let tokens = client.tokens(ISSUER.parse().unwrap(), ScopeSet::default());
    let reporter = Reporter::new(gateway.clone(), tokens);
    let world = World {
        broker,
        issuer,
        gateway,
    };
    (world, reporter)
}

impl World {
    fn call(&self, jti: u64, path: &str, millis: u64) -> bool {
        let claims = Claims {
            jti: NodeId::from_u64(jti),
            ..self.issuer.claims.clone()
        };
        let token = self.issuer.token_of(&claims);
        let request = Request::new(&Method::GET, path);
        let decision = self.gateway.check(&token, &request, at(millis));
        self.gateway.observe_now();
        matches!(decision, Decision::Allow(_))
    }
}

#[tokio::test]
async fn a_token_the_broker_has_not_heard_of_is_reported_with_its_digest() {
    let (world, mut reporter) = world().await;
    assert!(world.call(9, "/orders/1", 0));
    assert!(!world.call(9, "/elsewhere", 0));
    reporter.collect(false);
    reporter.deliver().await;
    let [body] = world.broker.reports().try_into().unwrap();
    let token = world.issuer.token();
    let digest = lanyard_token::token_digest(token.rsplit_once('.').unwrap().0);
    let entry = &body["entries"][0];
    assert_eq!(entry["token"], "0000000000000009");
    assert_eq!(entry["identity"], "0000000000000002");
    assert_eq!(
        entry["digest"],
        format!("{:016x}", u64::from_be_bytes(digest))
    );
    let report: lanyard_drift::TokenReport =
        serde_json::from_value(entry["report"].clone()).unwrap();
    assert_eq!(report.calls(), 1);
    let shadow = serde_json::json!([{ "method": "GET", "path": "/elsewhere", "calls": 1 }]);
    assert_eq!(body["shadow_routes"], shadow);
    assert_eq!(body["seq"], 1);
    // Nothing new, nothing sent.
    reporter.collect(true);
    reporter.deliver().await;
    assert_eq!(world.broker.reports().len(), 1);
    assert_eq!(reporter.counters().sent(), 1);
}

#[tokio::test]
async fn a_report_that_was_not_answered_is_sent_again_unchanged_and_the_next_has_the_next_number() {
    let (world, mut reporter) = world().await;
    world
        .broker
        .answers
        .lock()
        .unwrap()
        .push_back(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(true);
    reporter.deliver().await;
    assert!(world.call(9, "/orders/2", 0));
    reporter.collect(true);
    reporter.deliver().await;
    let bodies = world.broker.reports.lock().unwrap().clone();
    assert_eq!(bodies.len(), 3);
    assert_eq!(bodies[0], bodies[1]);
    let reports = world.broker.reports();
    assert_eq!(reports[0]["epoch"], reports[2]["epoch"]);
    assert_eq!(
        (&reports[1]["seq"], &reports[2]["seq"]),
        (&1.into(), &2.into())
    );
    let counters = reporter.counters();
    assert_eq!(
        (counters.sent(), counters.failed(), counters.dropped()),
        (2, 1, 0)
    );
}

#[tokio::test]
async fn a_report_that_the_broker_will_never_take_is_counted_as_lost_and_holds_up_no_other() {
    let (world, mut reporter) = world().await;
    world
        .broker
        .answers
        .lock()
        .unwrap()
        .push_back(StatusCode::BAD_REQUEST);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(true);
    reporter.deliver().await;
    assert!(world.call(10, "/orders/1", 0));
    reporter.collect(true);
    reporter.deliver().await;
    let counters = reporter.counters();
    assert_eq!((counters.sent(), counters.dropped()), (1, 1));
}

#[tokio::test]
async fn a_broker_that_was_not_told_a_name_gets_the_same_report_again_with_it() {
    let (world, mut reporter) = world().await;
    for (jti, answers) in [(9, vec![]), (10, vec![StatusCode::CONFLICT])] {
        world.broker.answers.lock().unwrap().extend(answers);
        assert!(world.call(jti, "/orders/1", 0));
        reporter.collect(true);
        reporter.deliver().await;
    }
    let [first, unnamed, again] = world.broker.reports().try_into().unwrap();
    let name = serde_json::json!(["GET /orders/{id}"]);
    assert_eq!(first["operations"], name);
    assert_eq!(
        (unnamed.get("operations"), &unnamed["named_before"]),
        (None, &true.into())
    );
    assert_eq!(
        (&again["operations"], again.get("named_before")),
        (&name, None)
    );
    assert_eq!(again["seq"], unnamed["seq"]);
    assert_eq!(again["entries"], unnamed["entries"]);
    let counters = reporter.counters();
    assert_eq!(
        (counters.sent(), counters.failed(), counters.dropped()),
        (2, 0, 0)
    );
    assert!(counters.bytes() < 2 * 256, "{}", counters.bytes());
}

#[tokio::test]
async fn a_broker_that_cannot_read_the_form_yet_loses_no_report() {
    let (world, mut reporter) = world().await;
    let answers = [StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::OK];
    world.broker.answers.lock().unwrap().extend(answers);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(true);
    reporter.deliver().await;
    assert_eq!(reporter.counters().failed(), 1);
    reporter.deliver().await;
    let bodies = world.broker.reports.lock().unwrap().clone();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(reporter.counters().dropped(), 0);
}

#[tokio::test]
async fn a_broken_hard_rule_is_reported_without_waiting_for_the_minute() {
    let (world, reporter) = world().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(reporter.run(async move { drop(stopped.await) }));
    let walked = (0..2_000)
        .take_while(|n| world.call(9, &format!("/orders/{}", 100 + n), n * 20))
        .count();
    assert!(walked < 2_000, "the bound held");
    tokio::time::timeout(Duration::from_secs(20), async {
        while !world
            .broker
            .reports()
            .iter()
            .any(|body| body["entries"][0]["report"]["hard_rule"].is_object())
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    drop(stop);
    running.await.unwrap();
}

#[tokio::test]
async fn the_bounds_of_a_known_identity_replace_those_of_an_unknown_one() {
    let (world, mut reporter) = world().await;
    let walk = |world: &World, jti, from| {
        (0..1_000_u64)
            .take_while(|n| world.call(jti, &format!("/orders/{}", from + n), n * 20))
            .count()
    };
    let unknown = walk(&world, 9, 1_000);

    *world.broker.bounds.lock().unwrap() = Some(habits());
    reporter.collect(true);
    reporter
        .baselines
        .fetch(16, &world.gateway.0, &reporter.tokens)
        .await;
    let stolen = walk(&world, 10, 50_000);
    assert!(
        stolen < unknown / 5,
        "{stolen} against {unknown} of an unknown one"
    );
}

/// The bounds of a service that reads a few orders, here and there.
fn habits() -> Value {
    let operation = OperationId::of("https://orders.example GET /orders/{id}");
    let mut baseline = Baseline::default();
    for minute in 0..200_u64 {
        let mut tracker = Tracker::new(Millis(0), baseline.bounds(&Thresholds::default()));
        for call in 0..10_u64 {
            let id = (minute * 10 + call) * 7_919 % 100_003;
            let event = Event {
                object: Some(Object::of(&id.to_string())),
                ..Event::of(operation)
            };
            tracker.observe(&event, Millis(minute * 60_000 + call * 5_000));
        }
        let report = tracker.report().unwrap();
        assert_eq!(baseline.absorb_cleared(&report), Absorption::Learned);
    }
    serde_json::to_value(baseline.bounds(&Thresholds::default())).unwrap()
}

#[tokio::test]
async fn bounds_that_changed_reach_a_token_that_is_already_here() {
    let (world, mut reporter) = world().await;
    let cold = Baseline::default().bounds(&Thresholds::default());
    *world.broker.bounds.lock().unwrap() = Some(serde_json::to_value(cold).unwrap());
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(false);
    let (gateway, tokens) = (reporter.gateway.clone(), &reporter.tokens);
    for asked in [1, 1, 0] {
        // Once more after the first poll, which cannot say what had changed before it; then nothing has.
        assert_eq!(
            reporter.baselines.fetch(16, &gateway.0, tokens).await,
            asked
        );
        reporter.baselines.poll(tokens).await;
    }

    *world.broker.bounds.lock().unwrap() = Some(habits());
    let identity = world.issuer.claims.lin.identity();
    let news = [identity, NodeId::from_u64(0xdead)];
    *world.broker.changed.lock().unwrap() = news.map(|id| serde_json::json!(id)).to_vec();
    reporter.baselines.poll(tokens).await;
    assert_eq!(reporter.baselines.fetch(16, &gateway.0, tokens).await, 1);
    let walked = (0..1_000_u64)
        .take_while(|n| world.call(9, &format!("/orders/{}", 50_000 + n), n * 20))
        .count();
    // The call that breaks the bound is the last that passes.
    assert!(walked <= 31, "{walked}");
}

#[tokio::test]
async fn bounds_that_changed_before_the_first_poll_are_not_missed() {
    let (world, mut reporter) = world().await;
    let cold = Baseline::default().bounds(&Thresholds::default());
    *world.broker.bounds.lock().unwrap() = Some(serde_json::to_value(cold).unwrap());
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(false);
    let (gateway, tokens) = (reporter.gateway.clone(), &reporter.tokens);
    assert_eq!(reporter.baselines.fetch(16, &gateway.0, tokens).await, 1);

    *world.broker.bounds.lock().unwrap() = Some(habits());
    // The broker numbers its changes up to here, and has nobody to name.
    reporter.baselines.poll(tokens).await;
    reporter.baselines.fetch(16, &gateway.0, tokens).await;
    let identity = world.issuer.claims.lin.identity();
    let known = gateway.0.grants.bounds_of(identity).unwrap();
    assert_eq!(serde_json::to_value(known).unwrap(), habits());
}

#[tokio::test]
async fn bounds_that_are_known_are_not_sent_again_and_stay_in_force() {
    let (world, mut reporter) = world().await;
    *world.broker.bounds.lock().unwrap() = Some(habits());
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(false);
    let (gateway, tokens) = (reporter.gateway.clone(), &reporter.tokens);
    let unchanged = || world.broker.unchanged.load(Ordering::SeqCst);
    let identity = world.issuer.claims.lin.identity();
    for again in 0..3 {
        assert_eq!(reporter.baselines.fetch(16, &gateway.0, tokens).await, 1);
        assert_eq!(unchanged(), again, "the first time all, then nothing");
        world
            .broker
            .changed
            .lock()
            .unwrap()
            .push(serde_json::json!(identity));
        reporter.baselines.poll(tokens).await;
    }
    let known = gateway.0.grants.bounds_of(identity).unwrap();
    assert_eq!(serde_json::to_value(known).unwrap(), habits());
    let cold = Baseline::default().bounds(&Thresholds::default());
    *world.broker.bounds.lock().unwrap() = Some(serde_json::to_value(&cold).unwrap());
    assert_eq!(reporter.baselines.fetch(16, &gateway.0, tokens).await, 1);
    assert_eq!(gateway.0.grants.bounds_of(identity).as_deref(), Some(&cold));
    assert_eq!(unchanged(), 2);
}

#[tokio::test]
async fn an_early_report_does_not_wait_for_the_answer_to_a_regular_one() {
    let (world, mut reporter) = world().await;
    world.broker.hold_first.store(true, Ordering::SeqCst);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(true);
    let Reporter {
        gateway,
        tokens,
        early,
        regular,
        baselines,
        counters,
    } = &mut reporter;
    let link = &gateway.0.link;
    link.take_urgent();
    let urgent = async {
        while world.broker.reports().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!((2..2_000).any(|n| !world.call(9, &format!("/orders/{n}"), n)));
        link.urgent().await;
        early.gather(&link.take_urgent(), gateway, baselines);
        early.deliver(gateway, tokens, counters).await;
    };
    tokio::select! {
        () = regular.deliver(gateway, tokens, counters) => panic!("nobody answered it"),
        () = urgent => {}
    }
    let told = world.broker.reports();
    assert_eq!(told.len(), 2);
    assert!(told[1]["entries"][0]["report"]["hard_rule"].is_object());
    assert_eq!(
        told[1]["operations"],
        serde_json::json!(["GET /orders/{id}"])
    );
}

#[tokio::test]
async fn a_token_that_the_broker_asks_for_is_shown_at_once_and_no_other_ever() {
    let (world, mut reporter) = world().await;
    assert!(world.call(8, "/orders/1", 0) && world.call(9, "/orders/1", 0));
    let token = world.issuer.token();
    let digest = lanyard_token::token_digest(token.rsplit_once('.').unwrap().0);
    let digest = format!("{:016x}", u64::from_be_bytes(digest));
    *world.broker.receipt.lock().unwrap() = Some(serde_json::json!({
        "accepted": 2,
        "wanted": [
            { "token": "0000000000000009", "digest": digest },
            { "token": "0000000000000008", "digest": digest },
            { "token": "00000000000000ff", "digest": digest },
        ],
    }));
    reporter.collect(false);
    reporter.deliver().await;
    let [first, second] = world.broker.reports().try_into().unwrap();
    assert!(first.get("shown").is_none());
    assert_eq!(second["shown"], serde_json::json!([token]));
    assert_eq!(second["entries"], serde_json::json!([]));
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(true);
    reporter.deliver().await;
    let third = world.broker.reports().pop().unwrap();
    assert!(third.get("shown").is_none(), "once");
}

#[tokio::test]
async fn a_new_token_is_heard_of_within_a_second_of_its_first_use() {
    let (world, mut reporter) = world().await;
    let Reporter {
        gateway,
        tokens,
        regular,
        baselines,
        counters,
        ..
    } = &mut reporter;
    let began = tokio::time::Instant::now();
    let used = async {
        // In the middle of an interval.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(world.call(9, "/orders/1", 0));
        while world.broker.reports().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = regular.send_regularly(gateway, baselines, tokens, counters) => {}
        () = used => {}
    }
    // Not a measurement: the next tick of the interval brought it, and not one of the minute.
    assert!(began.elapsed() < REGULAR_EVERY as u32 * FIRST_SEEN_INTERVAL / 4);
    assert!(FIRST_SEEN_INTERVAL <= Duration::from_secs(1));
}
