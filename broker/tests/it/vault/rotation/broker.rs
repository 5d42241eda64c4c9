//! A newcomer's broker that may be killed, and comes back where it was.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::edge::harness::{Dev, Running};

/// Ports that systems give out by themselves begin above these: a broker that is killed gets its own back.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
/// How long a broker may take to answer; debug builds on a busy machine take a while.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Broker {
    folder: tempfile::TempDir,
    ports: (u16, u16),
    http: Client,
    dev: Option<Dev>,
}

impl Broker {
    /// A new one, in a folder of its own.
    pub(super) async fn new(http: Client) -> Self {
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            ports: (free_port(), free_port()),
            http,
            dev: None,
        };
        broker.start().await;
        broker
    }

    async fn start(&mut self) {
        let (listen, admin) = (
            format!("127.0.0.1:{}", self.ports.0),
            format!("127.0.0.1:{}", self.ports.1),
        );
        let folder = self.folder.path().to_str().unwrap().to_owned();
        // It is waited for by a thread that has nothing else to do.
        let started = tokio::task::spawn_blocking(move || {
            let arguments = [
                "dev",
                "--json",
                "--listen",
                &listen,
                "--admin-listen",
                &admin,
                "--data-dir",
                &folder,
            ];
            let mut running = Running::start_with(&arguments, &[]);
            let printed = serde_json::from_str(&running.line()).unwrap();
            Dev { running, printed }
        });
        self.dev = Some(started.await.unwrap());
    }

    /// Kills it, says so, and starts another one where it was.
    pub(super) async fn kill(&mut self, killed: &tokio::sync::Notify) {
        // SIGKILL; until it has ended its ports are taken.
        drop(self.dev.take());
        killed.notify_one();
        self.start().await;
    }

    fn dev(&self) -> &Dev {
        self.dev.as_ref().unwrap()
    }

    /// What it has said on standard error since it was started last.
    pub(super) fn said(&self) -> String {
        self.dev().running.said()
    }

    pub(super) async fn put(&self, name: &str, (reference, value): (&str, &str)) {
        let owners = self.get("/v1/owners").await.unwrap();
        let body = json!({
            "name": name, "owner": owners["owners"][0]["name"], "value": value, "reference": reference,
        });
        let put = self.post("/v1/secrets", body).await;
        assert!(put.is_ok(), "{put:?}");
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.call(Method::POST, path, body).await
    }

    /// A broker that was killed does not answer.
    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let dev = self.dev();
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", dev.text("admin_url")))
            .timeout(PATIENCE)
            .bearer_auth(dev.text("admin_token"));
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

/// One that nobody listens at; no two are the same, and other processes begin elsewhere.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap();
    loop {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
