//! A vendor of API keys on loopback, in the three manners that the worked descriptions are written for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Who may make and end keys.
pub(super) const MANAGER: &str = "the-manager-of-keys";
/// A key that somebody else made, for something else.
pub(super) const STRANGERS: &str = "somebody-elses-key";

/// A vendor at work; it ends with the test.
pub(super) struct Vendor {
    pub(super) url: String,
    pub(super) books: Arc<Books>,
}

/// What it knows.
#[derive(Default)]
pub(super) struct Books(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    keys: BTreeMap<String, Key>,
    /// What each idempotency key was answered with the first time: the same for ever, an error too.
    answers: HashMap<String, Created>,
    made: usize,
    fails: Option<Failing>,
}

/// A key that was made: its name and its value.
type Created = Result<(String, String), StatusCode>;

/// What becomes of a create that is answered with "internal error".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// Nothing.
    NotMade,
    /// The key is there, and nobody is told of it.
    Made,
}

struct Key {
    name: String,
    secret: String,
}

impl Books {
    fn make(&self, name: &str, idempotency_key: Option<&str>) -> Created {
        let mut inner = self.0.lock().unwrap();
        if let Some(known) = idempotency_key.and_then(|key| inner.answers.get(key)) {
            return known.clone();
        }
        let fails = inner.fails.take();
        let mut answer = Err(StatusCode::INTERNAL_SERVER_ERROR);
        if fails != Some(Failing::NotMade) {
            let made = inner.add(name);
            if fails.is_none() {
                answer = Ok(made);
            }
        }
        if let Some(key) = idempotency_key {
            inner.answers.insert(key.to_owned(), answer.clone());
        }
        answer
    }

    /// The next create fails, and so does whatever comes with its idempotency key.
    pub(super) fn fail_once(&self, failing: Failing) {
        self.0.lock().unwrap().fails = Some(failing);
    }

    /// A key of ours, made by hand.
    pub(super) fn make_ours(&self) -> (String, String) {
        self.make("lanyard", None).unwrap()
    }

    /// Names of our keys.
    pub(super) fn ours(&self) -> std::collections::BTreeSet<String> {
        let keys = self.list().into_iter();
        keys.filter(|(_, name)| name == "lanyard")
            .map(|(id, _)| id)
            .collect()
    }

    /// Ends every key of ours.
    pub(super) fn end_ours(&self) {
        for id in self.ours() {
            self.end(&id);
        }
    }

    fn end(&self, id: &str) -> StatusCode {
        match self.0.lock().unwrap().keys.remove(id) {
            Some(_) => StatusCode::OK,
            None => StatusCode::NOT_FOUND,
        }
    }

    /// Whether a key is one.
    pub(super) fn knows(&self, secret: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .keys
            .values()
            .any(|key| key.secret == secret)
    }

    /// Names of keys and what they are called there.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        self.0
            .lock()
            .unwrap()
            .keys
            .iter()
            .map(|(id, key)| (id.clone(), key.name.clone()))
            .collect()
    }
}

impl Inner {
    fn add(&mut self, name: &str) -> (String, String) {
        self.made += 1;
        let id = format!("key_{}", self.made);
        let secret = format!("sk-{}-{:032x}", self.made, rand());
        self.keys.insert(
            id.clone(),
            Key {
                name: name.to_owned(),
                secret: secret.clone(),
            },
        );
        (id, secret)
    }
}

fn rand() -> u128 {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    u128::from_be_bytes(bytes)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.to_owned())
}

fn basic(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    let pair = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split(':').next()?.to_owned())
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn manager(shown: Option<String>) -> Result<(), StatusCode> {
    match shown.as_deref() {
        Some(MANAGER) => Ok(()),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

impl Vendor {
    pub(super) async fn start() -> Self {
        let books = Arc::new(Books::default());
        books.make(STRANGERS, None).unwrap();
        let routes = Router::new()
            // Bearer tokens and JSON, one key a page.
            .route(
                "/v1/organization/admin_api_keys",
                get(
                    |State(books): State<Arc<Books>>,
                     Query(query): Query<HashMap<String, String>>,
                     headers: HeaderMap| async move {
                        manager(bearer(&headers))?;
                        let keys = books.list();
                        let at = query
                            .get("after")
                            .and_then(|after| keys.iter().position(|(id, _)| id == after))
                            .map_or(0, |at| at + 1);
                        let page = keys.get(at);
                        let more = keys.len() > at + 1;
                        Ok::<_, StatusCode>(Json(json!({
                            "data": page.iter().map(|(id, name)| json!({"id": id, "name": name})).collect::<Vec<_>>(),
                            "last_id": page.filter(|_| more).map(|(id, _)| id),
                        })))
                    },
                )
                .post(
                    |State(books): State<Arc<Books>>, headers: HeaderMap, Json(body): Json<Value>| async move {
                        manager(bearer(&headers))?;
                        let (id, value) = books.make(body["name"].as_str().unwrap(), None)?;
                        Ok::<_, StatusCode>(Json(json!({"id": id, "value": value})))
                    },
                ),
            )
            .route(
                "/v1/organization/admin_api_keys/{id}",
                delete(
                    |State(books): State<Arc<Books>>, Path(id): Path<String>, headers: HeaderMap| async move {
                        manager(bearer(&headers))?;
                        Ok::<_, StatusCode>(books.end(&id))
                    },
                ),
            )
            .route(
                "/v1/me",
                get(|State(books): State<Arc<Books>>, headers: HeaderMap| async move {
                    known(&books, bearer(&headers), StatusCode::UNAUTHORIZED)
                }),
            )
            // Basic authentication and forms.
            .route(
                "/v1/api_keys",
                get(|State(books): State<Arc<Books>>, headers: HeaderMap| async move {
                    manager(basic(&headers))?;
                    let keys: Vec<Value> = books
                        .list()
                        .into_iter()
                        .map(|(id, name)| json!({"id": id, "metadata": {"by": name}}))
                        .collect();
                    Ok::<_, StatusCode>(Json(json!({"data": keys})))
                })
                .post(
                    |State(books): State<Arc<Books>>,
                     headers: HeaderMap,
                     Form(form): Form<HashMap<String, String>>| async move {
                        manager(basic(&headers))?;
                        let key = header(&headers, "idempotency-key");
                        let (id, secret) = books.make(&form["metadata[by]"], key.as_deref())?;
                        Ok::<_, StatusCode>(Json(json!({"id": id, "secret": secret})))
                    },
                ),
            )
            .route(
                "/v1/api_keys/{id}/expire",
                post(
                    |State(books): State<Arc<Books>>, Path(id): Path<String>, headers: HeaderMap| async move {
                        manager(basic(&headers))?;
                        Ok::<_, StatusCode>(books.end(&id))
                    },
                ),
            )
            .route(
                "/v1/account",
                get(|State(books): State<Arc<Books>>, headers: HeaderMap| async move {
                    known(&books, basic(&headers), StatusCode::UNAUTHORIZED)
                }),
            )
            // A header of its own, objects inside of objects.
            .route(
                "/api/v2/api_keys",
                get(|State(books): State<Arc<Books>>, headers: HeaderMap| async move {
                    manager(header(&headers, "dd-application-key"))?;
                    let keys: Vec<Value> = books
                        .list()
                        .into_iter()
                        .map(|(id, name)| json!({"id": id, "attributes": {"name": name}}))
                        .collect();
                    Ok::<_, StatusCode>(Json(json!({"data": keys})))
                })
                .post(
                    |State(books): State<Arc<Books>>, headers: HeaderMap, Json(body): Json<Value>| async move {
                        manager(header(&headers, "dd-application-key"))?;
                        let name = body["data"]["attributes"]["name"].as_str().unwrap();
                        let (id, key) = books.make(name, None)?;
                        Ok::<_, StatusCode>((
                            StatusCode::CREATED,
                            Json(json!({"data": {"id": id, "attributes": {"key": key}}})),
                        ))
                    },
                ),
            )
            .route(
                "/api/v2/api_keys/{id}",
                delete(
                    |State(books): State<Arc<Books>>, Path(id): Path<String>, headers: HeaderMap| async move {
                        manager(header(&headers, "dd-application-key"))?;
                        Ok::<_, StatusCode>(match books.end(&id) {
                            StatusCode::OK => StatusCode::NO_CONTENT,
                            other => other,
                        })
                    },
                ),
            )
            .route(
                "/api/v1/validate",
                get(|State(books): State<Arc<Books>>, headers: HeaderMap| async move {
                    known(&books, header(&headers, "dd-api-key"), StatusCode::FORBIDDEN)
                }),
            )
            .with_state(books.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, books }
    }
}

fn known(books: &Books, shown: Option<String>, otherwise: StatusCode) -> StatusCode {
    if shown.is_some_and(|secret| books.knows(&secret)) {
        StatusCode::OK
    } else {
        otherwise
    }
}
