//! What egress costs beside a direct call, and beside nginx as a plain proxy: `cargo bench -p lanyard-gateway --bench egress`;
//! with `-- --json` one object on standard output.
//!
//! One third party on this machine; three ways to it: directly, through nginx (`proxy_pass`, kept connections), and through
//! egress with its decision, its credential and its search of the answer. Each of them is a process of its own, and both
//! proxies write a line for each call, to nowhere. All in clear, so that TLS, which is the same on both proxies, hides no
//! difference. The ways take turns, round after round; what is told is the middle of the rounds.
//!
//! Every process ends with this one, however that ends: each reads its standard input, which ends then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a measurement that cannot be set up fails loudly"
)]

use std::alloc::System;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use lanyard_gateway::egress::Egress;
use lanyard_gateway::egress::lease::{Answer, Asking, LeaseSource, Question};
use lanyard_gateway::egress::upstream::SystemResolver;
use lanyard_sdk::gateway::GatewayError;
use lanyard_sdk::{Clock, DriftMode, Gateway, SystemClock};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, Delegation, KeyUse, NodeId, RootKey, TrustedKeys};
use serde_json::json;
use zeroizing_alloc::ZeroAlloc;

/// As in the program.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

const ROUNDS: usize = 5;
/// Calls one after the other, of which the middle is taken.
const CALLS: usize = 2_000;
/// Connections at a time, and for how long.
const CONNECTIONS: usize = 16;
const LOAD: Duration = Duration::from_secs(2);
/// A usual answer of an API.
const ANSWER: usize = 1_024;
/// Who has not answered by then never does.
const WITHIN: Duration = Duration::from_secs(10);
const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://egress.example";
/// Which of the processes this is, and where the third party listens.
const ROLE: &str = "LANYARD_BENCH_ROLE";
const PARTY: &str = "LANYARD_BENCH_PARTY";

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("party") => return party(),
        Ok("egress") => return egress(upstream()),
        Ok("nginx") => return nginx(upstream()),
        _ => {}
    }
    // `cargo test` starts benchmarks too, to see whether they start.
    if std::env::args().any(|argument| argument == "--bench") {
        measure(std::env::args().any(|argument| argument == "--json"));
    }
}

fn measure(is_json: bool) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    eprintln!("load before: {load}");
    let party = Process::start("party", None).unwrap();
    let egress = Process::start("egress", Some(party.address)).unwrap();
    let nginx = Process::start("nginx", Some(party.address));
    let mut ways = vec![
        Way::new("direct", party.address, "/v1/x", "none"),
        Way::new("egress", egress.address, "/party/v1/x", &egress.said),
    ];
    match &nginx {
        Some(nginx) => ways.push(Way::new("nginx", nginx.address, "/v1/x", "none")),
        None => eprintln!("nginx is not installed: EGRESS-rps is not measured"),
    }
    for round in 0..=ROUNDS {
        for way in &mut ways {
            let (p50, rps) = (way.one_by_one(), way.at_once());
            eprintln!(
                "round {round}: {:<7} {p50:>8.1} us {rps:>9.0} calls/s",
                way.name
            );
            // The first round warms up.
            if round > 0 {
                way.p50.push(p50);
                way.rps.push(rps);
            }
        }
    }
    let added = |way: &Way| {
        let rounds = way.p50.iter().zip(&ways[0].p50);
        middle(rounds.map(|(own, direct)| own - direct))
    };
    let share = ways.get(2).map(|nginx| {
        let rounds = ways[1].rps.iter().zip(&nginx.rps);
        middle(rounds.map(|(own, nginx)| own / nginx))
    });
    if is_json {
        let told: serde_json::Map<_, _> = ways.iter().map(Way::told).collect();
        let added = added(&ways[1]);
        println!(
            "{}",
            json!({"load_before": load, "ways": told, "EGRESS-p50-us": added, "EGRESS-rps": share})
        );
        return;
    }
    for way in &ways {
        let (p50, rps) = way.middles();
        println!("{:<7} p50 {p50:>8.1} us   {rps:>9.0} calls/s", way.name);
    }
    println!("EGRESS-p50-us {:.1} (at most 150)", added(&ways[1]));
    if let Some(share) = share {
        println!("nginx adds {:.1} us", added(&ways[2]));
        println!("EGRESS-rps {share:.2} of nginx (at least 0.80)");
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A process of this program, which ends when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
    said: String,
}

impl Process {
    /// `None`: what it is about is not installed.
    fn start(role: &str, party: Option<SocketAddr>) -> Option<Self> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if role == "egress" {
            command.stderr(Stdio::null());
        }
        if let Some(party) = party {
            command.env(PARTY, party.to_string());
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let Some((address, rest)) = line.trim().split_once(' ') else {
            child.wait().unwrap();
            return None;
        };
        Some(Self {
            address: address.parse().unwrap(),
            said: rest.to_owned(),
            child,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Says where it listens, and stays until the process that started it has ended.
fn stay(address: SocketAddr, more: &str) {
    println!("{address} {more}.");
    let mut nothing = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut nothing);
}

fn upstream() -> SocketAddr {
    std::env::var(PARTY).unwrap().parse().unwrap()
}

/// A way to the third party.
struct Way {
    name: &'static str,
    address: SocketAddr,
    request: Vec<u8>,
    p50: Vec<f64>,
    rps: Vec<f64>,
}

impl Way {
    fn new(name: &'static str, address: SocketAddr, path: &str, token: &str) -> Self {
        let token = token.trim_end_matches('.');
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: party\r\nauthorization: Bearer {token}\r\n\r\n");
        Self {
            name,
            address,
            request: request.into_bytes(),
            p50: Vec::new(),
            rps: Vec::new(),
        }
    }

    fn middles(&self) -> (f64, f64) {
        let middle_of = |rounds: &[f64]| middle(rounds.iter().copied());
        (middle_of(&self.p50), middle_of(&self.rps))
    }

    fn told(&self) -> (String, serde_json::Value) {
        let (p50, rps) = self.middles();
        let told = json!({"p50_us": p50, "calls_per_second": rps});
        (self.name.to_owned(), told)
    }

    fn one_by_one(&self) -> f64 {
        let mut connection = Connection::open(self.address);
        middle((0..CALLS).map(|_| {
            let began = Instant::now();
            connection.call(&self.request);
            began.elapsed().as_secs_f64() * 1e6
        }))
    }

    fn at_once(&self) -> f64 {
        let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = Connection::open(self.address);
                    while !over.load(Ordering::Relaxed) {
                        connection.call(&self.request);
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(LOAD);
            over.store(true, Ordering::Relaxed);
        });
        calls.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
    }
}

/// A client that costs as little as one can.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        Self {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    fn call(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
        let mut read = 0;
        loop {
            let more = self.stream.read(&mut self.buffer[read..]);
            let more = more.expect("no answer");
            read += more;
            let got = &self.buffer[..read];
            let head = memchr::memmem::find(got, b"\r\n\r\n");
            let is_whole = head.is_some_and(|end| read >= end + 4 + ANSWER);
            if is_whole && got.starts_with(b"HTTP/1.1 200") {
                return;
            }
            let is_refused = head.is_some() && !got.starts_with(b"HTTP/1.1 200");
            assert!(
                more > 0 && !is_refused,
                "no answer of the third party: {}",
                String::from_utf8_lossy(got)
            );
        }
    }
}

fn party() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer: &'static str = "a".repeat(ANSWER).leak();
    let routes = Router::new().fallback(move || async move { answer });
    let (listener, address) = listener();
    runtime.spawn(async move {
        let accepting = axum_server::from_tcp(listener).unwrap();
        accepting
            .acceptor(axum_server::accept::NoDelayAcceptor::new())
            .serve(routes.into_make_service())
            .await
            .unwrap();
    });
    stay(address, "");
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Gives the one lease again and again.
struct Giving(serde_json::Value);

impl LeaseSource for Giving {
    fn ask<'a>(&'a self, _: &'a Question, wait: bool) -> Asking<'a> {
        Box::pin(async move {
            if wait {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
            let mut answer = self.0.clone();
            if wait {
                answer["integrations"] = serde_json::Value::Null;
            }
            Ok(serde_json::from_value::<Answer>(answer).unwrap())
        })
    }
}

fn egress(upstream: SocketAddr) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = lanyard_telemetry::Settings {
        log_json: true,
        log_spans: true,
        ..lanyard_telemetry::Settings::default()
    };
    let now = SystemClock.now().wall.seconds();
    let mut issuer = TestIssuer::new(Algorithm::Es256, ISSUER, AUDIENCE, now);
    issuer.claims.scope = "party:use".parse().unwrap();
    let token = issuer.token_of(&issuer.claims);
    let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, now);
    let text = root.signed(Delegation::signing_input(
        ISSUER,
        &issuer.key,
        KeyUse::Mint,
        now - 10,
        now + 86_400,
    ));
    let pinned = RootKey::from_raw(root.key.raw()).unwrap();
    let delegation = Delegation::verify(&text, &pinned, ISSUER, now).unwrap();
    let make = move |routes: Vec<lanyard_sdk::Route>| {
        let keys: TrustedKeys = std::iter::once(&delegation).collect();
        let builder = Gateway::builder()
            .dangerous()
            .without_revocation(ISSUER, AUDIENCE.parse().unwrap(), keys)
            .routes(routes);
        match builder {
            Ok(builder) => Ok(builder.drift(DriftMode::Enforce).build()),
            Err(GatewayError::Routes(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    };
    let first = make(Vec::new()).unwrap();
    let reroute = Box::new(move |routes| make(routes).map(Some));
    let source = Arc::new(Giving(json!({
        "hash": "1", "now": 0,
        "integrations": [{"id": NodeId::from_u64(1_001), "owner": "bench", "integration": {
            "name": "party", "upstream": format!("http://{upstream}"), "private": ["127.0.0.0/8"],
            "inject": {"kind": "header", "secret": "party/key"},
            "rule": [{"method": "GET", "template": "/v1/{what}"}],
        }}],
        "leases": [{"integration": "party", "secret": NodeId::from_u64(1_002), "version": 1,
                    "value": "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "until": 60_000}],
    })));
    let resolver = Arc::new(SystemResolver);
    let (listener, address) = listener();
    runtime.block_on(async {
        lanyard_telemetry::start("lanyard-egress", &settings).unwrap();
        let (egress, keeper) = Egress::new(first, reroute, source, resolver, None).unwrap();
        tokio::spawn(keeper.run(std::future::pending()));
        tokio::spawn(async move { egress.serve_plain(listener).await.unwrap() });
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    stay(address, &token);
}

/// Says nothing where there is no nginx.
fn nginx(upstream: SocketAddr) {
    let place = tempfile::tempdir().unwrap();
    let (_, address) = listener();
    let folder = place.path().display();
    let text = format!(
        "daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log /dev/null; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         keepalive_requests 100000000;\n\
         upstream party {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://party; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Authorization \"Bearer x\"; }} }} }}\n"
    );
    let config = place.path().join("nginx.conf");
    std::fs::write(&config, text).unwrap();
    let started = Command::new("nginx")
        .args([
            "-c".as_ref(),
            config.as_os_str(),
            "-p".as_ref(),
            place.path().as_os_str(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut child) = started else { return };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > WITHIN || child.try_wait().unwrap().is_some() {
            eprintln!("nginx does not listen");
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if child.try_wait().unwrap().is_none() {
        stay(address, "");
    }
    if child.try_wait().unwrap().is_none() {
        // The master ends its workers when it is asked to; killed, it would leave them.
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = child.wait();
    }
}
