//! Is the process alive, can it work, and what has it counted.
//!
//! `/livez` speaks for the process alone: a full disk must not make an orchestrator kill a broker
//! that still revokes. `/readyz` asks whether new tokens can be issued.

mod vault;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use axum::Router;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use lanyard_token::Rev;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::audit::Counters;
use crate::vault::rotate::VaultHealth;

/// How the broker is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// The last durable record.
    pub head: Rev,
    /// Whether ordinary events are taken.
    pub store_writable: bool,
    /// Whether there is a key to sign tokens with.
    pub keys_loaded: bool,
    /// Gateways that read the feed now.
    pub feed_readers: usize,
    /// Policies in force.
    pub policies: usize,
    /// How often policies were refused since the start.
    pub policies_refused: u64,
    /// Identities nobody used for a month, as of the last hour.
    pub identities_unused: usize,
}

impl Vitals {
    /// Whether new tokens can be issued.
    pub const fn ready(&self) -> bool {
        self.store_writable && self.keys_loaded
    }
}

/// Asks how the broker is.
pub type Pulse = Arc<dyn Fn() -> Vitals + Send + Sync>;

/// Asks how secrets and their exchanges are: more work, and only for whoever collects numbers.
pub type SecretsPulse = Arc<dyn Fn() -> VaultHealth + Send + Sync>;

/// `/livez`, `/readyz` and `/healthz`.
pub fn routes(pulse: Pulse) -> Router {
    let ready = {
        let pulse = pulse.clone();
        async move |RawQuery(query): RawQuery| readiness(&pulse(), query.as_deref())
    };
    let health = async move |RawQuery(query): RawQuery| readiness(&pulse(), query.as_deref());
    Router::new()
        .route(
            "/livez",
            get(async || text(StatusCode::OK, "ok\n".to_owned())),
        )
        .route("/readyz", get(ready))
        .route("/healthz", get(health))
}

/// `/metrics`, in the text format of OpenMetrics.
pub fn metrics(counters: &Counters, pulse: Pulse, secrets: SecretsPulse) -> Router {
    let mut registry = Registry::with_prefix("lanyard");
    counters.register(&mut registry);
    let (head, epoch) = (
        Gauge::<u64, AtomicU64>::default(),
        Gauge::<i64, AtomicI64>::default(),
    );
    let unused = Gauge::<i64, AtomicI64>::default();
    registry.register(
        "identities_unused",
        "Identities that nobody used for 30 days",
        unused.clone(),
    );
    let (writable, readers) = (
        Gauge::<i64, AtomicI64>::default(),
        Gauge::<i64, AtomicI64>::default(),
    );
    registry.register(
        "head_rev",
        "Number of the last durable event within its epoch",
        head.clone(),
    );
    let (policies, policies_refused) = (
        Gauge::<i64, AtomicI64>::default(),
        Gauge::<u64, AtomicU64>::default(),
    );
    registry.register("policies", "Policies in force", policies.clone());
    registry.register(
        "policies_refused",
        "How often policies were read again and refused since the start: the last good ones are in force",
        policies_refused.clone(),
    );
    registry.register("epoch", "Epoch of the log", epoch.clone());
    registry.register(
        "store_writable",
        "1 while ordinary events are taken",
        writable.clone(),
    );
    registry.register(
        "feed_readers",
        "Gateways that read the feed now",
        readers.clone(),
    );
    let vault = Arc::new(vault::Gauges::register(&mut registry));
    let registry = Arc::new(registry);
    Router::new().route(
        "/metrics",
        get(async move || {
            let vitals = pulse();
            head.set(vitals.head.number());
            epoch.set(i64::from(vitals.head.epoch()));
            writable.set(i64::from(vitals.store_writable));
            policies.set(i64::try_from(vitals.policies).unwrap_or(i64::MAX));
            policies_refused.set(vitals.policies_refused);
            unused.set(i64::try_from(vitals.identities_unused).unwrap_or(i64::MAX));
            readers.set(i64::try_from(vitals.feed_readers).unwrap_or(i64::MAX));
            vault.set(&secrets());
            let mut page = String::new();
            match prometheus_client::encoding::text::encode(&mut page, &registry) {
                Ok(()) => (
                    [(
                        CONTENT_TYPE,
                        "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    )],
                    page,
                )
                    .into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }),
    )
}

fn readiness(vitals: &Vitals, query: Option<&str>) -> Response {
    let status = if vitals.ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part == "verbose" || part.starts_with("verbose="))
    });
    if !verbose {
        return text(
            status,
            if vitals.ready() {
                "ok\n"
            } else {
                "not ready: ask /readyz?verbose\n"
            }
            .to_owned(),
        );
    }
    let line = |good: bool, what: &str, why: &str| {
        if good {
            format!("[+] {what} ok\n")
        } else {
            format!("[-] {what} failed: {why}\n")
        }
    };
    text(
        status,
        line(
            vitals.keys_loaded,
            "keys",
            "there is no key to sign tokens with",
        ) + &line(
            vitals.store_writable,
            "store",
            "the disk is full: only revocations are taken",
        ) + &format!("head {}\n", vitals.head),
    )
}

fn text(status: StatusCode, text: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::rotate::machine::Outcome;
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(routes: &Router, path: &str) -> (u16, String) {
        let response = routes
            .clone()
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8(
                response
                    .into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .to_vec(),
            )
            .unwrap(),
        )
    }

    fn pulse(store_writable: bool) -> Pulse {
        let head = Rev::new(1, 7).unwrap();
        Arc::new(move || Vitals {
            head,
            store_writable,
            keys_loaded: true,
            feed_readers: 3,
            policies: 1,
            policies_refused: 2,
            identities_unused: 2,
        })
    }

    fn secrets() -> SecretsPulse {
        Arc::new(|| VaultHealth {
            ages: vec![("payments/key".to_owned(), 86_400)],
            under_way: [("draining", 2)].into(),
            alarmed: 1,
            kept_waiting: 0,
            ended: vec![(Outcome::Rotated, 3)],
        })
    }

    #[tokio::test]
    async fn a_full_disk_makes_a_broker_not_ready_but_alive() {
        let routes = routes(pulse(false));
        assert_eq!(ask(&routes, "/livez").await.0, 200);
        assert_eq!(ask(&routes, "/healthz").await.0, 503);
        let (status, page) = ask(&routes, "/readyz?verbose").await;
        assert_eq!(status, 503);
        assert!(
            page.contains("[+] keys ok") && page.contains("[-] store failed: the disk is full"),
            "{page}"
        );
    }

    #[tokio::test]
    async fn metrics_count_by_fixed_words() {
        let counters = Counters::default();
        counters.issued();
        counters.refused("no_token");
        let (status, page) = ask(&metrics(&counters, pulse(true), secrets()), "/metrics").await;
        assert_eq!(status, 200);
        for line in [
            "lanyard_secret_age_seconds{secret=\"payments/key\"} 86400",
            "lanyard_rotations{step=\"draining\"} 2",
            "lanyard_rotations_alarmed 1",
            "lanyard_rotations_kept_waiting 0",
            "lanyard_rotations_ended_total{outcome=\"rotated\"} 3",
            "lanyard_tokens_issued_total 1",
            "lanyard_refused_total{reason=\"no_token\"} 1",
            "lanyard_feed_readers 3",
            "lanyard_identities_unused 2",
            "lanyard_head_rev 7",
            "lanyard_policies 1",
            "lanyard_policies_refused 2",
            "lanyard_store_writable 1",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }
}
