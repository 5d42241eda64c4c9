//! A full disk under a broker that keeps secrets: leases end, nothing new is kept, and what was begun goes on when there is
//! space.

use std::path::Path;
use std::time::{Duration, Instant};

use lanyard_gateway::egress::{self, Config};
use lanyard_sdk::DriftMode;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::planned::{World, overlaps};
use super::vendor::Vendor;
use crate::edge::harness::{answer, client};
use crate::store::full::fill;
use crate::store::power::{Mount, may_mount};

/// A lease lasts for a minute, and a busy machine comes late.
const LONGEST: Duration = Duration::from_secs(120);

/// Egress for the vendor, in the same process.
struct Egress {
    url: String,
    http: Client,
    /// The caller's.
    token: String,
    /// The gateway's own, and where it asks with it.
    own: String,
    leases: String,
}

impl Egress {
    async fn start(world: &World, folder: &Path, vendor: &Vendor) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = port.local_addr().unwrap();
        drop(port);
        let gateway = json!({
            "name": "egress-eu", "owner": "dev", "audiences": ["https://egress.example"],
            "egress": true,
        });
        let enrolment = world.post("/v1/gateways", gateway).await;
        let file = folder.join("egress.json");
        std::fs::write(&file, enrolment.to_string()).unwrap();
        let integration = json!({
            "owner": "dev", "gateways": ["egress-eu"],
            "integration": {
                "name": "vendor", "upstream": vendor.url, "private": ["127.0.0.0/8"],
                "inject": {"kind": "header", "secret": "third/key"},
                "rule": [{"method": "GET", "template": "/v1/me"}],
            },
        });
        world.post("/v1/integrations", integration).await;
        let identity = json!({
            "name": "billing", "owner": "dev", "kind": "service", "tags": [],
            "audiences": ["https://egress.example"], "scopes": "vendor:use",
        });
        world.post("/v1/identities", identity).await;
        let key = world.post("/v1/identities/billing/keys", json!({})).await;
        let http = client(None);
        let token = async |who: &Value| {
            let (id, key) = (&who["client_id"], &who["client_secret"]);
            let (id, key) = (id.as_str().unwrap(), key.as_str().unwrap());
            let (status, given) = world.dev.token(&http, id, key).await;
            assert_eq!(status, 200, "{given}");
            given["access_token"].as_str().unwrap().to_owned()
        };
        let (own, token) = (token(&enrolment).await, token(&key).await);
        let config = Config {
            enrolment: file,
            audience: None,
            state: folder.join("egress"),
            listen: at,
            tls: None,
            admin: None,
            broker_certificates: None,
            drift: DriftMode::Observe,
            proxies: Default::default(),
            telemetry: lanyard_telemetry::Settings::default(),
        };
        tokio::spawn(async { egress::run(config).await.unwrap() });
        Self {
            url: format!("http://{at}/vendor/v1/me"),
            http,
            token,
            own,
            leases: format!("{}/v1/egress/leases", world.dev.text("issuer")),
        }
    }

    /// Calls the vendor through it until it is answered so.
    async fn until_it_answers(&self, world: &World, expected: u16) -> String {
        let began = Instant::now();
        loop {
            let call = self.http.get(&self.url).bearer_auth(&self.token).send();
            let (status, text) = match call.await {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
                // It does not listen yet.
                Err(error) => (0, error.to_string()),
            };
            if status == expected {
                return text;
            }
            assert!(
                began.elapsed() < LONGEST,
                "{status}: {text}: {}",
                world.dev.running.said()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn asks_for_leases(&self) -> (u16, Value) {
        let asked = self.http.post(&self.leases).bearer_auth(&self.own);
        let (status, given) = answer(asked.json(&json!({}))).await;
        (status.as_u16(), given)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_leases_end_and_nothing_is_kept_and_an_exchange_goes_on_when_there_is_space()
{
    if !may_mount("secrets on a full disk") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Mount::new(
        &["-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs"],
        &folder.path().join("data"),
    );
    let world = World::start(&disk.0, &[]);
    let vendor = Vendor::start().await;
    world.plan("third/key", "dev", &vendor, 2).await;
    let egress = Egress::start(&world, folder.path(), &vendor).await;
    egress.until_it_answers(&world, 200).await;
    let put = async |value: &str| {
        let secret = json!({"name": "other/key", "owner": "dev", "value": value});
        world.asked(Method::POST, "/v1/secrets", secret).await.0
    };

    let begun = world
        .post("/v1/secrets/third%2Fkey/rotate", json!({}))
        .await;
    let id = begun["id"].as_str().unwrap();
    world.until(id, overlaps).await;
    let filler = disk.0.join("filler");
    let began = Instant::now();
    loop {
        fill(&filler);
        // What was prepared ahead takes some more.
        if put("sk").await == 503 {
            break;
        }
        assert!(began.elapsed() < LONGEST, "it does not become full");
    }
    assert_eq!(egress.asks_for_leases().await.0, 503);
    let told = egress.until_it_answers(&world, 503).await;
    assert!(told.contains("no_lease"), "{told}");
    // Both credentials are still there: nothing was ended that could not be written down.
    assert_eq!(vendor.books.ours().len(), 2);
    assert_eq!(
        world.get(&format!("/v1/rotations/{id}")).await["outcome"],
        Value::Null
    );
    assert_eq!(put("sk").await, 503);

    std::fs::remove_file(&filler).unwrap();
    egress.until_it_answers(&world, 200).await;
    assert_eq!(put("sk").await, 201);
    let over = world.until_over(id).await;
    assert_eq!(over["outcome"], "rotated", "{over}");
    assert_eq!(vendor.books.ours().len(), 1);
}
