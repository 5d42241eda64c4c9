//! What the third party sees, and what the caller sees.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use crate::support::{HEADER, VALUE, World, carried, http, party, serve};

pub(crate) type Seen = Arc<Mutex<Vec<(String, http::HeaderMap, Bytes)>>>;

/// A third party that remembers what it was asked, and echoes what it can.
pub(crate) async fn echo() -> (SocketAddr, Seen) {
    async fn answer(State(seen): State<Seen>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let line = format!("{} {}", parts.method, parts.uri);
        let secret = parts.headers.get("authorization").cloned();
        seen.lock()
            .unwrap()
            .push((line, parts.headers, body.clone()));
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert("x-answered", "yes".parse().unwrap());
        headers.insert("set-cookie", "session=1".parse().unwrap());
        if let Some(secret) = secret {
            headers.insert("x-echo", secret);
        }
        response
    }
    let seen = Seen::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
    (serve(router).await, seen)
}

#[tokio::test]
async fn an_answer_that_ends_as_the_value_begins_arrives_whole() {
    let (upstream, _) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
    for end in [&VALUE[..1], &VALUE[..VALUE.len() - 1], &hex[..1], &hex[..7]] {
        let sent = format!("it ends with {end}");
        let response = http()
            .post(world.url("/party/v1/charges"))
            .bearer_auth(&token)
            .body(sent.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(response.text().await.unwrap(), sent);
    }
}

#[tokio::test]
async fn the_third_party_sees_the_credential_and_the_caller_never_does() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let response = http()
        .post(world.url("/party/v1/charges?limit=3"))
        .bearer_auth(&token)
        .header("cookie", "a=b")
        .header("x-forwarded-for", "1.2.3.4")
        .header("proxy-authorization", &token)
        // Of a hop is what it says so of: the caller's, not what is put in.
        .header("connection", "authorization, x-of-a-hop")
        .header("x-of-a-hop", "1")
        .header("x-kept", "kept")
        .body(format!("echo {VALUE} please"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-answered"], "yes");
    assert!(!response.headers().contains_key("set-cookie"));
    let hidden = "*".repeat(VALUE.len());
    assert_eq!(response.headers()["x-echo"], format!("Bearer {hidden}"));
    assert_eq!(
        response.text().await.unwrap(),
        format!("echo {hidden} please")
    );

    let seen = seen.lock().unwrap();
    let (line, headers, _) = &seen[0];
    assert_eq!(line, "POST /base/v1/charges?limit=3");
    assert_eq!(headers["authorization"], format!("Bearer {VALUE}"));
    assert_eq!(headers["host"], upstream.to_string());
    assert_eq!(headers["x-kept"], "kept");
    assert_eq!(headers["accept-encoding"], "identity");
    for gone in [
        "cookie",
        "x-forwarded-for",
        "proxy-authorization",
        "x-of-a-hop",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(!format!("{seen:?}").contains(&token));
}

#[tokio::test]
async fn the_upstream_itself_and_what_ends_in_a_slash_are_called_as_they_are_written() {
    let (upstream, seen) = echo().await;
    let signed = "kind = \"aws-sigv4\"\nsecret = \"s\"\nregion = \"r\"\nservice = \"sts\"";
    let world = World::new(&party(upstream, HEADER, "")).await;
    for (id, inject, template, base, called, other) in [
        (1003, HEADER, "/", "/base", "/party/", "/party"),
        (1004, HEADER, "/", "", "/party/", "/party"),
        (1005, signed, "/", "", "/party/", "/party"),
        (
            1006,
            HEADER,
            "/v1/{what}/",
            "/base",
            "/party/v1/x/",
            "/party/v1/x",
        ),
    ] {
        let written = party(upstream, inject, "")
            .replace("\"/v1/{what}\"", &format!("\"{template}\""))
            .replace("/base", base);
        let change = world.change(|script| {
            script.integrations = vec![carried(id, &written)];
            let lease = script.leases.get_mut("party").unwrap();
            *lease = (1002, id, Some("AKIDEXAMPLE".to_owned()), VALUE.to_owned());
        });
        change.await;
        assert_eq!(world.get(called).await.status(), 200, "{written}");
        let (line, _, _) = seen.lock().unwrap().pop().unwrap();
        let below = called.strip_prefix("/party").unwrap();
        assert_eq!(line, format!("GET {base}{below}"));
        assert_eq!(world.get(other).await.status(), 403, "{written}");
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_no_rule_names_or_no_scope_allows_never_leaves() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let status = |method, path: &str, token: String| {
        let request = http().request(method, world.url(path)).bearer_auth(token);
        async move { request.send().await.unwrap().status() }
    };
    let good = || world.token("party:use");
    for (method, path) in [
        (http::Method::DELETE, "/party/v1/charges"),
        (http::Method::GET, "/party/v2/charges"),
        (http::Method::GET, "/party/v1/charges/7"),
        (http::Method::GET, "/other/v1/charges"),
        (http::Method::GET, "/party"),
        (http::Method::GET, "/"),
    ] {
        assert_eq!(status(method, path, good()).await, 403, "{path}");
    }
    for path in [
        "/party/v1/../v1/x",
        "/party//v1/x",
        "/party/v1/%2e%2e",
        "/party/v1/a;b",
    ] {
        let raw = raw(world.address, &format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n", good()
        )).await;
        assert!(
            raw.starts_with("HTTP/1.1 400") || raw.starts_with("HTTP/1.1 403"),
            "{path}: {raw}"
        );
    }
    assert_eq!(
        status(http::Method::GET, "/party/v1/x", world.token("other:use")).await,
        403
    );
    assert_eq!(
        status(http::Method::GET, "/party/v1/x", "none".to_owned()).await,
        401
    );
    assert!(seen.lock().unwrap().is_empty());
}

pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn every_way_in_is_what_the_third_party_expects() {
    let (upstream, seen) = echo().await;
    let ways = [
        (
            "kind = \"header\"\nsecret = \"s\"\nheader = \"x-api-key\"",
            "x-api-key",
            VALUE.to_owned(),
        ),
        (
            "kind = \"basic\"\nsecret = \"s\"\nuser = \"me\"",
            "authorization",
            {
                use base64::Engine;
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("me:{VALUE}"));
                format!("Basic {pair}")
            },
        ),
    ];
    for (inject, header, value) in ways {
        let world = World::new(&party(upstream, inject, "")).await;
        assert_eq!(world.get("/party/v1/x").await.status(), 200);
        let (_, headers, _) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(headers[header], value);
    }
    let query = "kind = \"query\"\nsecret = \"s\"\nparameter = \"key\"";
    let world = World::new(&party(upstream, query, "")).await;
    assert_eq!(world.get("/party/v1/x?key=mine&a=1").await.status(), 200);
    let (line, _, _) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(
        line,
        "GET /base/v1/x?a=1&key=sk_live%2F4eC39HqLyjWDarjtT1zdp7dc"
    );
}

#[tokio::test]
async fn a_value_that_would_break_a_header_is_not_sent() {
    let (upstream, seen) = echo().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    for value in ["a\r\nx-injected: 1", "a\nb", "a\0b"] {
        world
            .change(|script| {
                let lease = script.leases.get_mut("party").unwrap();
                *lease = (1002, lease.1 + 1, None, value.to_owned());
            })
            .await;
        let answer = world.get("/party/v1/x").await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert!(!answer.text().await.unwrap().contains("injected"));
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn budgets_hold_and_say_when_to_come_again() {
    let (upstream, seen) = echo().await;
    let budget = "[budget]\ncalls_per_minute = 3\nrequest_bytes = 10\n";
    let written = party(upstream, HEADER, "").replace("[inject]", &format!("{budget}[inject]"));
    let world = World::new(&written).await;
    let long = http()
        .post(world.url("/party/v1/x"))
        .bearer_auth(world.token("party:use"))
        .body("eleven bytes")
        .send()
        .await
        .unwrap();
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
    let over = world.get("/party/v1/x").await;
    assert_eq!(over.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = over.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(seen.lock().unwrap().len(), 2);
    let metrics = http()
        .get(format!("http://{}/metrics", world.admin))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains(
            "lanyard_egress_refused_total{integration=\"party\",code=\"budget_spent\"} 1"
        ),
        "{metrics}"
    );
    assert!(
        metrics.contains("operation=\"GET /v1/{what}\",status=\"2xx\"} 2"),
        "{metrics}"
    );
}
