//! Third parties that answer what no honest one does: bounded in time and in bytes, and nothing becomes certain by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lanyard::vault::rotate::driver::Driver;
use lanyard::vault::rotate::http::{Described, Settings};
use lanyard::vault::rotate::machine::Answer;
use lanyard::vault::rotate::postgres::{self, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::http::{DESCRIPTIONS, Manager, order};
use super::servers::{this_machine, to_this_machine};

/// How long the drivers wait here.
const SHORT: Duration = Duration::from_secs(2);
/// How long one call may then really take, on a machine that has much to do.
const BOUND: Duration = Duration::from_secs(10);
/// What may be sent before somebody is cut off: what is read, and what lies in the buffers of both ends.
const MOST_SENT: u64 = 32 * 1024 * 1024;

/// What a server answers to everything.
#[derive(Clone)]
struct Reply {
    begins: Vec<u8>,
    /// Over and over again.
    goes_on: Vec<u8>,
    pause: Duration,
    /// Or it holds the connection.
    closes: bool,
}

impl Reply {
    fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            begins: bytes.into(),
            goes_on: Vec::new(),
            pause: Duration::ZERO,
            closes: true,
        }
    }

    /// As JSON, with a length that is right.
    fn json(body: &str) -> Self {
        Self::whole(format!(
            "{}{body}",
            head(&[("content-length", &body.len().to_string())])
        ))
    }

    /// A key that was made, in the words of the first description.
    fn key(id: &str, value: &str) -> Self {
        Self::json(&serde_json::json!({"id": id, "value": value}).to_string())
    }

    fn endless(begins: impl Into<Vec<u8>>, goes_on: impl Into<Vec<u8>>) -> Self {
        Self {
            goes_on: goes_on.into(),
            closes: false,
            ..Self::whole(begins)
        }
    }

    fn slow(begins: impl Into<Vec<u8>>, goes_on: &str) -> Self {
        Self {
            pause: Duration::from_secs(1),
            ..Self::endless(begins, goes_on)
        }
    }
}

fn head(headers: &[(&str, &str)]) -> String {
    let mut head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// A server that answers like that, and how much it could send.
async fn serve(reply: Reply) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, counted) = (reply.clone(), counted.clone());
            tokio::spawn(async move {
                // Whoever hangs up has heard enough.
                let _ = answer(stream, &reply, &counted).await;
            });
        }
    });
    (port, sent)
}

async fn answer(mut stream: TcpStream, reply: &Reply, sent: &AtomicU64) -> std::io::Result<()> {
    let mut asked = [0; 16 * 1024];
    if stream.read(&mut asked).await? == 0 {
        return Ok(());
    }
    if reply.goes_on.is_empty() {
        tokio::time::sleep(reply.pause).await;
    }
    stream.write_all(&reply.begins).await?;
    sent.fetch_add(reply.begins.len() as u64, Ordering::SeqCst);
    while !reply.goes_on.is_empty() {
        stream.write_all(&reply.goes_on).await?;
        sent.fetch_add(reply.goes_on.len() as u64, Ordering::SeqCst);
        tokio::time::sleep(reply.pause).await;
    }
    if reply.closes {
        stream.shutdown().await?;
    }
    // Closing before all was read would take the answer back.
    while stream.read(&mut asked).await? > 0 {}
    Ok(())
}

/// 15 MB of zeros in 100 KB: a block of DEFLATE with its own codes (RFC 1951, 3.2.6), which repeats a byte 258 times
/// over and over.
fn gzip_bomb() -> Vec<u8> {
    let (mut packed, mut bits, mut count) = (vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], 0_u32, 0);
    let mut push = |value: u32, width: u32| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            packed.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // Codes are written from their highest bit on, everything else from its lowest.
    let code = |value: u32, width: u32| value.reverse_bits() >> (32 - width);
    push(0b011, 3);
    push(code(0b0011_0000, 8), 8);
    for _ in 0..60_000 {
        push(code(0b1100_0101, 8), 8);
        push(0, 5);
    }
    push(0, 7);
    push(0, 8);
    packed
}

/// Answers that make nothing certain, whichever call gets them.
fn nonsense() -> Vec<(&'static str, Reply)> {
    let chunked = head(&[("transfer-encoding", "chunked")]);
    let length = |length: &str| head(&[("content-length", length)]);
    let many: String = (0..100_000)
        .map(|number| format!("x-{number}: x\r\n"))
        .collect();
    let deep = format!("{{\"id\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bomb = gzip_bomb();
    let bomb_length = bomb.len().to_string();
    let packed = head(&[
        ("content-encoding", "gzip"),
        ("content-length", &bomb_length),
    ]);
    vec![
        ("nothing", Reply::whole("")),
        ("silence", Reply::endless("", "")),
        ("no HTTP", Reply::whole("hello\r\n\r\n")),
        (
            "no HTTP without an end",
            Reply::endless("", vec![b'x'; 4_096]),
        ),
        (
            "a status without an end",
            Reply::endless("HTTP/1.1 200 ", vec![b'x'; 4_096]),
        ),
        (
            "100,000 headers",
            Reply::whole(format!("HTTP/1.1 200 OK\r\n{many}\r\n{{}}")),
        ),
        (
            "headers without an end",
            Reply::endless("HTTP/1.1 200 OK\r\n", "x: x\r\n".repeat(1_000)),
        ),
        (
            "a header without an end",
            Reply::endless("HTTP/1.1 200 OK\r\nx: ", vec![b'x'; 4_096]),
        ),
        (
            "\"continue\" without an end",
            Reply::endless("", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
        ),
        (
            "a head of one byte a second",
            Reply::slow("HTTP/1.1 200 OK\r\nx: ", "x"),
        ),
        (
            "a body without an end",
            Reply::endless(
                chunked.clone(),
                "1000\r\n".to_owned() + &"[".repeat(4_096) + "\r\n",
            ),
        ),
        (
            "a body of spaces without an end",
            Reply::endless(head(&[]), vec![b' '; 4_096]),
        ),
        (
            "a body of one byte a second",
            Reply::slow(chunked.clone(), "1\r\n \r\n"),
        ),
        (
            "chunks that are none",
            Reply::whole(chunked.clone() + "zz\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk longer than there is memory",
            Reply::endless(chunked.clone() + "ffffffffffffffff\r\n", vec![b' '; 4_096]),
        ),
        (
            "trailers without an end",
            Reply::endless(
                chunked.clone() + "2\r\n{}\r\n0\r\n",
                "x: x\r\n".repeat(1_000),
            ),
        ),
        (
            "a length that is too long",
            Reply::whole(length("1000") + "{\"id\":\"a\",\"value\":\"b\"}"),
        ),
        (
            "a length that is too short",
            Reply::whole(length("10") + "{\"id\":\"a\",\"value\":\"b\"}"),
        ),
        (
            "a length longer than there is memory",
            Reply::endless(length("18446744073709551615"), vec![b' '; 4_096]),
        ),
        (
            "a length that is none",
            Reply::whole(length("+22") + "{\"id\":\"a\",\"value\":\"b\"}"),
        ),
        (
            "two lengths",
            Reply::whole(
                head(&[("content-length", "2"), ("content-length", "22")])
                    + "{\"id\":\"a\",\"value\":\"b\"}",
            ),
        ),
        (
            "a gzip bomb",
            Reply::whole([packed.into_bytes(), bomb].concat()),
        ),
        ("100,000 levels", Reply::json(&deep)),
        (
            "another encoding",
            Reply::whole([length("4").into_bytes(), vec![0xff, 0xfe, b'{', 0]].concat()),
        ),
        ("no JSON", Reply::json("<html>")),
        (
            "a list of everything",
            Reply::json(&format!("[{}0]", "0,".repeat(100_000))),
        ),
        (
            "megabytes",
            Reply::json(&format!(
                "{{\"id\":\"a\",\"value\":\"{}\"}}",
                "v".repeat(4 << 20)
            )),
        ),
    ]
}

fn driver(port: u16) -> Described {
    let mut settings: Settings = toml::from_str(DESCRIPTIONS[0].1).unwrap();
    settings.base = format!("http://127.0.0.1:{port}").parse().unwrap();
    Described::new(settings, to_this_machine(), SHORT).unwrap()
}

async fn bounded<T>(what: &str, call: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let answer = tokio::time::timeout(BOUND, call).await;
    answer.unwrap_or_else(|_| panic!("{what}: still not after {:?}", begun.elapsed()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_honest_third_party_answers_is_bounded_and_makes_nothing_certain() {
    let mut trying = tokio::task::JoinSet::new();
    for (what, reply) in nonsense() {
        trying.spawn(async move {
            let (port, sent) = serve(reply).await;
            let (driver, manager) = (driver(port), Manager::new());
            let manager = manager.shows();
            let made = bounded(what, driver.create(&manager, order())).await;
            assert!(
                matches!(made.answer, Answer::Unclear(_)),
                "{what}: {:?}",
                made.answer
            );
            assert!(made.secret.is_none(), "{what}");
            let found = bounded(what, driver.find(&manager)).await;
            assert!(matches!(found, Answer::Unclear(_)), "{what}: {found:?}");
            // These two are known by their status, which some of the answers have; they are as bounded.
            bounded(what, driver.verify(&manager)).await;
            bounded(what, driver.revoke(&manager, manager.reference)).await;
            let sent = sent.load(Ordering::SeqCst);
            // Those are read and forgotten as they come, for as long as a call may take.
            let is_kept = !what.contains("continue");
            assert!(
                !is_kept || sent < MOST_SENT,
                "{what}: {sent} bytes were sent"
            );
        });
    }
    while let Some(tried) = trying.join_next().await {
        tried.unwrap();
    }
}

#[tokio::test]
async fn a_key_or_a_name_that_nobody_could_keep_is_none_and_is_looked_for() {
    let long = "k".repeat(257);
    let longer = "v".repeat(64 * 1024 + 1);
    for (id, value) in [
        ("", "v"),
        (" a", "v"),
        ("a\nb", "v"),
        ("a\u{1b}[2Jb", "v"),
        ("a\u{202e}b", "v"),
        (long.as_str(), "v"),
        ("a", ""),
        ("a", "v\r\nx-injected: 1"),
        ("a", "v\n"),
        ("a", "v\0"),
        ("a", "v\u{7f}"),
        ("a", "v\u{2028}w"),
        ("a", longer.as_str()),
        ("the-same", "the-same"),
    ] {
        let (port, _) = serve(Reply::key(id, value)).await;
        let manager = Manager::new();
        let made = driver(port).create(&manager.shows(), order()).await;
        assert!(
            matches!(made.answer, Answer::Unclear(_)),
            "{id:?}: {:?}",
            made.answer
        );
        assert!(made.secret.is_none(), "{id:?}");
    }
    let (port, _) = serve(Reply::key("a", "v")).await;
    let made = driver(port).create(&Manager::new().shows(), order()).await;
    assert!(
        matches!(made.answer, Answer::Created(_)),
        "{:?}",
        made.answer
    );
}

#[tokio::test]
async fn a_list_of_more_keys_than_anybody_has_is_none() {
    let items: Vec<_> = (0..1_001)
        .map(|number| serde_json::json!({"id": number, "name": "lanyard"}))
        .collect();
    let some = |count: usize| Reply::json(&serde_json::json!({"data": items[..count]}).to_string());
    for (count, is_taken) in [(1_000, true), (1_001, false)] {
        let (port, _) = serve(some(count)).await;
        let found = driver(port).find(&Manager::new().shows()).await;
        assert_eq!(
            matches!(found, Answer::Found(_)),
            is_taken,
            "{count}: {found:?}"
        );
    }
    // Pages that follow one another for ever: as long as one call may take, all of them together.
    let page = serde_json::json!({"data": [], "last_id": "again"}).to_string();
    let (port, _) = serve(Reply {
        pause: Duration::from_secs(1),
        ..Reply::json(&page)
    })
    .await;
    let found = bounded("pages", driver(port).find(&Manager::new().shows())).await;
    assert!(matches!(found, Answer::Unclear(_)), "{found:?}");
}

#[tokio::test]
async fn a_value_that_no_header_can_carry_is_shown_to_nobody() {
    let (port, sent) = serve(Reply::key("a", "v")).await;
    for value in [
        "v\u{1b}w",
        "v\u{7f}",
        "v\u{2028}w",
        "v\u{85}w",
        "\tv",
        "v ",
        "wört",
    ] {
        let manager = Manager::called("manager", value);
        let made = driver(port).create(&manager.shows(), order()).await;
        let refused = "the credential does not fit into a header".to_owned();
        assert_eq!(made.answer, Answer::Refused(refused), "{value:?}");
    }
    assert_eq!(sent.load(Ordering::SeqCst), 0, "nobody was asked");
}

#[tokio::test]
async fn a_server_of_roles_that_claims_more_than_there_is_gets_no_room_for_it() {
    for (what, reply) in [
        (
            "a claim",
            Reply::endless(&b"R\x7f\xff\xff\xff"[..], vec![0; 4_096]),
        ),
        (
            "the largest claim",
            Reply::endless(&b"E\xff\xff\xff\xff"[..], vec![0; 4_096]),
        ),
        (
            "a length below itself",
            Reply::endless(&b"R\0\0\0\0"[..], ""),
        ),
        (
            "notices without an end",
            Reply::endless("", b"N\0\0\0\x05\0".repeat(1_000)),
        ),
        (
            "another protocol",
            Reply::whole("HTTP/1.1 400 Bad Request\r\n\r\n"),
        ),
        ("one byte a second", Reply::slow("R", "\0")),
        ("silence", Reply::endless("", "")),
    ] {
        let (port, sent) = serve(reply).await;
        for plain in [true, false] {
            let settings = postgres::Settings {
                host: "127.0.0.1".to_owned(),
                port,
                database: "shop".to_owned(),
                roles: ["shop_a".to_owned(), "shop_b".to_owned()],
                ca_file: None,
                plain,
            };
            let driver = Postgres::new(settings, this_machine(), SHORT).unwrap();
            let manager = Manager::called("keeper", "keeps");
            let verified = bounded(what, driver.verify(&manager.shows())).await;
            assert!(
                matches!(verified, Answer::Unclear(_)),
                "{what}: {verified:?}"
            );
        }
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < MOST_SENT, "{what}: {sent} bytes were sent");
    }
}
