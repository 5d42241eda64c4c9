//! The kill matrix: every driver, every call of a rotation, every answer, and a broker that is killed around it.
//! A real broker, killed with SIGKILL and started again; PostgreSQL, moto and a vendor; a proxy in between.
//!
//! A case is reconciled when the rotation came to its end. Where the third party ended every credential of ours, also
//! when somebody was told within a minute and nothing was destroyed here.
//!
//! `LANYARD_KILL_MATRIX=all` tries every case. Otherwise every one of [`ONE_OF`], beginning with another one in
//! each row, so that each call, answer and moment has its turn.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::aws_iam::Account;
use super::faults::{Fault, KILLS, Proxy, TWISTS};
use super::http::DESCRIPTIONS;
use super::postgres::There;
use super::vendor::{MANAGER, Vendor};
use crate::edge::harness::{Dev, Running, client};

/// Of how many cases one is tried when not all are.
const ONE_OF: u16 = 29;
/// More than a rotation makes; what is beyond its last call strikes nothing, and that is said.
const MOST_CALLS: usize = 14;
/// Cases at the same time: each waits most of the time.
const AT_ONCE: usize = 6;
/// How often it is looked whether something works.
const SAMPLE: Duration = Duration::from_millis(10);
/// Until when a rotation has to have come to its end.
const LONGEST: Duration = Duration::from_secs(120);

/// Until when somebody has to be told that nothing works any more.
const TOLD: Duration = Duration::from_secs(60);
/// Brokers listen below the ports that systems give out by themselves: one that is killed gets its own back.
const FIRST_PORT: u16 = 21_000;

/// What came of the cases.
#[derive(Default)]
struct Tally {
    cases: AtomicUsize,
    reconciled: AtomicUsize,
    without: AtomicUsize,
    orphans: AtomicUsize,
}

/// A third party, its proxy, and what it really knows.
enum Third {
    Vendor {
        vendor: Vendor,
        description: &'static str,
    },
    Aws(Box<Account>),
    Postgres(Box<There>),
}

impl Third {
    async fn start(name: &str) -> Self {
        match name {
            "postgres" => Self::Postgres(Box::new(There::new().await)),
            "aws_iam" => Self::Aws(Box::new(Account::new().await)),
            name => Self::Vendor {
                vendor: Vendor::start().await,
                description: DESCRIPTIONS
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, text)| *text)
                    .unwrap(),
            },
        }
    }

    async fn proxy(&self, fault: Fault) -> Proxy {
        match self {
            Self::Vendor { vendor, .. } => Proxy::http(vendor.url.clone(), fault).await,
            Self::Aws(account) => {
                Proxy::http(format!("http://127.0.0.1:{}", account.server.port), fault).await
            }
            Self::Postgres(there) => Proxy::postgres(there.server.port, fault).await,
        }
    }

    /// The first credential: what the third party calls it, and its value.
    async fn first(&self) -> (String, String) {
        match self {
            Self::Vendor { vendor, .. } => vendor.books.make_ours(),
            Self::Aws(account) => account.make().await,
            Self::Postgres(there) => there.first().await,
        }
    }

    /// What manages: its name there, and its value.
    fn manager(&self) -> (String, String) {
        match self {
            Self::Vendor { .. } => ("manager".to_owned(), MANAGER.to_owned()),
            Self::Aws(account) => account.manager_text(),
            Self::Postgres(_) => ("keeper".to_owned(), "keeps".to_owned()),
        }
    }

    fn plan(&self, port: u16) -> Value {
        let third_party = match self {
            Self::Vendor { description, .. } => {
                let mut settings: Value =
                    serde_json::to_value(toml::from_str::<toml::Value>(description).unwrap())
                        .unwrap();
                settings["base"] = json!(format!("http://127.0.0.1:{port}"));
                settings["kind"] = json!("http");
                settings
            }
            Self::Aws(_) => json!({
                "kind": "aws_iam",
                "user": "shop",
                "iam": format!("http://127.0.0.1:{port}/"),
                "sts": format!("http://127.0.0.1:{port}/"),
            }),
            Self::Postgres(_) => json!({
                "kind": "postgres",
                "host": "127.0.0.1",
                "port": port,
                "database": "postgres",
                "roles": ["shop_a", "shop_b"],
                "plain": true,
            }),
        };
        json!({
            "third_party": third_party,
            "manager": "third/manager",
            "overlap_seconds": 1,
            "quiet_seconds": 1,
            "call_seconds": 1,
            "settle_seconds": 2,
            "spread_seconds": 2,
        })
    }

    /// Ends every credential of ours.
    async fn end_all(&self) {
        match self {
            Self::Vendor { vendor, .. } => vendor.books.end_ours(),
            Self::Aws(account) => account.end_all().await,
            Self::Postgres(there) => there.end_all().await,
        }
    }

    /// Names of our credentials that work, asked of the third party itself.
    async fn working(&self) -> BTreeSet<String> {
        match self {
            Self::Vendor { vendor, .. } => vendor.books.ours(),
            Self::Aws(account) => account.keys().await,
            Self::Postgres(there) => there.logging_in().await,
        }
    }
}

// Servers are waited for without giving a thread back, so there is one for each case, and as many for the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn rotation_kill_matrix() {
    let all = std::env::var("LANYARD_KILL_MATRIX").is_ok_and(|value| value == "all");
    let tally = Arc::new(Tally::default());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    let mut number: u16 = 0;
    for driver in [
        "postgres",
        "aws_iam",
        "bearer-keys",
        "basic-forms",
        "header-keys",
    ] {
        for at in 0..MOST_CALLS {
            for twist in TWISTS {
                for kill in KILLS {
                    number += 1;
                    if !all && !number.is_multiple_of(ONE_OF) {
                        continue;
                    }
                    let fault = Fault { at, twist, kill };
                    let (tally, places) = (tally.clone(), places.clone());
                    let port = FIRST_PORT + 2 * number;
                    running.spawn(async move {
                        let _place = places.acquire().await.unwrap();
                        case(driver, fault, port, &tally).await;
                    });
                }
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    println!(
        "{} cases, {} reconciled, {} without a working credential, {} orphans",
        of(&tally.cases),
        of(&tally.reconciled),
        of(&tally.without),
        of(&tally.orphans)
    );
    assert!(of(&tally.cases) > 0);
    assert_eq!(of(&tally.reconciled), of(&tally.cases));
    assert_eq!(of(&tally.without), 0);
    assert_eq!(of(&tally.orphans), 0);
}

async fn case(driver: &'static str, fault: Fault, port: u16, tally: &Tally) {
    let third = Arc::new(Third::start(driver).await);
    let (reference, value) = third.first().await;
    let proxy = third.proxy(fault).await;
    let folder = tempfile::tempdir().unwrap();
    let http = client(None);
    let mut broker = Broker::start(folder.path(), port);
    let (manager, manages) = third.manager();
    broker.put(&http, "third/manager", &manager, &manages).await;
    broker.put(&http, "third/key", &reference, &value).await;
    let planned = broker
        .post(
            &http,
            "/v1/secrets/third%2Fkey/rotation",
            third.plan(proxy.port),
        )
        .await;
    assert!(planned.is_ok(), "{planned:?}");

    // From here on something of ours works at every instant.
    let force = Arc::new(std::sync::Mutex::new(reference.clone()));
    let without = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(OnceLock::new());
    let ending = {
        let (third, shared, ended) = (third.clone(), proxy.shared.clone(), ended.clone());
        tokio::spawn(async move {
            shared.end.notified().await;
            ended.get_or_init(Instant::now);
            third.end_all().await;
            shared.ended.notify_one();
        })
    };
    let sampler = {
        let (third, force, without) = (third.clone(), force.clone(), without.clone());
        let ended = ended.clone();
        tokio::spawn(async move {
            loop {
                // What is in force may change while the third party is asked: either one counts.
                let before = force.lock().unwrap().clone();
                let working = third.working().await;
                let after = force.lock().unwrap().clone();
                if !working.contains(&before) && !working.contains(&after) && ended.get().is_none()
                {
                    without.fetch_add(1, Ordering::SeqCst);
                }
                tokio::time::sleep(SAMPLE).await;
            }
        })
    };

    let begun = Instant::now();
    let mut rotation = None;
    let mut is_over = false;
    let reconciled = loop {
        if begun.elapsed() > LONGEST {
            break false;
        }
        tokio::select! {
            () = proxy.shared.kill.notified() => {
                broker = broker.killed(&proxy, folder.path(), port);
                continue;
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        if let Ok(secret) = broker.get(&http, "/v1/secrets/third%2Fkey").await
            && let Some(now) = in_force(&secret)
        {
            *force.lock().unwrap() = now;
        }
        let Some(id) = rotation.clone() else {
            // Whether it was begun, a broker that was killed meanwhile says in its list.
            let known = broker.get(&http, "/v1/rotations").await;
            rotation = known
                .ok()
                .and_then(|list| list["rotations"][0]["id"].as_str().map(str::to_owned));
            if rotation.is_none() {
                let asking = broker.post(&http, "/v1/secrets/third%2Fkey/rotate", json!({}));
                tokio::select! {
                    _ = asking => {}
                    () = proxy.shared.kill.notified() => {
                        broker = broker.killed(&proxy, folder.path(), port);
                    }
                }
            }
            continue;
        };
        let Ok(shown) = broker.get(&http, &format!("/v1/rotations/{id}")).await else {
            continue;
        };
        if !shown["outcome"].is_null() {
            is_over = true;
            break shown["outcome"] == "rotated" || shown["outcome"] == "reverted";
        }
        if let Some(ended) = ended.get()
            && (!shown["alarm"].is_null() || ended.elapsed() > TOLD)
        {
            // What was in force before is still kept, whatever the third party did to it.
            let secret = broker.get(&http, "/v1/secrets/third%2Fkey").await;
            let is_kept = secret.is_ok_and(|secret| secret["versions"][0]["state"] != "retired");
            break !shown["alarm"].is_null() && ended.elapsed() <= TOLD && is_kept;
        }
    };
    sampler.abort();
    ending.abort();
    let secret = broker.get(&http, "/v1/secrets/third%2Fkey").await.unwrap();
    let left = third.working().await;
    let orphans: Vec<&String> = left
        .iter()
        // Where a rotation still goes on, what it makes is none.
        .filter(|name| is_over && Some((*name).clone()) != in_force(&secret))
        .collect();
    tally.cases.fetch_add(1, Ordering::SeqCst);
    tally
        .reconciled
        .fetch_add(usize::from(reconciled), Ordering::SeqCst);
    tally.orphans.fetch_add(orphans.len(), Ordering::SeqCst);
    let without = without.load(Ordering::SeqCst);
    tally.without.fetch_add(without, Ordering::SeqCst);
    if !reconciled || without > 0 || !orphans.is_empty() {
        let list = broker.get(&http, "/v1/rotations").await;
        println!(
            "{driver}, {fault:?}: reconciled {reconciled}, {without} samples without, orphans {orphans:?}\n{list:?}\n{}",
            broker.0.running.said()
        );
    }
}

fn in_force(secret: &Value) -> Option<String> {
    let versions = secret["versions"].as_array()?;
    let active = versions
        .iter()
        .find(|version| version["state"] == "active")?;
    Some(active["reference"].as_str()?.to_owned())
}

/// A newcomer's broker.
struct Broker(Dev);

impl Broker {
    fn start(folder: &Path, port: u16) -> Self {
        let (listen, admin) = (
            format!("127.0.0.1:{port}"),
            format!("127.0.0.1:{}", port + 1),
        );
        let arguments = [
            "dev",
            "--json",
            "--listen",
            &listen,
            "--admin-listen",
            &admin,
            "--data-dir",
            folder.to_str().unwrap(),
        ];
        let mut running = Running::start_with(&arguments, &[]);
        let printed = serde_json::from_str(&running.line()).unwrap();
        Self(Dev { running, printed })
    }

    /// Kills it, says so, and starts another one where it was.
    fn killed(self, proxy: &Proxy, folder: &Path, port: u16) -> Self {
        self.0.running.signal("KILL");
        proxy.shared.killed.notify_one();
        // Until it has ended its port is taken.
        self.0.running.status();
        Self::start(folder, port)
    }

    async fn put(&self, http: &Client, name: &str, reference: &str, value: &str) {
        let body = json!({
            "name": name, "owner": self.owner(http).await, "value": value, "reference": reference,
        });
        let put = self.post(http, "/v1/secrets", body).await;
        assert!(put.is_ok(), "{put:?}");
    }

    async fn owner(&self, http: &Client) -> String {
        let owners = self.get(http, "/v1/owners").await.unwrap();
        owners["owners"][0]["name"].as_str().unwrap().to_owned()
    }

    async fn get(&self, http: &Client, path: &str) -> Result<Value, String> {
        self.call(http, Method::GET, path, Value::Null).await
    }

    async fn post(&self, http: &Client, path: &str, body: Value) -> Result<Value, String> {
        self.call(http, Method::POST, path, body).await
    }

    /// A broker that was killed does not answer.
    async fn call(
        &self,
        http: &Client,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, String> {
        let mut request = http
            .request(
                method.clone(),
                format!("{}{path}", self.0.text("admin_url")),
            )
            .timeout(Duration::from_secs(20))
            .bearer_auth(self.0.text("admin_token"));
        if method != Method::GET {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let good = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if good {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        } else {
            Err(text)
        }
    }
}
