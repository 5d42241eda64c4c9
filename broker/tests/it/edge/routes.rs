//! Every route of every door is in `routes.txt`, and each refuses whom it must.

mod hung_up;
mod rights;
mod roles;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use lanyard::broker::Broker;
use lanyard::clock::{Clock, ManualClock, SystemClock};
use lanyard::config::{Config, Settings};
use lanyard::crypto::SealingRoot;
use lanyard::http::duties::Table;
use lanyard::http::socket::PeerUid;
use lanyard::issue::administration::{NewGateway, NewIdentity, NewOwner};
use lanyard::issue::keys::RootKeyFile;
use lanyard::store::event::{By, Kind};
use lanyard::store::log::{Disk, SystemDisk};
use serde_json::Value;
use tower::ServiceExt;

const TABLE: &str = include_str!("routes.txt");

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    door: String,
    method: String,
    path: String,
}

fn table() -> Vec<(Route, &'static str)> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let [door, method, path, who] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            (
                Route {
                    door: door.into(),
                    method: method.into(),
                    path: path.into(),
                },
                who,
            )
        })
        .collect()
}

struct World {
    _kept: tempfile::TempDir,
    clock: Arc<ManualClock>,
    broker: Broker,
    public: Router,
    admin: Router,
    socket: Router,
    duties: Table,
    folder: PathBuf,
}

/// Tokens for one door: a good one, and every kind it must refuse.
struct Tokens {
    good: String,
    bad: Vec<(&'static str, Option<String>)>,
}

impl World {
    async fn new() -> Self {
        Self::on(Arc::new(SystemDisk)).await
    }

    async fn on(disk: Arc<dyn Disk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        SealingRoot::generate(&at("seal.key")).unwrap();
        RootKeyFile::at(at("root.key")).generate(None).unwrap();
        let flag = |key, value: String| (key, value);
        let settings = Settings::gather(
            &[],
            None,
            &[],
            &[
                flag("issuer", "https://lanyard.example".into()),
                flag("data_dir", at("data").display().to_string()),
                flag("seal.key_file", at("seal.key").display().to_string()),
                flag("trust.root_key_file", at("root.key").display().to_string()),
                flag("limits.burst", "100000".into()),
            ],
        )
        .unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let data = at("");
        let config = Config::parse(&settings).unwrap();
        let broker = Broker::open_on(config, clock.clone(), disk).await.unwrap();
        let routes = broker.routes();
        Self {
            _kept: folder,
            clock,
            broker,
            public: routes.public,
            admin: routes.admin,
            socket: routes.socket,
            duties: routes.duties,
            folder: data,
        }
    }

    fn door(&self, name: &str) -> &Router {
        match name {
            "public" => &self.public,
            "admin" => &self.admin,
            _ => &self.socket,
        }
    }

    async fn ask(
        &self,
        door: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method.parse::<Method>().unwrap())
            .uri(
                path.replace("{epoch}", "1")
                    .replace("{n}", "1")
                    .replace(['{', '}'], ""),
            )
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if door == "socket" {
            request = request.extension(PeerUid(0));
        }
        let response = self
            .door(door)
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status();
        if status == StatusCode::OK {
            return (status, Value::Null);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn client_token(&self, id: &str, secret: &str) -> String {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        let response = self.public.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    async fn revoke(&self, token: &str) {
        let issue = self.broker.issue();
        let jti = issue.introspect(token).unwrap().claims.jti;
        let request = Request::post("/v1/revoke")
            .extension(PeerUid(0))
            .header("content-type", "application/json")
            .body(Body::from(format!("{{\"nodes\":[\"{jti}\"]}}")))
            .unwrap();
        assert_eq!(
            self.socket.clone().oneshot(request).await.unwrap().status(),
            200
        );
        assert!(issue.introspect(token).is_none());
    }

    /// An administrator's and a gateway's, and what either door must refuse.
    async fn tokens(&self) -> (Tokens, Tokens) {
        let issue = self.broker.issue();
        let by = || By::Broker;
        issue
            .create_owner(
                NewOwner {
                    name: "owner".into(),
                    contact: None,
                },
                by(),
            )
            .await
            .unwrap();
        let new = NewIdentity {
            name: "service".into(),
            owner: "owner".into(),
            kind: Kind::Service,
            tags: vec![],
            audiences: vec!["https://orders.example".into()],
            scopes: "orders:read".into(),
            max_lifetime: None,
        };
        let service = issue
            .create_identity(new, by())
            .await
            .unwrap()
            .id
            .to_string();
        let (_, key) = issue.add_key("service", None, None, by()).await.unwrap();
        let new = NewGateway {
            name: "gateway".into(),
            owner: "owner".into(),
            audiences: vec!["https://orders.example".into()],
            sole_witness: false,
            egress: true,
        };
        let enrolment = issue.add_gateway(new, by()).await.unwrap();
        let gateway = async || {
            self.client_token(
                &enrolment.client_id.to_string(),
                enrolment.client_secret.expose(),
            )
            .await
        };
        let admin = async || {
            issue
                .local_admin_token(by())
                .await
                .unwrap()
                .token
                .expose()
                .to_owned()
        };

        let expired = (admin().await, gateway().await);
        self.clock.advance_millis(3_700_000);
        let revoked = (admin().await, gateway().await);
        self.revoke(&revoked.0).await;
        self.revoke(&revoked.1).await;
        let elsewhere = self.client_token(&service, key.expose()).await;
        let (good_admin, good_gateway) = (admin().await, gateway().await);
        let bad = |expired: String, revoked: String, other_door: &str| {
            vec![
                ("no token", None),
                ("no token at all", Some("nonsense".to_owned())),
                ("an API key", Some(key.expose().to_owned())),
                ("another audience", Some(elsewhere.clone())),
                ("the other door's token", Some(other_door.to_owned())),
                ("expired", Some(expired)),
                ("revoked", Some(revoked)),
            ]
        };
        (
            Tokens {
                bad: bad(expired.0, revoked.0, &good_gateway),
                good: good_admin.clone(),
            },
            Tokens {
                bad: bad(expired.1, revoked.1, &good_admin),
                good: good_gateway,
            },
        )
    }
}

/// The paths a router knows, as its debug form lists them.
fn paths(router: &Router) -> BTreeSet<String> {
    format!("{router:?}")
        .split("RouteId(")
        .filter_map(|part| part.split_once("): \"/")?.1.split_once('"'))
        .map(|(path, _)| format!("/{path}"))
        // What answers when nothing else does.
        .filter(|path| path != "/" && !path.contains("__private__"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_table_and_refuses_whom_it_must() {
    let world = World::new().await;
    let (admin, gateway) = world.tokens().await;
    let table = table();

    let mut found = BTreeSet::new();
    let admin_paths = paths(&world.admin);
    for door in ["public", "admin", "socket"] {
        let known = paths(world.door(door));
        assert!(!known.is_empty(), "axum lists routes in another way now");
        for path in known {
            if door == "socket" && admin_paths.contains(&path) {
                continue; // The same handlers behind another door.
            }
            let token = if door == "public" {
                &gateway.good
            } else {
                &admin.good
            };
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                let (status, _) = world.ask(door, method, &path, Some(token)).await;
                if status != StatusCode::METHOD_NOT_ALLOWED {
                    found.insert(Route {
                        door: door.into(),
                        method: method.into(),
                        path: path.clone(),
                    });
                }
            }
        }
    }
    let listed: BTreeSet<Route> = table.iter().map(|(route, _)| route.clone()).collect();
    assert_eq!(found, listed, "routes.txt and the routers differ");

    for (route, who) in &table {
        let Route { door, method, path } = route;
        let answer = async |token: Option<&str>| world.ask(door, method, path, token).await;
        let tokens = match *who {
            "open" => {
                let (status, answer) = answer(None).await;
                assert_eq!(status, 200, "{route:?}: {answer}");
                continue;
            }
            "reporter" => {
                let (status, answer) = answer(None).await;
                assert!([400, 403].contains(&status.as_u16()), "{route:?}: {answer}");
                continue;
            }
            "client" => {
                for (_, token) in &gateway.bad {
                    let (status, answer) = answer(token.as_deref()).await;
                    assert!(status.is_client_error(), "{route:?}: {status} {answer}");
                }
                continue;
            }
            "gateway" => &gateway,
            _ if door == "socket" => continue,
            _ => &admin,
        };
        let mut bodies = BTreeSet::new();
        for (kind, token) in &tokens.bad {
            let (status, answer) = answer(token.as_deref()).await;
            assert_eq!(status, 401, "{route:?} with {kind}: {answer}");
            assert_eq!(answer["error"], "invalid_token", "{route:?} with {kind}");
            if token.is_some() {
                bodies.insert(answer.to_string());
            }
        }
        assert_eq!(
            bodies.len(),
            1,
            "{route:?} tells which check failed: {bodies:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_administrators_and_refusals_are_written() {
    use lanyard::store::Event;
    let world = World::new().await;
    let (admin, _) = world.tokens().await;
    let (status, _) = world
        .ask(
            "admin",
            "POST",
            "/v1/signing-keys/rotate",
            Some(&admin.good),
        )
        .await;
    assert_eq!(status, 201);
    for _ in 0..100 {
        world.ask("admin", "GET", "/v1/owners", None).await;
    }
    world.clock.advance_millis(60_000);
    world.broker.audit().write_refusals(true).await.unwrap();
    let events = world.broker.events().unwrap();
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Administered { by: By::Administrator { .. }, action, status: 201 }
            if action == "POST /v1/signing-keys/rotate"
    )));
    let refused = events.iter().find_map(|event| match event {
        Event::Refused(refusal) if refusal.reason == "no_token" => Some(refusal),
        _ => None,
    });
    let refused = refused.unwrap();
    assert_eq!((refused.route.as_str(), refused.count), ("/v1/owners", 100));
}

/// A body for the socket's administrator.
async fn tell(world: &World, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(path)
        .extension(PeerUid(0))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    let response = world.socket.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_identities_in_one_body_are_refused_and_none_is_made() {
    let world = World::new().await;
    let one = r#"{"name":"a","owner":"owner","kind":"service","audiences":["https://a.example"]},"#;
    let many = format!("[{}]", one.repeat(1_000_000).trim_end_matches(','));
    let (status, answer) = tell(&world, "/v1/identities", many).await;
    assert_eq!(status, 413, "{answer}");
    let nested = format!(r#"{{"name":{}}}"#, "[".repeat(60_000));
    let (status, answer) = tell(&world, "/v1/identities", nested).await;
    assert_eq!(status, 400, "{answer}");
    assert!(world.broker.issue().list_identities().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_shown_and_read_again_and_each_activation_is_written() {
    use lanyard::store::Event;
    let world = World::new().await;
    let (status, shown) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 200, "{shown}");
    let bundle = world.broker.issue().policies().hash().to_string();
    assert_eq!(shown["bundle"], bundle);
    assert_eq!(
        shown["policies"],
        world.broker.issue().policies().rules().len()
    );
    let events = world.broker.events().unwrap();
    let activated = events.iter().filter_map(|event| match event {
        Event::PolicyActivated { by, .. } => Some(by.clone()),
        _ => None,
    });
    assert_eq!(
        activated.collect::<Vec<_>>(),
        [By::Broker, By::Socket { uid: 0 }]
    );
}
