//! The ways in that are more than a header, and streams that stay open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use lanyard_token::{NodeId, Rev};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{HEADER, VALUE, World, carried, http, party, serve};

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
async fn with_tokens(tokens: MethodRouter) -> World {
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
    let called = Arc::new(AtomicUsize::new(0));
    let upstream = {
        let called = Arc::clone(&called);
        serve(Router::new().fallback(move || async move {
            called.fetch_add(1, Ordering::SeqCst);
        }))
        .await
    };
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
            "a refusal" => {
                world
                    .change(|script| {
                        script.leases.clear();
                        let why = "no policy allows it".to_owned();
                        script.refused.insert("party".to_owned(), why);
                    })
                    .await;
            }
            "a revocation" => {
                world.broker.0.lock().unwrap().away = true;
                let gateway = world.gateway();
                let (secret, now) = (NodeId::from_u64(1002), Rev::new(0, 1).unwrap());
                gateway.feed().end(secret, now);
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

/// A third party that says what it is told over a WebSocket's connection.
async fn talking() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = vec![0; 4_096];
                let read = stream.read(&mut buffer).await.unwrap();
                let head = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
                assert!(
                    head.contains("upgrade: websocket") && head.contains("sec-websocket-key: k"),
                    "{head}"
                );
                assert!(!head.contains("extensions"), "{head}");
                assert!(head.contains(&format!("bearer {VALUE}").to_lowercase()));
                let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                              sec-websocket-accept: a\r\nset-cookie: a=b\r\n";
                let answer = format!("{answer}sec-websocket-protocol: {VALUE}\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn opened(world: &World, token: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "GET /party/v1/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-key: k\r\nsec-websocket-version: 13\r\n\
         sec-websocket-extensions: permessage-deflate\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4_096];
    let read = stream.read(&mut buffer).await.unwrap();
    (
        stream,
        String::from_utf8_lossy(&buffer[..read]).to_lowercase(),
    )
}

#[tokio::test]
async fn a_websocket_is_refused_unless_it_is_allowed_and_ends_with_its_token() {
    let upstream = talking().await;
    let refusing = World::new(&party(upstream, HEADER, "")).await;
    let (_, head) = opened(&refusing, &refusing.token("party:use")).await;
    assert!(head.starts_with("http/1.1 403"), "{head}");

    let world = World::new(&party(upstream, HEADER, "websocket = true")).await;
    let (mut stream, head) = opened(&world, &world.numbered(4_711, "party:use")).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: a") && !head.contains("set-cookie"),
        "{head}"
    );
    let hidden = format!("sec-websocket-protocol: {}", "*".repeat(VALUE.len()));
    assert!(head.contains(&hidden), "{head}");
    let heard = says(&mut stream, &format!("say {VALUE} now")).await;
    let hidden = "*".repeat(VALUE.len());
    assert_eq!(heard, format!("say {hidden} now"));

    world
        .gateway()
        .feed()
        .end(NodeId::from_u64(4_711), Rev::new(0, 1).unwrap());
    assert!(ends(stream).await);
}

/// Says a word in a frame of its own, and hears one.
async fn says(stream: &mut TcpStream, word: &str) -> String {
    let mut frame = vec![0x81, u8::try_from(word.len()).unwrap()];
    frame.extend_from_slice(word.as_bytes());
    stream.write_all(&frame).await.unwrap();
    let mut heard = vec![0; frame.len()];
    let hearing = stream.read_exact(&mut heard);
    let heard_all = tokio::time::timeout(Duration::from_secs(5), hearing).await;
    heard_all.expect("something is held back").unwrap();
    assert_eq!(heard[..2], frame[..2]);
    String::from_utf8(heard.split_off(2)).unwrap()
}

async fn ends(mut stream: TcpStream) -> bool {
    let mut heard = [0; 64];
    let over = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut heard)).await;
    matches!(over, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_message_that_ends_as_the_value_begins_does_not_wait_for_the_next_one() {
    let upstream = talking().await;
    let world = World::new(&party(upstream, HEADER, "websocket = true")).await;
    let (mut stream, _) = opened(&world, &world.token("party:use")).await;
    for end in [1, 2, VALUE.len() - 1] {
        let word = format!("now {}", &VALUE[..end]);
        assert_eq!(says(&mut stream, &word).await, word);
    }
}

#[tokio::test]
async fn a_websocket_ends_with_the_lease_of_the_value_that_it_was_opened_with() {
    let upstream = talking().await;
    let written = party(upstream, HEADER, "websocket = true");
    for ending in [
        "a refusal",
        "the integration",
        "the secret",
        "another form",
        "its removal",
        "the time",
    ] {
        let world = World::new(&written).await;
        if ending == "the time" {
            world
                .change(|script| script.lease_for = Duration::from_secs(2))
                .await;
        }
        let (mut stream, head) = opened(&world, &world.token("party:use")).await;
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert_eq!(says(&mut stream, "a").await, "a");
        let end = |node| {
            let gateway = world.gateway();
            gateway
                .feed()
                .end(NodeId::from_u64(node), Rev::new(0, 1).unwrap());
        };
        match ending {
            "a refusal" => {
                world
                    .change(|script| {
                        script.leases.clear();
                        let why = "no policy allows it".to_owned();
                        script.refused.insert("party".to_owned(), why);
                    })
                    .await;
            }
            "the integration" => end(1001),
            "the secret" => end(1002),
            "another form" => {
                let other = written.replace("/v1/{what}", "/v1/other");
                world
                    .change(|script| script.integrations = vec![carried(1001, &other)])
                    .await;
            }
            "its removal" => world.change(|script| script.integrations.clear()).await,
            _ => world.broker.0.lock().unwrap().away = true,
        }
        assert!(ends(stream).await, "{ending}");
    }
}

#[tokio::test]
async fn a_websocket_stays_while_its_value_is_given_again() {
    let upstream = talking().await;
    let world = World::new(&party(upstream, HEADER, "websocket = true")).await;
    world
        .change(|script| script.lease_for = Duration::from_secs(3))
        .await;
    let (mut stream, _) = opened(&world, &world.token("party:use")).await;
    // Each lease begins with the question before: a second ago.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.broker.1.notify_waiters();
        assert_eq!(says(&mut stream, "a").await, "a");
    }
    // Another version in its place does not lengthen what this one was given for.
    world
        .change(|script| {
            script.lease_for = Duration::from_secs(60);
            let lease = script.leases.get_mut("party").unwrap();
            *lease = (1002, 2, None, "the second value".to_owned());
        })
        .await;
    assert!(ends(stream).await);
}
