//! A third party that means harm, or is broken.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{HEADER, VALUE, World, party};

/// Answers every connection with these bytes, then goes on with `endless` until it is left.
pub(crate) async fn answering(head: Vec<u8>, endless: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, head.clone(), endless));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, head: Vec<u8>, endless: Option<&'static [u8]>) {
    let mut request = vec![0; 64 * 1024];
    if stream.read(&mut request).await.is_err() || stream.write_all(&head).await.is_err() {
        return;
    }
    while let Some(more) = endless {
        if stream.write_all(more).await.is_err() {
            return;
        }
    }
}

async fn world(head: impl Into<Vec<u8>>, endless: Option<&'static [u8]>, budget: &str) -> World {
    let upstream = answering(head.into(), endless).await;
    let written = party(upstream, HEADER, "").replace("[inject]", &format!("{budget}[inject]"));
    World::new(&written).await
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn a_body_without_an_end_is_cut_at_the_bound_and_does_not_look_whole() {
    let chunked = format!("{OK}transfer-encoding: chunked\r\n\r\n");
    let budget = "[budget]\nresponse_bytes = 100000\n";
    let world = world(chunked, Some(b"1000\r\n"), budget).await;
    // The chunk's own bytes are missing: what follows its size is taken for them.
    let mut answer = world.get("/party/v1/x").await;
    assert_eq!(answer.status(), 200);
    let mut read = 0;
    let ended = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => break "whole",
            Err(_) => break "cut",
        }
    };
    assert_eq!(ended, "cut");
    assert!(read <= 100_000, "{read}");
}

#[tokio::test]
async fn a_body_that_is_promised_too_long_is_not_begun() {
    let long = format!("{OK}content-length: 100001\r\n\r\n");
    let world = world(long, Some(b"x"), "[budget]\nresponse_bytes = 100000\n").await;
    let answer = world.get("/party/v1/x").await;
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().contains("answer_refused"));
}

#[tokio::test]
async fn heads_without_measure_and_answers_that_are_none_are_refused_in_words() {
    let many: String = (0..100_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(200_000));
    for head in [
        format!("{OK}{many}\r\n"),
        format!("{OK}{long}\r\n"),
        format!("{OK}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        format!("{OK}content-length: -1\r\n\r\n"),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 99999 OK\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n{VALUE}"
        ),
        String::new(),
    ] {
        let shown: String = head.chars().take(60).collect();
        let upstream = answering(head.into_bytes(), None).await;
        let world = World::new(&party(upstream, HEADER, "")).await;
        let answer = world.get("/party/v1/x").await;
        assert_eq!(answer.status(), 502, "{shown}");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains("error_description") && !text.contains(VALUE),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_compressed_answer_is_not_handed_on_since_it_could_not_be_searched() {
    for coding in ["gzip", "GZIP", "br", "identity, gzip", "x"] {
        let bomb = format!("{OK}content-encoding: {coding}\r\ncontent-length: 4\r\n\r\n\x1f\x1fab");
        let world = world(bomb, None, "").await;
        assert_eq!(world.get("/party/v1/x").await.status(), 502, "{coding}");
    }
    // As a coding of the transfer it is no less hidden.
    for coding in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: GZIP,Chunked",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: gzip",
    ] {
        let bomb = format!("{OK}{coding}\r\n\r\n4\r\n\x1f\x1fab\r\n0\r\n\r\n");
        let world = world(bomb, None, "").await;
        assert_eq!(world.get("/party/v1/x").await.status(), 502, "{coding}");
    }
    for plain in [
        format!("{OK}content-encoding: identity\r\ncontent-length: 2\r\n\r\nab"),
        format!("{OK}transfer-encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    ] {
        let world = world(plain, None, "").await;
        assert_eq!(world.get("/party/v1/x").await.text().await.unwrap(), "ab");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_ends_with_an_error() {
    let world = world(format!("{OK}content-length: 10\r\n\r\nabc"), None, "").await;
    let answer = world.get("/party/v1/x").await;
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn a_redirect_is_handed_on_and_not_followed() {
    let there = answering(format!("{OK}content-length: 0\r\n\r\n").into_bytes(), None).await;
    let head = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{there}/{VALUE}\r\ncontent-length: 0\r\n\r\n"
    );
    let world = world(head, None, "").await;
    let answer = world.get("/party/v1/x").await;
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.ends_with(&"*".repeat(VALUE.len())), "{location}");
}
