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

pub(crate) type Recorded = Arc<Mutex<Vec<u8>>>;

/// A third party that keeps every byte it gets.
pub(crate) async fn recorder() -> (SocketAddr, Recorded) {
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

/// What follows the first line and the token, and whether it is refused.
fn readings() -> Vec<(&'static str, u16)> {
    vec![
        (
            "host: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
            400,
        ),
        ("host: x\r\ncontent-length: 2, 2\r\n\r\nab", 400),
        ("host: x\r\ncontent-length: +2\r\n\r\nab", 400),
        ("host: x\ncontent-length: 0\r\n\r\n", 400),
        ("host: x\r\ncontent-length: 0\n\r\n", 400),
        ("host: x\r\nhost: y\r\ncontent-length: 0\r\n\r\n", 400),
        ("host: x\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 400),
        ("content-length: 0\r\n\r\n", 400),
        // Bodies: no chunks of the standard's.
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\n0\n\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
            400,
        ),
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
            400,
        ),
        // In one way alone, and the last of its connection.
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
        ),
        (
            "host: x\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
        ),
        // Who reads chunks ignores extensions that it does not know (RFC 9112, 7.1.1), and they go no further.
        (
            "host: x\r\ntransfer-encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0;z\r\n\r\n",
            200,
        ),
    ]
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_answered_with_400_and_nothing_after_it_is_read() {
    let (upstream, recorded) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let head = format!("POST /party/v1/x HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
    let canary = format!(
        "GET /party/v1/canary HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    for (rest, status) in readings() {
        let said = whole(world.address, &format!("{head}{rest}{canary}")).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{rest:?}: {said}"
        );
        assert!(
            said.to_ascii_lowercase().contains("connection: close"),
            "{rest:?}: {said}"
        );
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{rest:?}: {said}");
    }
    // Behind a call that is in order, too: that one is answered.
    let (ambiguous, _) = readings()[1];
    let said = whole(world.address, &format!("{canary}{head}{ambiguous}{canary}")).await;
    assert!(
        said.starts_with("HTTP/1.1 200 ") && said.contains("HTTP/1.1 400 "),
        "{said}"
    );
    assert_eq!(said.matches("HTTP/1.1 ").count(), 2, "{said}");
    let recorded = recorded.lock().unwrap();
    let text = String::from_utf8_lossy(&recorded);
    assert_eq!(text.matches("/base/v1/canary").count(), 1, "{text}");
    assert!(
        !text.contains("x=\"y\"") && !text.contains("0;z"),
        "an extension went out"
    );
}

/// Sends, and reads until the connection is closed.
async fn whole(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let closed = tokio::time::timeout(Duration::from_secs(5), reading).await;
    let said = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        closed.is_ok(),
        "the connection stays open: {text:?}: {said}"
    );
    said
}
