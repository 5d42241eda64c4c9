//! kill -9 at any moment of mixed load over HTTP: what was acknowledged holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::edge::harness::{Dev, client};

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Tokens nobody asked to end.
    alive: BTreeSet<String>,
    /// Tokens whose end was answered.
    dead: BTreeSet<String>,
    /// Names of identities.
    identities: BTreeSet<String>,
    /// Frames by number, as they were read.
    frames: BTreeMap<u64, Vec<u8>>,
}

type Shared = Arc<Mutex<Acknowledged>>;

/// A broker's addresses and secrets, for tasks that outlive it by a moment.
#[derive(Clone)]
struct At {
    issuer: String,
    admin_url: String,
    admin_token: String,
    key: (String, String),
    client: Client,
}

impl At {
    fn of(dev: &Dev) -> Self {
        Self {
            issuer: dev.text("issuer").to_owned(),
            admin_url: dev.text("admin_url").to_owned(),
            admin_token: dev.text("admin_token").to_owned(),
            key: (
                dev.text("client_id").to_owned(),
                dev.text("client_secret").to_owned(),
            ),
            client: client(None),
        }
    }

    /// `None` once the broker is gone.
    async fn form(&self, path: &str, form: &[(&str, &str)]) -> Option<(StatusCode, Value)> {
        let request = self
            .client
            .post(format!("{}{path}", self.issuer))
            .basic_auth(&self.key.0, Some(&self.key.1))
            .form(form);
        let response = request.send().await.ok()?;
        let status = response.status();
        let body = response.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    async fn admin(&self, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        let request = self
            .client
            .post(format!("{}{path}", self.admin_url))
            .bearer_auth(&self.admin_token)
            .json(body);
        let response = request.send().await.ok()?;
        let status = response.status();
        Some((status, response.json().await.ok()?))
    }

    async fn mint(&self) -> Option<(StatusCode, Value)> {
        self.form("/oauth/token", &[("grant_type", "client_credentials")])
            .await
    }
}

/// Slower than the limit of one identity, so that refusals are not what is tested.
const PAUSE: Duration = Duration::from_millis(40);

async fn mint_and_exchange(at: At, known: Shared) {
    while let Some((status, answer)) = at.mint().await {
        tokio::time::sleep(PAUSE).await;
        if status != 200 {
            continue;
        }
        let token = answer["access_token"].as_str().unwrap().to_owned();
        known.lock().unwrap().alive.insert(token.clone());
        let form = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", &token),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("scope", "orders:read"),
        ];
        let Some((200, answer)) = at
            .form("/oauth/token", &form)
            .await
            .map(|(status, answer)| (status.as_u16(), answer))
        else {
            continue;
        };
        let exchanged = answer["access_token"].as_str().unwrap().to_owned();
        known.lock().unwrap().alive.insert(exchanged);
    }
}

async fn mint_and_revoke(at: At, known: Shared) {
    while let Some((status, answer)) = at.mint().await {
        tokio::time::sleep(PAUSE).await;
        if status != 200 {
            continue;
        }
        let token = answer["access_token"].as_str().unwrap();
        if let Some((status, _)) = at.form("/oauth/revoke", &[("token", token)]).await
            && status == 200
        {
            known.lock().unwrap().dead.insert(token.to_owned());
        }
    }
}

async fn create_identities(at: At, known: Shared, round: usize) {
    for n in 0.. {
        let name = format!("service-{round}-{n}");
        let body = json!({
            "name": name, "owner": "dev", "kind": "service", "audiences": ["https://orders.example"]
        });
        match at.admin("/v1/identities", &body).await {
            Some((status, _)) if status == 201 => {
                known.lock().unwrap().identities.insert(name);
            }
            Some((status, answer)) => panic!("{status}: {answer}"),
            None => return,
        }
    }
}

/// Reads frame after frame, as they come.
async fn read_frames(at: At, gateway: String, known: Shared) {
    let mut n = known
        .lock()
        .unwrap()
        .frames
        .keys()
        .next_back()
        .map_or(1, |last| last + 1);
    loop {
        match frame(&at, &gateway, n).await {
            None => return,
            Some((200, bytes)) => {
                known.lock().unwrap().frames.insert(n, bytes);
                n += 1;
            }
            // Made and gone while nobody read: everything before the oldest that is kept.
            Some((410, _)) => n += 1,
            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn frame(at: &At, gateway: &str, n: u64) -> Option<(u16, Vec<u8>)> {
    let request = at
        .client
        .get(format!("{}/v1/feed/1/{n}", at.issuer))
        .bearer_auth(gateway);
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.bytes().await.ok()?.to_vec()))
}

/// Everything that was acknowledged in any round holds.
async fn verify(dev: &Dev, at: &At, gateway: &str, known: &Shared) -> u64 {
    let (alive, dead, identities, frames) = {
        let known = known.lock().unwrap();
        (
            known.alive.clone(),
            known.dead.clone(),
            known.identities.clone(),
            known.frames.clone(),
        )
    };
    let key = (at.key.0.as_str(), at.key.1.as_str());
    for token in &alive {
        assert!(
            dev.is_active(&at.client, token, key).await,
            "an acknowledged token is lost"
        );
    }
    for token in &dead {
        assert!(
            !dev.is_active(&at.client, token, key).await,
            "an acknowledged revocation is lost"
        );
    }
    let (_, list) = dev
        .admin(&at.client, Method::GET, "/v1/identities", Value::Null)
        .await;
    let listed: BTreeSet<String> = list["identities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = identities.difference(&listed).collect();
    assert!(lost.is_empty(), "{lost:?} were acknowledged and are lost");
    let mut compared = 0;
    for (n, before) in frames.iter().rev().take(200) {
        match frame(at, gateway, *n).await.unwrap() {
            (200, after) => {
                assert_eq!(&after, before, "frame {n} is another one now");
                compared += 1;
            }
            // No longer kept; what must never be is that it has not happened.
            (410, _) => {}
            (status, body) => panic!("frame {n}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_over_http_holds_after_kill_minus_nine() {
    let rounds: usize =
        std::env::var("LANYARD_BROKER_KILLS").map_or(10, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let known = Shared::default();
    let (mut gateway_key, mut compared) = (None, 0);
    for round in 0..=rounds {
        let dev = Dev::start(folder.path());
        let at = At::of(&dev);
        if gateway_key.is_none() {
            let body =
                json!({"name": "edge", "owner": "dev", "audiences": ["https://orders.example"]});
            let (status, enrolment) = at.admin("/v1/gateways", &body).await.unwrap();
            assert_eq!(status, 201, "{enrolment}");
            let text = |member: &str| enrolment[member].as_str().unwrap().to_owned();
            gateway_key = Some((text("client_id"), text("client_secret")));
        }
        let (id, secret) = gateway_key.as_ref().unwrap();
        let (status, answer) = dev.token(&at.client, id, secret).await;
        assert_eq!(status, 200, "the gateway's key is lost: {answer}");
        let gateway = answer["access_token"].as_str().unwrap().to_owned();
        compared += verify(&dev, &at, &gateway, &known).await;
        if round == rounds {
            break;
        }
        let mut load = JoinSet::new();
        load.spawn(mint_and_exchange(at.clone(), known.clone()));
        load.spawn(mint_and_revoke(at.clone(), known.clone()));
        load.spawn(create_identities(at.clone(), known.clone(), round));
        load.spawn(read_frames(at.clone(), gateway, known.clone()));
        // Another moment in each round: the remainders of a prime are spread over the whole range.
        let moment = 150 + (round as u64 * 7_919) % 397;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        dev.running.signal("KILL");
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        drop(dev);
    }
    let known = known.lock().unwrap();
    println!(
        "{rounds} kills: {} tokens, {} revocations, {} identities, {} frames hold; {compared} frames compared",
        known.alive.len(),
        known.dead.len(),
        known.identities.len(),
        known.frames.len()
    );
    for (what, count) in [
        ("tokens", known.alive.len()),
        ("revocations", known.dead.len()),
        ("identities", known.identities.len()),
        ("frames", known.frames.len()),
    ] {
        assert!(count >= rounds, "only {count} {what}");
    }
}
