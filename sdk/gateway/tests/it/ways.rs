//! The ways in that are more than a header, and what is waited for before a credential goes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{VALUE, World, carried, counting, http, party, serve};

#[tokio::test]
async fn a_call_for_s3_is_signed_and_one_for_another_service_with_its_body() {
    async fn answer(request: Request) -> impl IntoResponse {
        let header = |name: &str| {
            let value = request.headers().get(name).cloned();
            value
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        format!(
            "{}\n{}",
            header("authorization"),
            header("x-amz-content-sha256")
        )
    }
    let upstream = serve(Router::new().fallback(answer)).await;
    for (service, payload) in [("s3", "UNSIGNED-PAYLOAD"), ("execute-api", "")] {
        let inject = format!(
            "kind = \"aws-sigv4\"\nsecret = \"s\"\nregion = \"eu-central-1\"\nservice = \"{service}\""
        );
        let world = World::new(&party(upstream, &inject, "")).await;
        world
            .change(|script| {
                let lease = script.leases.get_mut("party").unwrap();
                *lease = (1002, 2, Some("AKIDEXAMPLE".to_owned()), VALUE.to_owned());
            })
            .await;
        let answer = http()
            .post(world.url("/party/v1/x?b=2&a=1"))
            .bearer_auth(world.token("party:use"))
            .header("x-amz-security-token", "the caller's")
            .body("a body")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let (authorization, sent) = text.split_once('\n').unwrap();
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
            "{text}"
        );
        assert!(authorization.contains(&format!("/eu-central-1/{service}/aws4_request")));
        assert!(!authorization.contains("x-amz-security-token"));
        assert_eq!(sent, payload);
    }
}

/// With a token endpoint, and a third party that says what it was sent; `refuse` is answered with 401.
pub(crate) async fn with_tokens(tokens: MethodRouter) -> World {
    let called = |request: Request| async move {
        let authorization = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        let status = if request.uri().path().ends_with("/refuse") {
            401
        } else {
            200
        };
        (
            http::StatusCode::from_u16(status).unwrap(),
            format!("you sent {authorization}, {}", authorization.len()),
        )
    };
    let router = Router::new().route("/token", tokens).fallback(called);
    let (pem, upstream) = crate::tls::serving(router).await;
    let inject = format!(
        "kind = \"oauth-client-credentials\"\nsecret = \"s\"\nclient_id = \"me\"\ntoken_url = \"https://localhost:{}/token\"",
        upstream.port()
    );
    let written = party(upstream, &inject, &format!("certificates = '''{pem}'''"));
    let written = written.replace(
        &format!("http://{upstream}"),
        &format!("https://localhost:{}", upstream.port()),
    );
    World::new(&written).await
}

#[tokio::test]
async fn a_token_for_client_credentials_is_got_once_and_anew_after_a_401_unless_it_is_young() {
    let given = Arc::new(AtomicUsize::new(0));
    let tokens = {
        let given = Arc::clone(&given);
        move |request: Request| async move {
            let authorization = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(authorization.starts_with("Basic "), "{authorization}");
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            format!("{{\"access_token\":\"third-party-token-{number}\",\"expires_in\":3600}}")
        }
    };
    let world = with_tokens(post(tokens)).await;
    for _ in 0..3 {
        let answer = world.get("/party/v1/x").await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(
            text.starts_with("you sent Bearer *******************, "),
            "{text}"
        );
    }
    // Whoever knows a call that is always refused cannot have a token asked for with each.
    for _ in 0..3 {
        assert_eq!(world.get("/party/v1/refuse").await.status(), 401);
    }
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(given.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_secs(11)).await;
    for _ in 0..3 {
        assert_eq!(world.get("/party/v1/refuse").await.status(), 401);
    }
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_endpoint_is_believed_and_reached_by_rules_of_its_own_where_it_has_some() {
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = {
        let asked = Arc::clone(&asked);
        move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            "{\"access_token\":\"third-party-token\",\"expires_in\":3600}"
        }
    };
    let (of_tokens, token_endpoint) =
        crate::tls::serving(Router::new().route("/token", post(tokens))).await;
    let (of_upstream, upstream) = crate::tls::serving(Router::new().fallback(|| async {})).await;
    let here = "private = [\"127.0.0.0/8\"]\n";
    let believing = |pem: &str| format!("certificates = \"\"\"{pem}\"\"\"\n");
    for (integrations, own, status) in [
        (
            &of_upstream,
            format!("{here}{}", believing(&of_tokens)),
            200,
        ),
        // The integration's holds, and is of the upstream.
        (&of_upstream, String::new(), 502),
        // Where one is its own, neither of the integration's holds.
        (&of_upstream, believing(&of_tokens), 502),
        (&of_tokens, here.to_owned(), 502),
        (&of_tokens, "private = []\n".to_owned(), 502),
    ] {
        let before = asked.load(Ordering::SeqCst);
        let inject = format!(
            "kind = \"oauth-client-credentials\"\nsecret = \"s\"\nclient_id = \"me\"\n\
             token_url = \"https://localhost:{}/token\"\n{own}",
            token_endpoint.port()
        );
        let written = party(upstream, &inject, &believing(integrations)).replace(
            &format!("http://{upstream}"),
            &format!("https://localhost:{}", upstream.port()),
        );
        let world = World::new(&written).await;
        assert_eq!(world.get("/party/v1/x").await.status(), status, "{own}");
        let times = asked.load(Ordering::SeqCst) - before;
        assert_eq!(times, usize::from(status == 200), "{own}");
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_token_hear_of_one_failure_together() {
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens = {
        let asked = Arc::clone(&asked);
        move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            http::StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let world = with_tokens(post(tokens)).await;
    let together = async || {
        let calls = (0..6).map(|_| world.get("/party/v1/x"));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status(), 502);
        }
    };
    let began = Instant::now();
    together().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // One after the other they would take six seconds.
    assert!(began.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    together().await;
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "a moment later it is asked again"
    );
}

#[tokio::test]
async fn a_value_that_ends_while_a_body_drips_is_not_used() {
    let (upstream, called) = counting().await;
    let inject = "kind = \"aws-sigv4\"\nsecret = \"s\"\nregion = \"r\"\nservice = \"execute-api\"";
    for ending in ["nothing", "a refusal", "a revocation", "another form"] {
        let world = World::new(&party(upstream, inject, "")).await;
        world
            .change(|script| {
                let lease = script.leases.get_mut("party").unwrap();
                *lease = (1002, 2, Some("AKIDEXAMPLE".to_owned()), VALUE.to_owned());
            })
            .await;
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST /party/v1/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 4\r\n\r\nbo",
            world.token("party:use")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        match ending {
            "a refusal" => world.refuse().await,
            "a revocation" => {
                world.broker.0.lock().unwrap().away = true;
                world.end(1002);
            }
            "another form" => {
                let other = party(upstream, inject, "").replace("/v1/{what}", "/v1/other");
                world
                    .change(|script| script.integrations = vec![carried(1001, &other)])
                    .await;
            }
            _ => {}
        }
        stream.write_all(b"dy").await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        let expected = if ending == "nothing" { "200" } else { "503" };
        let begins = format!("HTTP/1.1 {expected}");
        assert!(answer.starts_with(&begins), "{ending}: {answer}");
    }
    assert_eq!(called.load(Ordering::SeqCst), 1);
}
