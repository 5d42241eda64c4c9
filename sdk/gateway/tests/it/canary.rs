//! Sixty planted values through leases, calls, errors and new versions: where are they found afterwards?
//!
//! Egress runs in a process of its own, because its memory is among the places that are looked at; as a crash dump would
//! hold it. What is leased at that moment is found there, and shows that the search finds.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use lanyard_gateway::egress::lease::{BrokerLeases, LeaseSource};
use lanyard_sdk::{Client, Secret};
use lanyard_token::NodeId;
use serde_json::{Value, json};

use crate::support::{Opened, http, serve};

const PLANTED: usize = 60;
/// Those that are still leased in the end.
const KEPT: usize = 30;
const BROKER: &str = "LANYARD_TEST_BROKER";

/// What the broker gives at the moment.
#[derive(Clone)]
struct Giving {
    integrations: Arc<Vec<Value>>,
    leased: Arc<Mutex<Vec<(usize, u64)>>>,
}

fn value(at: usize, version: u64) -> String {
    let mixed = (at as u64 * 1_000 + version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("canary/{at}.{version}+{mixed:016x}")
}

async fn leases(State(giving): State<Giving>, Json(question): Json<Value>) -> Json<Value> {
    if question.get("known").is_some() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let leased = giving.leased.lock().unwrap().clone();
    let leases = leased.into_iter().map(|(at, version)| {
        json!({
            "integration": format!("party-{at}"), "secret": NodeId::from_u64(2_000 + at as u64),
            "version": version, "value": value(at, version), "until": 5_000,
        })
    });
    Json(json!({
        "hash": "1", "now": 1_000, "leases": leases.collect::<Vec<_>>(), "refused": [],
        "integrations": giving.integrations.as_ref(),
    }))
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

#[test]
#[ignore = "the other half of the test below, in a process of its own"]
fn the_process_that_is_looked_into() {
    let Ok(broker) = std::env::var(BROKER) else {
        return;
    };
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stdout)
        .init();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = move |issuer: &str| {
            Client::builder(issuer)
                .client_credentials("id", Secret::new("key"))
                .build()
        };
        let scope = "lanyard:egress".parse().unwrap();
        let tokens = client(&broker)
            .unwrap()
            .tokens(broker.parse().unwrap(), scope);
        let connect = {
            let broker = broker.clone();
            Box::new(move || Ok(client(&broker)?.http().clone()))
        };
        let source: Arc<dyn LeaseSource> =
            Arc::new(BrokerLeases::new(&broker, tokens, connect).unwrap());
        let opened = Opened::new(
            source,
            Arc::new(lanyard_gateway::egress::upstream::SystemResolver),
        )
        .await;
        let scopes: Vec<_> = (0..PLANTED).map(|at| format!("party-{at}:use")).collect();
        let tokens: Vec<_> = scopes
            .chunks(20)
            .map(|scopes| opened.numbered(900, &scopes.join(" ")))
            .collect();
        println!(
            "OPEN {} {} {}",
            opened.address,
            opened.admin,
            tokens.join(" ")
        );
        // Until the other half lets go.
        let mut nothing = Vec::new();
        tokio::task::spawn_blocking(move || std::io::stdin().read_to_end(&mut nothing))
            .await
            .unwrap()
            .unwrap();
    });
}

/// Every spelling that is looked for.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    // Its middle, so that what stands before and after does not matter.
    let base64 = STANDARD_NO_PAD.encode(value);
    vec![
        value.as_bytes().to_vec(),
        hex.into_bytes(),
        encoded.into_bytes(),
        base64.as_bytes()[..base64.len() - 2].to_vec(),
        value.bytes().rev().collect(),
    ]
}

fn found_in(place: &[u8], at: usize, version: u64) -> bool {
    spellings(&value(at, version))
        .iter()
        .any(|form| memchr::memmem::find(place, form).is_some())
}

fn memory_of(child: &Child) -> std::io::Result<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id()))?;
    let mut memory = std::fs::File::open(format!("/proc/{}/mem", child.id()))?;
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
    let upstream = serve(Router::new().fallback(party)).await;
    let integrations = (0..PLANTED).map(|at| {
        let written = crate::support::party(upstream, crate::support::HEADER, "");
        crate::support::carried(
            1_000 + at as u64,
            &written.replace("\"party\"", &format!("\"party-{at}\"")),
        )
    });
    let giving = Giving {
        integrations: Arc::new(integrations.collect()),
        leased: Arc::new(Mutex::new((0..PLANTED).map(|at| (at, 1)).collect())),
    };
    let token = || async {
        Json(json!({"access_token": "own", "token_type": "Bearer", "expires_in": 300}))
    };
    let broker = Router::new()
        .route("/oauth/token", post(token))
        .route("/v1/egress/leases", post(leases))
        .with_state(giving.clone());
    let broker = serve(broker).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "canary::the_process_that_is_looked_into",
            "--ignored",
            "--nocapture",
        ])
        .env(BROKER, format!("http://{broker}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (say, said) = std::sync::mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = std::thread::spawn(move || {
        let mut all = String::new();
        for line in lines.map_while(Result::ok) {
            if let Some(open) = line.split("OPEN ").nth(1) {
                say.send(open.to_owned()).unwrap();
            } else {
                all.push_str(&line);
            }
        }
        all
    });
    let open = said.recv_timeout(Duration::from_secs(60)).unwrap();
    let open: Vec<_> = open.split(' ').collect();
    let (address, admin, tokens) = (open[0], open[1], &open[2..]);

    let mut outside = Vec::new();
    let call = |at: usize, path: &'static str| {
        let url = format!("http://{address}/party-{at}/v1/{path}");
        let request = http().get(url).bearer_auth(tokens[at / 20]);
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let head = format!("{:?}", answer.headers());
            (status, head + &answer.text().await.unwrap_or_default())
        }
    };
    for at in 0..PLANTED {
        for (path, expected) in [("x", 200), ("fail", 500)] {
            let (status, text) = call(at, path).await;
            assert_eq!(status, expected, "{text}");
            assert!(text.contains("***"));
            outside.extend_from_slice(text.as_bytes());
        }
    }
    // Half of them get a new version, as after a rotation; the others are given to nobody any more.
    *giving.leased.lock().unwrap() = (0..KEPT).map(|at| (at, 2)).collect();
    tokio::time::sleep(Duration::from_secs(7)).await;
    for at in 0..PLANTED {
        let (status, text) = call(at, "x").await;
        assert_eq!(status, if at < KEPT { 200 } else { 503 }, "{at}: {text}");
        outside.extend_from_slice(text.as_bytes());
    }
    let metrics = http()
        .get(format!("http://{admin}/metrics"))
        .send()
        .await
        .unwrap();
    outside.extend_from_slice(metrics.text().await.unwrap().as_bytes());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let memory = memory_of(&child);
    drop(child.stdin.take());
    child.wait().unwrap();
    let logs = reading.join().unwrap();
    assert!(
        logs.contains("lanyard.egress") || logs.contains("test result"),
        "{logs}"
    );
    outside.extend_from_slice(logs.as_bytes());

    let places = [(0..PLANTED, 1), (0..KEPT, 2)];
    let everything = || {
        places
            .iter()
            .flat_map(|(range, version)| range.clone().map(|at| (at, *version)))
    };
    let shown: Vec<_> = everything()
        .filter(|(at, version)| found_in(&outside, *at, *version))
        .collect();
    assert!(
        shown.is_empty(),
        "found in answers, metrics or logs: {shown:?}"
    );

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
        "{} planted, {} leased, {} in memory, 0 outside",
        PLANTED + KEPT,
        leased.len(),
        held.len()
    );
    assert_eq!(
        held, leased,
        "in memory is what is leased, and nothing else"
    );
}
