//! A third party that means harm, or is broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lanyard_gateway::egress::upstream::{Resolver, Resolving};
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

const OK: &str = "HTTP/1.1 200 OK\r\n";

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

/// Says another address each time it is asked.
struct Rebinding {
    first: Vec<SocketAddr>,
    then: Vec<SocketAddr>,
    asked: AtomicUsize,
}

impl Resolver for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = if asked == 0 {
            self.first.clone()
        } else {
            self.then.clone()
        };
        Box::pin(async move { Ok(answer) })
    }
}

fn named(host: &str, private: &str) -> String {
    format!(
        "name = \"party\"\nupstream = \"{host}\"\nprivate = [{private}]\n[inject]\n{HEADER}\n\
         [[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/{{what}}\"\nclass = \"normal\"\n"
    )
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_never_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let reached = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let reached = Arc::clone(&reached);
        async move {
            loop {
                listener.accept().await.unwrap();
                reached.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    let open = SocketAddr::from(([192, 0, 2, 1], port));
    for (first, then) in [
        (vec![here], vec![here]),
        // One that is allowed does not make the other one so.
        (vec![open, here], vec![here]),
        (
            vec![SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), port)],
            vec![here],
        ),
        (
            vec![SocketAddr::new("64:ff9b::7f00:1".parse().unwrap(), port)],
            vec![here],
        ),
        (
            vec![SocketAddr::new("169.254.169.254".parse().unwrap(), port)],
            vec![here],
        ),
        (
            vec![SocketAddr::new("0.0.0.0".parse().unwrap(), port)],
            vec![here],
        ),
    ] {
        let resolver = Arc::new(Rebinding {
            first,
            then,
            asked: AtomicUsize::new(0),
        });
        let url = format!("https://party.example:{port}");
        let world = World::resolving(&named(&url, ""), resolver).await;
        let answer = world.get("/party/v1/x").await;
        assert_eq!(answer.status(), 502);
        assert!(answer.text().await.unwrap().contains("unreachable"));
    }
    // In clear only within networks that are named.
    let resolver = Arc::new(Rebinding {
        first: vec![here],
        then: vec![here],
        asked: AtomicUsize::new(0),
    });
    let url = format!("http://party.example:{port}");
    let world = World::resolving(&named(&url, "\"10.0.0.0/8\""), resolver).await;
    assert_eq!(world.get("/party/v1/x").await.status(), 502);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_connected_to() {
    let head = format!("{OK}content-length: 5\r\nconnection: close\r\n\r\nfirst");
    let good = answering(head.into_bytes(), None).await;
    let head = format!("{OK}content-length: 6\r\nconnection: close\r\n\r\nsecond");
    let other = answering(head.into_bytes(), None).await;
    let asked = AtomicUsize::new(0);
    let resolver = Arc::new(Rebinding {
        first: vec![good],
        then: vec![other],
        asked,
    });
    let url = format!("http://party.example:{}", good.port());
    let world = World::resolving(
        &named(&url, "\"127.0.0.0/8\""),
        Arc::<Rebinding>::clone(&resolver) as _,
    )
    .await;
    assert_eq!(
        world.get("/party/v1/x").await.text().await.unwrap(),
        "first"
    );
    assert_eq!(
        resolver.asked.load(Ordering::SeqCst),
        1,
        "once for a connection"
    );
}

#[tokio::test]
async fn an_address_is_spelled_in_one_way_or_it_is_no_upstream() {
    for host in [
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "127.0.0.1.",
        "localhost.",
        "LOCALHOST",
        "127。0。0。1",
        "user@host.example",
        "host.example#",
        "host.example\\@x",
        "host.example%00",
        "%31%32%37.0.0.1",
        "host example",
        "[::1",
        "::1",
        "0",
        "00000000.0",
        "127.0.0.1:0443",
    ] {
        let parsed: Result<lanyard_token::integration::Upstream, _> =
            format!("https://{host}").parse();
        // Where it is one, it is judged as what it is.
        assert!(parsed.is_err() || host == "[::ffff:127.0.0.1]", "{host}");
    }
    let mapped = named("https://[::ffff:127.0.0.1]", "");
    if toml::from_str::<lanyard_token::integration::Integration>(&mapped).is_ok() {
        let world = World::new(&mapped).await;
        assert_eq!(world.get("/party/v1/x").await.status(), 502);
    }
    for literal in [
        "https://127.0.0.1",
        "https://[::1]",
        "https://169.254.169.254",
        "https://10.0.0.1",
    ] {
        let world = World::new(&named(literal, "")).await;
        let answer = tokio::time::timeout(Duration::from_secs(4), world.get("/party/v1/x"));
        assert_eq!(answer.await.unwrap().status(), 502, "{literal}");
    }
}
