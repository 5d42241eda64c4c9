//! Three programs with habits: what they call, how often, on what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use lanyard_sdk::client::ClientTokens;
use lanyard_sdk::{Client, Secret};

use super::Trouble;
use super::api::AUDIENCE;
use super::broker::Broker;

/// One program.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) tokens: ClientTokens,
    http: reqwest::Client,
    habits: &'static Habits,
    /// Calls made, and those that did not succeed.
    pub(super) calls: AtomicU64,
    pub(super) failed: AtomicU64,
    random: AtomicU64,
}

/// What a program does all day.
pub(super) struct Habits {
    pub(super) name: &'static str,
    kind: &'static str,
    scopes: &'static str,
    agent: &'static str,
    network: &'static str,
    /// Method, path, and how often in a hundred; `{}` stands for an object.
    routine: &'static [(&'static str, &'static str, u64)],
    /// How many objects it deals with.
    objects: u64,
}

/// The checkout's order service reads and places orders.
pub(super) const CHECKOUT: Habits = Habits {
    name: "checkout",
    kind: "service",
    scopes: "orders:read orders:write",
    agent: "checkout/2.4 hyper/1",
    network: "10.20.1.",
    routine: &[
        ("GET", "/orders/{}", 55),
        ("POST", "/orders", 35),
        ("GET", "/orders", 10),
    ],
    objects: 5_000,
};

/// A parcel service prints labels.
pub(super) const PARCELS: Habits = Habits {
    name: "parcel-sync",
    kind: "integration",
    scopes: "orders:read orders:write",
    agent: "ParcelSync/11",
    network: "203.0.113.",
    routine: &[("GET", "/orders", 30), ("POST", "/orders/{}/label", 70)],
    objects: 2_000,
};

/// An AI agent answers questions about orders.
pub(super) const ASSISTANT: Habits = Habits {
    name: "support-assistant",
    kind: "agent",
    scopes: "orders:read customers:read",
    agent: "support-assistant/0.9",
    network: "10.20.9.",
    routine: &[("GET", "/customers/{}", 40), ("GET", "/orders/{}", 60)],
    objects: 800,
};

/// Between two calls of one program, on average.
const PAUSE: Duration = Duration::from_millis(16);

impl Member {
    /// Makes the identity and a client with its key.
    pub(super) async fn join(
        broker: &Broker,
        owner: &str,
        habits: &'static Habits,
        http: reqwest::Client,
    ) -> Result<Self, Trouble> {
        let (id, key) = broker
            .add_identity(owner, habits.name, habits.kind, AUDIENCE, habits.scopes)
            .await?;
        let client = Client::builder(&broker.issuer)
            .client_credentials(&id, Secret::new(key.expose()))
            .build()?;
        let tokens = client.tokens(AUDIENCE.parse()?, habits.scopes.parse()?);
        let seed = id.bytes().fold(0x9e37_79b9_7f4a_7c15, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        Ok(Self {
            id,
            tokens,
            http,
            habits,
            calls: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            random: AtomicU64::new(seed),
        })
    }

    /// Works until told to stop, or until it has made so many calls in all.
    pub(super) async fn work(
        &self,
        replicas: &[String],
        until: u64,
        stop: &AtomicBool,
        each: impl Fn(),
    ) {
        while !stop.load(Ordering::Relaxed) && self.calls.load(Ordering::Relaxed) < until {
            let replica = self.pick(replicas.len() as u64);
            let url = usize::try_from(replica)
                .ok()
                .and_then(|at| replicas.get(at));
            if let Some(url) = url
                && !self.call(url).await
            {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            self.calls.fetch_add(1, Ordering::Relaxed);
            each();
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// One call of its routine; whether it succeeded, however often the client had to repeat it.
    async fn call(&self, replica: &str) -> bool {
        let (method, path) = self.next();
        let request = self
            .http
            .request(method, format!("{replica}{path}"))
            .header("user-agent", self.habits.agent)
            .header(
                "x-forwarded-for",
                format!("{}{}", self.habits.network, 10 + self.pick(3)),
            )
            .build();
        let Ok(request) = request else { return false };
        match self.tokens.send(request).await {
            Ok(response) => response.status().is_success(),
            Err(_) => false,
        }
    }

    fn next(&self) -> (Method, String) {
        let mut draw = self.pick(100);
        for (method, path, share) in self.habits.routine {
            if draw < *share {
                let method = if *method == "POST" {
                    Method::POST
                } else {
                    Method::GET
                };
                let object = 1_000 + self.pick(self.habits.objects);
                return (method, path.replace("{}", &object.to_string()));
            }
            draw -= share;
        }
        (Method::GET, "/orders".to_owned())
    }

    /// Exponential around the mean, as independent requests come.
    fn pause(&self) -> Duration {
        let uniform = (self.pick(1_000) + 1) as f64 / 1_001.0;
        PAUSE.mul_f64((-uniform.ln()).min(6.0))
    }

    /// xorshift: habits should vary, not surprise. Seeded by the identity.
    fn pick(&self, below: u64) -> u64 {
        let mut x = self.random.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.store(x, Ordering::Relaxed);
        x.checked_rem(below).unwrap_or(0)
    }
}

/// Shared between the tasks of a demo.
pub(super) type Members = Arc<[Member; 3]>;
