//! The client against a real server that counts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use lanyard_sdk::{BootTime, Client, ClientError, Clock, Exchange, Now, Secret, UnixMillis};
use lanyard_token::{Audience, ScopeSet, TaskScope};

use crate::support::serve;

/// Moves only when told.
#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::SeqCst);
        Now {
            boot: BootTime(millis),
            wall: UnixMillis(millis),
        }
    }
}

/// A broker and a service in one.
#[derive(Default)]
struct Server {
    minted: AtomicU64,
    forms: Mutex<Vec<Vec<(String, String)>>>,
    /// What the token endpoint says before it gives tokens.
    refusals: Mutex<VecDeque<(StatusCode, &'static str)>>,
    /// What the service says before it lets calls in.
    answers: Mutex<VecDeque<(StatusCode, &'static str)>>,
    /// Tokens the service was called with.
    calls: Mutex<Vec<String>>,
}

async fn token(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    // Long enough that whoever comes meanwhile has to wait.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(headers[AUTHORIZATION], "Basic aWQ6bHlrX3NlY3JldA==");
    let number = server.minted.fetch_add(1, Ordering::SeqCst) + 1;
    server.forms.lock().unwrap().push(form);
    if let Some((status, error)) = server.refusals.lock().unwrap().pop_front() {
        return (
            status,
            [(RETRY_AFTER, "0")],
            Json(serde_json::json!({ "error": error })),
        )
            .into_response();
    }
    Json(serde_json::json!({
        "access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 300, "scope": "a",
    }))
    .into_response()
}

async fn call(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let token = headers[AUTHORIZATION]
        .to_str()
        .unwrap()
        .trim_start_matches("Bearer ")
        .to_owned();
    server.calls.lock().unwrap().push(token);
    match server.answers.lock().unwrap().pop_front() {
        Some((status, challenge)) => {
            (status, [(WWW_AUTHENTICATE, challenge), (RETRY_AFTER, "0")]).into_response()
        }
        None => "done".into_response(),
    }
}

struct World {
    server: Arc<Server>,
    client: Client,
    clock: Arc<HandClock>,
    url: String,
    audience: Audience,
    scopes: ScopeSet,
}

impl World {
    async fn new() -> Self {
        let server = Arc::new(Server::default());
        let router = Router::new()
            .route("/oauth/token", post(token))
            .route("/call", get(call).post(call))
            .with_state(Arc::clone(&server));
        let url = format!("http://{}", serve(router).await);
        let clock = Arc::new(HandClock::default());
        let client = Client::builder(&url)
            .client_credentials("id", Secret::new("lyk_secret"))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .build()
            .unwrap();
        Self {
            server,
            client,
            clock,
            url,
            audience: "aud".parse().unwrap(),
            scopes: "a".parse().unwrap(),
        }
    }

    async fn token(&self) -> Result<String, ClientError> {
        let token = self.client.token(&self.audience, &self.scopes).await?;
        Ok(token.secret().expose().to_owned())
    }

    async fn call(&self, method: Method) -> StatusCode {
        let url = format!("{}/call", self.url).parse().unwrap();
        let request = reqwest::Request::new(method, url);
        self.client
            .send(&self.audience, &self.scopes, request)
            .await
            .unwrap()
            .status()
    }

    fn minted(&self) -> u64 {
        self.server.minted.load(Ordering::SeqCst)
    }

    fn calls(&self) -> Vec<String> {
        self.server.calls.lock().unwrap().clone()
    }

    fn answer(&self, answers: impl IntoIterator<Item = (StatusCode, &'static str)>) {
        self.server.answers.lock().unwrap().extend(answers);
    }
}

const INVALID: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, r#"Bearer error="invalid_token""#);

#[tokio::test]
async fn callers_that_want_the_same_token_share_one_flight() {
    let world = World::new().await;
    let tokens = futures::future::join_all((0..100).map(|_| world.token())).await;
    assert!(
        tokens
            .iter()
            .all(|token| token.as_deref().ok() == Some("token-1"))
    );
    assert_eq!(world.minted(), 1);
    // Another audience is another token.
    world
        .client
        .token(&"other".parse().unwrap(), &world.scopes)
        .await
        .unwrap();
    assert_eq!(world.minted(), 2);
}

#[tokio::test]
async fn callers_that_waited_for_a_flight_share_its_refusal() {
    let world = World::new().await;
    world
        .server
        .refusals
        .lock()
        .unwrap()
        .push_back((StatusCode::BAD_REQUEST, "invalid_scope"));
    let tokens = futures::future::join_all((0..20).map(|_| world.token())).await;
    assert!(tokens.iter().all(|token| matches!(token,
        Err(ClientError::Refused { status: 400, error, .. }) if error == "invalid_scope")));
    assert_eq!(world.minted(), 1);
    assert_eq!(
        world.token().await.unwrap(),
        "token-2",
        "the next caller tries again"
    );
}

#[tokio::test]
async fn a_token_is_renewed_behind_the_callers_back_around_half_of_its_life() {
    let world = World::new().await;
    assert_eq!(world.token().await.unwrap(), "token-1");
    world.clock.0.store(119_000, Ordering::SeqCst);
    assert_eq!(world.token().await.unwrap(), "token-1");
    assert_eq!(world.minted(), 1, "before 40 % nobody renews");
    world.clock.0.store(181_000, Ordering::SeqCst);
    assert_eq!(
        world.token().await.unwrap(),
        "token-1",
        "nobody waits for the renewal"
    );
    while world.token().await.unwrap() != "token-2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        world.minted(),
        2,
        "one renewal, however many asked meanwhile"
    );
}

#[tokio::test]
async fn an_outage_of_the_broker_is_not_noticed_while_the_token_is_good() {
    let world = World::new().await;
    assert_eq!(world.token().await.unwrap(), "token-1");
    world.clock.0.store(200_000, Ordering::SeqCst);
    world
        .server
        .refusals
        .lock()
        .unwrap()
        .extend([(StatusCode::BAD_REQUEST, "invalid_request"); 2]);
    for _ in 0..5 {
        assert_eq!(world.token().await.unwrap(), "token-1");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(
        world.minted(),
        2,
        "a failed renewal is not tried again at once"
    );
    world.clock.0.store(300_000, Ordering::SeqCst);
    assert!(
        world.token().await.is_err(),
        "an expired token is never given"
    );
    assert_eq!(world.token().await.unwrap(), "token-4");
}

#[tokio::test]
async fn a_recycled_token_costs_its_owner_one_more_call() {
    let world = World::new().await;
    world.answer([INVALID]);
    assert_eq!(world.call(Method::POST).await, StatusCode::OK);
    assert_eq!(world.calls(), ["token-1", "token-2"]);
    assert_eq!(world.call(Method::GET).await, StatusCode::OK);
    assert_eq!(
        world.calls().last().unwrap(),
        "token-2",
        "the new one is kept"
    );
}

#[tokio::test]
async fn a_service_that_refuses_every_token_is_asked_twice_and_no_more() {
    let world = World::new().await;
    world.answer([INVALID; 5]);
    assert_eq!(world.call(Method::GET).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.calls(), ["token-1", "token-2"]);
}

#[tokio::test]
async fn a_401_that_does_not_blame_the_token_is_the_callers_business() {
    let world = World::new().await;
    world.answer([(StatusCode::UNAUTHORIZED, "Basic realm=\"x\"")]);
    assert_eq!(world.call(Method::GET).await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.calls(), ["token-1"]);
}

#[tokio::test]
async fn busy_servers_are_asked_again_where_that_cannot_do_anything_twice() {
    let world = World::new().await;
    world.answer([
        (StatusCode::TOO_MANY_REQUESTS, ""),
        (StatusCode::SERVICE_UNAVAILABLE, ""),
    ]);
    assert_eq!(world.call(Method::GET).await, StatusCode::OK);
    assert_eq!(world.calls().len(), 3);
    world.answer([(StatusCode::SERVICE_UNAVAILABLE, "")]);
    assert_eq!(
        world.call(Method::POST).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(world.calls().len(), 4);
}

#[tokio::test]
async fn a_busy_broker_is_asked_again() {
    let world = World::new().await;
    world.server.refusals.lock().unwrap().extend([
        (StatusCode::TOO_MANY_REQUESTS, "slow_down"),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    ]);
    assert_eq!(world.token().await.unwrap(), "token-3");
}

#[tokio::test]
async fn an_exchange_asks_for_what_it_was_told_to() {
    let world = World::new().await;
    let (subject, actor) = (Secret::new("subject"), Secret::new("actor"));
    let task = TaskScope::new(Some(vec!["GET /a".to_owned()]), None, Some(3), None).unwrap();
    let exchange = Exchange::of(&subject, &world.audience)
        .by(&actor)
        .scopes(&world.scopes)
        .task(&task)
        .lifetime(Duration::from_secs(60));
    let token = world.client.exchange(&exchange).await.unwrap();
    assert_eq!(token.secret().expose(), "token-1");
    let forms = world.server.forms.lock().unwrap();
    let value = |name: &str| {
        forms[0]
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(
        value("grant_type").unwrap(),
        "urn:ietf:params:oauth:grant-type:token-exchange"
    );
    assert_eq!(value("subject_token").unwrap(), "subject");
    assert_eq!(value("actor_token").unwrap(), "actor");
    assert_eq!(value("requested_lifetime").unwrap(), "60");
    assert_eq!(
        TaskScope::parse(&value("authorization_details").unwrap()).unwrap(),
        task
    );
}

#[tokio::test]
async fn a_token_is_never_sent_in_the_clear_and_no_error_quotes_one() {
    let world = World::new().await;
    let request = reqwest::Request::new(Method::GET, "http://orders.example/?q=1".parse().unwrap());
    let error = world
        .client
        .send(&world.audience, &world.scopes, request)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::PlainHttp(_)));
    assert_eq!(world.minted(), 0);

    world
        .server
        .refusals
        .lock()
        .unwrap()
        .push_back((StatusCode::UNAUTHORIZED, "invalid_client"));
    let error = world.token().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("lyk_") && !text.contains("token-"), "{text}");
}
