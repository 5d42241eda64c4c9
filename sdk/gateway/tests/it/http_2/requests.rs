//! Callers who send frames of their own: over HTTP/2 a head holds whatever bytes it likes, and what goes out is HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, OK, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, fields, first, frame, head,
};
use crate::smuggling::recorder;
use crate::support::{HEADER, VALUE, World, party};

/// What would be smuggled.
const CANARY: &str = "GET /base/v1/canary HTTP/1.1\r\nhost: x\r\n\r\n";
/// Who has not answered by then waits for more of the request.
const WITHIN: Duration = Duration::from_secs(3);

/// How a connection, or its first stream, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// With an answer: the first byte of its head.
    Answered(u8),
    /// The stream, or the connection, was given up.
    Refused,
    /// Nothing came.
    Waiting,
}

/// Sends these frames after the preface, and waits for what becomes of the first stream.
async fn said(address: SocketAddr, frames: &[u8]) -> Ended {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames].concat();
    // It may be refused before it is read.
    let _ = stream.write_all(&start).await;
    let mut read = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let reading = async {
        loop {
            let mut rest = read.as_slice();
            while let Some(((kind, _, number, payload), more)) = first(rest) {
                match kind {
                    HEADERS if number == 1 => return Ended::Answered(payload[0]),
                    RST_STREAM if number == 1 => return Ended::Refused,
                    GOAWAY => return Ended::Refused,
                    _ => rest = more,
                }
            }
            read = rest.to_vec();
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ended::Refused,
                Ok(some) => read.extend_from_slice(&buffer[..some]),
            }
        }
    };
    timeout(WITHIN, reading).await.unwrap_or(Ended::Waiting)
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A call that is in order.
fn call(method: &str, token: &str) -> Fields {
    [
        (":method", method),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", "/party/v1/x"),
        ("authorization", &format!("Bearer {token}")),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

/// The call with one of its fields in another way.
fn with(token: &str, name: &str, value: impl AsRef<[u8]>) -> Fields {
    let mut fields = call("GET", token);
    let field = fields.iter_mut().find(|(own, _)| own == name.as_bytes());
    field.unwrap().1 = value.as_ref().to_vec();
    fields
}

/// The call with one more field.
fn and(token: &str, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Fields {
    let mut fields = call("GET", token);
    fields.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    fields
}

/// Heads that would be two requests, or another one, once they are written as HTTP/1.1.
fn heads(token: &str) -> Vec<Fields> {
    let lines = format!(" HTTP/1.1\r\nhost: x\r\n\r\n{CANARY}");
    let mut heads = Vec::new();
    for path in [
        format!("/party/v1/x{lines}"),
        format!("/party/v1/x{}", lines.replace('\r', "")),
        format!("/party/v1/x{}", lines.replace('\n', "")),
        format!("/party/v1/x?a=b{lines}"),
        format!("/party/v1/x#{lines}"),
        "/party/v1/canary HTTP/1.1".to_owned(),
        "/party/v1/canary\0".to_owned(),
        "/party/v1/canary\t".to_owned(),
        "/party/v1/x\r\nx: canary".to_owned(),
        "/party/v1/x%0d%0a%0d%0acanary".to_owned(),
        "/party/v1/../v1/canary".to_owned(),
        "//party/v1/canary".to_owned(),
        "http://evil.example/party/v1/canary".to_owned(),
        "party/v1/canary".to_owned(),
        "*".to_owned(),
        String::new(),
    ] {
        heads.push(with(token, ":path", path));
    }
    heads.push(with(token, ":path", b"/party/v1/canary\xc4\x8d\xc4\x8a"));
    for method in [
        format!("GET /base/v1/x{lines}"),
        format!("GET\r\n\r\n{CANARY}"),
        "GET /base/v1/canary".to_owned(),
        "CONNECT".to_owned(),
        String::new(),
    ] {
        heads.push(with(token, ":method", method));
    }
    for authority in ["x\r\nx: canary", "canary@x", "x/canary", "x canary"] {
        heads.push(with(token, ":authority", authority));
    }
    for scheme in ["http://x/canary?", "http\r\nx: canary"] {
        heads.push(with(token, ":scheme", scheme));
    }
    for (name, value) in [
        ("x-a", format!("b\r\n\r\n{CANARY}")),
        ("x-a", format!("b\n\n{CANARY}")),
        ("x-a", "b\rx-canary: 1".to_owned()),
        ("x-a", "b\0canary".to_owned()),
        ("x-a: canary\r\nx-b", "c".to_owned()),
        ("x-a:canary", "b".to_owned()),
        ("x-canary\n", "b".to_owned()),
        ("X-Canary", "b".to_owned()),
        ("x canary", "b".to_owned()),
        ("", "canary".to_owned()),
        ("transfer-encoding", "chunked, canary".to_owned()),
        ("connection", "canary".to_owned()),
        ("proxy-connection", "canary".to_owned()),
        ("keep-alive", "canary".to_owned()),
        ("upgrade", "canary".to_owned()),
        ("te", "canary".to_owned()),
        ("host", "canary".to_owned()),
        (":path", "/party/v1/canary".to_owned()),
        (":method", "POST".to_owned()),
        (":authority", "canary".to_owned()),
        (":canary", "1".to_owned()),
        (":status", "200".to_owned()),
        (":protocol", "websocket".to_owned()),
        ("content-length", "canary".to_owned()),
    ] {
        heads.push(and(token, name, value));
    }
    for missing in [":path", ":method", ":scheme"] {
        let mut fields = call("GET", token);
        fields.retain(|(name, _)| name != missing.as_bytes());
        heads.push(fields);
    }
    heads
}

/// Bodies that one reader ends elsewhere than another, and frames out of place. No part of them is a call in order.
fn frames(token: &str) -> Vec<Vec<u8>> {
    let post = |more: &[(&str, &str)]| {
        let own = more
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let all: Fields = call("POST", token).into_iter().chain(own).collect();
        head(1, 0, &fields(all))
    };
    let canary = CANARY.as_bytes();
    let ended = frame(DATA, END_STREAM, 1, canary);
    let get = fields(call("GET", token));
    let trailers = |name: &str, value: &str| {
        let trailers = head(1, END_STREAM, &fields([(name, value)]));
        [post(&[]), frame(DATA, 0, 1, b"a"), trailers].concat()
    };
    let never = [
        frame(HEADERS, END_STREAM, 1, &get),
        frame(CONTINUATION, 0, 1, b"").repeat(20_000),
    ];
    vec![
        [post(&[("content-length", "0")]), ended.clone()].concat(),
        [post(&[("content-length", "1")]), ended.clone()].concat(),
        [post(&[("content-length", "1000")]), ended.clone()].concat(),
        [
            post(&[("content-length", "0"), ("content-length", "42")]),
            ended,
        ]
        .concat(),
        trailers(":path", "/party/v1/canary"),
        trailers("x-a", "b\r\nx-canary: 1"),
        trailers("transfer-encoding", "canary"),
        // Out of place, or of a length that none has.
        [frame(DATA, END_STREAM, 1, canary)].concat(),
        [frame(DATA, 0, 0, canary)].concat(),
        [frame(HEADERS, END_STREAM | END_HEADERS, 2, &get)].concat(),
        [frame(HEADERS, END_STREAM | END_HEADERS, 0, &get)].concat(),
        [frame(CONTINUATION, END_HEADERS, 1, &get)].concat(),
        [
            frame(HEADERS, END_STREAM, 1, &get),
            frame(PING, 0, 0, &[0; 8]),
        ]
        .concat(),
        [frame(PING, 0, 0, b"short")].concat(),
        [frame(SETTINGS, 0, 0, b"odd")].concat(),
        [frame(WINDOW_UPDATE, 0, 0, &[0; 4])].concat(),
        [frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])].concat(),
        // An index that no table has, and a text that is longer than its frame.
        head(1, END_STREAM, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        head(1, END_STREAM, &[0x10, 0x7f, 0xff, 0xff, 0xff, 0x7f, b'a']),
        // Heads without measure, and one without an end.
        head(
            1,
            END_STREAM,
            &fields(and(token, "x-canary", "a".repeat(200_000))),
        ),
        never.concat(),
        vec![b'c'; 40_000],
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_frames_of_a_caller_become_a_call_that_nobody_decided() {
    let (upstream, recorded) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let good = head(1, END_STREAM, &fields(call("GET", &token)));
    assert_eq!(said(world.address, &good).await, Ended::Answered(OK));
    let heads = heads(&token);
    let mut attacks: Vec<_> = heads
        .into_iter()
        .map(|fields_of| head(1, END_STREAM, &fields(fields_of)))
        .collect();
    attacks.extend(frames(&token));
    assert!(attacks.len() >= 60, "{}", attacks.len());
    for attack in &attacks {
        let ended = said(world.address, attack).await;
        let shown = String::from_utf8_lossy(&attack[..attack.len().min(600)]);
        assert_ne!(ended, Ended::Waiting, "{shown:?}");
    }
    let good = said(world.address, &good).await;
    assert_eq!(good, Ended::Answered(OK), "it serves on");
    let recorded = recorded.lock().unwrap();
    let text = String::from_utf8_lossy(&recorded);
    assert!(!text.contains("canary"), "{text}");
    assert!(!text.contains(&token), "a token went out");
    let calls = text.matches("/base/").count();
    let own = ["GET", "POST"].map(|method| {
        text.matches(&format!("{method} /base/v1/x HTTP/1.1\r\n"))
            .count()
    });
    assert_eq!(calls, own.iter().sum::<usize>(), "{text}");
    assert_eq!(text.matches(VALUE).count(), calls, "{text}");
}

/// A stream is cheap for whoever opens it and takes it back at once (CVE-2023-44487).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_takes_back_each_stream_is_ended() {
    let (upstream, _) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let block = fields(call("GET", &token));
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&start).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let sending = async {
        for number in (1..2 * 50_000).step_by(2) {
            let both = [
                head(number, END_STREAM, &block),
                frame(RST_STREAM, 0, number, &8_u32.to_be_bytes()),
            ];
            if writing.write_all(&both.concat()).await.is_err() {
                return;
            }
        }
        // Whoever took all of it has not ended it.
        std::future::pending::<()>().await;
    };
    let ended = async {
        let mut read = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let mut rest = read.as_slice();
            while let Some(((kind, ..), more)) = first(rest) {
                if kind == GOAWAY {
                    return;
                }
                rest = more;
            }
            read = rest.to_vec();
            match reading.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(some) => read.extend_from_slice(&buffer[..some]),
            }
        }
    };
    let either = async {
        tokio::select! {
            () = ended => {}
            () = sending => {}
        }
    };
    assert!(timeout(Duration::from_secs(30), either).await.is_ok());
    assert_eq!(world.get("/party/v1/x").await.status(), 200);
}
