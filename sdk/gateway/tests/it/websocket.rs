//! WebSockets: what is carried, what is searched, and when one ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{HEADER, VALUE, World, carried, party};

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

    world.end(4_711);
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
        match ending {
            "a refusal" => world.refuse().await,
            "the integration" => world.end(1001),
            "the secret" => world.end(1002),
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
async fn a_websocket_ends_once_it_has_used_up_its_bytes_in_either_direction() {
    let upstream = talking().await;
    // Each word is ten bytes with the head of its frame.
    for (budget, words) in [
        ("request_bytes = 35", 3),
        ("response_bytes = 55", 5),
        ("request_bytes = 65\nresponse_bytes = 25", 2),
    ] {
        let written = party(upstream, HEADER, "websocket = true");
        let written = written.replace("[inject]", &format!("[budget]\n{budget}\n[inject]"));
        let world = World::new(&written).await;
        let (mut stream, _) = opened(&world, &world.token("party:use")).await;
        for _ in 0..words {
            assert_eq!(says(&mut stream, "12345678").await, "12345678", "{budget}");
        }
        let frame = [&[0x81, 8][..], b"12345678"].concat();
        stream.write_all(&frame).await.unwrap();
        let mut heard = Vec::new();
        let rest = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut heard));
        // Closed in order, or with what was not read.
        let _ = rest.await.expect(budget);
        assert!(heard.len() < frame.len(), "{budget}: {heard:?}");
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
