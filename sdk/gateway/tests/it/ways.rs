//! The ways in that are more than a header, and streams that stay open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use lanyard_token::{NodeId, Rev};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{HEADER, VALUE, World, http, party, serve};

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

#[tokio::test]
async fn a_token_for_client_credentials_is_got_once_and_anew_after_a_401() {
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
    let router = Router::new()
        .route("/token", axum::routing::post(tokens))
        .fallback(called);
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
    let world = World::new(&written).await;
    for _ in 0..3 {
        let answer = world.get("/party/v1/x").await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(
            text.starts_with("you sent Bearer *******************, "),
            "{text}"
        );
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);
    assert_eq!(world.get("/party/v1/refuse").await.status(), 401);
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

/// A third party that says what it is told, twice, over a WebSocket's connection.
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
                              sec-websocket-accept: a\r\nset-cookie: a=b\r\n\r\n";
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
    let said = format!("say {VALUE} now");
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(
        heard,
        said.replace(VALUE, &"*".repeat(VALUE.len())).as_bytes()
    );

    world
        .gateway()
        .feed()
        .end(NodeId::from_u64(4_711), Rev::new(0, 1).unwrap());
    let over = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut heard)).await;
    assert!(matches!(over.unwrap(), Ok(0) | Err(_)));
}
