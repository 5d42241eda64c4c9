//! A third party that means harm over HTTP/2, which is spoken wherever one offers it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::time::timeout;

use super::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, OK, PING, PREFACE,
    PUSH_PROMISE, RST_STREAM, SETTINGS, fields, first, frame, head,
};
use crate::support::{HEADER, VALUE, World, http, party};

/// Less than a third party has for its answer.
const SOON: Duration = Duration::from_secs(20);

/// More than any bound: whoever takes so much would take more.
const ENDLESS: usize = 32 * 1024 * 1024;

/// What is answered to a stream: once, and then again and again.
#[derive(Clone, Default)]
struct Script {
    once: Vec<u8>,
    endless: Vec<u8>,
    closes: bool,
}

impl Script {
    fn once(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let once = frames.into_iter().flatten().collect();
        Self {
            once,
            ..Self::default()
        }
    }

    fn endless(mut self, frame: Vec<u8>) -> Self {
        self.endless = frame;
        self
    }

    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}

type Playing = Arc<Mutex<Script>>;

/// A third party that plays the script of the moment; where, its certificate, and the script.
fn playing() -> (SocketAddr, String, Playing) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Playing::default();
    let played = Arc::clone(&script);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let config = Arc::clone(&config);
            let script = Arc::clone(&played);
            // Whoever is left ends with an error, and so does its thread.
            std::thread::spawn(move || play(stream, config, &script));
        }
    });
    (address, made.cert.pem(), script)
}

fn play(stream: TcpStream, config: Arc<ServerConfig>, script: &Playing) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    stream.flush()?;
    let mut read = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mut rest = read.as_slice();
        while let Some(((kind, flags, number, payload), more)) = first(rest) {
            rest = more;
            match kind {
                SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
                PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, payload))?,
                HEADERS => {
                    let Script {
                        once,
                        endless,
                        closes,
                    } = script.lock().unwrap().clone();
                    stream.write_all(&numbered(&once, number))?;
                    stream.flush()?;
                    if !endless.is_empty() {
                        let endless = numbered(&endless, number);
                        for _ in 0..ENDLESS / endless.len() {
                            stream.write_all(&endless)?;
                        }
                        return Ok(());
                    }
                    if closes {
                        return Ok(());
                    }
                }
                _ => {}
            }
            stream.flush()?;
        }
        read = rest.to_vec();
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            some => read.extend_from_slice(&buffer[..some]),
        }
    }
}

/// Scripts are written for the first stream.
fn numbered(frames: &[u8], number: u32) -> Vec<u8> {
    let mut rest = frames;
    let mut renumbered = Vec::new();
    while let Some(((kind, flags, stream, payload), more)) = first(rest) {
        let number = if stream == 1 { number } else { stream };
        renumbered.extend(frame(kind, flags, number, payload));
        rest = more;
    }
    renumbered.extend(rest);
    renumbered
}

async fn world(budget: &str) -> (World, Playing) {
    let (upstream, pem, script) = playing();
    let more = format!("certificates = '''{pem}'''");
    let plain = format!("http://{upstream}");
    let secure = format!("https://localhost:{}", upstream.port());
    let written = party(upstream, HEADER, &more).replace(&plain, &secure);
    let written = written.replace("[inject]", &format!("{budget}[inject]"));
    (World::new(&written).await, script)
}

/// `:status: 200`, and more.
fn ok(more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![OK];
    block.extend(fields(more.iter().copied()));
    block
}

fn refused() -> Vec<(&'static str, Script)> {
    let many: Vec<_> = (0..100_000)
        .map(|n| (format!("x-{n}"), n.to_string()))
        .collect();
    let mut many_fields = vec![OK];
    many_fields.extend(fields(many));
    let status = |status: &str| fields([(":status", status)]);
    let answer = |block: &[u8]| Script::once([head(1, END_STREAM, block)]);
    let reset = frame(RST_STREAM, 0, 1, &1_u32.to_be_bytes());
    let away = frame(GOAWAY, 0, 0, &[0; 8]);
    let pushed = [&2_u32.to_be_bytes()[..], &ok(&[])].concat();
    vec![
        ("a hundred thousand headers", answer(&many_fields)),
        (
            "a long header",
            answer(&ok(&[("x-long", &"a".repeat(200_000))])),
        ),
        (
            "a head without an end",
            Script::once([frame(HEADERS, 0, 1, &ok(&[]))]).endless(frame(
                CONTINUATION,
                0,
                1,
                &fields([("x", "y")]),
            )),
        ),
        (
            "a head that goes on with nothing",
            Script::once([frame(HEADERS, 0, 1, &ok(&[]))]).endless(frame(CONTINUATION, 0, 1, &[])),
        ),
        ("another protocol", answer(&status("101"))),
        ("a status that is none", answer(&status("99999"))),
        ("a status with a line", answer(&status("200\r\nx: y"))),
        ("no status", answer(&fields([("x", "y")]))),
        (
            "a value with a line",
            answer(&ok(&[("x-a", "b\r\nset-cookie: c")])),
        ),
        ("a name with a line", answer(&ok(&[("x-a\r\nx-b", "c")]))),
        ("a name in capitals", answer(&ok(&[("X-A", "b")]))),
        ("a header of a hop", answer(&ok(&[("connection", "x")]))),
        ("chunks", answer(&ok(&[("transfer-encoding", "chunked")]))),
        (
            "a coding",
            Script::once([
                head(1, 0, &ok(&[("content-encoding", "gzip")])),
                frame(DATA, END_STREAM, 1, b"\x1f\x1f"),
            ]),
        ),
        (
            "two lengths",
            Script::once([
                head(
                    1,
                    0,
                    &ok(&[("content-length", "1"), ("content-length", "2")]),
                ),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]),
        ),
        (
            "an index that no table has",
            answer(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ),
        (
            "a body without a head",
            Script::once([frame(DATA, END_STREAM, 1, VALUE.as_bytes())]),
        ),
        (
            "an answer that nobody asked for",
            Script::once([
                frame(PUSH_PROMISE, END_HEADERS, 1, &pushed),
                head(1, END_STREAM, &ok(&[])),
            ]),
        ),
        (
            "settings that are none",
            Script::once([frame(SETTINGS, 0, 0, b"odd")]),
        ),
        ("no frame at all", Script::once([vec![b'x'; 40_000]])),
        ("a stream that is taken back", Script::once([reset])),
        (
            "a connection that is taken back",
            Script::once([away]).closing(),
        ),
        ("nothing", Script::default().closing()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_over_http_2_that_are_none_are_refused_in_words_and_the_next_call_is_made() {
    let (world, script) = world("").await;
    for (name, hostile) in refused() {
        *script.lock().unwrap() = hostile;
        let answer = timeout(SOON, world.get("/party/v1/x")).await.expect(name);
        assert_eq!(answer.status(), 502, "{name}");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains("error_description") && !text.contains(VALUE),
            "{name}: {text}"
        );
        let head = head(1, 0, &ok(&[("x-echo", VALUE), ("set-cookie", "a=b")]));
        let body = frame(DATA, 0, 1, format!("say {VALUE}").as_bytes());
        let trailers = super::head(
            1,
            END_STREAM,
            &fields([("x-after", VALUE), ("set-cookie", "a=b")]),
        );
        *script.lock().unwrap() = Script::once([head, body, trailers]);
        let good = timeout(SOON, world.get("/party/v1/x")).await.expect(name);
        assert_eq!(good.status(), 200, "after {name}");
        let hidden = "*".repeat(VALUE.len());
        assert_eq!(good.headers()["x-echo"], hidden.as_str());
        assert!(!good.headers().contains_key("set-cookie"));
        assert_eq!(good.text().await.unwrap(), format!("say {hidden}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_http_2_that_is_not_what_was_promised_does_not_look_whole() {
    let (world, script) = world("[budget]\nresponse_bytes = 100000\n").await;
    let begun = |length: Option<&str>| {
        let length = length.map(|length| ("content-length", length));
        head(1, 0, &ok(length.as_slice()))
    };
    let more = frame(DATA, 0, 1, &[b'a'; 10_000]);
    let last = |data: &[u8]| frame(DATA, END_STREAM, 1, data);
    for (name, played) in [
        (
            "as promised",
            Script::once([begun(Some("3")), last(b"abc")]),
        ),
        ("no end", Script::once([begun(None)]).endless(more.clone())),
        ("too short", Script::once([begun(Some("10")), last(b"abc")])),
        ("too long", Script::once([begun(Some("3")), last(b"abcd")])),
        (
            "taken back",
            Script::once([
                begun(None),
                more.clone(),
                frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()),
            ]),
        ),
        ("broken off", Script::once([begun(None), more]).closing()),
        (
            "trailers with a line",
            Script::once([
                begun(None),
                head(1, END_STREAM, &fields([("x-a", "b\r\nc: d")])),
            ]),
        ),
    ] {
        *script.lock().unwrap() = played;
        let call = async {
            let request = http().get(world.url("/party/v1/x"));
            let request = request.bearer_auth(world.token("party:use"));
            // What came at once, and is none, ends the caller's connection before an answer has begun.
            let answer = request.send().await.ok()?;
            match answer.status().as_u16() {
                502 => None,
                200 => answer.bytes().await.ok(),
                other => panic!("{name}: {other}"),
            }
        };
        let whole = timeout(SOON, call).await.expect(name);
        assert_eq!(whole.is_some(), name == "as promised", "{name}: {whole:?}");
    }
}
