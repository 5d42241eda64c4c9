//! Described HTTP interfaces: each worked description against a vendor that is like it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lanyard::vault::SecretValue;
use lanyard::vault::rotate::driver::{Credential, Driver, Order};
use lanyard::vault::rotate::http::{Described, Settings, Shown};
use lanyard::vault::rotate::machine::{Answer, Creation, Reference};

use super::servers::{PATIENCE, secret, to_this_machine};
use super::vendor::{MANAGER, Vendor};

/// The descriptions that are shipped.
pub(super) const DESCRIPTIONS: [(&str, &str); 3] = [
    (
        "bearer-keys",
        include_str!("../../../../deploy/rotation/bearer-keys.toml"),
    ),
    (
        "basic-forms",
        include_str!("../../../../deploy/rotation/basic-forms.toml"),
    ),
    (
        "header-keys",
        include_str!("../../../../deploy/rotation/header-keys.toml"),
    ),
];

fn described(text: &str, base: &str) -> Described {
    let mut settings: Settings = toml::from_str(text).unwrap();
    settings.base = base.parse().unwrap();
    Described::new(settings, to_this_machine(), PATIENCE).unwrap()
}

pub(super) struct Manager {
    reference: Reference,
    secret: SecretValue,
}

impl Manager {
    pub(super) fn new() -> Self {
        Self::called("manager", MANAGER)
    }

    pub(super) fn called(name: &str, value: &str) -> Self {
        Self {
            reference: Reference(name.to_owned()),
            secret: secret(value.to_owned()),
        }
    }

    pub(super) fn shows(&self) -> Credential<'_> {
        Credential {
            reference: &self.reference,
            secret: &self.secret,
        }
    }
}

pub(super) fn order() -> Order<'static> {
    Order {
        idempotency_key: "rotation-1-version-2",
        proposed: None,
    }
}

#[tokio::test]
async fn each_description_makes_a_key_that_works_and_ends() {
    for (name, text) in DESCRIPTIONS {
        let vendor = Vendor::start().await;
        let driver = described(text, &vendor.url);
        let manager = Manager::new();
        let manager = manager.shows();
        assert_eq!(
            driver.find(&manager).await,
            Answer::Found([].into()),
            "{name}"
        );
        let made = driver.create(&manager, order()).await;
        let Answer::Created(reference) = made.answer else {
            panic!("{name}: {:?}", made.answer);
        };
        let made_secret = made.secret.unwrap();
        let key = Credential {
            reference: &reference,
            secret: &made_secret,
        };
        assert_eq!(driver.verify(&key).await, Answer::Works, "{name}");
        assert_eq!(
            driver.find(&manager).await,
            Answer::Found([reference.clone()].into()),
            "{name}: the stranger's key is nobody's business"
        );
        let again = driver.create(&manager, order()).await;
        let same = again.answer == Answer::Created(reference.clone());
        let repeatable = driver.creation(None).unwrap() == Creation::Repeatable;
        assert_eq!(same, repeatable, "{name}");
        for _ in 0..2 {
            assert_eq!(
                driver.revoke(&manager, &reference).await,
                Answer::Revoked,
                "{name}"
            );
        }
        assert_eq!(driver.verify(&key).await, Answer::Dead, "{name}");
        let nobody = secret("not-the-manager".to_owned());
        let nobody = Credential {
            reference: &reference,
            secret: &nobody,
        };
        assert!(
            matches!(
                driver.create(&nobody, order()).await.answer,
                Answer::Refused(_)
            ),
            "{name}"
        );
    }
}

/// A third party that answers everything in the same odd way.
pub(super) async fn odd(
    answer: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static,
) -> String {
    let routes = Router::new().fallback(move || {
        let answer = answer.clone();
        async move { answer() }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

#[tokio::test]
async fn an_answer_that_is_none_makes_nothing_certain() {
    let endless = || {
        let chunks = futures::stream::repeat_with(|| {
            Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(&[b'['; 4_096]))
        });
        axum::body::Body::from_stream(chunks).into_response()
    };
    let headers = || {
        let mut answer = StatusCode::OK.into_response();
        for number in 0..100_000 {
            let name = axum::http::HeaderName::try_from(format!("x-{number}"));
            let _ = answer
                .headers_mut()
                .try_append(name.unwrap(), axum::http::HeaderValue::from_static("x"));
        }
        answer
    };
    let manager = Manager::new();
    let manager = manager.shows();
    let odd_ones = [
        (
            "an error after the deed",
            odd(|| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await,
        ),
        ("nonsense", odd(|| "<html>".into_response()).await),
        ("an empty object", odd(|| "{}".into_response()).await),
        (
            "a redirect",
            odd(|| (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response())
                .await,
        ),
        ("an endless body", odd(endless).await),
        ("a flood of headers", odd(headers).await),
    ];
    for (what, url) in &odd_ones {
        for (name, text) in DESCRIPTIONS {
            let driver = described(text, url);
            let made = driver.create(&manager, order()).await;
            assert!(
                matches!(made.answer, Answer::Unclear(_)),
                "{what}, {name}: {:?}",
                made.answer
            );
            assert!(made.secret.is_none());
            assert!(
                matches!(driver.find(&manager).await, Answer::Unclear(_)),
                "{what}, {name}"
            );
        }
    }
    // Nobody there: nothing was ever sent.
    let driver = described(DESCRIPTIONS[0].1, "http://127.0.0.1:1");
    assert!(matches!(
        driver.create(&manager, order()).await.answer,
        Answer::Refused(_)
    ));
    assert!(matches!(driver.verify(&manager).await, Answer::Unclear(_)));
}

#[tokio::test]
async fn a_reference_of_dots_ends_nothing_and_is_not_sent() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let routes = Router::new().fallback(move |uri: axum::http::Uri| {
        seen.lock().unwrap().push(uri.path().to_owned());
        std::future::ready(StatusCode::OK)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let manager = Manager::new();
    for (name, text) in DESCRIPTIONS {
        let driver = described(text, &url);
        for dots in [".", ".."] {
            let reference = Reference(dots.to_owned());
            let ended = driver.revoke(&manager.shows(), &reference).await;
            let sent = asked.lock().unwrap().clone();
            assert!(
                matches!(ended, Answer::Refused(_)) && sent.is_empty(),
                "{name}, {dots}: {ended:?}, {sent:?}"
            );
        }
        // Dots among other things are one part of a path, quoted.
        for (odd, quoted) in [("../..", "%2E%2E%2F%2E%2E"), ("%2e%2e", "%252e%252e")] {
            let reference = Reference(odd.to_owned());
            driver.revoke(&manager.shows(), &reference).await;
            let sent = std::mem::take(&mut *asked.lock().unwrap());
            assert!(
                sent.len() == 1 && sent[0].split('/').any(|part| part == quoted),
                "{name}, {odd}: {sent:?}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_ends_a_key_shows_itself_and_not_the_key_that_it_ends() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    let routes = Router::new().fallback(
        move |uri: axum::http::Uri, headers: axum::http::HeaderMap| {
            let user = headers["x-user"].to_str().unwrap().to_owned();
            seen.lock().unwrap().push((user, uri.path().to_owned()));
            std::future::ready(StatusCode::OK)
        },
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let mut settings: Settings = toml::from_str(DESCRIPTIONS[0].1).unwrap();
    settings.base = url.parse().unwrap();
    settings.manager = Shown::Header {
        header: "x-user".to_owned(),
        value: "{reference}:{secret}".to_owned(),
    };
    let driver = Described::new(settings, to_this_machine(), PATIENCE).unwrap();
    let victim = Reference("victim".to_owned());
    let ended = driver.revoke(&Manager::new().shows(), &victim).await;
    assert_eq!(ended, Answer::Revoked);
    let [(user, path)] = &shown.lock().unwrap()[..] else {
        panic!("it was asked once");
    };
    assert_eq!(*user, format!("manager:{MANAGER}"));
    assert!(path.ends_with("/victim"), "{path}");
}

#[tokio::test]
async fn a_third_party_that_does_not_answer_has_not_answered() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let driver = described(DESCRIPTIONS[0].1, &url);
    let manager = Manager::new();
    let manager = manager.shows();
    let made = tokio::time::timeout(2 * PATIENCE, driver.create(&manager, order()));
    assert!(matches!(made.await.unwrap().answer, Answer::Unclear(_)));
}

#[test]
fn a_description_that_cannot_work_is_refused_in_words() {
    let good = DESCRIPTIONS[0].1;
    for (change, to, says) in [
        (
            "https://api.vendor.example",
            "http://api.vendor.example",
            "https://",
        ),
        (
            "https://api.vendor.example",
            "https://me:secret@api.vendor.example",
            "holds a credential",
        ),
        ("admin_api_keys/{reference}", "admin_api_keys/all", "which"),
        (
            "value = \"Bearer {secret}\"",
            "value = \"Bearer\"",
            "does not show",
        ),
        (
            "path = \"/v1/me\"",
            "path = \"/v1/me?key={secret}\"",
            "{secret}",
        ),
        (
            "path = \"/v1/me\"",
            "path = \"https://elsewhere.example/\"",
            "single /",
        ),
        (
            "path = \"/v1/me\"",
            "path = \"//elsewhere.example/\"",
            "single /",
        ),
        (
            "path = \"/v1/me\"",
            "path = \"/v1/me\"\nworks = [401]",
            "`third_party.verify.works`",
        ),
    ] {
        let text = good.replacen(change, to, 1);
        assert_ne!(text, good, "{change}");
        let settings: Settings = toml::from_str(&text).unwrap();
        let Err(refused) = settings.check() else {
            panic!("{to} is taken");
        };
        assert!(refused.to_string().contains(says), "{to}: {refused}");
    }
}
