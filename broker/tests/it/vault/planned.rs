//! A broker whose secrets have plans, each at a vendor of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::http::DESCRIPTIONS;
use super::vendor::{MANAGER, Vendor};
use crate::edge::harness::{Dev, client};

/// An exchange takes some seconds; on a busy machine, some more.
const LONGEST: Duration = Duration::from_secs(120);

/// A broker.
pub(super) struct World {
    pub(super) dev: Dev,
    client: Client,
    data: PathBuf,
}

impl World {
    /// One whose data is here.
    pub(super) fn start(data: &Path, variables: &[(String, String)]) -> Self {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Self {
            dev: Dev::start_with(data, &variables),
            client: client(None),
            data: data.to_owned(),
        }
    }

    /// For a command of this broker's.
    pub(super) fn at(&self) -> [&str; 2] {
        ["--data-dir", self.data.to_str().unwrap()]
    }

    pub(super) async fn asked(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        self.dev.admin(&self.client, method, path, body).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.asked(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.asked(Method::GET, path, Value::Null).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// A secret at a vendor, and how it is exchanged there; both are good for so many seconds.
    pub(super) async fn plan(&self, name: &str, owner: &str, vendor: &Vendor, overlap: u64) {
        let (reference, value) = vendor.books.make_ours();
        let manager = format!("{name}-manager");
        for (name, reference, value) in [
            (manager.as_str(), "manager", MANAGER),
            (name, &reference, &value),
        ] {
            let secret =
                json!({"name": name, "owner": owner, "reference": reference, "value": value});
            self.post("/v1/secrets", secret).await;
        }
        let (_, description) = DESCRIPTIONS[0];
        let mut third_party: Value =
            serde_json::to_value(toml::from_str::<toml::Value>(description).unwrap()).unwrap();
        third_party["kind"] = json!("http");
        third_party["base"] = json!(vendor.url);
        let plan = json!({
            "third_party": third_party,
            "manager": manager,
            "private": ["127.0.0.0/8"],
            "overlap_seconds": overlap,
            "quiet_seconds": 1,
            "call_seconds": 1,
            "settle_seconds": 2,
            "spread_seconds": 2,
        });
        let path = format!("/v1/secrets/{}/rotation", name.replace('/', "%2F"));
        self.post(&path, plan).await;
    }

    /// The rotation when it is so.
    pub(super) async fn until(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let rotation = self.get(&format!("/v1/rotations/{id}")).await;
            if is_so(&rotation) {
                return rotation;
            }
            assert!(
                began.elapsed() < LONGEST,
                "{rotation}: {}",
                self.dev.running.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn until_over(&self, id: &str) -> Value {
        self.until(id, |rotation| !rotation["outcome"].is_null())
            .await
    }
}

/// Whether both credentials are good at the moment.
pub(super) fn overlaps(rotation: &Value) -> bool {
    rotation["step"]
        .as_object()
        .is_some_and(|step| step.contains_key("overlapping"))
}
