//! Requests that are read in two ways by two servers: the third party must see each call that was decided, and no other.
//!
//! A canary is what would be smuggled: a second request, hidden in what the first reader takes for a body or a header. It
//! is refused, or it is a call of its own that the gateway has decided; it never arrives undecided.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{HEADER, VALUE, World, party};

type Recorded = Arc<Mutex<Vec<u8>>>;

/// A third party that keeps every byte it gets.
async fn recorder() -> (SocketAddr, Recorded) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let recorded = Recorded::default();
    tokio::spawn({
        let recorded = Arc::clone(&recorded);
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(record(stream, Arc::clone(&recorded)));
            }
        }
    });
    (address, recorded)
}

async fn record(mut stream: TcpStream, recorded: Recorded) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => recorded.lock().unwrap().extend_from_slice(&buffer[..read]),
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Everything that is sent after the first line and the token.
fn attacks() -> Vec<String> {
    let canary = "GET /party/v1/canary HTTP/1.1\r\nhost: x\r\n\r\n";
    let body = format!("0\r\n\r\n{canary}");
    let length = body.len();
    let mut attacks = Vec::new();
    // Two lengths, in all the ways a second one can be spelled.
    for encoding in [
        "transfer-encoding: chunked",
        "Transfer-Encoding : chunked",
        "transfer-encoding:\tchunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: CHUNKED",
        "transfer-encoding: chun\tked",
        "transfer-encoding:\x0bchunked",
        "transfer-encoding: chunked\x0c",
        " transfer-encoding: chunked",
        "x: y\r\n transfer-encoding: chunked",
        "x: y\ntransfer-encoding: chunked",
        "x: y\rtransfer-encoding: chunked",
        "transfer_encoding: chunked",
        "transfer-encoding\0: chunked",
        "transfer-encoding: chunked\0",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding:",
        "te: chunked\r\ntransfer-encoding: chunked",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked",
        "connection: content-length",
    ] {
        attacks.push(format!(
            "{encoding}\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        attacks.push(format!(
            "content-length: {length}\r\n{encoding}\r\n\r\n{body}"
        ));
        attacks.push(format!("content-length: 4\r\n{encoding}\r\n\r\n{body}"));
    }
    for lengths in [
        format!("content-length: 0\r\ncontent-length: {length}"),
        format!("content-length: {length}\r\ncontent-length: 0"),
        format!("content-length: {length}, 0"),
        format!("content-length: +{length}"),
        format!("content-length: -{length}"),
        format!("content-length: 0x{length:x}"),
        format!("content-length: 0{length}"),
        format!("content-length: {length} 0"),
        format!("content-length : {length}"),
        format!("content-length:\x0b{length}"),
        "content-length: 99999999999999999999999".to_owned(),
        "content-length: ".to_owned(),
    ] {
        attacks.push(format!("{lengths}\r\n\r\n{body}"));
    }
    // Chunks that one reader ends elsewhere than another.
    for chunks in [
        "5\r\nhello\r\n0\r\n\r\n",
        "5;x=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "\r\n",
    ] {
        attacks.push(format!(
            "transfer-encoding: chunked\r\n\r\n{chunks}{canary}"
        ));
    }
    // A protocol that would no longer be read here.
    for upgrade in ["h2c", "websocket", "HTTP/2.0", "TLS/1.0"] {
        attacks.push(format!(
            "connection: upgrade, http2-settings\r\nupgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n{canary}"
        ));
    }
    attacks.push(format!(
        "expect: 100-continue\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    attacks.push(format!("x: {}\r\n\r\n{canary}", "a".repeat(70_000)));
    attacks.push(format!("{}\r\n{canary}", "x: y\r\n".repeat(200)));
    attacks
}

#[tokio::test]
async fn nothing_reaches_the_third_party_that_was_not_decided() {
    let (upstream, recorded) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let lines = [
        "POST /party/v1/x HTTP/1.1\r\nhost: x\r\n",
        "POST /party/v1/x HTTP/1.0\r\n",
    ];
    let mut tried = 0;
    for line in lines {
        for attack in attacks() {
            let text = format!("{line}authorization: Bearer {token}\r\n{attack}");
            send(world.address, text.as_bytes()).await;
            tried += 1;
        }
    }
    {
        let recorded = recorded.lock().unwrap();
        let text = String::from_utf8_lossy(&recorded);
        assert!(
            !text.contains("/base/v1/canary"),
            "a call that nobody decided"
        );
        let calls = text.matches("/base/v1/").count();
        let own = text.matches("POST /base/v1/x HTTP/1.1\r\n").count();
        assert!(
            own > 0 && calls == own,
            "{calls} calls, {own} of them decided"
        );
        assert_eq!(text.matches(VALUE).count(), own);
    }
    for line in [
        "GET http://evil.example/party/v1/canary HTTP/1.1",
        "GET //party/v1/canary HTTP/1.1",
        "GET /party/v1/canary HTTP/1.1 HTTP/1.1",
        "GET /party/v1/canary\0 HTTP/1.1",
        "GET /party/v1/canary%0d%0ax:%20y HTTP/1.1",
        "GET /party/v1/canary#x HTTP/1.1",
        "GET\t/party/v1/canary HTTP/1.1",
        "CONNECT party:443 HTTP/1.1",
        "TRACE /party/v1/canary HTTP/1.1",
        "get /party/v1/canary HTTP/1.1",
        "GET /party/v1/../v1/canary HTTP/1.1",
        "GET /party/v1/%63anary HTTP/1.1",
    ] {
        let text = format!("{line}\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        send(world.address, text.as_bytes()).await;
        tried += 1;
    }
    assert!(tried >= 100, "{tried}");
    let recorded = recorded.lock().unwrap();
    let text = String::from_utf8_lossy(&recorded);
    assert!(!text.contains(&token), "a token went out");
    // What stands behind `#` never belongs to a request; without it this is a call that was decided.
    assert_eq!(text.matches("/base/v1/canary").count(), 1);
    assert!(text.contains("GET /base/v1/canary HTTP/1.1\r\n"));
}

async fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before it is read.
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![0; 64 * 1024];
    let reading = stream.read(&mut answer);
    let _ = tokio::time::timeout(Duration::from_millis(60), reading).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_of_many_shapes_carry_no_token_out() {
    let (upstream, recorded) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let http = crate::support::http();
    let shapes: [(&str, &str); 6] = [
        ("cookie", "token="),
        ("x-forwarded-authorization", "Bearer "),
        ("proxy-authorization", "Bearer "),
        ("forwarded", "by="),
        ("x-lanyard-token", ""),
        ("lanyard-token", ""),
    ];
    let mut sent = 0_usize;
    while sent < 10_000 {
        let calls = (0..50).map(|at| {
            let (name, before) = shapes[(sent + at) % shapes.len()];
            let request = http.get(world.url("/party/v1/x")).bearer_auth(&token);
            let request = request.header(name, format!("{before}{token}"));
            async move { request.send().await.unwrap().status() }
        });
        for status in futures::future::join_all(calls).await {
            assert_eq!(status, 200);
            sent += 1;
        }
    }
    let recorded = recorded.lock().unwrap();
    assert_eq!(
        memchr::memmem::find_iter(&recorded, b"GET /base/v1/x").count(),
        sent
    );
    assert!(memchr::memmem::find(&recorded, token.as_bytes()).is_none());
}
