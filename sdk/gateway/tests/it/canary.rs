//! Sixty planted values through leases, calls, errors and new versions: where are they found afterwards?
//!
//! Egress runs in a process of its own, because its memory is among the places that are looked at; as a crash dump would
//! hold it. What is leased at that moment is found there, and shows that the search finds. What the broker keeps is
//! looked through where the broker is tested.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use lanyard_telemetry::testing::Receiver;

use crate::process::Process;
use crate::support::serve;

const PLANTED: usize = 60;
/// Those that are still leased in the end.
const KEPT: usize = 30;

fn value(at: usize, version: u64) -> String {
    let mixed = (at as u64 * 1_000 + version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("canary/{at}.{version}+{mixed:016x}")
}

/// Says back what it was sent, in every way that it can think of.
async fn party(request: Request) -> impl IntoResponse {
    let sent = request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    let value = sent.strip_prefix("Bearer ").unwrap().to_owned();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let status = if request.uri().path().ends_with("/fail") {
        500
    } else {
        200
    };
    let body = format!(
        "{sent} {hex} {} {}",
        STANDARD_NO_PAD.encode(&value),
        value.replace('/', "%2F")
    );
    (
        http::StatusCode::from_u16(status).unwrap(),
        [("x-echo", sent)],
        body,
    )
}

/// Every spelling that is looked for.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let escaped = value.replace('/', "\\/");
    let mut spellings = vec![
        value.as_bytes().to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        encoded
            .replace("%2F", "%2f")
            .replace("%2B", "%2b")
            .into_bytes(),
        encoded.into_bytes(),
        escaped.into_bytes(),
        value.bytes().rev().collect(),
    ];
    // At each place where it can begin; its middle, so that what stands before and after does not matter.
    for before in ["", "x", "xx"] {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let base64 = engine.encode(format!("{before}{value}"));
            spellings.push(base64.as_bytes()[4..base64.len() - 2].to_vec());
        }
    }
    spellings
}

fn found_in(place: &[u8], at: usize, version: u64) -> bool {
    spellings(&value(at, version))
        .iter()
        .any(|form| memchr::memmem::find(place, form).is_some())
}

fn memory_of(process: u32) -> std::io::Result<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let mut memory = std::fs::File::open(format!("/proc/{process}/mem"))?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        memory.seek(SeekFrom::Start(start))?;
        let mut part = vec![0; usize::try_from(end - start).unwrap()];
        // Some pages are there in name only.
        if memory.read_exact(&mut part).is_ok() {
            // What was wiped, or never written, is most of it.
            let pages = part.chunks(4_096);
            pages
                .filter(|page| page.iter().any(|byte| *byte != 0))
                .for_each(|page| all.extend_from_slice(page));
        }
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_values_are_found_nowhere_but_where_they_are_leased() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path());
    let variables = receiver.as_ref().map(Receiver::variables);
    let variables = variables.unwrap_or_default();
    let upstream = serve(Router::new().fallback(party)).await;
    let egress = Process::start(folder.path(), upstream, PLANTED, value, &variables).await;

    let mut answers = String::new();
    for at in 0..PLANTED {
        for (path, expected) in [("x", 200), ("fail", 500)] {
            let (status, text) = egress.call(at, path).await;
            assert_eq!(status, expected, "{text}");
            assert!(text.contains("***"));
            answers.push_str(&text);
        }
    }
    // Half of them get a new version, as after a rotation; the others are given to nobody any more.
    *egress.leased.lock().unwrap() = (0..KEPT).map(|at| (at, 2)).collect();
    tokio::time::sleep(Duration::from_secs(7)).await;
    for at in 0..PLANTED {
        let (status, text) = egress.call(at, "x").await;
        assert_eq!(status, if at < KEPT { 200 } else { 503 }, "{at}: {text}");
        answers.push_str(&text);
    }
    let mut outside = vec![("answers", answers), ("metrics", egress.metrics().await)];
    tokio::time::sleep(Duration::from_secs(1)).await;

    let memory = memory_of(egress.id());
    let log = tokio::task::spawn_blocking(move || egress.end());
    let log = log.await.unwrap();
    // Spans are in the log, or they were sent.
    assert!(
        receiver.is_some() || log.contains("lanyard.egress.call"),
        "{log}"
    );
    outside.push(("the log", log));
    if let Some(received) = receiver.map(Receiver::end) {
        let printed =
            ["traces", "metrics", "logs"].map(|signal| received.printed(signal).to_owned());
        assert!(
            printed[0].contains("lanyard.egress.call"),
            "no span arrived"
        );
        assert!(
            printed[1].contains("lanyard.egress.calls"),
            "no metric arrived"
        );
        let [traces, metrics, logs] = printed;
        outside.push(("traces over OTLP", traces));
        outside.push(("metrics over OTLP", metrics));
        outside.push(("logs over OTLP", logs));
    }

    let places = [(0..PLANTED, 1), (0..KEPT, 2)];
    let everything = || {
        places
            .iter()
            .flat_map(|(range, version)| range.clone().map(|at| (at, *version)))
    };
    for (place, text) in &outside {
        let shown: Vec<_> = everything()
            .filter(|(at, version)| found_in(text.as_bytes(), *at, *version))
            .collect();
        assert!(shown.is_empty(), "found in {place}: {shown:?}");
    }

    let memory = match memory {
        Ok(memory) => memory,
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "the memory was not looked into: {error}"
            );
            println!("the memory was not looked into: {error}");
            return;
        }
    };
    let held: BTreeSet<_> = everything()
        .filter(|(at, version)| found_in(&memory, *at, *version))
        .collect();
    let leased: BTreeSet<_> = (0..KEPT).map(|at| (at, 2)).collect();
    println!(
        "{} planted, {} leased, {} in memory, 0 in {} places outside",
        PLANTED + KEPT,
        leased.len(),
        held.len(),
        outside.len()
    );
    assert_eq!(
        held, leased,
        "in memory is what is leased, and nothing else"
    );
}
