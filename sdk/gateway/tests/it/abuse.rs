//! A program that holds a good token and means harm: whatever it tries beside what it may, the third party hears nothing.

use std::sync::atomic::Ordering;

use crate::calls::raw;
use crate::support::{HEADER, World, counting, party};

/// What is tried: the first line, what stands behind it, and how it is answered.
fn tries(good: &str, narrow: &str) -> Vec<(String, String, u16)> {
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let own = bearer(good);
    let line = |line: &str| format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let call = line("GET /party/v1/x");
    let with = |more: &str| format!("{own}{more}\r\n");
    let mut tries = vec![
        (call.clone(), "\r\n".to_owned(), 401),
        (call.clone(), format!("{}\r\n", bearer("none")), 401),
        (
            call.clone(),
            format!("authorization: Basic {good}\r\n\r\n"),
            401,
        ),
        (call.clone(), format!("{own}{}\r\n", bearer(narrow)), 400),
        (call.clone(), format!("{}\r\n", bearer(narrow)), 403),
        (
            line(&format!("GET /party/v1/x?access_token={good}")),
            "\r\n".to_owned(),
            400,
        ),
        (
            call.clone(),
            with("upgrade: websocket\r\nsec-websocket-key: k\r\n"),
            403,
        ),
        (
            line("POST /party/v1/x"),
            with("content-length: 1001\r\n"),
            413,
        ),
        (
            line("POST /party/v1/x"),
            with("content-length: 1\r\ntransfer-encoding: chunked\r\n"),
            400,
        ),
        (call.clone(), with("host: y\r\n"), 400),
        (call.clone(), with(&"x: y\r\n".repeat(200)), 431),
        (
            call.clone(),
            with(&format!("x: {}\r\n", "y".repeat(70_000))),
            431,
        ),
    ];
    for (first, status) in [
        ("DELETE /party/v1/x", 403),
        ("TRACE /party/v1/x", 403),
        ("GET /party/v2/x", 403),
        ("GET /party/v1/x/y", 403),
        ("GET /other/v1/x", 403),
        ("GET /PARTY/v1/x", 403),
        ("GET /party/v1/../v1/x", 400),
        ("GET /party/v1/%2e%2e/x", 400),
        ("GET /party/v1/x%00", 400),
        ("GET /party//v1/x", 400),
        ("GET /party/v1/x;y", 400),
        ("GET http://169.254.169.254/party/v1/x", 400),
        ("CONNECT 169.254.169.254:80", 400),
    ] {
        tries.push((line(first), with(""), status));
    }
    tries
}

#[tokio::test]
async fn what_a_good_token_is_abused_for_never_reaches_the_third_party() {
    let (upstream, called) = counting().await;
    let budget = "[budget]\nrequest_bytes = 1000\n";
    let written = party(upstream, HEADER, "").replace("[inject]", &format!("{budget}[inject]"));
    let world = World::new(&written).await;
    let (good, narrow) = (world.token("party:use"), world.token("other:use"));
    let tries = tries(&good, &narrow);
    assert!(tries.len() >= 20);
    let mut wrong = Vec::new();
    for (first, rest, status) in tries {
        let answer = raw(world.address, &format!("{first}{rest}")).await;
        let shown: String = format!("{first}{rest}").chars().take(120).collect();
        if !answer.starts_with(&format!("HTTP/1.1 {status} ")) {
            let answer: String = answer.chars().take(60).collect();
            wrong.push(format!("{shown:?}: not {status}: {answer:?}"));
        }
        assert!(!answer.contains(&good), "{shown}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(called.load(Ordering::SeqCst), 0);
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
}
